"""Prices and quantities: what is let in, and how it is rounded."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import (
    EXACT,
    Instrument,
    MarketKind,
    floor_to_step,
    parse_decimal,
    plain,
    round_price,
)
from guardian_core.domain.orders import PositionSide, Role
from guardian_core.domain.plan import check_level, check_levels, crossed_percent
from tests.domain.markets import decimals, instruments, prices_on_tick, quantities_on_step

D = Decimal


admitted = decimals(-(10**36) + 1, 10**36 - 1, 18)
"""Every number that parse_decimal lets in."""
positive = decimals(1, 10**36 - 1, 18)
units = decimals(1, 10**20, 18)


@given(admitted)
def test_a_number_survives_parsing_from_decimal_and_from_text(number):
    assert parse_decimal(number, "x") == number
    assert parse_decimal(f"  {number:f}\n", "x") == number
    assert parse_decimal(str(number), "x") == number


@given(st.integers(-(10**18) + 1, 10**18 - 1))
def test_an_int_is_taken_as_it_is(number):
    assert parse_decimal(number, "x") == number


@given(st.floats(min_value=-1e17, max_value=1e17))
def test_a_float_goes_through_its_shortest_text_or_is_too_fine(number):
    shortest = D(repr(number))
    if shortest and int(shortest.as_tuple().exponent) < -18:
        with pytest.raises(CallerError, match="too fine"):
            parse_decimal(number, "x")
    else:
        assert parse_decimal(number, "x") == shortest


@pytest.mark.parametrize(
    "value",
    [
        "NaN", "nan", "sNaN", "-NaN", "Infinity", "-inf", float("nan"), float("inf"), D("NaN"),
        D("sNaN"), D("-Infinity"), "", " ", "abc", "1,5", "1 000", "1_000", "0x10", "1e", "--1",
        "١٢", "\uff11\uff12", "1\x00", "\ud800", "½", None, True, False, [], {}, b"1", 1j,
        "1e18", D("1e18"), 10**18, "9" * 70_000, 10**5000, -(10**5000), "1e999999999",
        "1e99999999999999999999", 1e18, "1e-19", D("0.1234567890123456789"), 1e-300,
    ],
    ids=lambda v: repr(v)[:24] if not isinstance(v, int) or abs(v) < 10**20 else "a huge int",
)  # fmt: skip
def test_what_is_no_usable_number_is_refused_by_name_and_briefly(value):
    with pytest.raises(CallerError) as caught:
        parse_decimal(value, "PrixSL")
    assert caught.value.field == "PrixSL"
    assert len(str(caught.value)) < 120


@given(st.text(max_size=50) | st.floats() | st.decimals() | st.integers() | st.none())
@example("-0")
def test_anything_is_either_a_bounded_number_or_the_callers_error(value):
    try:
        number = parse_decimal(value, "x")
    except CallerError:
        return
    assert number.is_finite()
    assert abs(number) < 10**18
    assert (Fraction(number) * 10**18).denominator == 1


@pytest.mark.parametrize("zero", ["0", "-0", "0.00", "0e5000", "0e-5000", 0, -0.0, D("0E+9999")])
def test_every_zero_is_the_same_plain_zero(zero):
    assert str(parse_decimal(zero, "x")) == "0"


@given(admitted)
def test_plain_text_is_exact_short_and_has_no_exponent(number):
    text = plain(number)
    assert D(text) == number
    assert set(text) <= set("-0123456789.")
    assert text != "-0"
    assert "." not in text or not text.endswith(("0", "."))
    assert plain(EXACT.add(number, D("0.000000000000000000"))) == text


@given(positive, units)
def test_flooring_gives_whole_steps_never_more_and_never_a_step_less(value, step):
    floored = floor_to_step(value, step)
    assert (Fraction(floored) / Fraction(step)).denominator == 1
    assert 0 <= Fraction(value) - Fraction(floored) < Fraction(step)


@given(positive, units)
def test_flooring_twice_is_flooring_once(value, step):
    once = floor_to_step(value, step)
    assert floor_to_step(once, step) == once


@given(admitted, units)
def test_flooring_treats_both_signs_alike(value, step):
    other = floor_to_step(value.copy_negate(), step)
    assert other == floor_to_step(value, step).copy_negate()


def test_a_quotient_a_hair_below_a_whole_number_is_not_rounded_up():
    step = D("999999999999999999.999999999999999999")
    value = D("999999999999999999.999999999999999998")
    assert floor_to_step(value, step) == 0


@given(admitted, units, st.booleans())
def test_a_rounded_price_is_the_nearest_tick_on_the_side_asked_for(price, tick, up):
    rounded = round_price(price, tick, up=up)
    assert (Fraction(rounded) / Fraction(tick)).denominator == 1
    gap = Fraction(rounded) - Fraction(price)
    assert gap >= 0 if up else gap <= 0
    assert abs(gap) < Fraction(tick)
    assert round_price(rounded, tick, up=not up) == rounded


def instrument(**changes: object) -> Instrument:
    values = {
        "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT", "kind": MarketKind.LINEAR,
        "tick": D("0.1"), "step": D("0.001"), "min_quantity": D("0.002"), "min_notional": D(5),
    }  # fmt: skip
    return Instrument(**{**values, **changes})  # type: ignore[arg-type]


@given(positive, units, st.booleans())
def test_a_price_is_never_worse_than_asked(price, tick, selling):
    rounded = instrument(tick=tick).round_for_side(price, selling=selling)
    assert rounded >= price if selling else rounded <= price


@given(st.data())
def test_what_lies_on_the_tick_or_the_step_already_stays(data):
    one = data.draw(instruments())
    price, quantity = data.draw(prices_on_tick(one)), data.draw(quantities_on_step(one))
    assert one.round_for_side(price, selling=True) == price
    assert one.round_for_side(price, selling=False) == price
    assert one.floor_quantity(quantity) == quantity


@pytest.mark.parametrize("field", ["tick", "step", "contract_size"])
@pytest.mark.parametrize("value", ["0", "-1"])
def test_an_instrument_without_units_is_refused(field, value):
    with pytest.raises(CallerError) as caught:
        instrument(**{field: D(value)})
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("quantity", "price", "tradable"),
    [
        pytest.param("0.002", None, True, id="the minimum itself"),
        pytest.param("0.0019", None, False, id="below the minimum"),
        pytest.param("0.0029", None, True, id="more than whole steps, enough in whole steps"),
        pytest.param("0.002", "2500", True, id="the least notional itself"),
        pytest.param("0.002", "2499.9", False, id="below the least notional"),
        pytest.param("0.0029", "2000", False, id="the notional of whole steps counts"),
        pytest.param("0", None, False, id="nothing"),
    ],
)
def test_what_a_venue_would_take(quantity, price, tradable):
    assert instrument().is_tradable(D(quantity), None if price is None else D(price)) is tradable


@given(positive, st.none() | positive)
def test_no_part_of_an_untradable_quantity_is_tradable(quantity, price):
    one = instrument()
    if not one.is_tradable(quantity, price):
        assert not one.is_tradable(EXACT.divide(quantity, D(2)), price)


prices = decimals(1, 10**12, 6)
SIDES = st.sampled_from(PositionSide)


def mirrored(level: Decimal, around: Decimal) -> Decimal:
    return EXACT.subtract(EXACT.multiply(D(2), around), level)


@given(SIDES, prices, prices)
def test_levels_are_right_for_one_side_exactly_when_wrong_for_the_other(side, stop, take):
    def accepts(one: PositionSide) -> bool:
        try:
            check_levels(one, stop, take)
        except CallerError:
            return False
        return True

    assert accepts(PositionSide.LONG) is (stop < take)
    assert accepts(PositionSide.SHORT) is (stop > take)
    assert not (accepts(side) and accepts(side.opposite))


@given(SIDES, st.none() | prices, st.none() | prices)
def test_a_single_level_cannot_be_inverted(side, stop, take):
    if stop is None or take is None:
        check_levels(side, stop, take)


@given(SIDES, st.sampled_from([Role.STOP_LOSS, Role.TAKE_PROFIT]), prices, prices)
def test_a_level_is_crossed_alike_for_a_long_and_its_mirrored_short(side, role, level, price):
    crossed = crossed_percent(side, role, level, price)
    assert crossed == crossed_percent(side.opposite, role, mirrored(level, price), price)


@given(SIDES, prices, prices)
def test_stop_and_take_at_one_level_are_crossed_from_opposite_sides(side, level, price):
    stop = crossed_percent(side, Role.STOP_LOSS, level, price)
    take = crossed_percent(side, Role.TAKE_PROFIT, level, price)
    if level == price:
        assert stop == take == 0
    else:
        assert (stop is None) != (take is None)


@given(SIDES, st.sampled_from([Role.STOP_LOSS, Role.TAKE_PROFIT]), prices, prices)
def test_the_percentage_is_of_the_price(side, role, level, price):
    crossed = crossed_percent(side, role, level, price)
    if crossed is not None:
        exact = abs(Fraction(level) - Fraction(price)) * 100 / Fraction(price)
        assert abs(Fraction(crossed) - exact) <= exact / 10**60


def test_a_longs_stop_above_the_price_is_crossed():
    assert crossed_percent(PositionSide.LONG, Role.STOP_LOSS, D(102), D(100)) == 2
    assert crossed_percent(PositionSide.LONG, Role.STOP_LOSS, D(98), D(100)) is None


@pytest.mark.parametrize("value", ["0", "-1", "nan", None, "abc"])
def test_a_level_is_a_price_above_zero(value):
    with pytest.raises(CallerError) as caught:
        check_level(value, "PrixTP")
    assert caught.value.field == "PrixTP"
