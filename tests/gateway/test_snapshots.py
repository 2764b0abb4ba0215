"""What an account looks like through the gateway, and what a snapshot leaves in the rows."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event, update

from guardian_core.domain.decision import Amend, Cancel, Submit
from guardian_core.domain.errors import CallerError, Unavailable
from guardian_core.domain.orders import OrderRef, OrderSide, PositionSide, Role
from guardian_core.domain.snapshot import AccountSnapshot, WorkingOrder
from guardian_core.gateway_codec import UnknownAccount
from guardian_core.storage.schema import Trade
from guardian_gateway.desk import INSTRUMENT_FRESH_S
from guardian_gateway.venues.paper import PaperTiming
from tests.gateway.world import (
    ACCOUNT,
    INSTALLATION,
    SYMBOL,
    World,
    entry,
    on_virtual_time,
    stop_loss,
    take_profit,
)
from tests.support import paper

D = Decimal


async def look(world: World, symbol: str | None = None) -> AccountSnapshot:
    return await world.gateway.snapshot(ACCOUNT, symbol)


def by_role(snapshot: AccountSnapshot) -> dict[Role | None, WorkingOrder]:
    return {order.role: order for order in snapshot.orders}


@on_virtual_time
async def test_a_protected_position_shows_with_both_legs_and_whose_they_are() -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    snapshot = await look(world)
    (position,) = snapshot.positions
    assert (position.symbol, position.side) == (SYMBOL, PositionSide.LONG)
    assert position.quantity == D("0.01")
    orders = by_role(snapshot)
    assert set(orders) == {Role.STOP_LOSS, Role.TAKE_PROFIT}
    stop = orders[Role.STOP_LOSS]
    assert (stop.ours, stop.in_flight, stop.state_id) == (True, False, state_id)
    assert (stop.revision, stop.attempt, stop.trigger_price) == (1, 1, D(42_000))
    assert snapshot.positions_section.ok
    assert snapshot.orders_section.ok
    assert [i.symbol for i in snapshot.instruments] == [SYMBOL]


@on_virtual_time
async def test_orders_are_read_first_and_positions_last() -> None:
    world = await World.virtual()
    await world.guarded()
    await look(world)
    del world.venue.asked[:]
    await look(world)
    assert world.venue.asked == ["open_orders", "positions"]


@on_virtual_time
async def test_at_rest_nothing_is_written() -> None:
    world = await World.virtual()
    await world.guarded()
    await look(world)
    statements: list[str] = []

    def note(_c: Any, _u: Any, statement: str, *_: Any) -> None:
        statements.append(statement.split(maxsplit=1)[0])

    event.listen(world.database._engine, "before_cursor_execute", note)  # type: ignore[attr-defined]
    await look(world)
    assert set(statements) <= {"BEGIN", "SELECT"}


@on_virtual_time
async def test_a_lane_is_priced_when_its_protection_does_not_stand() -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    assert (await look(world)).prices == ()
    await world.revise(state_id, current_sl=D(41_500))
    (price,) = (await look(world)).prices
    assert (price.symbol, price.last) == (SYMBOL, D(43_000))


@on_virtual_time
async def test_a_lane_asked_for_shows_alone_with_price_and_instrument() -> None:
    world = await World.virtual()
    await world.guarded()
    world.set_price("2000", "ETHUSDT")
    await world.venue.inner.create(paper.body("by-hand", "buy", "market", "0.1", symbol="ETHUSDT"))
    snapshot = await look(world, SYMBOL)
    assert {p.symbol for p in snapshot.positions} == {SYMBOL}
    assert {p.symbol for p in snapshot.prices} == {i.symbol for i in snapshot.instruments}
    assert {i.symbol for i in snapshot.instruments} == {SYMBOL}
    assert {p.symbol for p in (await look(world)).positions} == {SYMBOL, "ETHUSDT"}


@on_virtual_time
async def test_a_price_is_told_with_its_true_age() -> None:
    world = await World.virtual()
    del world.venue.asked[:]
    (price,) = (await look(world, SYMBOL)).prices
    await asyncio.sleep(0.8)
    (cached,) = (await look(world, SYMBOL)).prices
    assert cached.age_ms >= price.age_ms + 800
    assert world.venue.asked.count("price") == 1
    await asyncio.sleep(0.3)
    await look(world, SYMBOL)
    assert world.venue.asked.count("price") == 2


@on_virtual_time
async def test_the_unknown_is_refused_by_name() -> None:
    world = await World.virtual()
    with pytest.raises(CallerError, match="NOPE"):
        await look(world, "NOPE")
    with pytest.raises(UnknownAccount, match="nobody"):
        await world.gateway.snapshot("nobody")


# Sections that fail


@on_virtual_time
async def test_a_listing_that_fails_is_a_failed_section_not_an_empty_one() -> None:
    world = await World.virtual()
    await world.guarded()
    world.venue.stage("open_orders", before=Unavailable("502"))
    snapshot = await look(world)
    assert (snapshot.orders_section.ok, snapshot.orders_section.error) == (False, "502")
    assert snapshot.positions_section.ok
    assert {t.status for t in await world.trades()} == {"open", "closed"}, "no row is touched"


@on_virtual_time
async def test_positions_that_fail_are_a_failed_section() -> None:
    world = await World.virtual()
    await world.guarded()
    world.venue.stage("positions", before=Unavailable("502"))
    snapshot = await look(world)
    assert not snapshot.positions_section.ok
    assert snapshot.positions == ()
    assert snapshot.orders_section.ok


@on_virtual_time
async def test_a_venue_that_does_not_answer_costs_two_seconds_not_more() -> None:
    world = await World.virtual()
    await world.guarded()
    await look(world)
    world.venue.stage("open_orders", hangs=True)
    since_s = world.clock.monotonic()
    snapshot = await look(world)
    assert world.clock.monotonic() - since_s < 2.1
    assert not snapshot.orders_section.ok
    assert not snapshot.positions_section.ok


@on_virtual_time
async def test_the_age_of_a_section_counts_from_its_answer() -> None:
    world = await World.virtual()
    await world.guarded()
    gate = asyncio.Event()
    stage = world.venue.stage("positions", gate=gate)
    looking = asyncio.create_task(look(world))
    await stage.arrived.wait()
    await asyncio.sleep(0.7)
    gate.set()
    snapshot = await looking
    assert 700 <= snapshot.orders_section.age_ms < 800
    assert snapshot.positions_section.age_ms < 100


# What is missing


@on_virtual_time
async def test_a_stop_that_filled_is_gone_and_its_row_says_how() -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    await look(world)
    world.set_price("41900")
    snapshot = await look(world)
    assert snapshot.positions == ()
    assert Role.STOP_LOSS not in by_role(snapshot)
    trade = await world.trade(stop_loss(state_id).client_order_id)
    assert (trade.status, trade.filled_quantity) == ("closed", D("0.01"))
    assert trade.average_price is not None


@on_virtual_time
async def test_an_order_cancelled_by_hand_is_gone() -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    body = take_profit(state_id)
    world.exchange.cancel_by_hand(body.client_order_id, world.clock.now())
    assert set(by_role(await look(world))) == {Role.STOP_LOSS}
    assert (await world.trade(body.client_order_id)).status == "cancelled"


@on_virtual_time
async def test_a_stop_that_the_venue_forgot_is_gone_after_one_look() -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    body = stop_loss(state_id)
    world.exchange.forget(world.ref(body.client_order_id).venue_order_id, world.clock.now())
    del world.venue.asked[:]
    assert set(by_role(await look(world))) == {Role.TAKE_PROFIT}
    assert world.venue.asked.count("find") == 1
    assert (await world.trade(body.client_order_id)).status == "cancelled"


@on_virtual_time
async def test_what_cannot_be_looked_up_is_in_flight_not_missing() -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    body = stop_loss(state_id)
    world.exchange.forget(world.ref(body.client_order_id).venue_order_id, world.clock.now())
    world.venue.stage("find", before=Unavailable("502"))
    snapshot = await look(world)
    assert by_role(snapshot)[Role.STOP_LOSS].in_flight
    assert any("not looked up" in warning for warning in snapshot.warnings)
    assert (await world.trade(body.client_order_id)).status == "open"


@on_virtual_time
async def test_an_order_too_young_to_be_listed_is_in_flight() -> None:
    world = await World.virtual(PaperTiming(visibility_delay_s=2.0))
    state_id = await world.state(status="pending")
    await world.enter(state_id)
    await world.submit(state_id, Submit((stop_loss(state_id),)))
    del world.venue.asked[:]
    stop = by_role(await look(world))[Role.STOP_LOSS]
    assert stop.in_flight
    assert "find" not in world.venue.asked, "absence is no evidence yet"
    await asyncio.sleep(2.1)
    stop = by_role(await look(world))[Role.STOP_LOSS]
    assert not stop.in_flight


@on_virtual_time
async def test_a_listing_older_than_our_cancel_does_not_bring_the_order_back() -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    body = take_profit(state_id)
    ref = world.ref(body.client_order_id)
    before = world.working()
    await world.submit(state_id, Cancel(ref, "LegRemoved"))

    async def stale(symbol: str | None = None) -> list[Any]:
        return before

    world.venue.inner.open_orders = stale  # type: ignore[method-assign]
    looking = by_role(await look(world))
    assert looking[Role.TAKE_PROFIT].in_flight
    assert (await world.trade(body.client_order_id)).status == "cancelled"


@on_virtual_time
async def test_a_listing_older_than_our_amend_does_not_ask_for_another() -> None:
    world = await World.virtual(PaperTiming(visibility_delay_s=2.0), paper={"amend": True})
    state_id = await world.guarded()
    await asyncio.sleep(3)
    before = world.working()
    ref = world.ref(stop_loss(state_id).client_order_id)
    await world.submit(state_id, Amend(ref, stop_loss(state_id, "42500", attempt=2)))

    async def stale(symbol: str | None = None) -> list[Any]:
        return before

    real = world.venue.inner.open_orders
    world.venue.inner.open_orders = stale  # type: ignore[method-assign]
    assert by_role(await look(world))[Role.STOP_LOSS].in_flight
    world.venue.inner.open_orders = real  # type: ignore[method-assign]
    stop = by_role(await look(world))[Role.STOP_LOSS]
    assert (stop.in_flight, stop.trigger_price, stop.attempt) == (False, D(42_500), 2)


@on_virtual_time
async def test_an_order_that_works_after_all_comes_back_to_its_row() -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    body = take_profit(state_id)
    await world.change_trade(body.client_order_id, status="cancelled")
    await asyncio.sleep(3)
    order = by_role(await look(world))[Role.TAKE_PROFIT]
    assert not order.in_flight
    assert (await world.trade(body.client_order_id)).status == "open"


@on_virtual_time
async def test_a_row_that_moved_on_during_a_snapshot_is_left_alone() -> None:
    """Listing and rows were read; then an amend gave the order a new id; then rows are written."""
    world = await World.virtual()
    state_id = await world.state(status="pending")
    await world.submit(state_id, entry(await world.webhook(), price="42500"))
    order_id = world.working()[0].ref.client_order_id or ""
    await world.change_trade(order_id, exchange_order_id=None)
    await asyncio.sleep(0.1)
    run, count = world.database.run, 0

    async def interfere(fn: Any) -> Any:
        nonlocal count
        value = await run(fn)
        count += 1
        if count == 2:
            # The account's row and the books have been read.
            now = world.clock.now()
            change = update(Trade).where(Trade.client_order_id == order_id)
            amended = change.values(exchange_order_id="4711", updated_at=now)
            await run(lambda tx: tx.execute(amended))
        return value

    world.database.run = interfere  # type: ignore[method-assign]
    await look(world)
    world.database.run = run  # type: ignore[method-assign]
    trade = await world.trade(order_id)
    assert (trade.exchange_order_id, trade.child_order_id) == ("4711", None)


@on_virtual_time
async def test_an_order_being_sent_is_not_looked_up_besides() -> None:
    world = await World.virtual()
    state_id = await world.state(status="pending")
    gate = asyncio.Event()
    stage = world.venue.stage("create", gate=gate)
    sending = asyncio.create_task(world.submit(state_id, entry(await world.webhook())))
    await stage.arrived.wait()
    (order,) = (await look(world)).orders
    assert (order.in_flight, order.role) == (True, Role.ENTRY)
    assert "find" not in world.venue.asked
    gate.set()
    await sending


# Whose


@on_virtual_time
async def test_foreign_orders_show_and_are_nobodys() -> None:
    world = await World.virtual()
    await world.guarded()
    foreign = paper.body("by-hand", "sell", "stop_loss", "0.01", "41000", reduce_only=True)
    await world.venue.inner.create(foreign)
    orders = [o for o in (await look(world)).orders if not o.ours]
    assert [(o.role, o.state_id) for o in orders] == [(None, None)]


@pytest.mark.parametrize(
    ("type_", "side", "level", "reduce_only", "role"),
    [
        ("stop_loss", "sell", "42000", True, Role.STOP_LOSS),
        ("take_profit", "sell", "45000", True, Role.TAKE_PROFIT),
        ("limit", "buy", "42500", False, Role.ENTRY),
        ("limit", "sell", "45000", True, Role.EXIT),
    ],
)
@on_virtual_time
async def test_an_order_with_our_prefix_and_no_row_is_ours_by_its_looks(
    type_: str, side: str, level: str, reduce_only: bool, role: Role
) -> None:
    world = await World.virtual()
    await world.guarded()
    known = {o.ref.client_order_id for o in world.working()}
    body = paper.body(INSTALLATION + "x" * 22, side, type_, "0.01", level, reduce_only=reduce_only)
    await world.venue.inner.create(body)
    (order,) = [o for o in (await look(world)).orders if o.ref.client_order_id not in known]
    assert (order.ours, order.role, order.revision) == (True, role, None)


@on_virtual_time
async def test_the_child_of_a_triggered_order_is_known_by_its_parent() -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    row = await world.trade(stop_loss(state_id).client_order_id)
    (listed,) = [o for o in world.working() if o.ref.venue_order_id == row.exchange_order_id]
    child = OrderRef("c-1", SYMBOL, False, None)

    async def triggered(symbol: str | None = None) -> list[Any]:
        return [replace(listed, ref=child, parent_id=row.exchange_order_id)]

    world.venue.inner.open_orders = triggered  # type: ignore[method-assign]
    order = next(o for o in (await look(world)).orders if o.ref.venue_order_id == "c-1")
    assert (order.ours, order.role, order.side) == (True, Role.STOP_LOSS, OrderSide.SELL)
    row = await world.trade(stop_loss(state_id).client_order_id)
    assert row.child_order_id == "c-1"


@on_virtual_time
async def test_the_fills_of_a_triggered_order_are_its_own_though_they_name_its_child() -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    world.set_price("41000")
    assert (await look(world)).positions == ()
    row = await world.trade(stop_loss(state_id).client_order_id)
    assert row.status == "closed"
    assert row.child_order_id is not None
    fills = await world.fills()
    assert [fill.trade_id for fill in fills if fill.side == "sell"] == [row.id]


@on_virtual_time
async def test_an_instrument_of_an_hour_ago_serves_while_the_venue_does_not_tell_it() -> None:
    world = await World.virtual()
    await world.guarded()
    await world.gateway.snapshot(ACCOUNT)
    await asyncio.sleep(INSTRUMENT_FRESH_S)
    asked = world.venue.asked.count("instrument")
    for _ in range(2):
        world.venue.stage("instrument", before=Unavailable("down"))
        found = await world.gateway.snapshot(ACCOUNT)
        assert [one.symbol for one in found.instruments] == ["BTCUSDT"]
    assert world.venue.asked.count("instrument") == asked + 1
