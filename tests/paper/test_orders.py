"""Fills, pairs, amendments, cancels, reduce-only orders, positions."""

from decimal import Decimal

import pytest

from guardian_core.domain.errors import CallerError, OrderGone
from guardian_core.domain.orders import OrderStatus, PositionSide, Role
from guardian_core.domain.snapshot import Position
from tests.support.clock import START
from tests.support.paper import NO_FEES, SYMBOL, bar, body, exchange_at, linear, spot


def statuses(exchange, *names):
    return [exchange.find(SYMBOL, name).status.value for name in names]


def filled(exchange, name):
    return exchange.find(SYMBOL, name).filled_quantity


def balances(exchange):
    return {b.currency: (b.free, b.total) for b in exchange.balances()}


# id: fills as (side, quantity, price), the position after (signed, entry), realised profit
POSITIONS = {
    "opened": ([("buy", 1, 100)], (1, 100), 0),
    "added to": ([("buy", 1, 100), ("buy", 3, 200)], (4, 175), 0),
    "reduced": ([("buy", 4, 100), ("sell", 1, 150)], (3, 100), 50),
    "closed": ([("buy", 4, 100), ("sell", 4, 90)], None, -40),
    "turned round": ([("buy", 1, 100), ("sell", 3, 110)], (-2, 110), 10),
    "short opened and added to": ([("sell", 1, 100), ("sell", 1, 300)], (-2, 200), 0),
    "short closed with a profit": ([("sell", 2, 100), ("buy", 2, 80)], None, 40),
    "short turned round with a loss": ([("sell", 1, 100), ("buy", 2, 130)], (1, 130), -30),
}


@pytest.mark.parametrize(("fills", "held", "profit"), POSITIONS.values(), ids=POSITIONS)
def test_one_way_positions_average_realise_and_flip(fills, held, profit):
    exchange = exchange_at(None, linear(**NO_FEES))
    for number, (side, quantity, price) in enumerate(fills):
        exchange.set_price(SYMBOL, Decimal(price), START)
        exchange.create(body(f"fill{number}", side, "market", str(quantity)), START)
    expected = []
    if held is not None:
        side = PositionSide.LONG if held[0] > 0 else PositionSide.SHORT
        expected = [Position(SYMBOL, side, Decimal(abs(held[0])), Decimal(held[1]))]
    assert exchange.positions() == expected
    assert balances(exchange)["USDT"][1] == 10_000 + profit


def test_a_market_order_pays_the_taker_fee_and_a_resting_limit_the_maker_fee():
    exchange = exchange_at("1000")
    exchange.create(body("taker", "buy", "market", "1"), START)
    exchange.create(body("maker", "buy", "limit", "1", "900"), START)
    exchange.apply_bar(bar("890"), START)
    fees = [(fill.fee, fill.fee_currency) for fill in exchange.fills(SYMBOL)]
    assert fees == [(Decimal("0.5"), "USDT"), (Decimal("0.18"), "USDT")]


def test_a_limit_order_that_is_marketable_on_arrival_takes_the_better_price():
    exchange = exchange_at("1000")
    order = exchange.create(body("it", "buy", "limit", "1", "1100"), START)
    assert (order.status, order.average_price) == (OrderStatus.CLOSED, Decimal(1000))
    assert exchange.fills(SYMBOL)[0].fee == Decimal("0.5")


def test_spot_takes_the_fee_of_a_buy_in_coins_and_of_a_sell_in_quote():
    exchange = exchange_at("1000", spot())
    exchange.create(body("in", "buy", "market", "2"), START)
    assert balances(exchange) == {"BTC": (Decimal("1.999"),) * 2, "USDT": (Decimal(8000),) * 2}
    exchange.create(body("out", "sell", "market", "1"), START)
    assert balances(exchange)["USDT"] == (Decimal("8999.5"),) * 2
    assert exchange.positions() == []


def test_spot_orders_lock_what_they_would_pay_with():
    exchange = exchange_at("1000", spot(**NO_FEES))
    exchange.create(body("in", "buy", "market", "2"), START)
    exchange.create(body("limit", "buy", "limit", "1", "900"), START)
    stop = exchange.create(body("sl", "sell", "stop_loss", "1.5", "900"), START)
    assert balances(exchange) == {
        "BTC": (Decimal("0.5"), Decimal(2)),
        "USDT": (Decimal(7100), Decimal(8000)),
    }
    exchange.cancel(stop.ref.venue_order_id, START)
    assert balances(exchange)["BTC"] == (Decimal(2), Decimal(2))


def test_margin_is_notional_by_leverage():
    exchange = exchange_at("1000", linear(**NO_FEES))
    exchange.set_leverage(SYMBOL, Decimal(4), START)
    exchange.create(body("in", "buy", "market", "2"), START)
    assert balances(exchange)["USDT"] == (Decimal(9500), Decimal(10_000))
    exchange.create(body("more", "buy", "limit", "1", "800"), START)
    assert balances(exchange)["USDT"] == (Decimal(9300), Decimal(10_000))


def test_losses_beyond_the_wallet_leave_nothing_free():
    exchange = exchange_at("1000", linear(leverage=Decimal(10)))
    exchange.create(body("in", "sell", "market", "50"), START)
    exchange.set_price(SYMBOL, Decimal(2000), START)
    exchange.create(body("out", "buy", "market", "50", reduce_only=True), START)
    free, total = balances(exchange)["USDT"]
    assert total < 0
    assert free == 0


@pytest.mark.parametrize("second", ["take_profit", "limit"])
@pytest.mark.parametrize(("to", "closed", "cancelled"), [("850", "sl", "tp"), ("1150", "tp", "sl")])
def test_a_leg_of_a_pair_that_fires_cancels_the_other(second, to, closed, cancelled):
    exchange = _with_pair(second)
    exchange.apply_bar(bar(to), START)
    assert statuses(exchange, closed, cancelled) == ["closed", "cancelled"]
    assert set(balances(exchange)) == {"USDT"}


def _with_pair(second="take_profit"):
    exchange = exchange_at("1000", spot(**NO_FEES))
    exchange.create(body("in", "buy", "market", "1"), START)
    tp = body("tp", "sell", second, "1", "1100", role=Role.TAKE_PROFIT)
    pair = exchange.create_pair(body("sl", "sell", "stop_loss", "1", "900"), tp, START)
    assert len({order.pair_id for order in pair}) == 1
    assert pair[0].pair_id is not None
    return exchange


def test_a_pair_locks_its_coins_once():
    assert balances(_with_pair())["BTC"] == (0, 1)


@pytest.mark.parametrize("leg", ["sl", "tp"])
def test_cancelling_a_leg_of_a_pair_cancels_the_other(leg):
    exchange = _with_pair()
    exchange.cancel_by_hand(leg, START)
    assert statuses(exchange, "sl", "tp") == ["cancelled", "cancelled"]
    assert balances(exchange)["BTC"] == (1, 1)


def test_a_part_fill_of_a_pairs_limit_cancels_the_stop():
    exchange = exchange_at("1000", spot(**NO_FEES, max_fill_quantity=Decimal("0.4")))
    for number in range(3):
        exchange.create(body(f"in{number}", "buy", "market", "0.4"), START)
    exchange.create_pair(
        body("sl", "sell", "stop_loss", "1", "900"), body("tp", "sell", "limit", "1", "1100"), START
    )
    exchange.apply_bar(bar("1150"), START)
    assert statuses(exchange, "sl", "tp") == ["cancelled", "open"]
    assert filled(exchange, "tp") == Decimal("0.4")


def test_a_forgotten_leg_of_a_pair_leaves_the_other_with_the_coins():
    exchange = _with_pair()
    exchange.forget(exchange.open_orders()[0].ref.venue_order_id, START)
    assert [order.ref.client_order_id for order in exchange.open_orders()] == ["tp"]
    assert balances(exchange)["BTC"] == (0, 1)


def test_a_reduce_only_order_shrinks_to_the_position_and_never_turns_it():
    exchange = exchange_at("1000")
    exchange.create(body("in", "buy", "market", "1"), START)
    order = exchange.create(body("out", "sell", "market", "3", reduce_only=True), START)
    assert order.status is OrderStatus.CLOSED
    assert order.quantity == order.filled_quantity == 1
    assert exchange.positions() == []


def test_a_leg_left_behind_is_cancelled_when_it_fires_with_nothing_to_reduce():
    exchange = exchange_at("1000")
    exchange.create(body("in", "buy", "market", "1"), START)
    exchange.create(body("sl", "sell", "stop_loss", "1", "900", reduce_only=True), START)
    exchange.create(body("tp", "sell", "take_profit", "1", "1100", reduce_only=True), START)
    exchange.apply_bar(bar("850"), START)
    assert statuses(exchange, "sl", "tp") == ["closed", "open"]
    exchange.apply_bar(bar("1150"), START)
    assert statuses(exchange, "sl", "tp") == ["closed", "cancelled"]
    assert exchange.positions() == []


def test_a_market_order_takes_what_there_is_and_the_rest_is_cancelled():
    exchange = exchange_at("1000", linear(max_fill_quantity=Decimal("0.4")))
    order = exchange.create(body("it", "buy", "market", "1"), START)
    assert (order.status, order.filled_quantity) == (OrderStatus.CANCELLED, Decimal("0.4"))


def test_a_stop_on_a_thin_market_closes_a_part_and_is_over():
    exchange = exchange_at("1000", linear(max_fill_quantity=Decimal("0.4")))
    for number in range(2):
        exchange.create(body(f"in{number}", "buy", "market", "0.4"), START)
    exchange.create(body("sl", "sell", "stop_loss", "0.8", "900", reduce_only=True), START)
    exchange.apply_bar(bar("850"), START)
    assert exchange.positions()[0].quantity == Decimal("0.4")
    assert statuses(exchange, "sl") == ["cancelled"]
    assert filled(exchange, "sl") == Decimal("0.4")


def test_a_limit_order_fills_bar_by_bar():
    exchange = exchange_at("1000", linear(max_fill_quantity=Decimal("0.4")))
    exchange.create(body("it", "buy", "limit", "1", "900"), START)
    seen = []
    for _ in range(3):
        exchange.apply_bar(bar("900", "950", "850", "890"), START)
        seen.append(filled(exchange, "it"))
    assert seen == [Decimal("0.4"), Decimal("0.8"), Decimal(1)]
    assert statuses(exchange, "it") == ["closed"]


def test_a_spot_stop_buy_in_a_gap_buys_only_what_it_can_pay():
    exchange = exchange_at("1000", spot(**NO_FEES))
    exchange.create(body("it", "buy", "stop_loss", "9", "1100"), START)
    exchange.set_price(SYMBOL, Decimal(3000), START)
    assert filled(exchange, "it") == Decimal("3.33333")
    assert statuses(exchange, "it") == ["cancelled"]
    assert balances(exchange)["USDT"][0] >= 0


def test_an_entry_that_triggers_without_margin_is_cancelled():
    exchange = exchange_at("1000")
    exchange.create(body("it", "buy", "stop_loss", "50", "1100"), START)
    exchange.set_price(SYMBOL, Decimal(1200), START)
    assert statuses(exchange, "it") == ["cancelled"]
    assert exchange.positions() == []


def test_an_amendment_moves_the_trigger_and_keeps_the_ids():
    exchange = exchange_at("1000", linear(amend=True))
    exchange.create(body("in", "buy", "market", "1"), START)
    before = exchange.create(body("sl", "sell", "stop_loss", "1", "900", reduce_only=True), START)
    new = body("sl2", "sell", "stop_loss", "0.5", "950", reduce_only=True)
    after = exchange.amend(before.ref, new, START)
    assert after.ref == before.ref
    assert (after.trigger_price, after.quantity) == (Decimal(950), Decimal("0.5"))
    exchange.apply_bar(bar("940"), START)
    assert exchange.positions()[0].quantity == Decimal("0.5")
    with pytest.raises(OrderGone, match="not working"):
        exchange.amend(before.ref, new, START)


def test_an_amended_limit_may_fill_at_once_and_frees_what_it_held():
    exchange = exchange_at("1000", linear(amend=True, **NO_FEES))
    order = exchange.create(body("it", "buy", "limit", "10", "900"), START)
    amended = exchange.amend(order.ref, body("x", "buy", "limit", "10", "1000"), START)
    assert amended.status is OrderStatus.CLOSED


@pytest.mark.parametrize("end", ["filled", "cancelled", "never was"])
def test_cancelling_what_does_not_work_says_that_it_is_gone(end):
    exchange = exchange_at("1000")
    order_id = "4711"
    if end != "never was":
        kind = ("market",) if end == "filled" else ("limit",)
        level = None if end == "filled" else "900"
        order = exchange.create(body("it", "buy", *kind, "1", level), START)
        order_id = order.ref.venue_order_id
    if end == "cancelled":
        exchange.cancel(order_id, START)
    with pytest.raises(OrderGone):
        exchange.cancel(order_id, START)


def test_a_triggered_order_cannot_be_cancelled_but_its_waiting_child_can():
    exchange = exchange_at("1000", linear(child_waits=True))
    exchange.create(body("in", "buy", "market", "1"), START)
    exchange.create(body("sl", "sell", "stop_loss", "1", "900", reduce_only=True), START)
    exchange.apply_bar(bar("850"), START)
    parent, child = exchange.open_orders()
    with pytest.raises(OrderGone, match="triggered"):
        exchange.cancel(parent.ref.venue_order_id, START)
    exchange.cancel(child.ref.venue_order_id, START)
    assert statuses(exchange, "sl") == ["cancelled"]
    assert exchange.positions()


@pytest.mark.parametrize("by", ["client id", "venue id"])
def test_an_order_is_cancelled_by_hand_by_either_id(by):
    exchange = exchange_at("1000")
    order = exchange.create(body("it", "buy", "limit", "1", "900"), START)
    exchange.cancel_by_hand("it" if by == "client id" else order.ref.venue_order_id, START)
    assert statuses(exchange, "it") == ["cancelled"]
    with pytest.raises(CallerError, match="no working order"):
        exchange.cancel_by_hand("it", START)


def test_a_lookup_under_another_symbol_finds_nothing():
    exchange = exchange_at("1000")
    exchange.create(body("it", "buy", "limit", "1", "900"), START)
    assert exchange.find("ETHUSDT", "it") is None
    assert exchange.open_orders("ETHUSDT") == []
    assert len(exchange.open_orders(SYMBOL)) == 1
