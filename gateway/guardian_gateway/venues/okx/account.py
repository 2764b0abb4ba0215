"""What OKX tells of an account: how it is set up, what its key may do, and its money.

An account is in one of four modes for everything it trades. Reduce-only, which keeps a stop from
opening a position, exists in Futures and multi-currency mode only; spot is traded without margin
(`cash`) in Spot and Futures mode only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from guardian_core.accounts import MarginMode
from guardian_core.domain.errors import ConfigurationError
from guardian_gateway.venues.exchange.checks import Finding, found_out, key_findings
from guardian_gateway.venues.exchange.client import Client
from guardian_gateway.venues.exchange.orders import short
from guardian_gateway.venues.exchange.reading import Row, number, rows, text
from guardian_gateway.venues.okx.codes import only
from guardian_gateway.venues.port import Balance

_LEVELS = {
    "1": "Spot mode",
    "2": "Futures mode",
    "3": "Multi-currency margin mode",
    "4": "Portfolio margin mode",
}
_SPOT, _FUTURES, _MULTI, _PORTFOLIO = _LEVELS
_SWITCH = "switch it to Futures mode (Trade, Settings, Account mode)"


@dataclass(frozen=True, slots=True)
class Setup:
    """`level`: the account's mode, a key of `_LEVELS`; `permissions`: of the key that asked."""

    level: str
    one_way: bool
    permissions: frozenset[str]

    @property
    def mode(self) -> str:
        return _LEVELS.get(self.level, f"account mode {self.level}")

    def check_swaps(self, margin_mode: MarginMode) -> None:
        """Raises ConfigurationError where swaps cannot be traded, or not be guarded."""
        if not self.one_way:
            raise ConfigurationError(
                "the account is in long/short mode, which cannot be guarded: close its positions"
                " and switch to one-way mode (Trade, Settings, Position mode, Buy/Sell)"
            )
        if self.level == _MULTI and margin_mode is MarginMode.ISOLATED:
            raise ConfigurationError(
                f"the account is in {self.mode}, which has no isolated margin: set marginMode to"
                f" Cross, or {_SWITCH}"
            )
        if self.level not in (_FUTURES, _MULTI):
            why = "trades no swaps" if self.level == _SPOT else "has no reduce-only orders"
            raise ConfigurationError(f"the account is in {self.mode}, which {why}: {_SWITCH}")

    def check_spot(self) -> None:
        """Raises ConfigurationError where spot is traded on margin only."""
        if self.level not in (_SPOT, _FUTURES):
            raise ConfigurationError(
                f"the account is in {self.mode}, which trades spot on margin only: switch it to"
                " Spot mode or Futures mode (Trade, Settings, Account mode)"
            )


async def read_setup(client: Client) -> Setup:
    return await client.read("privateGetAccountConfig", {}, _setup)


def _setup(answer: Any) -> Setup:
    source = only(answer)
    permissions = str(source.get("perm", "")).split(",")
    return Setup(
        level=text(source, "acctLv"),
        one_way=text(source, "posMode") == "net_mode",
        permissions=frozenset(one.strip() for one in permissions if one.strip()),
    )


async def account_findings(
    client: Client, check: Callable[[Setup], None] | None = None
) -> Sequence[Finding]:
    """What the key may do, and whether the account can at all: `check` raises
    ConfigurationError where it cannot. Raises nothing."""

    async def ask() -> Sequence[Finding]:
        setup = await read_setup(client)
        may = setup.permissions
        # A key whose rights are not told may have all of them.
        found = key_findings("trade" in may, "withdraw" in may or not may, is_live=client.is_live)
        try:
            if check is not None:
                check(setup)
        except ConfigurationError as error:
            found[0] = replace(found[0], ok=False, found=str(error))
        return found

    return await found_out("keys", ask())


def balances(answer: Any) -> list[Balance]:
    found = (_balance(source) for source in rows(only(answer).get("details")))
    return [balance for balance in found if balance.total != 0]


def _balance(source: Row) -> Balance:
    """`availEq` is told where there is margin, `availBal` everywhere."""
    total = short(number(source, "cashBal"))
    free = "availEq" if source.get("availEq") not in (None, "") else "availBal"
    return Balance(text(source, "ccy"), min(short(number(source, free)), total), total)
