"""Exchange accounts are looked over at the start, daily, and sooner while something is wrong."""

import asyncio

import pytest
from sqlalchemy import select

from guardian_core.accounts import AccountSpec
from guardian_core.domain.errors import Unavailable
from guardian_core.ports import Tx
from guardian_core.protocol import CheckLine, CheckReport
from guardian_core.storage.accounts_store import put_account
from guardian_core.storage.inline import InlineDatabase
from guardian_core.storage.schema import Journal
from guardian_operator.account_checks import AGAIN_AFTER_S, EVERY_S, AccountChecks
from tests.support.clock import FakeClock

FINE = CheckReport(lines=(CheckLine(what="trading", ok=True, found="allowed"),))
WRONG = CheckReport(lines=(CheckLine(what="withdrawal", ok=False, found="allowed: disable it"),))


class Checked:
    """A gateway whose answers to `check` are given; None: it is away."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: CheckReport | None = FINE

    async def check(self, account: str) -> CheckReport:
        self.asked.append(account)
        if self.answer is None:
            raise Unavailable("away")
        return self.answer


class Hands:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.database = InlineDatabase(clock=self.clock)
        self.gateway = Checked()
        self.told: list[tuple[str, CheckReport]] = []
        self.checks = AccountChecks(
            self.database,
            self.gateway,  # type: ignore[arg-type] # nothing else is asked of it
            self.clock,
            lambda account, report: self.told.append((account, report)),
        )

    async def account(self, name: str, venue: str = "binance", **spec: object) -> None:
        world = "Paper" if venue == "paper" else "Demo"
        given = {"accountId": name, "venue": venue, "environment": world} | spec
        made = AccountSpec.model_validate(given)
        await self.database.run(lambda tx: put_account(tx, name, made))

    async def journal(self) -> list[str]:
        def read(tx: Tx) -> list[str]:
            query = select(Journal.detail).where(Journal.point == "account_checked")
            return list(tx.scalars(query.order_by(Journal.id)))

        return await self.database.run(read)


@pytest.mark.parametrize(
    ("answer", "again_s"), [(FINE, EVERY_S), (WRONG, AGAIN_AFTER_S), (None, AGAIN_AFTER_S)]
)
async def test_an_account_is_asked_for_at_once_and_again_in_time(
    answer: CheckReport | None, again_s: float
) -> None:
    hands = Hands()
    hands.gateway.answer = answer
    await hands.account("real")
    await hands.account("play", venue="paper")
    await hands.checks.check_due()
    assert hands.gateway.asked == ["real"]
    hands.clock.advance(again_s - 1)
    await hands.checks.check_due()
    assert hands.gateway.asked == ["real"]
    hands.clock.advance(1)
    await hands.checks.check_due()
    assert hands.gateway.asked == ["real", "real"]


async def test_a_changed_account_is_looked_at_at_once() -> None:
    hands = Hands()
    await hands.account("real")
    await hands.checks.check_due()
    await hands.account("real", leverage="2")
    await hands.checks.check_due()
    assert hands.gateway.asked == ["real", "real"]


async def test_what_is_found_is_written_down_when_it_changes_and_told_each_time() -> None:
    hands = Hands()
    await hands.account("real")
    for answer in (WRONG, WRONG, FINE):
        hands.gateway.answer = answer
        await hands.checks.check_due()
        hands.clock.advance(AGAIN_AFTER_S)
    assert await hands.journal() == ["withdrawal: allowed: disable it", "all is well"]
    assert hands.told == [("real", WRONG), ("real", WRONG), ("real", FINE)]


async def test_neither_an_absent_database_nor_a_mistake_ends_the_checks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hands = Hands()
    await hands.account("real")
    monkeypatch.setattr("guardian_operator.account_checks.LOOK_EVERY_S", 0)
    run, failures = hands.database.run, [Unavailable("away"), ValueError("a mistake")]

    async def sometimes(fn):
        if failures:
            raise failures.pop()
        return await run(fn)

    monkeypatch.setattr(hands.database, "run", sometimes)
    running = asyncio.create_task(hands.checks.run())
    async with asyncio.timeout(5):
        while not hands.told:
            await asyncio.sleep(0)
    running.cancel()
