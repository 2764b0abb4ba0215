"""ExchangeAccounts and their rows, with no cluster near: who wins when both were written."""

from typing import Any

import pytest

from guardian_core.accounts import AccountSpec
from guardian_core.clock import SystemClock
from guardian_core.ports import Tx
from guardian_core.protocol import CheckLine, CheckReport
from guardian_core.storage.accounts_store import AccountRow, get_account, put_account
from guardian_core.storage.inline import InlineDatabase
from guardian_core.storage.lanes import lane_for
from guardian_operator.exchange_accounts import ExchangeAccounts
from guardian_operator.shelf import Shelf
from guardian_operator.status_writer import StatusWriter
from tests.support import rows
from tests.support.ids import SeededIds

NAMESPACE = "trading"


class Shown(StatusWriter):
    """Statuses as they were wished for last."""

    def __init__(self) -> None:
        self.last: dict[str, dict[str, Any]] = {}

    def show(self, plural: str, name: str, status: dict[str, Any]) -> None:
        self.last[name] = status


class Hands:
    def __init__(self) -> None:
        self.database = InlineDatabase(clock=SystemClock())
        self.shelf = Shelf()
        self.shown = Shown()
        self.checks: dict[str, CheckReport] = {}
        self.accounts = ExchangeAccounts(
            self.database,
            NAMESPACE,
            self.shelf,
            self.shown,
            SystemClock(),
            lambda _: None,
            self.checks,
        )

    async def apply(self, uid: str, version: int, generation: int = 1, **spec: Any) -> None:
        metadata = {"name": "main", "uid": uid, "resourceVersion": str(version)}
        body = {
            "metadata": metadata | {"generation": generation},
            "spec": {"accountId": "main"} | spec,
        }
        assert self.shelf.put(body)
        await self.accounts.take("main")

    async def row(self) -> AccountRow:
        found = await self.database.run(lambda tx: get_account(tx, "main"))
        assert found is not None
        return found

    def ready(self) -> dict[str, Any]:
        return self.condition("Ready")

    def condition(self, kind: str) -> dict[str, Any]:
        conditions = self.shown.last["main"]["conditions"]
        found: dict[str, Any] = next(each for each in conditions if each["type"] == kind)
        return found


@pytest.fixture
def hands() -> Hands:
    return Hands()


async def test_a_row_that_somebody_else_wrote_is_taken_again(hands: Hands):
    await hands.apply("one", 1)
    paused = AccountSpec(account_id="main", paused=True)
    # A leader that was late, with a listing from before the object was there.
    await hands.database.run(
        lambda tx: put_account(tx, "main", paused, namespace=NAMESPACE, uid=None)
    )
    await hands.accounts.pause_withdrawn()
    await hands.accounts.take("main")
    found = await hands.row()
    assert (found.spec.paused, found.uid) == (False, "one")


async def test_an_account_applied_again_takes_its_positions_nowhere_else(hands: Hands):
    await hands.apply("one", 1, paper={"market": "linear"})
    ids = SeededIds()

    def opened(tx: Tx) -> None:
        rows.state(tx, ids, lane_for(tx, "main", "BTCUSDT"))

    await hands.database.run(opened)
    hands.shelf.forget("main")
    await hands.accounts.pause_withdrawn()
    await hands.apply("two", 2, paper={"market": "spot"})
    assert (await hands.row()).spec.market().value == "linear"
    ready = hands.ready()
    assert (ready["reason"], "positions are open" in ready["message"]) == ("Invalid", True)


async def test_a_price_that_its_market_does_not_have_takes_nothing_from_an_account(hands: Hands):
    """The gateway would refuse the whole account, and nothing of it would be guarded."""
    real: Any = {"venue": "binance", "environment": "Live"}
    await hands.apply("one", 1, **real)
    await hands.apply("one", 2, generation=2, **real, policy={"triggerBasis": "mark"})
    assert (await hands.row()).spec.policy.trigger_basis == "last"
    ready = hands.ready()
    assert (ready["reason"], "triggerBasis" in ready["message"]) == ("Invalid", True)
    await hands.apply("one", 3, generation=3, **real, paused=True)
    assert (await hands.row()).spec.paused
    assert hands.ready()["reason"] != "Invalid"


async def test_an_account_without_positions_may_be_applied_again_elsewhere(hands: Hands):
    await hands.apply("one", 1, paper={"market": "linear"})
    hands.shelf.forget("main")
    await hands.accounts.pause_withdrawn()
    await hands.apply("two", 2, paper={"market": "spot"})
    assert (await hands.row()).spec.market().value == "spot"
    assert hands.ready()["reason"] != "Invalid"


async def test_what_a_look_at_the_account_found_is_a_condition() -> None:
    hands = Hands()
    await hands.apply("a", 1)
    assert hands.condition("Checked")["status"] == "Unknown"
    fine = CheckLine(what="trading", ok=True, found="allowed")
    hands.checks["main"] = CheckReport(lines=(fine,))
    hands.accounts.look("main")
    assert hands.condition("Checked")["reason"] == "CheckPassed"
    rights = CheckLine(what="position mode", ok=False, found="hedge")
    hands.checks["main"] = CheckReport(lines=(fine, rights))
    hands.accounts.look("main")
    shown = hands.condition("Checked")
    assert (shown["status"], shown["reason"]) == ("False", "PositionModeWrong")
    assert shown["message"] == "position mode: hedge"
    hands.checks["main"] = CheckReport(lines=(rights.model_copy(update={"asked": False}),))
    hands.accounts.look("main")
    assert hands.condition("Checked")["reason"] == "PositionModeNotKnown"
