"""When orders act as the price moves, at which price, and in which order."""

from decimal import Decimal

import pytest

from guardian_core.domain.errors import CallerError
from guardian_core.domain.orders import OrderStatus
from tests.support.clock import START
from tests.support.paper import NO_FEES, SYMBOL, bar, body, exchange_at, linear

# id: order (side, type, level), bar, the price it fills at (None: it does not)
FIRES = {
    "stop sell touched": (("sell", "stop_loss", "900"), ("1000", "1000", "900", "950"), "900"),
    "stop sell missed": (("sell", "stop_loss", "900"), ("1000", "1000", "900.1", "950"), None),
    "stop sell in the gap": (("sell", "stop_loss", "900"), ("850", "990", "840", "980"), "850"),
    "stop sell at the open": (("sell", "stop_loss", "900"), ("900", "990", "900", "980"), "900"),
    "stop buy touched": (("buy", "stop_loss", "1100"), ("1000", "1100", "990", "1000"), "1100"),
    "stop buy missed": (("buy", "stop_loss", "1100"), ("1000", "1099.9", "990", "1000"), None),
    "stop buy in the gap": (("buy", "stop_loss", "1100"), ("1150", "1150", "990", "1000"), "1150"),
    "take sell touched": (("sell", "take_profit", "1100"), ("1000", "1100", "1000", "1"), "1100"),
    "take sell missed": (("sell", "take_profit", "1100"), ("1000", "1099", "990", "1000"), None),
    "take sell in the gap": (("sell", "take_profit", "1100"), ("1200", "1300", "9", "9"), "1200"),
    "take buy touched": (("buy", "take_profit", "900"), ("1000", "1000", "900", "950"), "900"),
    "take buy missed": (("buy", "take_profit", "900"), ("1000", "1000", "901", "950"), None),
    "take buy in the gap": (("buy", "take_profit", "900"), ("800", "850", "800", "850"), "800"),
    "limit sell touched": (("sell", "limit", "1100"), ("1000", "1100", "1000", "1000"), "1100"),
    "limit sell missed": (("sell", "limit", "1100"), ("1000", "1099", "1000", "1000"), None),
    "limit sell in the gap": (("sell", "limit", "1100"), ("1200", "1200", "1200", "1200"), "1100"),
    "limit buy touched": (("buy", "limit", "900"), ("1000", "1000", "900", "1000"), "900"),
    "limit buy missed": (("buy", "limit", "900"), ("1000", "1000", "901", "1000"), None),
    "limit buy in the gap": (("buy", "limit", "900"), ("800", "800", "800", "800"), "900"),
}


@pytest.mark.parametrize(("order", "ohlc", "price"), FIRES.values(), ids=FIRES)
def test_an_order_fills_where_the_bar_reaches_it(order, ohlc, price):
    exchange = exchange_at("1000", linear(**NO_FEES))
    side, type_, level = order
    exchange.create(body("it", side, type_, "1", level), START)
    assert exchange.apply_bar(bar(*ohlc), START)

    found = exchange.find(SYMBOL, "it")
    assert found is not None
    if price is None:
        assert found.status is OrderStatus.OPEN
        assert exchange.fills(SYMBOL) == []
    else:
        assert found.status is OrderStatus.CLOSED
        assert found.average_price == Decimal(price)
        assert [fill.price for fill in exchange.fills(SYMBOL)] == [Decimal(price)]


# id: the bar, the order in which a long's two legs would be reached: the first one closes it
PATHS = {
    "a rising bar dips first": (("1000", "1200", "800", "1000"), "sl"),
    "a falling bar peaks first": (("1000", "1200", "800", "999.9"), "tp"),
    "a gap down opens beyond the stop": (("800", "1200", "800", "700"), "sl"),
    "a gap up opens beyond the target": (("1200", "1200", "800", "1200"), "tp"),
    "only the close is known: it fell": (("850",), "sl"),
    "only the close is known: it rose": (("1150",), "tp"),
}


@pytest.mark.parametrize(("ohlc", "first"), PATHS.values(), ids=PATHS)
def test_the_leg_that_the_path_reaches_first_closes_the_position(ohlc, first):
    exchange = exchange_at("1000")
    exchange.create(body("entry", "buy", "market", "1"), START)
    exchange.create(body("sl", "sell", "stop_loss", "1", "900", reduce_only=True), START)
    exchange.create(body("tp", "sell", "take_profit", "1", "1100", reduce_only=True), START)
    exchange.apply_bar(bar(*ohlc), START)

    assert exchange.positions() == []
    assert [fill.client_order_id for fill in exchange.fills(SYMBOL)] == ["entry", first]


def test_orders_on_one_way_act_in_the_order_of_their_levels_then_of_their_age():
    exchange = exchange_at("1000")
    exchange.create(body("low", "buy", "limit", "1", "800"), START)
    exchange.create(body("high", "buy", "limit", "1", "900"), START)
    exchange.create(body("high too", "buy", "limit", "1", "900"), START)
    exchange.create(body("middle", "sell", "stop_loss", "1", "850"), START)
    exchange.apply_bar(bar("1000", "1000", "700", "750"), START)
    names = [fill.client_order_id for fill in exchange.fills(SYMBOL)]
    assert names == ["high", "high too", "middle", "low"]


def test_a_price_set_by_hand_jumps():
    exchange = exchange_at("1000")
    exchange.create(body("entry", "buy", "market", "1"), START)
    exchange.create(body("sl", "sell", "stop_loss", "1", "900", reduce_only=True), START)
    exchange.set_price(SYMBOL, Decimal("812.34"), START)
    assert exchange.fills(SYMBOL)[-1].price == Decimal("812.34")


def test_the_first_price_of_all_meets_orders_that_wait_for_one():
    exchange = exchange_at(None)
    exchange.create(body("it", "buy", "stop_loss", "1", "900"), START)
    exchange.apply_bar(bar("1000"), START)
    assert exchange.fills(SYMBOL)[0].price == Decimal(1000)


def test_a_triggered_order_keeps_its_id_and_names_its_child():
    exchange = exchange_at("1000")
    exchange.create(body("entry", "buy", "market", "1"), START)
    stop = exchange.create(body("sl", "sell", "stop_loss", "1", "900", reduce_only=True), START)
    exchange.apply_bar(bar("850"), START)

    parent = exchange.find(SYMBOL, "sl")
    assert parent is not None
    assert parent.ref == stop.ref
    assert parent.status is OrderStatus.CLOSED
    assert parent.filled_quantity == 1
    assert parent.average_price == 850
    assert parent.child_id is not None
    child = exchange.find_by_id(parent.child_id)
    assert child is not None
    assert child.parent_id == stop.ref.venue_order_id
    assert child.ref.client_order_id is None
    fill = exchange.fills(SYMBOL)[-1]
    assert (fill.venue_order_id, fill.client_order_id) == (parent.child_id, "sl")


def test_a_triggered_order_stays_open_until_its_child_is_done():
    exchange = exchange_at("1000", linear(child_waits=True))
    exchange.create(body("entry", "buy", "market", "1"), START)
    exchange.create(body("sl", "sell", "stop_loss", "1", "900", reduce_only=True), START)
    exchange.apply_bar(bar("850"), START)

    parent, child = exchange.open_orders()
    assert parent.ref.client_order_id == "sl"
    assert parent.child_id == child.ref.venue_order_id
    assert exchange.positions()

    exchange.apply_bar(bar("840"), START)
    assert exchange.open_orders() == []
    assert exchange.positions() == []
    assert exchange.fills(SYMBOL)[-1].price == Decimal(840)


@pytest.mark.parametrize(("minute", "applied"), [(4, False), (5, False), (6, True), (None, True)])
def test_a_bar_no_newer_than_the_last_is_ignored(minute, applied):
    exchange = exchange_at(None)
    assert exchange.apply_bar(bar("1000", minute=5), START)
    exchange.drain()
    assert exchange.apply_bar(bar("900", minute=minute), START) is applied
    price = exchange.price(SYMBOL)
    assert price is not None
    assert price.last == (900 if applied else 1000)
    assert (exchange.drain() == ()) is not applied


def test_a_bar_without_a_time_does_not_open_the_door_to_older_ones():
    exchange = exchange_at(None)
    exchange.apply_bar(bar("1000", minute=5), START)
    exchange.apply_bar(bar("1100"), START)
    assert not exchange.apply_bar(bar("900", minute=5), START)


def test_bars_of_one_symbol_do_not_move_another():
    exchange = exchange_at("1000")
    exchange.create(body("it", "buy", "limit", "1", "900"), START)
    exchange.apply_bar(bar("10", symbol="ETHUSDT", minute=9), START)
    assert exchange.fills(SYMBOL) == []
    assert exchange.apply_bar(bar("900", minute=5), START)
    assert exchange.fills(SYMBOL)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (bar("0"), "Close"),
        (bar("-1"), "Close"),
        (bar("1000", "0", "1000", "1000"), "High"),
        (bar("1E+30"), "Close"),
        (bar("1", symbol="NOSUCH"), "Symbol"),
        (bar("1", minute=1).model_copy(update={"time": START.replace(tzinfo=None)}), "Time"),
    ],
)
def test_a_bar_that_cannot_be_is_refused_by_field(wrong, field):
    exchange = exchange_at("1000")
    exchange.drain()
    with pytest.raises(CallerError) as error:
        exchange.apply_bar(wrong, START)
    assert error.value.field == field
    assert exchange.drain() == ()
