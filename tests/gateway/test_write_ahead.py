"""The fence, rule by rule, on every database."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from guardian_core.domain.decision import Amend, Cancel, Reduce, Submit
from guardian_core.domain.errors import CallerError, Conflict, RejectReason
from guardian_core.domain.orders import OrderRef, OrderStatus
from guardian_core.domain.plan import Policy, RepeatEntry
from guardian_core.gateway_codec import NotHolder
from guardian_core.ports import Database, Tx
from guardian_core.storage import leases
from guardian_core.storage.database import open_database
from guardian_core.storage.inline import InlineDatabase
from guardian_core.storage.lanes import lane_for
from guardian_gateway.shapes import check_request
from guardian_gateway.write_ahead import Admission, Fence, admit
from tests.gateway.world import (
    ACCOUNT,
    INSTALLATION,
    SYMBOL,
    World,
    entry,
    exit_body,
    request,
    stop_loss,
    take_profit,
)
from tests.support import rows
from tests.support.clock import FakeClock

D = Decimal


@pytest.fixture(params=["sqlite", "postgres"])
async def world(request: pytest.FixtureRequest, clock: FakeClock) -> AsyncIterator[World]:
    """SQLite in memory: what differs from a file is not what a fence is about."""
    database: Database = InlineDatabase(clock=clock)
    if request.param == "postgres":
        url = request.getfixturevalue("migrated_postgres_url")
        database = open_database(url, clock=clock)
    world = await World(database, clock).open()
    yield world
    await world.close()


def fence(world: World, **policy: Any) -> Fence:
    return Fence(
        account=ACCOUNT,
        symbol=SYMBOL,
        installation=INSTALLATION,
        grant=world.gateway.holder.grant(),
        policy=Policy(**policy),
        clock=world.clock,
    )


async def pass_fence(
    world: World,
    state_id: UUID | None,
    *actions: Any,
    revision: int = 1,
    write: bool = True,
    **policy: Any,
) -> Admission:
    """What the first passage of a decision through the fence gives."""
    asked = request(state_id, *actions, revision=revision)
    check_request(asked, SYMBOL, INSTALLATION)
    indexes = range(len(actions)) if write else ()
    return await world.database.run(lambda tx: admit(tx, fence(world, **policy), asked, indexes))


async def become(world: World, client_order_id: str, status: OrderStatus, **columns: Any) -> None:
    """The order as the venue has it now, with an id of the venue's."""
    venue_id = f"v-{client_order_id[-6:]}"
    fields = {"status": status.value, "exchange_order_id": venue_id} | columns
    await world.change_trade(client_order_id, **fields)


def ref_of(client_order_id: str) -> OrderRef:
    return OrderRef(f"v-{client_order_id[-6:]}", SYMBOL, True, client_order_id)


async def test_a_new_order_is_written_as_pending(world: World) -> None:
    state_id = await world.state()
    body = stop_loss(state_id)
    admission = await pass_fence(world, state_id, Submit((body,)))
    trade = await world.trade(body.client_order_id)
    assert admission.written == {body.client_order_id: trade.id}
    assert (trade.status, trade.webhook_state_id, trade.source) == ("pending", state_id, "guardian")
    assert (trade.revision, trade.attempt, trade.trigger_price) == (1, 1, D(42_000))


async def test_a_check_alone_writes_nothing(world: World) -> None:
    state_id = await world.state()
    await pass_fence(world, state_id, Submit((stop_loss(state_id),)), write=False)
    assert await world.trades() == []


async def test_a_known_order_is_answered_by_its_row(world: World) -> None:
    state_id = await world.state()
    body = stop_loss(state_id)
    await pass_fence(world, state_id, Submit((body,)))
    await become(world, body.client_order_id, OrderStatus.OPEN)
    again = await pass_fence(world, state_id, Submit((body,)))
    assert again.written == {}
    assert again.stored[body.client_order_id].status is OrderStatus.OPEN


async def test_a_known_order_is_answered_though_the_desire_has_moved_on(world: World) -> None:
    state_id = await world.state()
    body = stop_loss(state_id)
    await pass_fence(world, state_id, Submit((body,)))
    await world.revise(state_id, revision=2, status="closed")
    again = await pass_fence(world, state_id, Submit((body,)))
    assert list(again.stored) == [body.client_order_id]


@dataclass(frozen=True)
class Refused:
    """A history, the request that must be refused after it, and how."""

    name: str
    code: str
    prepare: Callable[[World, UUID], Awaitable[Any]]
    ask: Callable[[UUID], Any]
    revision: int = 1


async def nothing(world: World, state_id: UUID) -> None:
    return None


async def stop_works(world: World, state_id: UUID) -> None:
    body = stop_loss(state_id)
    await pass_fence(world, state_id, Submit((body,)))
    await become(world, body.client_order_id, OrderStatus.OPEN)


async def stop_is_pending(world: World, state_id: UUID) -> None:
    await pass_fence(world, state_id, Submit((stop_loss(state_id),)))


async def stop_was_rejected(world: World, state_id: UUID) -> None:
    body = stop_loss(state_id)
    await pass_fence(world, state_id, Submit((body,)))
    await become(world, body.client_order_id, OrderStatus.REJECTED, reject_reason="invalid_order")


async def newer_stop_exists(world: World, state_id: UUID) -> None:
    """As when a state's revision went backwards: a backup of the database was restored."""
    await world.revise(state_id, revision=3)
    await pass_fence(world, state_id, Submit((stop_loss(state_id, revision=3),)), revision=3)
    await world.revise(state_id, revision=1)


async def exit_works(world: World, state_id: UUID) -> None:
    body = exit_body(state_id)
    await pass_fence(world, state_id, Reduce(body))
    await become(world, body.client_order_id, OrderStatus.OPEN)


async def exit_sold_part(world: World, state_id: UUID) -> None:
    body = exit_body(state_id, "0.01")
    await pass_fence(world, state_id, Reduce(body))
    part = {"filled_quantity": D("0.004"), "average_price": D(43_000)}
    await become(world, body.client_order_id, OrderStatus.CANCELLED, **part)


async def stop_of_newer_revision_works(world: World, state_id: UUID) -> None:
    await newer_stop_exists(world, state_id)
    body = stop_loss(state_id, revision=3)
    await become(world, body.client_order_id, OrderStatus.OPEN)


async def desire_moved_on(world: World, state_id: UUID) -> None:
    await world.revise(state_id, revision=2)


async def state_closed(world: World, state_id: UUID) -> None:
    await world.revise(state_id, status="closed")


async def state_released(world: World, state_id: UUID) -> None:
    await world.revise(state_id, status="released")


REFUSED = [
    Refused("the desire has moved on", "stale_revision", desire_moved_on,
            lambda s: Submit((stop_loss(s),))),
    Refused("a cancel after the desire has moved on", "stale_revision", desire_moved_on,
            lambda s: Cancel(OrderRef("1", SYMBOL, True, INSTALLATION + "x"), "Surplus")),
    Refused("the state is closed", "state_closed", state_closed,
            lambda s: Submit((stop_loss(s),))),
    Refused("the state is released", "state_closed", state_released,
            lambda s: Reduce(exit_body(s))),
    Refused("another order under a known id", "id_reused", stop_works,
            lambda s: Submit((stop_loss(s, "41999"),))),
    Refused("an attempt that skips one", "stale_attempt", nothing,
            lambda s: Submit((stop_loss(s, attempt=2),))),
    Refused("an attempt that skips one after a reject", "stale_attempt", stop_was_rejected,
            lambda s: Submit((stop_loss(s, attempt=3),))),
    Refused("a second stop beside a working one", "working", stop_works,
            lambda s: Submit((stop_loss(s, attempt=2),))),
    Refused("a second stop while the first is in flight", "in_flight", stop_is_pending,
            lambda s: Submit((stop_loss(s, attempt=2),))),
    Refused("replacing an order in flight", "in_flight", stop_is_pending,
            lambda s: Submit((stop_loss(s, attempt=2),),
                             (ref_of(stop_loss(s).client_order_id),))),
    Refused("a stop when a newer revision has one", "superseded", newer_stop_exists,
            lambda s: Submit((stop_loss(s),))),
    Refused("cancelling a newer revision's stop", "superseded", stop_of_newer_revision_works,
            lambda s: Cancel(ref_of(stop_loss(s, revision=3).client_order_id), "Surplus")),
    Refused("a second exit beside a working one", "working", exit_works,
            lambda s: Reduce(exit_body(s, attempt=2))),
    Refused("selling more than the first attempt left", "oversold", exit_sold_part,
            lambda s: Reduce(exit_body(s, "0.007", attempt=2))),
    Refused("amending beside another working stop", "stale_attempt", stop_works,
            lambda s: Amend(ref_of(stop_loss(s).client_order_id), stop_loss(s, "42100"))),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
async def test_what_an_old_view_asks_for_is_refused(world: World, case: Refused) -> None:
    state_id = await world.state()
    await case.prepare(world, state_id)
    before = [(t.client_order_id, t.status, t.updated_at) for t in await world.trades()]
    with pytest.raises(Conflict) as refusal:
        await pass_fence(world, state_id, case.ask(state_id), revision=case.revision)
    assert refusal.value.code == case.code
    assert [(t.client_order_id, t.status, t.updated_at) for t in await world.trades()] == before


ALLOWED = [
    Refused("the next attempt after a reject", "", stop_was_rejected,
            lambda s: Submit((stop_loss(s, attempt=2),))),
    Refused("replacing what works by naming it", "", stop_works,
            lambda s: Submit((stop_loss(s, "42100", attempt=2),),
                             (ref_of(stop_loss(s).client_order_id),))),
    Refused("the other leg beside a working stop", "", stop_works,
            lambda s: Submit((take_profit(s),))),
    Refused("an exit beside a working stop", "", stop_works,
            lambda s: Reduce(exit_body(s))),
    Refused("selling exactly what is left", "", exit_sold_part,
            lambda s: Reduce(exit_body(s, "0.006", attempt=2))),
    Refused("amending the one that works", "", stop_works,
            lambda s: Amend(ref_of(stop_loss(s).client_order_id),
                            stop_loss(s, "42100", attempt=2))),
]  # fmt: skip


@pytest.mark.parametrize("case", ALLOWED, ids=lambda case: case.name)
async def test_what_follows_from_the_rows_is_admitted(world: World, case: Refused) -> None:
    state_id = await world.state()
    await case.prepare(world, state_id)
    count = len(await world.trades())
    action = case.ask(state_id)
    admission = await pass_fence(world, state_id, action)
    created = 0 if isinstance(action, Amend) else 1
    assert len(admission.written) == created
    assert len(await world.trades()) == count + created


async def test_both_legs_of_a_pair_are_written_together(world: World) -> None:
    state_id = await world.state()
    pair = (stop_loss(state_id), take_profit(state_id))
    admission = await pass_fence(world, state_id, Submit(pair))
    assert set(admission.written) == {body.client_order_id for body in pair}


async def test_a_refused_second_action_leaves_no_row_of_the_first(world: World) -> None:
    state_id = await world.state()
    actions = (Submit((stop_loss(state_id),)), Submit((take_profit(state_id, attempt=2),)))
    with pytest.raises(Conflict):
        await pass_fence(world, state_id, *actions)
    assert await world.trades() == []


async def test_a_surplus_order_cancelled_by_the_same_decision_counts_as_named(world: World) -> None:
    state_id = await world.state()
    await stop_works(world, state_id)
    old = ref_of(stop_loss(state_id).client_order_id)
    new = Submit((stop_loss(state_id, attempt=2),))
    assert (await pass_fence(world, state_id, new, Cancel(old, "Surplus"))).written


# The lease


async def test_only_the_holder_passes(world: World) -> None:
    state_id = await world.state()
    stale = fence(world)
    await world.start_gateway(url="http://the-new-one:8889")
    asked = request(state_id, Submit((stop_loss(state_id),)))
    with pytest.raises(NotHolder) as refusal:
        await world.database.run(lambda tx: admit(tx, stale, asked, {0}))
    assert refusal.value.holder_url == "http://the-new-one:8889"
    assert await world.trades() == []


async def test_an_older_epoch_of_the_same_holder_does_not_pass(world: World) -> None:
    state_id = await world.state()
    now = fence(world)
    stale = replace(now, grant=replace(now.grant, epoch=now.grant.epoch - 1))
    with pytest.raises(NotHolder):
        await world.database.run(
            lambda tx: admit(tx, stale, request(state_id, Submit((stop_loss(state_id),))), {0})
        )


async def test_a_lease_that_has_run_out_does_not_pass(world: World, clock: FakeClock) -> None:
    state_id = await world.state()
    held = fence(world)
    clock.advance(leases.TTL_S + 0.1)
    with pytest.raises(NotHolder):
        await world.database.run(
            lambda tx: admit(tx, held, request(state_id, Submit((stop_loss(state_id),))), {0})
        )


# Entries


async def test_an_entry_passes_while_its_alert_is_young(world: World, clock: FakeClock) -> None:
    state_id = await world.state(status="pending")
    action = entry(await world.webhook())
    clock.advance(2)
    admission = await pass_fence(world, state_id, action, max_entry_age_s=2.0)
    assert list(admission.written) == [action.body.client_order_id]


async def test_a_late_entry_is_written_down_as_expired(world: World, clock: FakeClock) -> None:
    state_id = await world.state(status="pending")
    received_at = clock.now() - timedelta(seconds=61)
    action = entry(await world.webhook(received_at=received_at))
    for _ in range(2):
        admission = await pass_fence(world, state_id, action)
        assert admission.written == {}
        row = admission.stored[action.body.client_order_id]
        assert (row.status, row.reject_reason) == (OrderStatus.REJECTED, RejectReason.EXPIRED)


async def test_an_entry_that_never_reached_the_venue_may_be_sent_again(world: World) -> None:
    state_id = await world.state(status="pending")
    action = entry(await world.webhook())
    await pass_fence(world, state_id, action)
    lost = {"status": "rejected", "reject_reason": "not_sent", "error": "the venue never had it"}
    await world.change_trade(action.body.client_order_id, **lost)
    admission = await pass_fence(world, state_id, action)
    trade = await world.trade(action.body.client_order_id)
    assert list(admission.written) == [action.body.client_order_id]
    assert (trade.status, trade.reject_reason, trade.error) == ("pending", None, "")


async def test_an_entry_that_was_refused_stays_refused(world: World) -> None:
    state_id = await world.state(status="pending")
    action = entry(await world.webhook())
    await pass_fence(world, state_id, action)
    refused = {"status": "rejected", "reject_reason": "insufficient_funds"}
    await world.change_trade(action.body.client_order_id, **refused)
    admission = await pass_fence(world, state_id, action)
    assert list(admission.stored) == [action.body.client_order_id]


async def test_an_entry_keeps_its_body_when_the_desire_moves_on_before_it_is_sent(
    world: World,
) -> None:
    state_id = await world.state(status="pending", revision=2)
    action = entry(await world.webhook(), revision=1)
    assert (await pass_fence(world, state_id, action, revision=2)).written


@pytest.mark.parametrize("filled", [D(0), D("0.01")], ids=["unfilled", "filled"])
@pytest.mark.parametrize("repeat", list(RepeatEntry))
async def test_a_state_is_entered_once_unless_entries_repeat(
    world: World, filled: Decimal, repeat: RepeatEntry
) -> None:
    state_id = await world.state(status="pending")
    first = entry(await world.webhook())
    await pass_fence(world, state_id, first)
    status = OrderStatus.CLOSED if filled else OrderStatus.CANCELLED
    await become(world, first.body.client_order_id, status, filled_quantity=filled)
    second = entry(await world.webhook())
    if filled and repeat is RepeatEntry.IGNORE:
        with pytest.raises(Conflict, match="already_entered"):
            await pass_fence(world, state_id, second, repeat_entry=repeat)
    else:
        assert (await pass_fence(world, state_id, second, repeat_entry=repeat)).written


@pytest.mark.parametrize("repeat", list(RepeatEntry))
async def test_an_open_state_takes_an_entry_only_where_entries_repeat(
    world: World, repeat: RepeatEntry
) -> None:
    state_id = await world.state(status="open")
    action = entry(await world.webhook())
    if repeat is RepeatEntry.ADD:
        assert (await pass_fence(world, state_id, action, repeat_entry=repeat)).written
    else:
        with pytest.raises(Conflict, match="already_entered"):
            await pass_fence(world, state_id, action, repeat_entry=repeat)


async def test_an_entry_beside_a_waiting_one_is_refused(world: World) -> None:
    state_id = await world.state(status="pending")
    waiting = entry(await world.webhook(), price="42500")
    await pass_fence(world, state_id, waiting)
    await become(world, waiting.body.client_order_id, OrderStatus.OPEN)
    with pytest.raises(Conflict, match="working"):
        await pass_fence(world, state_id, entry(await world.webhook()))


# Orders to cancel


async def test_a_foreign_order_is_not_cancelled(world: World) -> None:
    state_id = await world.state()
    foreign = OrderRef("77", SYMBOL, True, "by-hand")
    with pytest.raises(CallerError, match="not ours"):
        await pass_fence(world, state_id, Cancel(foreign, "Surplus"))


async def test_an_order_with_our_prefix_and_no_row_may_be_cancelled(world: World) -> None:
    orphan = OrderRef("77", SYMBOL, True, INSTALLATION + "x" * 22)
    await pass_fence(world, None, Cancel(orphan, "PositionClosed"), revision=0)


async def test_without_a_state_no_live_state_loses_an_order(world: World) -> None:
    state_id = await world.state()
    await stop_works(world, state_id)
    cancel = Cancel(ref_of(stop_loss(state_id).client_order_id), "PositionClosed")
    with pytest.raises(Conflict, match="state_live"):
        await pass_fence(world, None, cancel, revision=0)
    await world.revise(state_id, status="closed")
    admission = await pass_fence(world, None, cancel, revision=0)
    assert [row.client_order_id for row in admission.named] == [stop_loss(state_id).client_order_id]


async def test_a_state_of_another_lane_is_no_state_here(world: World) -> None:
    def elsewhere(tx: Tx) -> UUID:
        return rows.state(tx, world.ids, lane_for(tx, ACCOUNT, "ETHUSDT"))

    state_id = await world.database.run(elsewhere)
    with pytest.raises(CallerError, match="state_id"):
        await pass_fence(world, state_id, Submit((stop_loss(state_id),)))
