"""P&L against calculations that share no method with it: cash flows, unit lots, running means.

Named by the numbered rules of `guardian_core.domain.pnl`.
"""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from guardian_core.domain.errors import CallerError
from guardian_core.domain.orders import OrderSide
from guardian_core.domain.pnl import (
    Pnl,
    PnlEvent,
    PnlFill,
    PnlFunding,
    average_price_pnl,
    fee_in_quote,
    fifo_pnl,
)
from tests.domain.markets import decimals

METHODS = pytest.mark.parametrize("method", [average_price_pnl, fifo_pnl])
D = Decimal


sides = st.sampled_from(OrderSide)
quantities = decimals(1, 10**9, 5)
prices = decimals(1, 10**9, 3)
fees = decimals(-(10**6), 10**8, 8)


@st.composite
def fills(draw: st.DrawFn) -> PnlFill:
    """A fill whose fee is paid in quote, or (every other one) taken out of the coins."""
    side, quantity, price = draw(sides), draw(quantities), draw(prices)
    if draw(st.booleans()):
        return PnlFill(side, quantity, price, fee_quote=draw(fees))
    share = draw(decimals(0, 200, 5))
    taken = quantity * share
    return PnlFill(side, quantity, price, fee_quote=taken * price, fee_base=taken)


fundings = decimals(-(10**9), 10**9, 8).map(PnlFunding)
histories = st.lists(fills(), max_size=12)
eventful = st.lists(fills() | fundings, max_size=12)


@st.composite
def flat_histories(draw: st.DrawFn) -> list[PnlEvent]:
    """Any history, then one fill that closes exactly what it left open."""
    events: list[PnlEvent] = list(draw(eventful))
    rest = net(events)
    assume(rest != 0)
    side = OrderSide.SELL if rest > 0 else OrderSide.BUY
    scaled = abs(rest) * 10**18
    assert scaled.denominator == 1
    quantity = D(scaled.numerator).scaleb(-18)
    return [*events, PnlFill(side, quantity, draw(prices), fee_quote=draw(fees))]


def net(events: list[PnlEvent]) -> Fraction:
    return sum((e.position_change for e in events if isinstance(e, PnlFill)), Fraction(0))


def cash(events: list[PnlEvent]) -> Fraction:
    """What the account's quote balance gained: the venue's own arithmetic, fees in coins apart."""
    total = Fraction(0)
    for event in events:
        if isinstance(event, PnlFunding):
            total += Fraction(event.amount)
            continue
        total -= event.side.sign * Fraction(event.quantity) * Fraction(event.price)
        in_coins = Fraction(event.fee_base) * Fraction(event.price)
        total -= Fraction(event.fee_quote) - in_coins
    return total


def running_mean(events: list[PnlEvent]) -> tuple[Fraction, Fraction]:
    """(realized, mean entry) by the textbook's recursion on the mean itself."""
    held = mean = realized = Fraction(0)
    for event in events:
        if isinstance(event, PnlFunding):
            realized += Fraction(event.amount)
            continue
        change, price = event.position_change, Fraction(event.price)
        realized -= Fraction(event.fee_quote)
        if held * change >= 0:
            if change:
                mean = (mean * held + price * change) / (held + change)
        else:
            closed = -change if abs(change) <= abs(held) else held
            realized += closed * (price - mean)
            if abs(change) > abs(held):
                mean = price
        held += change
    return realized, mean if held else Fraction(0)


def unit_queue(events: list[PnlFill]) -> Fraction:
    """Realized by FIFO with whole coins in a queue, one entry per coin."""
    queue: list[tuple[int, Fraction]] = []
    realized = Fraction(0)
    for event in events:
        realized -= Fraction(event.fee_quote)
        for _ in range(int(event.quantity)):
            if queue and queue[0][0] != event.side.sign:
                sign, entry = queue.pop(0)
                realized += sign * (Fraction(event.price) - entry)
            else:
                queue.append((event.side.sign, Fraction(event.price)))
    return realized


def total(values: tuple[Decimal, ...]) -> Fraction:
    return sum((Fraction(v) for v in values), Fraction(0))


def near(value: Decimal, exact: Fraction) -> bool:
    return abs(Fraction(value) - exact) <= Fraction(1, 2 * 10**18)


@given(flat_histories())
def test_rule_1_flat_average_fifo_and_cash_agree_to_the_last_digit(events):
    average, fifo = average_price_pnl(events), fifo_pnl(events)
    assert Fraction(average.realized) == Fraction(fifo.realized) == cash(events)
    assert average.open_quantity == fifo.open_quantity == 0
    assert average.open_cost == fifo.open_cost == 0
    assert average.average_entry is None


@METHODS
@given(events=eventful)
def test_rule_1_what_is_realized_and_what_is_still_held_explain_all_cash(method, events):
    pnl: Pnl = method(events)
    assert Fraction(pnl.open_quantity) == net(events)
    held = Fraction(pnl.open_cost) * (1 if pnl.open_quantity > 0 else -1)
    assert abs(Fraction(pnl.realized) - cash(events) - held) <= Fraction(1, 10**18)


@given(eventful)
def test_rule_1_average_agrees_with_the_running_mean(events):
    realized, mean = running_mean(events)
    pnl = average_price_pnl(events)
    assert near(pnl.realized, realized)
    if pnl.open_quantity:
        assert pnl.average_entry is not None
        assert near(D(pnl.open_cost), mean * abs(Fraction(pnl.open_quantity)))


@given(
    st.lists(
        st.builds(PnlFill, sides, st.integers(1, 9).map(D), prices, fees),
        max_size=12,
    )
)
def test_rule_1_fifo_agrees_with_a_queue_of_single_coins(events):
    assert Fraction(fifo_pnl(events).realized) == unit_queue(events)


@METHODS
@given(events=histories)
def test_rule_2_fees_count_when_they_are_paid(method, events):
    free = [replace(e, fee_quote=D(0)) for e in events]
    fee = sum((Fraction(e.fee_quote) for e in events), Fraction(0))
    assert Fraction(method(events).fees) == fee
    assert abs(Fraction(method(events).realized) - (Fraction(method(free).realized) - fee)) <= (
        Fraction(1, 10**18)
    )


@METHODS
@given(events=histories, amount=decimals(-(10**6), 10**6, 8), at=st.integers(0, 12))
def test_rule_2_funding_counts_wherever_it_falls(method, events, amount, at):
    paid = [*events[:at], PnlFunding(amount), *events[at:]]
    without, with_it = method(events), method(paid)
    assert Fraction(with_it.realized) - Fraction(without.realized) == Fraction(amount)
    assert with_it.open_quantity == without.open_quantity


def test_rule_3_a_spot_buy_that_pays_its_fee_in_coins_costs_what_left_the_account():
    buy = PnlFill(OrderSide.BUY, D(1), D(100), fee_quote=D("0.1"), fee_base=D("0.001"))
    for method in (average_price_pnl, fifo_pnl):
        held = method([buy])
        assert held.open_quantity == D("0.999")
        assert held.open_cost + held.fees == D(100)
        assert held.average_entry == 100
        sold = method([buy, PnlFill(OrderSide.SELL, D("0.999"), D(110), fee_quote=D("0.10989"))])
        assert sold.realized == D("0.999") * 110 - D("0.10989") - 100


@METHODS
def test_rule_4_a_fill_larger_than_the_position_opens_the_rest_at_its_own_price(method):
    flip = method([PnlFill(OrderSide.BUY, D(1), D(100)), PnlFill(OrderSide.SELL, D(3), D(130))])
    assert (flip.realized, flip.open_quantity, flip.average_entry) == (D(30), D(-2), D(130))


def test_the_two_methods_differ_where_they_should():
    entries = [PnlFill(OrderSide.BUY, D(1), D(100)), PnlFill(OrderSide.BUY, D(1), D(200))]
    events = [*entries, PnlFill(OrderSide.SELL, D(1), D(180))]
    assert average_price_pnl(events).realized == 30
    assert fifo_pnl(events).realized == 80
    assert fifo_pnl(events).average_entry == 200


@METHODS
@given(events=eventful)
def test_rule_5_increments_add_up_to_realized_exactly(method, events):
    pnl = method(events)
    assert len(pnl.per_fill) == len(events)
    assert total(pnl.per_fill) == Fraction(pnl.realized)


@METHODS
@given(events=histories)
def test_rule_5_prices_of_a_real_venue_need_no_more_than_18_places(method, events):
    for value in method([replace(e, fee_base=D(0), fee_quote=D(0)) for e in events]).per_fill:
        assert value.as_tuple().exponent >= -18


@METHODS
@given(events=histories, at=st.integers(0, 11), part=st.integers(1, 99))
def test_splitting_a_fill_in_two_at_its_price_changes_nothing(method, events, at, part):
    assume(at < len(events))
    whole = events[at]
    first, second = D(part) / 100, D(100 - part) / 100
    halves = [
        replace(
            whole,
            quantity=whole.quantity * share,
            fee_quote=whole.fee_quote * share,
            fee_base=whole.fee_base * share,
        )
        for share in (first, second)
    ]
    split = method([*events[:at], *halves, *events[at + 1 :]])
    same = method(events)
    assert split.open_quantity == same.open_quantity
    for name in ("realized", "fees", "open_cost"):
        assert abs(getattr(split, name) - getattr(same, name)) <= D("1e-18"), name


@METHODS
@given(
    entry=st.lists(
        st.builds(PnlFill, st.just(OrderSide.BUY), quantities, prices, fees), min_size=1
    ),
    price=prices,
    data=st.data(),
)
def test_the_order_of_entries_alone_changes_no_result_at_flat(method, entry, price, data):
    close = PnlFill(OrderSide.SELL, sum(e.quantity for e in entry), price)
    shuffled = data.draw(st.permutations(entry))
    assert method([*entry, close]).realized == method([*shuffled, close]).realized


@given(
    entry=st.lists(st.builds(PnlFill, st.just(OrderSide.SELL), quantities, prices), min_size=1),
    data=st.data(),
)
def test_the_average_does_not_remember_the_order_of_entries(entry, data):
    shuffled = data.draw(st.permutations(entry))
    assert average_price_pnl(entry).open_cost == average_price_pnl(shuffled).open_cost


@METHODS
@given(events=histories)
def test_a_short_loses_what_the_mirrored_long_wins(method, events):
    plain = [replace(e, fee_quote=D(0), fee_base=D(0)) for e in events]
    other = {OrderSide.BUY: OrderSide.SELL, OrderSide.SELL: OrderSide.BUY}
    mirrored = method([replace(e, side=other[e.side]) for e in plain])
    straight = method(plain)
    assert mirrored.realized == -straight.realized
    assert mirrored.open_quantity == -straight.open_quantity
    assert mirrored.open_cost == straight.open_cost


@METHODS
@given(entry=prices, exit_=prices, quantity=quantities, side=sides)
def test_profit_has_the_sign_of_the_move(method, entry, exit_, quantity, side):
    other = OrderSide.SELL if side is OrderSide.BUY else OrderSide.BUY
    pnl = method([PnlFill(side, quantity, entry), PnlFill(other, quantity, exit_)])
    assert pnl.realized == side.sign * quantity * (exit_ - entry)


@METHODS
def test_nothing_happened_is_zero_and_empty(method):
    assert method([]) == Pnl(D(0), D(0), D(0), D(0), ())


@pytest.mark.parametrize(("quantity", "price"), [("0", "1"), ("-1", "1"), ("1", "0"), ("NaN", "1")])
def test_a_fill_without_size_or_price_is_refused(quantity, price):
    with pytest.raises(CallerError):
        PnlFill(OrderSide.BUY, D(quantity), D(price))


@pytest.mark.parametrize(
    ("fee", "currency", "worth"),
    [
        pytest.param("1.5", "USDT", "1.5", id="quote stays"),
        pytest.param("0.001", "BTC", "42", id="base at the fill's own price"),
        pytest.param("0.1", "BNB", "60", id="a third currency at its price"),
        pytest.param("-0.1", "BNB", "-60", id="a rebate stays a rebate"),
        pytest.param("0.1", "XYZ", None, id="an unknown price is not zero"),
        pytest.param("0", "XYZ", "0", id="no fee needs no price"),
    ],
)
def test_fees_turn_into_quote(fee, currency, worth):
    got = fee_in_quote(D(fee), currency, "BTC", "USDT", D(42000), {"BNB": D(600)})
    assert got == (None if worth is None else D(worth))


@given(fee=decimals(1, 10**35, 18), price=decimals(1, 10**35, 18))
def test_a_converted_fee_loses_no_digit(fee, price):
    got = fee_in_quote(fee, "BTC", "BTC", "USDT", price, {})
    assert got is not None
    assert Fraction(got) == Fraction(fee) * Fraction(price)
