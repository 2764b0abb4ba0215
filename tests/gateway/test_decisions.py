"""What a decision does to the venue and to the rows: order, replacement, and what goes wrong.

The real paper venue, a real database in memory, virtual time: no timeout here takes any.
"""

import asyncio
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from guardian_core.domain.decision import Amend, Cancel, Reduce, Submit
from guardian_core.domain.errors import (
    Ambiguous,
    Conflict,
    NotSent,
    Rejected,
    RejectReason,
    Unavailable,
)
from guardian_core.domain.money import MarketKind
from guardian_core.gateway_codec import NotHolder
from guardian_core.protocol import DecisionResult, OutcomeKind
from guardian_gateway.venues.paper import EventKind, PaperTiming
from tests.gateway.world import (
    SPOT_QUANTITY,
    World,
    entry,
    exit_body,
    on_virtual_time,
    only,
    stop_loss,
    take_profit,
)

D = Decimal
ACCEPTED, REJECTED = OutcomeKind.ACCEPTED, OutcomeKind.REJECTED
AMBIGUOUS, SKIPPED = OutcomeKind.AMBIGUOUS, OutcomeKind.SKIPPED


def told(result: DecisionResult) -> list[tuple[str, OutcomeKind]]:
    return [(outcome.operation, outcome.outcome) for outcome in result.outcomes]


def stops(world: World) -> list[Decimal | None]:
    """The triggers of the working stop-losses."""
    return [o.trigger_price for o in world.working() if o.type.value == "stop_loss"]


def replacement(world: World, state_id: UUID, trigger: str = "42500", **how: Any) -> Submit:
    """A new stop-loss for the one of attempt 1."""
    old = world.ref(stop_loss(state_id).client_order_id)
    return Submit((stop_loss(state_id, trigger, attempt=2),), (old,), **how)


def legs_alive(world: World, role: str) -> list[int]:
    """How many orders of a role worked after each event on the venue, from the first on."""
    working: set[str] = set()
    counts: list[int] = []
    for event in world.exchange.events:
        if event.role.value != role:
            continue
        if event.kind is EventKind.ACCEPTED:
            working.add(event.order_id)
        elif event.kind in (EventKind.CANCELLED, EventKind.FORGOTTEN, EventKind.TRIGGERED):
            working.discard(event.order_id)
        counts.append(len(working))
    return counts


# Sending


@on_virtual_time
async def test_an_entry_is_sent_and_its_row_tells_what_became_of_it() -> None:
    world = await World.virtual()
    outcome = await world.enter(await world.state(status="pending"))
    trade = await world.trade(outcome.client_order_id or "")
    assert (outcome.outcome, outcome.filled_quantity) == (ACCEPTED, D("0.01"))
    assert (trade.status, trade.filled_quantity) == ("closed", D("0.01"))
    assert trade.exchange_order_id == outcome.venue_order_id


@on_virtual_time
async def test_both_legs_of_one_decision_work() -> None:
    world = await World.virtual()
    await world.guarded()
    assert {o.trigger_price for o in world.working()} == {D(42_000), D(45_000)}
    assert {t.status for t in await world.trades() if t.role != "entry"} == {"open"}


@on_virtual_time
async def test_legs_go_out_side_by_side() -> None:
    world = await World.virtual()
    state_id = await world.state(status="pending")
    await world.enter(state_id)
    gate = asyncio.Event()
    first = world.venue.stage("create", gate=gate)
    second = world.venue.stage("create", gate=gate)
    legs = (Submit((stop_loss(state_id),)), Submit((take_profit(state_id),)))
    running = asyncio.create_task(world.submit(state_id, *legs))
    await first.arrived.wait()
    await second.arrived.wait()
    gate.set()
    assert told(await running) == [("create", ACCEPTED)] * 2


@on_virtual_time
async def test_a_replayed_decision_sends_nothing_and_hears_the_same() -> None:
    world = await World.virtual()
    state_id = await world.state(status="pending")
    action = entry(await world.webhook())
    first = await world.submit(state_id, action)
    again = await world.submit(state_id, action)
    told_anyway = {"message", "replayed"}
    assert only(again).model_dump(exclude=told_anyway) == only(first).model_dump(
        exclude=told_anyway
    )
    assert (only(first).replayed, only(again).replayed) == (False, True)
    assert world.venue.asked.count("create") == 1


@on_virtual_time
async def test_a_definite_reject_is_told_and_written_with_its_reason() -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    world.venue.stage("create", before=Rejected(RejectReason.CROSSED, "the price is beyond it"))
    result = await world.submit(state_id, replacement(world, state_id))
    assert told(result) == [("create", REJECTED), ("cancel", SKIPPED)]
    assert result.outcomes[0].reason is RejectReason.CROSSED
    trade = await world.trade(stop_loss(state_id, attempt=2).client_order_id)
    assert (trade.status, trade.reject_reason) == ("rejected", "crossed")


@on_virtual_time
async def test_leverage_is_set_once_before_an_entry_is_sent() -> None:
    world = await World.virtual()
    state_id = await world.state(status="pending")
    await world.submit(state_id, entry(await world.webhook(), leverage="5", price="100"))
    asked = world.venue.asked
    assert asked.index("set_leverage") < asked.index("create")


@on_virtual_time
async def test_an_entry_is_not_sent_when_its_leverage_cannot_be_set() -> None:
    world = await World.virtual()
    state_id = await world.state(status="pending")
    world.venue.stage("set_leverage", before=Ambiguous("no answer"))
    result = await world.submit(state_id, entry(await world.webhook(), leverage="5"))
    assert only(result).outcome is not ACCEPTED
    assert "create" not in world.venue.asked
    assert await world.trades() == []


# One decision at a time


@on_virtual_time
async def test_a_lane_that_stays_busy_for_a_second_refuses_the_next_decision() -> None:
    world = await World.virtual()
    state_id = await world.state(status="pending")
    gate = asyncio.Event()
    stage = world.venue.stage("create", gate=gate)
    running = asyncio.create_task(world.submit(state_id, entry(await world.webhook())))
    await stage.arrived.wait()
    since_s = world.clock.monotonic()
    with pytest.raises(Conflict, match="busy"):
        await world.submit(state_id, Submit((stop_loss(state_id),)))
    assert 1 <= world.clock.monotonic() - since_s < 1.1
    gate.set()
    await running


@on_virtual_time
async def test_a_decision_waits_for_the_one_before_it() -> None:
    world = await World.virtual()
    state_id = await world.state(status="pending")
    gate = asyncio.Event()
    stage = world.venue.stage("create", gate=gate)
    first = asyncio.create_task(world.submit(state_id, entry(await world.webhook())))
    await stage.arrived.wait()
    second = asyncio.create_task(world.submit(state_id, Submit((stop_loss(state_id),))))
    await asyncio.sleep(0.5)
    gate.set()
    assert told(await first) == told(await second) == [("create", ACCEPTED)]


@on_virtual_time
async def test_a_caller_that_goes_away_stops_nothing() -> None:
    world = await World.virtual()
    state_id = await world.state(status="pending")
    gate = asyncio.Event()
    stage = world.venue.stage("create", gate=gate)
    caller = asyncio.create_task(world.submit(state_id, entry(await world.webhook())))
    await stage.arrived.wait()
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    gate.set()
    await asyncio.sleep(0.1)
    assert [t.status for t in await world.trades()] == ["closed"]


# Replacing


@on_virtual_time
async def test_a_replacement_leaves_a_working_stop_at_every_moment() -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    result = await world.submit(state_id, replacement(world, state_id))
    assert told(result) == [("create", ACCEPTED), ("cancel", ACCEPTED)]
    assert stops(world) == [D(42_500)]
    assert min(legs_alive(world, "stop_loss")) == 1
    asked = world.venue.asked
    created = len(asked) - 1 - asked[::-1].index("create")
    assert asked[created:] == ["create", "find", "cancel"], "the read-back comes in between"
    old = await world.trade(stop_loss(state_id).client_order_id)
    assert old.status == "cancelled"


@pytest.mark.parametrize(
    "stage",
    [
        {"before": Rejected(RejectReason.INVALID_ORDER, "no")},
        {"before": NotSent("down")},
        {"before": Ambiguous("lost on the way there")},
        {"after": Ambiguous("lost on the way back")},
        {"hangs": True},
    ],
    ids=["refused", "not sent", "lost", "answer lost", "silent"],
)
@on_virtual_time
async def test_a_create_not_known_to_work_leaves_the_old_stop_alone(stage: dict[str, Any]) -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    world.venue.stage("create", **stage)
    result = await world.submit(state_id, replacement(world, state_id))
    assert [outcome.outcome for outcome in result.outcomes][1] is SKIPPED
    assert D(42_000) in stops(world)


@on_virtual_time
async def test_a_replacement_that_cannot_be_read_back_leaves_the_old_stop_alone() -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    world.venue.stage("find", before=Unavailable("no answer"))
    result = await world.submit(state_id, replacement(world, state_id))
    assert told(result) == [("create", ACCEPTED), ("cancel", SKIPPED)]
    assert sorted(stops(world), key=str) == [D(42_000), D(42_500)]


@on_virtual_time
async def test_a_failed_cancel_is_told_and_undoes_nothing() -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    world.venue.stage("cancel", before=Rejected(RejectReason.NOT_PERMITTED, "not now"))
    result = await world.submit(state_id, replacement(world, state_id))
    assert told(result) == [("create", ACCEPTED), ("cancel", REJECTED)]
    assert not result.failed()
    old = await world.trade(stop_loss(state_id).client_order_id)
    assert old.status == "open", "nobody knows better yet"


@on_virtual_time
async def test_one_leg_that_fails_does_not_stop_the_other() -> None:
    world = await World.virtual()
    state_id = await world.state(status="pending")
    await world.enter(state_id)
    world.venue.stage("create", before=Rejected(RejectReason.INVALID_ORDER, "no"))
    legs = (Submit((stop_loss(state_id),)), Submit((take_profit(state_id),)))
    result = await world.submit(state_id, *legs)
    assert sorted(told(result)) == [("create", ACCEPTED), ("create", REJECTED)]
    assert [o.message for o in result.failed()] == ["no"], "the reason is told beside it"
    assert len(world.working()) == 1


@on_virtual_time
async def test_a_replay_after_the_create_finishes_the_replacement() -> None:
    """The process died between the create and the cancel of what it replaces."""
    world = await World.virtual()
    state_id = await world.guarded()
    submit = replacement(world, state_id)
    world.venue.stage("cancel", before=NotSent("dead"))
    await world.submit(state_id, submit)
    assert len(stops(world)) == 2
    result = await world.submit(state_id, submit)
    assert told(result) == [("create", ACCEPTED), ("cancel", ACCEPTED)]
    assert stops(world) == [D(42_500)]


@on_virtual_time
async def test_cancel_first_measures_the_gap_that_it_makes() -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    gate = asyncio.Event()
    world.venue.stage("create", gate=gate)
    submit = replacement(world, state_id, cancel_first=True)
    asyncio.get_running_loop().call_later(0.25, gate.set)
    result = await world.submit(state_id, submit)
    assert told(result) == [("cancel", ACCEPTED), ("create", ACCEPTED)]
    assert result.unprotected_ms is not None
    assert 250 <= result.unprotected_ms < 300
    assert stops(world) == [D(42_500)]


@on_virtual_time
async def test_cancel_first_stops_when_what_it_replaces_has_filled() -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    submit = replacement(world, state_id, cancel_first=True)
    world.set_price("41900")
    result = await world.submit(state_id, submit)
    assert {(o.operation, o.outcome) for o in result.outcomes} == {
        ("cancel", ACCEPTED),
        ("create", SKIPPED),
    }
    assert stops(world) == []
    assert result.outcomes[0].filled_quantity + result.outcomes[1].filled_quantity == D("0.01")


@on_virtual_time
async def test_cancel_first_goes_on_when_the_cancel_is_refused() -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    world.venue.stage("cancel", before=Rejected(RejectReason.NOT_PERMITTED, "not now"))
    result = await world.submit(state_id, replacement(world, state_id, cancel_first=True))
    assert sorted(told(result)) == [("cancel", REJECTED), ("create", ACCEPTED)]


@pytest.mark.parametrize(
    ("age_s", "known"), [(1.0, False), (2.5, True)], ids=["too young to be seen", "old enough"]
)
@on_virtual_time
async def test_an_order_cancelled_and_not_found_is_only_known_once_it_would_be_seen(
    age_s: float, known: bool
) -> None:
    """A venue that forgets cancelled orders, and shows new ones late."""
    world = await World.virtual(PaperTiming(visibility_delay_s=2.0))
    state_id = await world.guarded()
    submit = replacement(world, state_id, cancel_first=True)
    await asyncio.sleep(age_s)

    async def forgetful(symbol: str, client_order_id: str) -> None:
        return None

    world.venue.inner.find = forgetful  # type: ignore[method-assign]
    result = await world.submit(state_id, submit)
    assert told(result) == [("cancel", ACCEPTED), ("create", ACCEPTED if known else SKIPPED)]


# Pairs


@on_virtual_time
async def test_a_pair_is_sent_whole_and_replaced_whole() -> None:
    world = await World.virtual(market=MarketKind.SPOT)
    state_id = await world.guarded_spot()
    assert len(world.working()) == 2
    assert len({o.pair_id for o in world.working()}) == 1
    new = tuple(
        leg(state_id, level, attempt=2, reduce_only=False, quantity=SPOT_QUANTITY)
        for leg, level in ((stop_loss, "42500"), (take_profit, "45500"))
    )
    refs = tuple(order.ref for order in world.working())
    result = await world.submit(state_id, Submit(new, refs, cancel_first=True))
    assert not result.failed(), result
    assert {o.trigger_price or o.price for o in world.working()} == {D(42_500), D(45_500)}
    assert result.unprotected_ms is not None
    open_rows = {t.client_order_id for t in await world.trades() if t.status == "open"}
    assert open_rows == {body.client_order_id for body in new}


@on_virtual_time
async def test_a_refused_pair_leaves_neither_leg() -> None:
    world = await World.virtual(market=MarketKind.SPOT)
    state_id = await world.state(status="pending")
    await world.enter(state_id)
    world.venue.stage("create_pair", before=Rejected(RejectReason.CROSSED, "beyond it"))
    pair = (
        stop_loss(state_id, reduce_only=False, quantity="0.009"),
        take_profit(state_id, reduce_only=False, quantity="0.009"),
    )
    result = await world.submit(state_id, Submit(pair))
    assert told(result) == [("create", REJECTED)] * 2
    assert world.working() == []


# Exits


@on_virtual_time
async def test_an_exit_frees_the_coins_that_it_needs_first() -> None:
    world = await World.virtual(market=MarketKind.SPOT)
    state_id = await world.guarded_spot()
    refs = tuple(order.ref for order in world.working())
    exit_ = exit_body(state_id, SPOT_QUANTITY, reduce_only=False)
    result = await world.submit(state_id, Reduce(exit_, refs))
    assert not result.failed(), result
    assert world.working() == []
    assert (await world.trade(exit_.client_order_id)).status == "closed"


@on_virtual_time
async def test_an_exit_is_not_sent_when_a_leg_filled_in_the_meantime() -> None:
    """On spot it would sell coins that are not ours."""
    world = await World.virtual(market=MarketKind.SPOT)
    state_id = await world.guarded_spot()
    refs = tuple(order.ref for order in world.working())
    world.set_price("41900")
    exit_ = exit_body(state_id, SPOT_QUANTITY, reduce_only=False)
    result = await world.submit(state_id, Reduce(exit_, refs))
    assert ("create", SKIPPED) in told(result)
    assert exit_.client_order_id not in {t.client_order_id for t in await world.trades()}


@pytest.mark.parametrize("error", [Ambiguous("lost"), NotSent("down")], ids=["lost", "not sent"])
@on_virtual_time
async def test_an_exit_is_not_sent_when_its_coins_may_be_locked(error: Exception) -> None:
    world = await World.virtual(market=MarketKind.SPOT)
    state_id = await world.guarded_spot()
    refs = tuple(order.ref for order in world.working())
    world.venue.stage("cancel", before=error)
    world.venue.stage("cancel", before=error)
    result = await world.submit(
        state_id, Reduce(exit_body(state_id, SPOT_QUANTITY, reduce_only=False), refs)
    )
    assert ("create", SKIPPED) in told(result)
    assert len(world.working()) == 2


# Entries before others


@on_virtual_time
async def test_a_waiting_entry_is_cancelled_before_the_exit_is_sent() -> None:
    world = await World.virtual()
    state_id = await world.state(status="pending")
    waiting = entry(await world.webhook(), price="42500")
    await world.submit(state_id, waiting)
    await world.revise(state_id, status="open")
    cancel = Cancel(world.ref(waiting.body.client_order_id), "ExitFirst")
    await world.submit(state_id, Submit((stop_loss(state_id),)), cancel)
    asked = world.venue.asked
    assert asked[-asked[::-1].index("cancel") - 1 :].count("create") == 1


@on_virtual_time
async def test_a_new_entry_is_not_sent_when_the_one_before_it_filled() -> None:
    world = await World.virtual()
    state_id = await world.state(status="pending")
    waiting = entry(await world.webhook(), price="42500")
    await world.submit(state_id, waiting)
    cancel = Cancel(world.ref(waiting.body.client_order_id), "Replaced")
    world.set_price("42400")
    newer = entry(await world.webhook())
    result = await world.submit(state_id, cancel, newer)
    assert ("create", SKIPPED) in told(result)
    assert [position.quantity for position in world.exchange.positions()] == [D("0.01")]


@on_virtual_time
async def test_a_new_entry_is_sent_once_the_one_before_it_is_surely_gone() -> None:
    world = await World.virtual()
    state_id = await world.state(status="pending")
    waiting = entry(await world.webhook(), price="42500")
    await world.submit(state_id, waiting)
    cancel = Cancel(world.ref(waiting.body.client_order_id), "Replaced")
    result = await world.submit(state_id, cancel, entry(await world.webhook()))
    assert told(result) == [("cancel", ACCEPTED), ("create", ACCEPTED)]


@pytest.mark.parametrize("error", [Ambiguous("lost"), NotSent("down")], ids=["lost", "not sent"])
@on_virtual_time
async def test_a_new_entry_is_not_sent_while_the_one_before_it_may_work(error: Exception) -> None:
    world = await World.virtual()
    state_id = await world.state(status="pending")
    waiting = entry(await world.webhook(), price="42500")
    await world.submit(state_id, waiting)
    cancel = Cancel(world.ref(waiting.body.client_order_id), "Replaced")
    world.venue.stage("cancel", before=error)
    result = await world.submit(state_id, cancel, entry(await world.webhook(), price="42600"))
    assert ("create", SKIPPED) in told(result)
    assert [order.price for order in world.working()] == [D(42_500)]


# Amending


@on_virtual_time
async def test_an_amended_order_keeps_its_id_and_its_row_takes_the_new_desire() -> None:
    world = await World.virtual(paper={"amend": True})
    state_id = await world.guarded()
    await world.revise(state_id, revision=2)
    old = stop_loss(state_id)
    new = stop_loss(state_id, "42500", revision=2)
    result = await world.submit(state_id, Amend(world.ref(old.client_order_id), new), revision=2)
    assert told(result) == [("amend", ACCEPTED)]
    assert stops(world) == [D(42_500)]
    trade = await world.trade(old.client_order_id)
    assert (trade.revision, trade.attempt, trade.trigger_price) == (2, 1, D(42_500))
    assert trade.status == "open"


@on_virtual_time
async def test_an_amend_without_an_answer_changes_no_row() -> None:
    world = await World.virtual(paper={"amend": True})
    state_id = await world.guarded()
    world.venue.stage("amend", after=Ambiguous("lost"))
    amend = Amend(
        world.ref(stop_loss(state_id).client_order_id), stop_loss(state_id, "42500", attempt=2)
    )
    result = await world.submit(state_id, amend)
    assert told(result) == [("amend", AMBIGUOUS)]
    trade = await world.trade(stop_loss(state_id).client_order_id)
    assert (trade.attempt, trade.trigger_price) == (1, D(42_000))


@on_virtual_time
async def test_an_amend_that_is_refused_becomes_a_replacement() -> None:
    world = await World.virtual(paper={"amend": True})
    state_id = await world.guarded()
    await world.revise(state_id, revision=2)
    old, new = stop_loss(state_id), stop_loss(state_id, "42500", revision=2)
    world.venue.stage("amend", before=Rejected(RejectReason.INVALID_ORDER, "cannot amend this"))
    result = await world.submit(state_id, Amend(world.ref(old.client_order_id), new), revision=2)
    assert told(result) == [("create", ACCEPTED), ("cancel", ACCEPTED)]
    assert stops(world) == [D(42_500)]


@on_virtual_time
async def test_a_level_that_is_refused_either_way_leaves_the_old_order_alone() -> None:
    world = await World.virtual(paper={"amend": True})
    state_id = await world.guarded()
    await world.revise(state_id, revision=2)
    old, new = stop_loss(state_id), stop_loss(state_id, "42500", revision=2)
    crossed = Rejected(RejectReason.CROSSED, "would trigger at once")
    world.venue.stage("amend", before=crossed)
    world.venue.stage("create", before=crossed)
    result = await world.submit(state_id, Amend(world.ref(old.client_order_id), new), revision=2)
    assert told(result) == [("create", REJECTED), ("cancel", SKIPPED)]
    assert stops(world) == [D(42_000)]
    trade = await world.trade(new.client_order_id)
    assert trade.reject_reason == "crossed"


@on_virtual_time
async def test_an_order_that_is_gone_is_not_amended() -> None:
    world = await World.virtual(paper={"amend": True})
    state_id = await world.guarded()
    ref = world.ref(stop_loss(state_id).client_order_id)
    world.set_price("41900")
    result = await world.submit(state_id, Amend(ref, stop_loss(state_id, "41800", attempt=2)))
    assert told(result) == [("amend", SKIPPED)]
    assert result.failed()


# Too late, or no longer ours


@on_virtual_time
async def test_a_send_that_would_start_late_is_abandoned() -> None:
    """More than a second went by between the row's commit and the send."""
    world = await World.virtual()
    state_id = await world.guarded()
    submit = replacement(world, state_id)
    slow_down(world, 1.1)
    result = await world.submit(state_id, submit)
    assert told(result) == [("create", REJECTED), ("cancel", SKIPPED)]
    assert result.outcomes[0].reason is RejectReason.NOT_SENT
    trade = await world.trade(submit.bodies[0].client_order_id)
    assert (trade.status, trade.reject_reason) == ("rejected", "not_sent")
    assert stops(world) == [D(42_000)]


@on_virtual_time
async def test_a_send_a_moment_after_its_row_goes_out() -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    submit = replacement(world, state_id)
    slow_down(world, 0.9)
    assert not (await world.submit(state_id, submit)).failed()


@on_virtual_time
async def test_a_create_that_waited_for_a_slow_cancel_still_goes_out() -> None:
    """Its row is written after the cancel, so its second begins then."""
    world = await World.virtual()
    state_id = await world.state(status="pending")
    waiting = entry(await world.webhook(), price="42500")
    await world.submit(state_id, waiting)
    cancel = Cancel(world.ref(waiting.body.client_order_id), "Replaced")
    gate = asyncio.Event()
    world.venue.stage("cancel", gate=gate)
    asyncio.get_running_loop().call_later(2, gate.set)
    result = await world.submit(state_id, cancel, entry(await world.webhook()))
    assert told(result) == [("cancel", ACCEPTED), ("create", ACCEPTED)]


@on_virtual_time
async def test_a_desire_that_moves_on_during_a_slow_cancel_stops_the_create() -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    submit = replacement(world, state_id, cancel_first=True)
    gate = asyncio.Event()
    stage = world.venue.stage("cancel", gate=gate)
    running = asyncio.create_task(world.submit(state_id, submit))
    await stage.arrived.wait()
    await world.revise(state_id, revision=2)
    gate.set()
    result = await running
    assert told(result) == [("cancel", ACCEPTED), ("create", SKIPPED)]
    assert "stale_revision" in result.outcomes[1].message


@on_virtual_time
async def test_nothing_is_sent_once_the_lease_is_lost() -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    submit = replacement(world, state_id)
    world.stop_renewing()
    slow_down(world, 0.6)
    await asyncio.sleep(3)
    result = await world.submit(state_id, submit)
    assert result.outcomes[0].reason is RejectReason.NOT_SENT
    assert "lease" in result.outcomes[0].message
    with pytest.raises(NotHolder):
        await world.submit(state_id, submit)


@on_virtual_time
async def test_a_database_that_is_away_is_told_as_not_sent() -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    submit = replacement(world, state_id)

    async def away(fn: Any) -> Any:
        raise Unavailable("the database is away")

    run, world.database.run = world.database.run, away  # type: ignore[method-assign]
    with pytest.raises(NotSent):
        await world.submit(state_id, submit)
    world.database.run = run  # type: ignore[method-assign]
    assert stops(world) == [D(42_000)]


def slow_down(world: World, seconds: float) -> None:
    """From now on each transaction's answer takes so long to reach its caller."""
    run = world.database.run

    async def slowly(fn: Any) -> Any:
        value = await run(fn)
        await asyncio.sleep(seconds)
        return value

    world.database.run = slowly  # type: ignore[method-assign]
