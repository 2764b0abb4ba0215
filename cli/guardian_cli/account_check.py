"""What works of an account: asked of its venue, through the gateway."""

from collections.abc import Awaitable
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from guardian_cli.place import Place
from guardian_core.domain.errors import CallerError, GuardianError
from guardian_core.domain.snapshot import AccountSnapshot, Section
from guardian_core.ports import GatewayClient
from guardian_core.storage.accounts_store import AccountRow, list_accounts

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CheckLine:
    what: str
    ok: bool
    found: str


@dataclass(frozen=True, slots=True)
class Money:
    """`total` = `free` + what orders lock or positions use."""

    currency: str
    free: Decimal
    total: Decimal


@dataclass(frozen=True, slots=True)
class AccountCheck:
    account: str
    venue: str
    ok: bool
    lines: tuple[CheckLine, ...]
    balances: tuple[Money, ...]


async def check_accounts(place: Place, name: str | None) -> list[AccountCheck]:
    """Raises CallerError for an unknown name, Unavailable when no gateway runs."""
    rows = await place.read(list_accounts)
    wanted = [row for row in rows if name in (None, row.name)]
    if name is not None and not wanted:
        raise CallerError("NAME", f"{name!r} is no account", "see `guardian accounts list`")
    async with place.gateway() as gateway:
        return [await _check(gateway, row) for row in wanted]


async def _check(gateway: GatewayClient, row: AccountRow) -> AccountCheck:
    lines: list[CheckLine] = []
    report = await _tried("reach", gateway.check(row.name), lines)
    if report is not None:
        lines += [CheckLine(line.what, line.ok, line.found) for line in report.lines]
    snapshot = await _tried("reach", gateway.snapshot(row.name), lines)
    if snapshot is not None:
        lines += _snapshot_lines(snapshot)
    money = await _tried("balances", gateway.balances(row.name), lines)
    if money is not None:
        lines.append(CheckLine("balances", True, f"{len(money.balances)} currencies"))
    return AccountCheck(
        account=row.name,
        venue=f"{row.spec.venue}, {row.spec.environment.value}, {row.spec.market().value}",
        ok=all(line.ok for line in lines),
        lines=tuple(lines),
        balances=tuple(
            Money(line.currency, line.free, line.total)
            for line in (money.balances if money is not None else ())
        ),
    )


async def _tried(what: str, call: Awaitable[T], lines: list[CheckLine]) -> T | None:
    try:
        return await call
    except GuardianError as error:
        lines.append(CheckLine(what, False, str(error)))
        return None


def _snapshot_lines(snapshot: AccountSnapshot) -> list[CheckLine]:
    capabilities = snapshot.capabilities
    ways = [f"legs {capabilities.legs.value}"]
    ways += ["amends in place"] if capabilities.amend else []
    ways += ["creates before it cancels"] if capabilities.create_then_cancel else []
    return [
        _section("positions", snapshot.positions_section, len(snapshot.positions)),
        _section("orders", snapshot.orders_section, len(snapshot.orders)),
        CheckLine("guarding", True, ", ".join(ways)),
        *(CheckLine("warning", False, warning) for warning in snapshot.warnings),
    ]


def _section(what: str, section: Section, count: int) -> CheckLine:
    found = f"{count}, read {section.age_ms} ms ago" if section.ok else section.error
    return CheckLine(what, section.ok, found)
