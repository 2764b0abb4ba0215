"""What every adapter keeps, whatever its exchange: the paper venue first among them."""

import functools
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from guardian_core.domain.errors import CallerError, OrderGone, Rejected, RejectReason
from guardian_core.domain.money import MarketKind
from guardian_core.domain.orders import OrderSide, OrderStatus, OrderType, PositionSide
from guardian_core.domain.snapshot import LegsMode
from tests.support.paper import body
from tests.venues import loop
from tests.venues.loop import on_jumping_time
from tests.venues.rigs import ADAPTERS, RIGS, SYMBOL, rig

D = Decimal


@pytest.fixture(params=RIGS)
def name(request):
    return request.param


@pytest.fixture
def opened(name, tmp_path):
    @asynccontextmanager
    async def open_(**how):
        async with rig(name, tmp_path, loop.clock(), **how) as made:
            yield made

    return open_


async def bought(made, quantity="0.1"):
    await made.venue.create(body("in", "buy", "market", quantity))


def leg(made, name, kind, level, quantity="0.05"):
    """A protective sell as this venue takes it."""
    return body(name, "sell", kind, quantity, level, reduce_only=not made.spot)


def stop_alone(made):
    """Whether the take-profit is the guardian's to watch."""
    return made.venue.capabilities().legs is LegsMode.STOP_ONLY


async def protected(made, quantity="0.05"):
    """Bought, with the legs as this venue holds them: side by side, or the stop alone."""
    await bought(made)
    legs = (
        leg(made, "sl", "stop_loss", "42000", quantity),
        leg(made, "tp", "take_profit", "45000", quantity),
    )
    if made.venue.capabilities().legs is LegsMode.PAIR:
        return list(await made.venue.create_pair(*legs))
    held = legs[:1] if stop_alone(made) else legs
    return [await made.venue.create(one) for one in held]


def names(orders):
    return sorted(order.ref.client_order_id for order in orders)


async def refused(writing):
    with pytest.raises(Rejected) as refusal:
        await writing
    return refusal.value.reason


@on_jumping_time
async def test_an_instrument_tells_what_rounds_and_bounds(name, opened):
    async with opened() as made:
        found = await made.venue.instrument(SYMBOL)
        expected = made.exchange.instrument(SYMBOL)
        if name in ADAPTERS and not ADAPTERS[name].has_notional:
            expected = replace(expected, min_notional=D(0))
        if name in ADAPTERS:
            expected = replace(expected, contract_size=ADAPTERS[name].contract_size)
        assert found == expected
        assert found.kind is (MarketKind.SPOT if made.spot else MarketKind.LINEAR)


@on_jumping_time
async def test_an_unknown_symbol_is_the_callers_mistake(opened):
    async with opened() as made:
        for _ in range(2):
            with pytest.raises(CallerError) as error:
                await made.venue.instrument("NOSUCH")
            assert error.value.field == "Symbol"


@on_jumping_time
async def test_a_market_order_is_answered_with_what_it_filled(opened):
    async with opened() as made:
        order = await made.venue.create(body("in", "buy", "market", "0.1"))
        assert (order.status, order.filled_quantity) == (OrderStatus.CLOSED, D("0.1"))
        assert order.average_price == 43000
        assert order.ref.client_order_id == "in"
        assert order.ref.venue_order_id
        assert await made.venue.open_orders() == []
        assert (await made.venue.find(SYMBOL, "in")).filled_quantity == D("0.1")


@on_jumping_time
async def test_what_is_held_shows_as_a_position_or_as_coins(name, opened):
    async with opened() as made:
        await bought(made)
        positions = await made.venue.positions()
        if made.venue.capabilities().reports_positions:
            (position,) = positions
            assert (position.symbol, position.side) == (SYMBOL, PositionSide.LONG)
            assert (position.quantity, position.entry_price) == (D("0.1"), 43000)
        else:
            assert list(positions) == []
            coins = {b.currency: b for b in await made.venue.balances()}["BTC"]
            bought_for_money = name in ADAPTERS and ADAPTERS[name].fees_in_quote
            assert coins.free == coins.total == D("0.1" if bought_for_money else "0.09995")


@on_jumping_time
async def test_a_short_is_a_position_below_zero_told_as_a_short(opened):
    async with opened() as made:
        if not made.venue.capabilities().reports_positions:
            assert await refused(made.venue.create(body("in", "sell", "market", "0.1"))) is (
                RejectReason.INSUFFICIENT_FUNDS
            )
            return
        await made.venue.create(body("in", "sell", "market", "0.1"))
        (position,) = await made.venue.positions()
        assert (position.side, position.quantity) == (PositionSide.SHORT, D("0.1"))


@on_jumping_time
async def test_money_shows_free_and_total(opened):
    async with opened() as made:
        await made.venue.create(body("in", "buy", "limit", "0.1", "40000"))
        money = {b.currency: b for b in await made.venue.balances()}["USDT"]
        assert money.total == 10_000
        assert 0 < money.free < money.total


@on_jumping_time
async def test_a_resting_order_is_listed_found_and_cancelled_once(opened):
    async with opened() as made:
        order = await made.venue.create(body("in", "buy", "limit", "0.1", "40000"))
        assert (order.status, order.type) == (OrderStatus.OPEN, OrderType.LIMIT)
        (listed,) = await made.venue.open_orders()
        assert listed == replace(order, created_at=listed.created_at)
        assert (listed.price, listed.quantity) == (D(40000), D("0.1"))
        assert await made.venue.open_orders("ETHUSDT") == []
        await made.venue.cancel(order.ref)
        assert await made.venue.open_orders(SYMBOL) == []
        assert (await made.venue.find(SYMBOL, "in")).status is OrderStatus.CANCELLED
        with pytest.raises(OrderGone):
            await made.venue.cancel(order.ref)


@on_jumping_time
async def test_both_legs_stand_side_by_side_each_listed_once(opened):
    async with opened() as made:
        await protected(made)
        if stop_alone(made):
            return
        listed = await made.venue.open_orders(SYMBOL)
        assert names(listed) == ["sl", "tp"]
        stop, profit = sorted(listed, key=lambda order: order.ref.client_order_id)
        assert (stop.type, profit.type) == (OrderType.STOP_LOSS, OrderType.TAKE_PROFIT)
        assert (stop.trigger_price, profit.trigger_price) == (D(42000), D(45000))
        assert {stop.quantity, profit.quantity} == {D("0.05")}
        assert stop.ref.conditional
        assert profit.ref.conditional
        assert {stop.side, profit.side} == {OrderSide.SELL}
        assert {stop.reduce_only, profit.reduce_only} == {not made.spot}
        assert names(await made.venue.open_orders()) == ["sl", "tp"]
        for order in listed:
            found = await made.venue.find(SYMBOL, order.ref.client_order_id)
            assert found == order


@on_jumping_time
async def test_a_stop_is_listed_once_and_found_as_it_is_listed(opened):
    async with opened() as made:
        await protected(made)
        stops = [o for o in await made.venue.open_orders(SYMBOL) if o.ref.client_order_id == "sl"]
        (stop,) = stops
        assert (stop.type, stop.side) == (OrderType.STOP_LOSS, OrderSide.SELL)
        assert (stop.trigger_price, stop.quantity) == (D(42000), D("0.05"))
        assert stop.ref.conditional
        assert stop.reduce_only is not made.spot
        assert stop in await made.venue.open_orders()
        assert await made.venue.find(SYMBOL, "sl") == stop


@on_jumping_time
async def test_where_the_stop_stands_alone_neither_a_pair_nor_a_take_profit_is_sent(opened):
    async with opened() as made:
        if not stop_alone(made):
            return
        await bought(made)
        legs = (
            leg(made, "sl", "stop_loss", "42000"),
            leg(made, "tp", "take_profit", "45000"),
        )
        for sending in (made.venue.create_pair(*legs), made.venue.create(legs[1])):
            with pytest.raises(CallerError):
                await sending
        assert await made.venue.open_orders() == []


@on_jumping_time
async def test_a_stop_alone_locks_its_coins(opened):
    async with opened() as made:
        if not stop_alone(made):
            return
        await protected(made)
        coins = {b.currency: b for b in await made.venue.balances()}["BTC"]
        assert coins.total - coins.free == D("0.05")
        out = body("out", "sell", "market", "0.09")
        assert await refused(made.venue.create(out)) is RejectReason.INSUFFICIENT_FUNDS


@on_jumping_time
async def test_a_pair_ends_together_independent_legs_do_not(opened):
    async with opened() as made:
        stop, *others = await protected(made)
        await made.venue.cancel(stop.ref)
        if made.venue.capabilities().legs is LegsMode.PAIR:
            (profit,) = others
            assert stop.pair_id == profit.pair_id is not None
            assert await made.venue.open_orders() == []
            with pytest.raises(OrderGone):
                await made.venue.cancel(profit.ref)
        else:
            left = [order.ref.client_order_id for order in others]
            assert names(await made.venue.open_orders()) == left
            assert (await made.venue.find(SYMBOL, "sl")).status is OrderStatus.CANCELLED


@on_jumping_time
async def test_a_stop_that_fired_is_done_under_its_own_id(opened):
    async with opened() as made:
        stop, *_ = await protected(made)
        made.set_price("41900")
        found = await made.venue.find(SYMBOL, "sl")
        assert (found.status, found.filled_quantity) == (OrderStatus.CLOSED, D("0.05"))
        assert found.average_price == 41900
        assert found.ref.venue_order_id == stop.ref.venue_order_id
        with pytest.raises(OrderGone):
            await made.venue.cancel(stop.ref)


@on_jumping_time
async def test_the_fills_of_a_fired_stop_name_it(opened):
    async with opened() as made:
        await protected(made)
        made.set_price("41900")
        found = await made.venue.find(SYMBOL, "sl")
        (sold,) = [f for f in await made.venue.fills(SYMBOL) if f.side is OrderSide.SELL]
        assert sold.client_order_id == "sl"
        assert sold.venue_order_id in (found.ref.venue_order_id, found.child_id)


@on_jumping_time
async def test_fills_come_oldest_first_with_what_they_cost(name, opened):
    async with opened() as made:
        start = made.clock.now()
        await bought(made)
        await made.venue.create(body("out", "sell", "market", "0.05", reduce_only=not made.spot))
        buy, sell = await made.venue.fills(SYMBOL, start - timedelta(minutes=1))
        assert (buy.side, buy.price, buy.quantity) == (OrderSide.BUY, D(43000), D("0.1"))
        assert (buy.client_order_id, sell.client_order_id) == ("in", "out")
        in_coins = made.spot and not (name in ADAPTERS and ADAPTERS[name].fees_in_quote)
        assert (buy.fee_currency, buy.fee) == (
            ("BTC", D("0.00005")) if in_coins else ("USDT", D("2.15"))
        )
        assert buy.venue_fill_id != sell.venue_fill_id
        assert await made.venue.fills(SYMBOL, made.clock.now() + timedelta(minutes=1)) == []
        assert await made.venue.fills("ETHUSDT", start) == []


@on_jumping_time
async def test_the_price_is_the_last_one(opened):
    async with opened() as made:
        made.set_price("43210.5")
        price = await made.venue.price(SYMBOL)
        assert (price.symbol, price.last) == (SYMBOL, D("43210.5"))


@on_jumping_time
async def test_an_id_that_nobody_used_is_unknown(opened):
    async with opened() as made:
        assert await made.venue.find(SYMBOL, "nobody") is None


@on_jumping_time
async def test_an_id_is_not_used_twice_while_its_order_works(opened):
    async with opened() as made:
        again = body("in", "buy", "limit", "0.1", "40000")
        await made.venue.create(again)
        assert await refused(made.venue.create(again)) is RejectReason.DUPLICATE_ID
        assert len(await made.venue.open_orders()) == 1


@on_jumping_time
async def test_a_leg_is_not_sent_twice_while_it_works(name, opened):
    async with opened() as made:
        held = await protected(made)
        again = leg(made, "sl", "stop_loss", "42000", "0.01")
        sending = made.venue.create
        if name in ADAPTERS and ADAPTERS[name].pair_has_one_id:
            other = leg(made, "tp", "take_profit", "45000", "0.01")
            sending = functools.partial(made.venue.create_pair, take_profit=other)
        assert await refused(sending(again)) is RejectReason.DUPLICATE_ID
        assert names(await made.venue.open_orders()) == names(held)


REFUSALS = {
    "a stop that the price has passed": (
        ("sl", "sell", "stop_loss", "0.05", "43500"),
        RejectReason.CROSSED,
    ),
    "a take-profit that the price has passed": (
        ("tp", "sell", "take_profit", "0.05", "42500"),
        RejectReason.CROSSED,
    ),
    "more than there is money for": (
        ("big", "buy", "limit", "100", "43000"),
        RejectReason.INSUFFICIENT_FUNDS,
    ),
    "less than the smallest order": (
        ("low", "buy", "limit", "0.001", "1000"),
        RejectReason.BELOW_MINIMUM,
    ),
    "a price between two ticks": (
        ("odd", "buy", "limit", "0.1", "40000.001"),
        RejectReason.INVALID_ORDER,
    ),
}


@pytest.mark.parametrize(("order", "reason"), REFUSALS.values(), ids=REFUSALS.keys())
@on_jumping_time
async def test_what_is_refused_is_refused_for_its_reason(opened, order, reason):
    async with opened() as made:
        if stop_alone(made) and order[2] == "take_profit":
            return
        await bought(made)
        conditional = order[2] in ("stop_loss", "take_profit")
        wrong = body(*order, reduce_only=conditional and not made.spot)
        assert await refused(made.venue.create(wrong)) is reason
        assert await made.venue.open_orders() == []


@on_jumping_time
async def test_reducing_nothing_is_refused(opened):
    async with opened() as made:
        out = body("out", "sell", "market", "0.1", reduce_only=not made.spot)
        reason = RejectReason.INSUFFICIENT_FUNDS if made.spot else RejectReason.REDUCE_ONLY
        assert await refused(made.venue.create(out)) is reason


@on_jumping_time
async def test_a_crossed_pair_leaves_neither_of_its_orders(opened):
    async with opened() as made:
        if made.venue.capabilities().legs is not LegsMode.PAIR:
            return
        await bought(made)
        pair = (
            leg(made, "sl", "stop_loss", "43500"),
            leg(made, "tp", "take_profit", "45000"),
        )
        assert await refused(made.venue.create_pair(*pair)) is RejectReason.CROSSED
        assert await made.venue.open_orders() == []


@on_jumping_time
async def test_leverage_is_set_where_there_is_any(opened):
    async with opened() as made:
        if made.spot:
            with pytest.raises((CallerError, Rejected)):
                await made.venue.set_leverage(SYMBOL, D(5))
            return
        await made.venue.set_leverage(SYMBOL, D(5))
        await bought(made, "1")
        (position,) = await made.venue.positions()
        assert position.quantity == 1
