"""Orders whose outcome nobody heard: found, or proven never to have been; never sent twice."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from guardian_core.domain.decision import Submit
from guardian_core.domain.errors import (
    Ambiguous,
    Conflict,
    NotSent,
    Rejected,
    RejectReason,
    Unavailable,
)
from guardian_core.domain.orders import OrderSide
from guardian_core.protocol import OutcomeKind
from guardian_core.storage.schema import Trade
from guardian_gateway.outcomes import EFFECT_WITHIN_S, OLDER_BY_CLOCKS, is_same_order
from guardian_gateway.venues.paper import PaperTiming
from guardian_gateway.write_ahead import Fence, admit
from tests.gateway.world import (
    ACCOUNT,
    INSTALLATION,
    SYMBOL,
    World,
    entry,
    on_virtual_time,
    only,
    request,
    stop_loss,
    take_profit,
)

D = Decimal


async def until_known(world: World, client_order_id: str, within_s: float = 10) -> Trade:
    """The row once it is pending no more."""
    async with asyncio.timeout(within_s):
        while (trade := await world.trade(client_order_id)).status == "pending":
            await asyncio.sleep(0.05)
    return trade


async def die_before_the_send(world: World, state_id: UUID, *bodies: Any) -> None:
    """Leaves what a gateway leaves that was killed between its row's commit and the send."""
    fence = Fence(
        account=ACCOUNT,
        symbol=SYMBOL,
        installation=INSTALLATION,
        grant=world.gateway.holder.grant(),
        policy=world.policy,
        clock=world.clock,
    )
    asked = request(state_id, *(Submit((body,)) for body in bodies))
    await world.database.run(lambda tx: admit(tx, fence, asked, range(len(bodies))))


async def die_after_the_send(world: World, state_id: UUID, body: Any) -> None:
    """The same, but the order had reached the venue."""
    await die_before_the_send(world, state_id, body)
    await world.venue.inner.create(body)


# In one process


@on_virtual_time
async def test_an_answer_that_was_lost_makes_one_order_not_two() -> None:
    world = await World.virtual()
    state_id = await world.state(status="pending")
    world.venue.stage("create", after=Ambiguous("lost on the way back"))
    action = entry(await world.webhook())
    outcome = only(await world.submit(state_id, action))
    assert outcome.outcome is OutcomeKind.AMBIGUOUS
    trade = await until_known(world, action.body.client_order_id, within_s=0.5)
    assert (trade.status, trade.filled_quantity) == ("closed", D("0.01"))
    again = only(await world.submit(state_id, action))
    assert (again.outcome, again.filled_quantity) == (OutcomeKind.ACCEPTED, D("0.01"))
    assert [p.quantity for p in world.exchange.positions()] == [D("0.01")]


@on_virtual_time
async def test_a_silent_venue_is_given_up_after_three_seconds_and_asked_again() -> None:
    world = await World.virtual()
    state_id = await world.state(status="pending")
    world.venue.stage("create", hangs=True)
    since_s = world.clock.monotonic()
    action = entry(await world.webhook())
    outcome = only(await world.submit(state_id, action))
    assert 3 <= world.clock.monotonic() - since_s < 3.1
    assert outcome.outcome is OutcomeKind.AMBIGUOUS
    assert (await until_known(world, action.body.client_order_id)).status == "closed"


@on_virtual_time
async def test_absence_counts_only_once_the_request_can_take_effect_no_more() -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    world.venue.stage("create", before=Ambiguous("lost on the way there"))
    body = stop_loss(state_id, "42500", attempt=2)
    since_s = world.clock.monotonic()
    old = world.ref(stop_loss(state_id).client_order_id)
    await world.submit(state_id, Submit((body,), (old,)))
    trade = await until_known(world, body.client_order_id)
    waited_s = world.clock.monotonic() - since_s
    assert (trade.status, trade.reject_reason) == ("rejected", "not_sent")
    assert EFFECT_WITHIN_S <= waited_s < EFFECT_WITHIN_S + 1.5


@on_virtual_time
async def test_a_request_that_takes_effect_late_is_still_found() -> None:
    """It hung for 2.9 s on the way to the venue, long after we had heard nothing."""
    world = await World.virtual()
    state_id = await world.state(status="pending")
    await world.enter(state_id)
    world.venue.stage("create", before=Ambiguous("lost, it seems"))
    body = stop_loss(state_id)
    await world.submit(state_id, Submit((body,)))
    await asyncio.sleep(2.9)
    await world.venue.inner.create(body)
    assert (await until_known(world, body.client_order_id)).status == "open"


@on_virtual_time
async def test_while_an_order_is_in_flight_its_leg_is_not_sent_again() -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    world.venue.stage("create", before=Ambiguous("lost"))
    old = world.ref(stop_loss(state_id).client_order_id)
    await world.submit(state_id, Submit((stop_loss(state_id, "42500", attempt=2),), (old,)))
    with pytest.raises(Conflict, match="in_flight"):
        await world.submit(state_id, Submit((stop_loss(state_id, "42500", attempt=3),), (old,)))


@on_virtual_time
async def test_what_never_arrived_is_sent_again_as_the_next_attempt() -> None:
    world = await World.virtual()
    state_id = await world.state(status="pending")
    await world.enter(state_id)
    world.venue.stage("create", before=Ambiguous("lost"))
    await world.submit(state_id, Submit((stop_loss(state_id),)))
    await until_known(world, stop_loss(state_id).client_order_id)
    result = await world.submit(state_id, Submit((stop_loss(state_id, attempt=2),)))
    assert not result.failed()
    assert len(world.working()) == 1


@on_virtual_time
async def test_a_duplicate_id_means_that_the_order_is_there() -> None:
    world = await World.virtual()
    state_id = await world.state(status="pending")
    await world.enter(state_id)
    body = stop_loss(state_id)
    refused = Rejected(RejectReason.DUPLICATE_ID, "known already")
    world.venue.stage("create", after=refused)
    outcome = only(await world.submit(state_id, Submit((body,))))
    assert outcome.outcome is OutcomeKind.AMBIGUOUS
    assert (await until_known(world, body.client_order_id, within_s=0.5)).status == "open"


@on_virtual_time
async def test_a_venue_that_cannot_be_asked_is_asked_until_it_answers() -> None:
    world = await World.virtual()
    state_id = await world.state(status="pending")
    await world.enter(state_id)
    world.venue.stage("create", after=Ambiguous("lost"))
    for _ in range(20):
        world.venue.stage("find", before=Unavailable("down"))
    body = stop_loss(state_id)
    await world.submit(state_id, Submit((body,)))
    assert (await until_known(world, body.client_order_id, within_s=60)).status == "open"


@on_virtual_time
async def test_an_outcome_that_could_not_be_written_is_looked_up() -> None:
    """The venue answered, and then the database was away."""
    world = await World.virtual()
    state_id = await world.state(status="pending")
    await world.enter(state_id)
    body, run = stop_loss(state_id), world.database.run
    gate = asyncio.Event()
    stage = world.venue.stage("create", gate=gate)
    running = asyncio.create_task(world.submit(state_id, Submit((body,))))
    await stage.arrived.wait()

    async def away(fn: Any) -> Any:
        raise Unavailable("the database is away")

    world.database.run = away  # type: ignore[method-assign]
    gate.set()
    outcome = only(await running)
    assert outcome.outcome is OutcomeKind.ACCEPTED, "the truth, whatever the row says"
    world.database.run = run  # type: ignore[method-assign]
    assert (await until_known(world, body.client_order_id)).status == "open"


@on_virtual_time
async def test_an_ambiguous_order_shows_as_in_flight_meanwhile() -> None:
    world = await World.virtual()
    state_id = await world.state(status="pending")
    await world.enter(state_id)
    world.venue.stage("create", before=Ambiguous("lost"))
    body = stop_loss(state_id)
    await world.submit(state_id, Submit((body,)))
    snapshot = await world.gateway.snapshot(ACCOUNT)
    (order,) = snapshot.orders
    assert order.in_flight
    assert (order.ours, order.role, order.state_id) == (True, body.role, state_id)
    asked = world.venue.asked.count("find")
    await world.gateway.snapshot(ACCOUNT)
    assert world.venue.asked.count("find") == asked, "it is being looked up already"
    await until_known(world, body.client_order_id)
    assert (await world.gateway.snapshot(ACCOUNT)).orders == ()


# After a crash


@on_virtual_time
async def test_a_restart_resolves_what_was_left_before_the_lane_writes_again() -> None:
    world = await World.virtual()
    state_id = await world.state(status="pending")
    await world.enter(state_id)
    body = stop_loss(state_id)
    await die_before_the_send(world, state_id, body)
    await world.start_gateway()
    with pytest.raises(Conflict, match="resolving"):
        await world.submit(state_id, Submit((take_profit(state_id),)))
    assert "create" not in world.venue.asked
    trade = await until_known(world, body.client_order_id)
    assert (trade.status, trade.reject_reason) == ("rejected", "not_sent")
    result = await world.submit(
        state_id, Submit((stop_loss(state_id, attempt=2),)), Submit((take_profit(state_id),))
    )
    assert not result.failed()


@on_virtual_time
async def test_a_restart_finds_what_had_reached_the_venue() -> None:
    world = await World.virtual()
    state_id = await world.state(status="pending")
    await world.enter(state_id)
    body = stop_loss(state_id)
    await die_after_the_send(world, state_id, body)
    await world.start_gateway()
    result = await world.submit(state_id, Submit((take_profit(state_id),)))
    assert not result.failed(), "found at once, so nothing waits"
    assert (await world.trade(body.client_order_id)).status == "open"
    with pytest.raises(Conflict, match="working"):
        await world.submit(state_id, Submit((stop_loss(state_id, attempt=2),)))


@on_virtual_time
async def test_the_first_snapshot_after_a_crash_resolves_too() -> None:
    world = await World.virtual()
    state_id = await world.state(status="pending")
    await world.enter(state_id)
    sent, unsent = stop_loss(state_id), take_profit(state_id)
    await die_before_the_send(world, state_id, sent, unsent)
    await world.venue.inner.create(sent)
    await world.start_gateway()
    snapshot = await world.gateway.snapshot(ACCOUNT)
    shown = {o.ref.client_order_id: o.in_flight for o in snapshot.orders}
    assert shown == {sent.client_order_id: False, unsent.client_order_id: True}
    assert (await world.trade(sent.client_order_id)).status == "open"
    assert (await until_known(world, unsent.client_order_id)).reject_reason == "not_sent"


@on_virtual_time
async def test_an_entry_left_unsent_is_sent_again_only_while_it_is_young() -> None:
    world = await World.virtual(policy={"maxEntryAgeSeconds": 20})
    state_id = await world.state(status="pending")
    action = entry(await world.webhook())
    world.venue.stage("create", before=NotSent("down"))
    assert only(await world.submit(state_id, action)).reason is RejectReason.NOT_SENT
    assert only(await world.submit(state_id, action)).outcome is OutcomeKind.ACCEPTED
    late = entry(await world.webhook())
    await world.revise(state_id, status="closed")
    other = await world.state(status="pending")
    await asyncio.sleep(21)
    assert only(await world.submit(other, late)).reason is RejectReason.EXPIRED
    assert len(world.exchange.fills(SYMBOL)) == 1


@on_virtual_time
async def test_a_venue_slow_to_show_its_orders_is_given_that_time_too() -> None:
    world = await World.virtual(PaperTiming(visibility_delay_s=2.0))
    state_id = await world.state(status="pending")
    await world.enter(state_id)
    world.venue.stage("create", before=Ambiguous("lost"))
    since_s = world.clock.monotonic()
    body = stop_loss(state_id)
    await world.submit(state_id, Submit((body,)))
    await until_known(world, body.client_order_id)
    assert world.clock.monotonic() - since_s >= EFFECT_WITHIN_S + 2.0


# Whose order is it


@pytest.mark.parametrize(
    ("field", "value", "same"),
    [
        ("side", OrderSide.SELL, True),
        ("side", OrderSide.BUY, False),
        ("older_by", OLDER_BY_CLOCKS, True),
        ("older_by", OLDER_BY_CLOCKS + timedelta(seconds=1), False),
        ("symbol", "ETHUSDT", False),
    ],
)
@on_virtual_time
async def test_a_hit_must_be_the_same_order(field: str, value: Any, same: bool) -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    body = stop_loss(state_id)
    trade = await world.trade(body.client_order_id)
    found = await world.venue.inner.find(SYMBOL, body.client_order_id)
    assert found is not None
    if field == "older_by":
        trade.created_at = (found.created_at or trade.created_at) + value
    elif field == "symbol":
        trade.symbol = value
    else:
        trade.side = value.value
    assert is_same_order(trade, found) is same
