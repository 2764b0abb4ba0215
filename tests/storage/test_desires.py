"""What the database tells `decide` of a state and its orders, and what it takes back of it."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from guardian_core.domain.decision import Close, NakedSince, Observed
from guardian_core.domain.errors import Conflict, RejectReason
from guardian_core.domain.orders import Role
from guardian_core.ports import Database, Ids, Tx
from guardian_core.storage.desires import (
    Desire,
    Guarded,
    apply_changes,
    latest_states,
    live_state,
    revise,
)
from guardian_core.storage.schema import Trade, WebhookState
from guardian_core.storage.trades import REFUSALS
from tests.support import rows
from tests.support.ids import SeededIds


@pytest.fixture
def ids() -> SeededIds:
    return SeededIds()


PENDING: dict[str, Any] = {"status": "pending", "quantity": Decimal(0), "opened_at": None}


def order(tx: Tx, ids: Ids, state_id: UUID, **columns: Any) -> None:
    key = ids.uuid()
    values: dict[str, Any] = {
        "id": key,
        "client_order_id": str(key),
        "webhook_state_id": state_id,
        "account_name": rows.ACCOUNT,
        "symbol": rows.SYMBOL,
        "source": "guardian",
        "role": Role.STOP_LOSS.value,
        "type": "stop_loss",
        "side": "sell",
        "status": "rejected",
        "quantity": Decimal("0.01"),
        "revision": 1,
        "attempt": 1,
        "trace_id": ids.trace_id(),
        "created_at": tx.now(),
        "updated_at": tx.now(),
    }
    tx.add(Trade(**(values | columns)))
    tx.flush()


def live(tx: Tx) -> Guarded:
    found = live_state(tx, rows.ACCOUNT, rows.SYMBOL, "testin")
    assert found is not None
    return found


@pytest.mark.parametrize("status", ["received", "processing", "processed", "error"])
async def test_an_entry_is_due_while_its_alert_is_not_finished(
    database: Database, ids: Ids, status: str
) -> None:
    def story(tx: Tx) -> bool:
        lane_id = rows.lane(tx)
        alert = rows.webhook(tx, ids, lane_id, action="BuyMarket", status=status)
        rows.state(tx, ids, lane_id, id=alert, **PENDING)
        return live(tx).plan.entry_due

    assert await database.run(story) is (status in ("received", "processing"))


@pytest.mark.parametrize(
    ("columns", "sent"),
    [
        pytest.param({"status": "pending"}, True, id="on its way"),
        pytest.param(
            {"reject_reason": RejectReason.INSUFFICIENT_FUNDS.value}, True, id="refused for good"
        ),
        pytest.param({"reject_reason": RejectReason.NOT_SENT.value}, False, id="never left"),
    ],
)
async def test_an_entry_that_surely_never_left_is_not_sent(
    database: Database, ids: Ids, columns: dict[str, Any], sent: bool
) -> None:
    def story(tx: Tx) -> bool:
        state_id = rows.state(tx, ids, rows.lane(tx), **PENDING)
        order(tx, ids, state_id, role="entry", type="market", side="buy", **columns)
        return live(tx).plan.entry_sent

    assert await database.run(story) is sent


async def test_of_endless_refusals_a_pass_reads_the_first_and_the_newest(
    database: Database, ids: Ids
) -> None:
    def story(tx: Tx) -> Guarded:
        state_id = rows.state(tx, ids, rows.lane(tx))
        for attempt in range(1, 31):
            order(tx, ids, state_id, attempt=attempt)
        order(tx, ids, state_id, role="take_profit", status="open", attempt=3)
        return live(tx)

    plan = (await database.run(story)).plan
    attempts = [order.attempt for order in plan.attempts(Role.STOP_LOSS)]
    assert attempts == [1, *range(31 - REFUSALS, 31)]
    assert plan.next_attempt(Role.STOP_LOSS) == 31
    assert plan.next_attempt(Role.TAKE_PROFIT) == 4


@pytest.mark.parametrize("change", [Close("Flat"), Observed(Decimal(1), None, None, None)])
async def test_what_was_decided_on_an_older_desire_is_not_written(
    database: Database, ids: Ids, change: Close | Observed
) -> None:
    def begin(tx: Tx) -> Guarded:
        rows.state(tx, ids, rows.lane(tx))
        seen = live(tx)
        revise(tx, seen.plan.state_id, 1, Desire(None, None), trace_id=seen.trace_id)
        return seen

    seen = await database.run(begin)
    changes = (NakedSince(seen.plan.revised_at), change)
    with pytest.raises(Conflict):
        await database.run(lambda tx: apply_changes(tx, seen, changes))
    row = await database.run(lambda tx: tx.scalars(select(WebhookState)).one())
    assert (row.status, row.naked_since, row.quantity) == ("open", None, Decimal("0.01"))


async def test_an_unexplained_end_is_remembered(database: Database, ids: Ids) -> None:
    def story(tx: Tx) -> bool:
        rows.state(
            tx,
            ids,
            rows.lane(tx),
            status="closed",
            close_reason="FlatUnexplained",
            closed_at=tx.now() - timedelta(seconds=1),
        )
        found = latest_states(tx, rows.ACCOUNT, [rows.SYMBOL], "testin")
        return found[rows.SYMBOL].plan.closed_unexplained

    assert await database.run(story)
