"""Every trouble of a write, through the gateway's own core: never two orders for a leg, never a
stop taken away before its replacement works, and what became of it is known in the end."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from guardian_core.domain.decision import Amend, Cancel, Reduce, Submit
from guardian_core.domain.errors import RejectReason
from guardian_core.domain.orders import OrderStatus, Role, leg_order_id
from guardian_core.domain.snapshot import LegsMode
from guardian_core.protocol import OutcomeKind
from tests.gateway.world import (
    ACCOUNT,
    INSTALLATION,
    SPOT_QUANTITY,
    entry,
    exit_body,
    only,
    stop_loss,
    take_profit,
)
from tests.support.breadth import is_struck
from tests.venues.fake.troubles import troubles
from tests.venues.loop import on_jumping_time
from tests.venues.rigs import ADAPTERS, DERIVATIVES, SPOTS
from tests.venues.wire_world import wire_world


def each(names):
    """Each adapter with each trouble that it may have."""
    cases = [
        pytest.param(name, trouble, id=f"{name}-{told}")
        for name in names
        for told, trouble in troubles(ADAPTERS[name].words).items()
        if is_struck(name, told)
    ]
    return pytest.mark.parametrize(("name", "trouble"), cases)


each_trouble = each(ADAPTERS)
each_on_derivatives = each(DERIVATIVES)
each_on_pairs = each([name for name in SPOTS if ADAPTERS[name].pair])
STOPS_ALONE = [name for name in SPOTS if not ADAPTERS[name].pair]
each_on_stops_alone = each(STOPS_ALONE)
each_on_single_legs = each([*DERIVATIVES, *STOPS_ALONE])
single_legs = pytest.mark.parametrize("name", [*DERIVATIVES, *STOPS_ALONE])
each_adapter = pytest.mark.parametrize("name", ADAPTERS)
derivatives = pytest.mark.parametrize("name", DERIVATIVES)


def strike(world, call, trouble):
    world.wire.fault(call, trouble.answer, executes=trouble.executes)


def check_told(outcome, trouble):
    """What is told is what is sure."""
    if trouble.surely_not:
        assert outcome.outcome is OutcomeKind.REJECTED, outcome
    else:
        assert outcome.outcome is OutcomeKind.AMBIGUOUS, outcome


async def held(world, **columns):
    """An open long without legs."""
    state_id = await world.state(status="pending")
    await world.enter(state_id)
    await world.revise(state_id, status="open", opened_at=world.clock.now(), **columns)
    return state_id


@each_trouble
@on_jumping_time
async def test_an_entry_is_bought_once_or_never(name, trouble, tmp_path):
    async with wire_world(name, tmp_path) as world:
        state_id = await world.state(status="pending")
        action = entry(await world.webhook())
        strike(world, ADAPTERS[name].order, trouble)
        first = only(await world.submit(state_id, action))
        check_told(first, trouble)
        again = only(await world.submit_when_resolved(state_id, action))
        await world.settle()
        # A replay sends only what the venue surely never took up.
        sent_again = first.reason is RejectReason.NOT_SENT
        assert again.replayed is not sent_again
        bought = trouble.executes or sent_again
        assert world.accepted(action.body.client_order_id) == int(bought)
        assert world.bought() == (action.body.quantity if bought else 0)
        row = await world.trade(action.body.client_order_id)
        expected = OrderStatus.CLOSED if bought else OrderStatus.REJECTED
        assert row.status == expected.value
        assert row.filled_quantity == (action.body.quantity if bought else 0)


@each_on_single_legs
@on_jumping_time
async def test_a_leg_is_placed_once_or_never(name, trouble, tmp_path):
    async with wire_world(name, tmp_path) as world:
        state_id = await held(world)
        leg = stop_loss(state_id, **world.leg_fields)
        strike(world, ADAPTERS[name].leg, trouble)
        check_told(only(await world.submit(state_id, Submit((leg,)))), trouble)
        await world.settle()
        assert world.accepted(leg.client_order_id) == int(trouble.executes)
        expected = OrderStatus.OPEN if trouble.executes else OrderStatus.REJECTED
        assert await world.status(leg.client_order_id) == expected.value
        if not trouble.executes:
            second = stop_loss(state_id, attempt=2, **world.leg_fields)
            outcome = only(await world.submit(state_id, Submit((second,))))
            assert outcome.outcome is OutcomeKind.ACCEPTED
            assert world.named() == [second.client_order_id]


@each_on_pairs
@on_jumping_time
async def test_a_pair_is_placed_whole_or_not_at_all(name, trouble, tmp_path):
    async with wire_world(name, tmp_path) as world:
        state_id = await held(world)
        how: dict[str, Any] = {"quantity": SPOT_QUANTITY, "reduce_only": False}
        pair = (stop_loss(state_id, **how), take_profit(state_id, **how))
        strike(world, ADAPTERS[name].pair, trouble)
        for outcome in (await world.submit(state_id, Submit(pair))).outcomes:
            check_told(outcome, trouble)
        await world.settle()
        expected = OrderStatus.OPEN if trouble.executes else OrderStatus.REJECTED
        for leg in pair:
            assert world.accepted(leg.client_order_id) == int(trouble.executes)
            assert await world.status(leg.client_order_id) == expected.value


@each_trouble
@on_jumping_time
async def test_a_cancel_is_never_told_as_done_while_the_order_works(name, trouble, tmp_path):
    async with wire_world(name, tmp_path) as world:
        state_id = await world.guarded_here()
        stop = leg_order_id(INSTALLATION, state_id, Role.STOP_LOSS, 1, 1)
        strike(world, ADAPTERS[name].cancel, trouble)
        outcome = only(await world.submit(state_id, Cancel(world.ref(stop), "not wanted any more")))
        works = stop in world.named()
        if outcome.outcome is OutcomeKind.ACCEPTED:
            # A cancel on a connection that was broken already is repeated: it does no harm.
            assert not works
        else:
            check_told(outcome, trouble)
            assert works is not trouble.executes
        await world.settle()
        expected = OrderStatus.OPEN if works else OrderStatus.CANCELLED
        assert await world.status(stop) == expected.value


@pytest.mark.parametrize("at", ["create", "cancel"])
@each_on_derivatives
@on_jumping_time
async def test_a_replaced_stop_stands_until_the_new_one_does(name, at, trouble, tmp_path):
    async with wire_world(name, tmp_path) as world:
        state_id = await world.guarded_here()
        old = leg_order_id(INSTALLATION, state_id, Role.STOP_LOSS, 1, 1)
        await world.revise(state_id, revision=2)
        new = stop_loss(state_id, "42500", revision=2)
        ref = world.ref(old)
        strike(world, ADAPTERS[name].leg if at == "create" else ADAPTERS[name].cancel, trouble)
        await world.submit(state_id, Submit((new,), (ref,)), revision=2)
        standing = set(world.named()) & {old, new.client_order_id}
        assert standing, "no stop at all"
        await world.settle()
        assert world.accepted(new.client_order_id) <= 1
        assert set(world.named()) & {old, new.client_order_id}
        for order in (old, new.client_order_id):
            works = order in world.named()
            assert (await world.status(order) == OrderStatus.OPEN.value) is works


@pytest.mark.parametrize("at", ["create", "cancel"])
@each_on_pairs
@on_jumping_time
async def test_a_pair_is_replaced_by_a_whole_one_or_the_truth_is_known(name, at, trouble, tmp_path):
    async with wire_world(name, tmp_path) as world:
        state_id = await world.guarded_here()
        old = [
            leg_order_id(INSTALLATION, state_id, role, 1, 1)
            for role in (Role.STOP_LOSS, Role.TAKE_PROFIT)
        ]
        await world.revise(state_id, revision=2)
        how: dict[str, Any] = {"quantity": SPOT_QUANTITY, "reduce_only": False, "revision": 2}
        pair = (stop_loss(state_id, "42500", **how), take_profit(state_id, **how))
        refs = tuple(world.ref(one) for one in old)
        strike(world, ADAPTERS[name].pair if at == "create" else ADAPTERS[name].cancel, trouble)
        await world.submit(state_id, Submit(pair, refs, cancel_first=True), revision=2)
        await world.settle()
        working = world.named()
        assert working in ([], sorted(old), sorted(leg.client_order_id for leg in pair))
        for row in await world.trades():
            if row.role in ("stop_loss", "take_profit"):
                is_open = row.status == OrderStatus.OPEN.value
                assert is_open is (row.client_order_id in working)


@pytest.mark.parametrize("at", ["create", "cancel"])
@each_on_stops_alone
@on_jumping_time
async def test_a_lone_stop_is_replaced_or_the_truth_is_known(name, at, trouble, tmp_path):
    async with wire_world(name, tmp_path) as world:
        state_id = await world.guarded_here()
        old = leg_order_id(INSTALLATION, state_id, Role.STOP_LOSS, 1, 1)
        await world.revise(state_id, revision=2)
        new = stop_loss(state_id, "42500", revision=2, **world.leg_fields)
        strike(world, ADAPTERS[name].leg if at == "create" else ADAPTERS[name].cancel, trouble)
        action = Submit((new,), (world.ref(old),), cancel_first=True)
        await world.submit(state_id, action, revision=2)
        await world.settle()
        assert world.accepted(new.client_order_id) <= 1
        assert world.named() in ([], [old], [new.client_order_id])
        for row in await world.trades():
            if row.role == "stop_loss":
                is_open = row.status == OrderStatus.OPEN.value
                assert is_open is (row.client_order_id in world.named())


@each_trouble
@on_jumping_time
async def test_an_exit_sells_once_or_never(name, trouble, tmp_path):
    async with wire_world(name, tmp_path) as world:
        state_id = await held(world, target_quantity=Decimal(0))
        quantity = SPOT_QUANTITY if world.rig.spot else "0.01"
        out = exit_body(state_id, quantity, reduce_only=not world.rig.spot)
        strike(world, ADAPTERS[name].order, trouble)
        check_told(only(await world.submit(state_id, Reduce(out))), trouble)
        await world.settle()
        assert world.accepted(out.client_order_id) == int(trouble.executes)
        expected = OrderStatus.CLOSED if trouble.executes else OrderStatus.REJECTED
        assert await world.status(out.client_order_id) == expected.value


@derivatives
@on_jumping_time
async def test_a_leg_that_the_venue_cannot_amend_is_replaced(name, tmp_path):
    async with wire_world(name, tmp_path) as world:
        assert world.rig.venue.capabilities().legs is LegsMode.INDEPENDENT
        state_id = await world.guarded_here()
        old = leg_order_id(INSTALLATION, state_id, Role.STOP_LOSS, 1, 1)
        await world.revise(state_id, revision=2)
        new = stop_loss(state_id, "42500", revision=2)
        result = await world.submit(state_id, Amend(world.ref(old), new), revision=2)
        assert not result.failed(), result
        assert new.client_order_id in world.named()
        assert old not in world.named()


@each_adapter
@on_jumping_time
async def test_an_order_that_a_lagging_list_leaves_out_is_not_called_missing(name, tmp_path):
    async with wire_world(name, tmp_path) as world:
        world.wire.lag_s = 1.5
        state_id = await held(world)
        await asyncio.sleep(2)
        how = world.leg_fields
        legs = [stop_loss(state_id, **how)]
        if not world.stop_alone:
            legs.append(take_profit(state_id, **how))
        paired = world.rig.spot and not world.stop_alone
        actions = [Submit(tuple(legs))] if paired else [Submit((leg,)) for leg in legs]
        result = await world.submit(state_id, *actions)
        assert not result.failed(), result
        for _ in range(20):
            found = await world.gateway.snapshot(ACCOUNT)
            assert {order.role for order in found.orders} >= {leg.role for leg in legs}
            await asyncio.sleep(0.25)
        found = await world.gateway.snapshot(ACCOUNT)
        assert not any(order.in_flight for order in found.orders)
        assert {await world.status(leg.client_order_id) for leg in legs} == {"open"}


@each_adapter
@on_jumping_time
async def test_a_stop_that_the_exchange_forgets_is_soon_known_to_be_missing(name, tmp_path):
    async with wire_world(name, tmp_path) as world:
        state_id = await world.guarded_here()
        stop = leg_order_id(INSTALLATION, state_id, Role.STOP_LOSS, 1, 1)
        await asyncio.sleep(5)
        lost = next(number for number, given in world.wire.names.items() if given == stop)
        world.exchange.forget(lost, world.clock.now())
        found = await world.gateway.snapshot(ACCOUNT)
        assert found.orders_section.ok
        assert Role.STOP_LOSS not in {order.role for order in found.orders}
        if not world.stop_alone:
            assert Role.TAKE_PROFIT in {order.role for order in found.orders}
        assert await world.status(stop) == OrderStatus.CANCELLED.value


@single_legs
@on_jumping_time
async def test_a_stop_that_fires_is_booked_to_its_own_order(name, tmp_path):
    async with wire_world(name, tmp_path) as world:
        state_id = await world.guarded_here()
        stop = leg_order_id(INSTALLATION, state_id, Role.STOP_LOSS, 1, 1)
        await asyncio.sleep(5)
        world.set_price("41900")
        found = await world.gateway.snapshot(ACCOUNT)
        assert found.positions == ()
        assert found.warnings == ()
        row = await world.trade(stop)
        sold = Decimal(world.leg_fields.get("quantity", "0.01"))
        assert (row.status, row.filled_quantity) == ("closed", sold)
        assert row.id in {fill.trade_id for fill in await world.fills()}
