"""Each refusal that a real venue gives, with what is just acceptable beside it."""

from decimal import Decimal

import pytest

from guardian_core.domain.errors import CallerError, Rejected, RejectReason
from guardian_core.domain.orders import OrderRef
from tests.support.clock import START
from tests.support.paper import NO_FEES, SYMBOL, body, exchange_at, linear, spot

R = RejectReason

# id: rules, price, orders accepted and prices set before, the order, reason (None: accepted)
CASES = {
    "linear market buy for all there is": (
        linear(**NO_FEES), "1000", [], ("buy", "market", "10"), None,
    ),
    "linear market buy one step beyond": (
        linear(**NO_FEES), "1000", [], ("buy", "market", "10.001"), R.INSUFFICIENT_FUNDS,
    ),
    "linear fee does not fit any more": (
        linear(), "1000", [], ("buy", "market", "10"), R.INSUFFICIENT_FUNDS,
    ),
    "leverage makes the same order fit": (
        linear(leverage=Decimal(2)), "1000", [], ("buy", "market", "10"), None,
    ),
    "a limit order's margin is locked": (
        linear(**NO_FEES), "1000", [("buy", "limit", "6", "1000")],
        ("buy", "limit", "4.001", "1000"), R.INSUFFICIENT_FUNDS,
    ),
    "a marketable limit sell is weighed by the price it gets": (
        linear(**NO_FEES), "1000", [], ("sell", "limit", "11", "500"), R.INSUFFICIENT_FUNDS,
    ),
    "turning a position round needs margin for the far side only": (
        linear(**NO_FEES), "1000", [("buy", "market", "10")], ("sell", "market", "20"), None,
    ),
    "turning round to more than there is": (
        linear(**NO_FEES), "1000", [("buy", "market", "10")],
        ("sell", "market", "20.001"), R.INSUFFICIENT_FUNDS,
    ),
    "turning round with a loss leaves less to turn with": (
        linear(**NO_FEES), "1000", [("buy", "market", "10"), "900"],
        ("sell", "market", "20"), None,
    ),
    "turning round with a loss to more than it leaves": (
        linear(**NO_FEES), "1000", [("buy", "market", "10"), "900"],
        ("sell", "market", "20.001"), R.INSUFFICIENT_FUNDS,
    ),
    "spot market buy for all there is": (
        spot(), "1000", [], ("buy", "market", "10"), None,
    ),
    "spot market buy one step beyond": (
        spot(), "1000", [], ("buy", "market", "10.00001"), R.INSUFFICIENT_FUNDS,
    ),
    "spot sells no coins that are not there": (
        spot(), "1000", [], ("sell", "market", "1"), R.INSUFFICIENT_FUNDS,
    ),
    "a spot stop locks the coins": (
        spot(**NO_FEES), "1000", [("buy", "market", "2"), ("sell", "stop_loss", "2", "900")],
        ("sell", "take_profit", "0.01", "1100"), R.INSUFFICIENT_FUNDS,
    ),
    "spot coins are fewer by the fee": (
        spot(), "1000", [("buy", "market", "2")], ("sell", "stop_loss", "2", "900"),
        R.INSUFFICIENT_FUNDS,
    ),
    "quantity below the minimum": (
        linear(), "1000000", [], ("buy", "market", "0.0005"), R.INVALID_ORDER,
    ),
    "notional just below the minimum": (
        linear(), "1000", [], ("buy", "market", "0.004"), R.BELOW_MINIMUM,
    ),
    "notional at the minimum": (linear(), "1000", [], ("buy", "market", "0.005"), None),
    "limit notional counts at the limit": (
        linear(), "1000", [], ("buy", "limit", "0.005", "999"), R.BELOW_MINIMUM,
    ),
    "a reduce-only order needs no notional": (
        linear(), "1000", [("buy", "market", "0.005")],
        ("sell", "stop_loss", "0.005", "500", True), None,
    ),
    "on spot reduce-only needs the notional all the same": (
        spot(), "1000", [("buy", "market", "1")],
        ("sell", "stop_loss", "0.005", "500", True), R.BELOW_MINIMUM,
    ),
    "off the step": (linear(), "1000", [], ("buy", "market", "1.0001"), R.INVALID_ORDER),
    "limit off the tick": (linear(), "1000", [], ("buy", "limit", "1", "900.05"), R.INVALID_ORDER),
    "trigger off the tick": (
        linear(), "1000", [], ("sell", "stop_loss", "1", "900.05"), R.INVALID_ORDER,
    ),
    "market order without a price": (
        linear(), None, [], ("buy", "market", "1"), R.INVALID_ORDER,
    ),
    "trigger order without a price": (linear(), None, [], ("buy", "stop_loss", "1", "900"), None),
    "stop-loss sell at the price": (
        linear(), "1000", [], ("sell", "stop_loss", "1", "1000"), R.CROSSED,
    ),
    "stop-loss sell a tick below": (
        linear(), "1000", [], ("sell", "stop_loss", "1", "999.9"), None,
    ),
    "take-profit sell at the price": (
        linear(), "1000", [], ("sell", "take_profit", "1", "1000"), R.CROSSED,
    ),
    "take-profit sell a tick above": (
        linear(), "1000", [], ("sell", "take_profit", "1", "1000.1"), None,
    ),
    "stop-loss buy at the price": (
        linear(), "1000", [], ("buy", "stop_loss", "1", "1000"), R.CROSSED,
    ),
    "stop-loss buy a tick above": (
        linear(), "1000", [], ("buy", "stop_loss", "1", "1000.1"), None,
    ),
    "take-profit buy at the price": (
        linear(), "1000", [], ("buy", "take_profit", "1", "1000"), R.CROSSED,
    ),
    "take-profit buy a tick below": (
        linear(), "1000", [], ("buy", "take_profit", "1", "999.9"), None,
    ),
    "reduce-only when flat": (
        linear(), "1000", [], ("sell", "stop_loss", "1", "900", True), R.REDUCE_ONLY,
    ),
    "reduce-only of the position's own side": (
        linear(), "1000", [("buy", "market", "1")], ("buy", "market", "1", None, True),
        R.REDUCE_ONLY,
    ),
    "reduce-only larger than the position": (
        linear(), "1000", [("buy", "market", "1")], ("sell", "stop_loss", "5", "900", True), None,
    ),
    "reduce-only sell of spot coins that are not there": (
        spot(), "1000", [], ("sell", "market", "1", None, True), R.REDUCE_ONLY,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("rules", "price", "before", "order", "reason"), CASES.values(), ids=CASES)
def test_an_order_is_accepted_or_refused_for_its_reason(rules, price, before, order, reason):
    exchange = exchange_at(price, rules)
    for number, earlier in enumerate(before):
        if isinstance(earlier, str):
            exchange.set_price(SYMBOL, Decimal(earlier), START)
        else:
            exchange.create(_body(f"before{number}", *earlier), START)
    exchange.drain()
    events = len(exchange.events)

    if reason is None:
        accepted = exchange.create(_body("it", *order), START)
        assert exchange.find(SYMBOL, "it") == accepted
        return

    with pytest.raises(Rejected) as refusal:
        exchange.create(_body("it", *order), START)
    assert refusal.value.reason is reason
    assert exchange.drain() == ()
    assert len(exchange.events) == events
    assert exchange.find(SYMBOL, "it") is None


def _body(name, side, type_, quantity, level=None, reduce_only=False):
    return body(name, side, type_, quantity, level, reduce_only=reduce_only)


def test_a_symbol_that_is_not_traded_is_refused_by_name():
    exchange = exchange_at("1000")
    with pytest.raises(Rejected) as refusal:
        exchange.create(body("it", "buy", "market", "1", symbol="NOSUCH"), START)
    assert refusal.value.reason is R.UNKNOWN_SYMBOL

    with pytest.raises(CallerError, match=r"Symbol: .*NOSUCH.*BTCUSDT") as wrong:
        exchange.instrument("NOSUCH")
    assert wrong.value.field == "Symbol"


@pytest.mark.parametrize("ending", ["filled", "cancelled", "working", "forgotten"])
def test_a_client_order_id_is_used_once_for_ever(ending):
    exchange = exchange_at("1000")
    if ending == "filled":
        exchange.create(body("it", "buy", "market", "1"), START)
    else:
        order = exchange.create(body("it", "buy", "limit", "1", "900"), START)
        if ending == "cancelled":
            exchange.cancel(order.ref.venue_order_id, START)
        elif ending == "forgotten":
            exchange.forget(order.ref.venue_order_id, START)
    with pytest.raises(Rejected) as refusal:
        exchange.create(body("it", "sell", "market", "1"), START)
    assert refusal.value.reason is R.DUPLICATE_ID


def test_the_id_of_a_refused_order_may_be_used_again():
    exchange = exchange_at("1000")
    with pytest.raises(Rejected):
        exchange.create(body("it", "buy", "market", "0.004"), START)
    exchange.create(body("it", "buy", "market", "1"), START)


def test_a_market_order_without_a_price_tells_how_to_give_one():
    with pytest.raises(Rejected, match="guardian paper price BTCUSDT"):
        exchange_at(None).create(body("it", "buy", "market", "1"), START)


@pytest.mark.parametrize("leverage", ["0.5", "126"])
def test_leverage_has_bounds(leverage):
    with pytest.raises(Rejected) as refusal:
        exchange_at("1000").set_leverage(SYMBOL, Decimal(leverage), START)
    assert refusal.value.reason is R.INVALID_ORDER


def test_leverage_is_not_lowered_below_what_a_position_can_pay():
    exchange = exchange_at("1000", linear(leverage=Decimal(10)))
    exchange.create(body("it", "buy", "market", "50"), START)
    with pytest.raises(Rejected) as refusal:
        exchange.set_leverage(SYMBOL, Decimal(2), START)
    assert refusal.value.reason is R.INSUFFICIENT_FUNDS
    exchange.set_leverage(SYMBOL, Decimal(20), START)


def test_spot_has_no_leverage():
    exchange = exchange_at("1000", spot())
    exchange.set_leverage(SYMBOL, Decimal(1), START)
    with pytest.raises(Rejected) as refusal:
        exchange.set_leverage(SYMBOL, Decimal(2), START)
    assert refusal.value.reason is R.NOT_PERMITTED


# id: rules, the second leg (or both legs' difference), reason
PAIRS = {
    "derivatives have no pairs": (linear(), ("sell", "take_profit", "1", "1100"), R.NOT_PERMITTED),
    "legs of two sizes": (spot(), ("sell", "take_profit", "0.5", "1100"), R.INVALID_ORDER),
    "legs of two sides": (spot(), ("buy", "take_profit", "1", "900"), R.INVALID_ORDER),
    "two stops": (spot(), ("sell", "stop_loss", "1", "800"), R.INVALID_ORDER),
    "a crossed take-profit": (spot(), ("sell", "take_profit", "1", "1000"), R.CROSSED),
    "a limit that would fill": (spot(), ("sell", "limit", "1", "990"), R.CROSSED),
}


@pytest.mark.parametrize(("rules", "second", "reason"), PAIRS.values(), ids=PAIRS)
def test_a_pair_is_refused_as_a_whole(rules, second, reason):
    exchange = exchange_at("1000", rules)
    exchange.create(body("entry", "buy", "market", "2"), START)
    stop = body("sl", "sell", "stop_loss", "1", "900")
    with pytest.raises(Rejected) as refusal:
        exchange.create_pair(stop, _body("tp", *second), START)
    assert refusal.value.reason is reason
    assert exchange.open_orders() == []


def test_a_venue_that_cannot_amend_says_so():
    exchange = exchange_at("1000")
    order = exchange.create(body("it", "buy", "limit", "1", "900"), START)
    with pytest.raises(Rejected) as refusal:
        exchange.amend(order.ref, body("other", "buy", "limit", "1", "800"), START)
    assert refusal.value.reason is R.NOT_PERMITTED


# id: the amendment, reason
AMENDMENTS = {
    "another side": (("sell", "limit", "1", "1100"), R.INVALID_ORDER),
    "another type": (("buy", "take_profit", "1", "900"), R.INVALID_ORDER),
    "off the tick": (("buy", "limit", "1", "900.05"), R.INVALID_ORDER),
    "more than there is": (("buy", "limit", "12", "900"), R.INSUFFICIENT_FUNDS),
}


@pytest.mark.parametrize(("amendment", "reason"), AMENDMENTS.values(), ids=AMENDMENTS)
def test_a_refused_amendment_leaves_the_order_as_it_was(amendment, reason):
    exchange = exchange_at("1000", linear(amend=True))
    order = exchange.create(body("it", "buy", "limit", "1", "900"), START)
    with pytest.raises(Rejected) as refusal:
        exchange.amend(order.ref, _body("other", *amendment), START)
    assert refusal.value.reason is reason
    assert exchange.open_orders() == [order]


def test_an_unknown_order_cannot_be_amended():
    exchange = exchange_at("1000", linear(amend=True))
    ref = OrderRef("4711", SYMBOL, conditional=False)
    with pytest.raises(Exception, match="4711 is not working"):
        exchange.amend(ref, body("other", "buy", "limit", "1", "800"), START)
