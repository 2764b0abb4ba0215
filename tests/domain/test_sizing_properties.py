"""Sizing: what an entry may buy, and what an exit leaves, for any instrument."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis.strategies import none

from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import Instrument, MarketKind
from guardian_core.domain.sizing import entry_quantity, exit_target
from tests.domain.markets import decimals, instruments

D = Decimal


percents = decimals(1, 10_000, 2)
prices = decimals(1, 10**10, 4)
leverages = decimals(10, 1250, 1)
fee_percents = decimals(0, 500, 2)
balances = decimals(0, 10**12, 4)


def unless_refused(size: Callable[..., Decimal], *inputs: object) -> Decimal | None:
    """The quantity, or None where the alert's PourCent was blamed; nothing else may be."""
    try:
        return size(*inputs)
    except CallerError as error:
        if error.field != "PourCent":
            raise
        return None


def is_whole(quantity: Decimal, instrument: Instrument) -> bool:
    return (Fraction(quantity) / Fraction(instrument.step)).denominator == 1


@given(balances, percents, leverages, prices, instruments(), fee_percents)
def test_margin_and_fee_fit_in_the_share_and_one_step_more_would_not(
    free, percent, leverage, price, instrument, fee_percent
):
    quantity = unless_refused(
        entry_quantity, free, percent, leverage, price, instrument, fee_percent
    )
    if quantity is None:
        return
    share = Fraction(free) * Fraction(percent) / 100
    times = 1 if instrument.kind is MarketKind.SPOT else Fraction(leverage)

    def needs(coins: Decimal) -> Fraction:
        notional = Fraction(coins) * Fraction(price)
        return notional / times + notional * Fraction(fee_percent) / 100

    assert needs(quantity) <= share < needs(quantity + instrument.step)
    assert is_whole(quantity, instrument)
    assert instrument.is_tradable(quantity, price)


@given(balances, percents, leverages, prices, instruments(), fee_percents, percents)
def test_a_larger_share_never_buys_less(
    free, percent, leverage, price, instrument, fee_percent, other
):
    def buys(share: Decimal) -> Decimal:
        try:
            return entry_quantity(free, share, leverage, price, instrument, fee_percent)
        except CallerError:
            return D(0)

    assert buys(min(percent, other)) <= buys(max(percent, other))


@given(leverages, instruments(kinds=(MarketKind.SPOT,)))
def test_leverage_does_not_count_on_spot(leverage, instrument):
    bought = entry_quantity(D(10**6), D(100), leverage, D(100), instrument, D("0.1"))
    assert bought == entry_quantity(D(10**6), D(100), D(1), D(100), instrument, D("0.1"))


def test_the_error_below_the_minimum_says_the_numbers_and_the_fix():
    instrument = Instrument(
        "BTCUSDT", "BTC", "USDT", MarketKind.LINEAR, D("0.1"), D("0.001"), D("0.002"), D(5)
    )
    with pytest.raises(CallerError) as caught:
        entry_quantity(D("50"), D("10"), D(2), D("40000"), instrument, D("0.05"))
    assert str(caught.value) == (
        "PourCent: 10 % of 50 USDT free at leverage 2 and price 40000 is 0 BTC; "
        "the venue trades BTCUSDT from 0.002 BTC and 5 USDT (raise PourCent, or add funds)"
    )


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"percent": D(0)}, "PourCent"),
        ({"percent": D("100.01")}, "PourCent"),
        ({"percent": D(-5)}, "PourCent"),
        ({"percent": D("NaN")}, "PourCent"),
        ({"price": D(0)}, "price"),
        ({"leverage": D(0)}, "leverage"),
        ({"fee_percent": D(-1)}, "fee_percent"),
        ({"free_quote": D(0)}, "PourCent"),
        ({"free_quote": D(-100)}, "PourCent"),
    ],
    ids=str,
)
def test_input_out_of_range_is_named(changed, field):
    instrument = Instrument(
        "BTCUSDT", "BTC", "USDT", MarketKind.LINEAR, D("0.1"), D("0.001"), D("0.001"), D(0)
    )
    good: dict[str, Any] = {
        "free_quote": D(1000),
        "percent": D(50),
        "leverage": D(1),
        "price": D(100),
        "instrument": instrument,
        "fee_percent": D("0.05"),
    }
    assert entry_quantity(**good) > 0
    with pytest.raises(CallerError) as caught:
        entry_quantity(**{**good, **changed})
    assert caught.value.field == field


maybe_prices = none() | prices


@given(decimals(1, 10**9, 5), percents, instruments(), maybe_prices)
def test_an_exit_leaves_nothing_or_what_can_still_be_sold(live, percent, instrument, price):
    rest = unless_refused(exit_target, live, percent, instrument, price)
    if rest is None:
        assert not instrument.is_tradable(live * percent / 100, price)
        return
    assert rest == 0 or instrument.is_tradable(rest, price)
    if rest:
        sold = live - rest
        asked = Fraction(live) * Fraction(percent) / 100
        assert is_whole(sold, instrument)
        assert instrument.is_tradable(sold, price)
        assert 0 <= asked - Fraction(sold) < Fraction(instrument.step)


@given(decimals(1, 10**9, 5), instruments(), maybe_prices)
def test_all_of_it_leaves_nothing_whatever_the_minimums(live, instrument, price):
    assert exit_target(live, D(100), instrument, price) == 0


@given(decimals(1, 10**9, 5), percents, percents, instruments())
def test_closing_more_never_leaves_more(live, percent, other, instrument):
    assume(percent < other)
    try:
        less = exit_target(live, percent, instrument)
    except CallerError:
        return
    assert exit_target(live, other, instrument) <= less


@pytest.mark.parametrize(
    ("live", "percent", "rest"),
    [
        pytest.param("1", "50", "0.5", id="half"),
        pytest.param("1", "33.333", "0.667", id="the sold part is floored to the step"),
        pytest.param("1.0005", "50", "0.5005", id="a rest finer than the step stays in the rest"),
        pytest.param("1", "95", "0", id="a rest below the minimum is sold too"),
        pytest.param("0.15", "50", "0", id="neither part stands alone, half or more is asked"),
        pytest.param("0.15", "49", None, id="neither part stands alone, less than half is asked"),
        pytest.param("1", "5", None, id="the part asked for is below the minimum"),
    ],
)
def test_partial_exits(live, percent, rest):
    instrument = Instrument(
        "BTCUSDT", "BTC", "USDT", MarketKind.LINEAR, D("0.1"), D("0.001"), D("0.1"), D(0)
    )
    if rest is None:
        with pytest.raises(CallerError, match="PourCent"):
            exit_target(D(live), D(percent), instrument)
    else:
        assert exit_target(D(live), D(percent), instrument) == D(rest)


@pytest.mark.parametrize("live", ["0", "-1"])
def test_nothing_live_cannot_be_closed(live):
    instrument = Instrument(
        "BTCUSDT", "BTC", "USDT", MarketKind.SPOT, D("0.1"), D("0.001"), D("0.1"), D(0)
    )
    with pytest.raises(CallerError, match="no open position"):
        exit_target(D(live), D(50), instrument)
