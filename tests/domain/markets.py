"""Hypothesis strategies for any market, and ways to look at one case as if it were another."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from typing import Any, TypeVar

from hypothesis import strategies as st

from guardian_core.domain.money import EXACT, Instrument, MarketKind
from guardian_core.domain.orders import OrderSide, PositionSide

T = TypeVar("T")

TICKS = (Decimal("0.00000001"), Decimal("0.01"), Decimal("0.05"), Decimal("0.1"), Decimal(5))
STEPS = (Decimal("0.00001"), Decimal("0.001"), Decimal("0.005"), Decimal(1), Decimal(10))

PRICES = frozenset({"stop_loss", "take_profit", "entry_price", "trigger_price", "price", "last",
                    "mark", "tick"})  # fmt: skip
QUANTITIES = frozenset({"quantity", "remaining", "target_quantity", "net_filled",
                        "filled_quantity", "step", "min_quantity"})  # fmt: skip


def decimals(low: int, high: int, places: int) -> st.SearchStrategy[Decimal]:
    """Every decimal of so many places from `low` to `high`, both in units of the last place."""
    return st.integers(low, high).map(lambda n: Decimal(n).scaleb(-places, EXACT))


@st.composite
def instruments(draw: st.DrawFn, kinds: tuple[MarketKind, ...] = tuple(MarketKind)) -> Instrument:
    """What venues list: coarse and fine ticks and steps, with and without minimums."""
    step = draw(st.sampled_from(STEPS))
    return Instrument(
        symbol="BTCUSDT",
        base="BTC",
        quote="USDT",
        kind=draw(st.sampled_from(kinds)),
        tick=draw(st.sampled_from(TICKS)),
        step=step,
        min_quantity=step * draw(st.integers(0, 20)),
        min_notional=Decimal(draw(st.integers(0, 20))),
    )


def prices_on_tick(instrument: Instrument, ticks_max: int = 10**7) -> st.SearchStrategy[Decimal]:
    return st.integers(1, ticks_max).map(lambda n: EXACT.multiply(Decimal(n), instrument.tick))


def quantities_on_step(
    instrument: Instrument, steps_max: int = 10**6
) -> st.SearchStrategy[Decimal]:
    return st.integers(1, steps_max).map(lambda n: EXACT.multiply(Decimal(n), instrument.step))


def rescaled(thing: T, price_times: Decimal, quantity_times: Decimal) -> T:
    """The same situation on a market of other units."""

    def change(name: str, value: Any) -> Any:
        if not isinstance(value, Decimal):
            return value
        if name in PRICES:
            return value * price_times
        if name in QUANTITIES:
            return value * quantity_times
        return value * price_times * quantity_times if name == "min_notional" else value

    changed: T = _changed(thing, change)
    return changed


def mirrored(thing: T, around: Decimal) -> T:
    """The same situation for the other side: buys are sells, and prices lie on the other side of
    `around`."""
    other: dict[Any, Any] = {side: side.opposite for side in PositionSide}
    other |= {OrderSide.BUY: OrderSide.SELL, OrderSide.SELL: OrderSide.BUY}

    def change(name: str, value: Any) -> Any:
        if isinstance(value, PositionSide | OrderSide):
            return other[value]
        if not isinstance(value, Decimal) or name == "tick":
            return value
        if name in PRICES:
            return 2 * around - value
        return -value if name == "net_filled" else value

    changed: T = _changed(thing, change)
    return changed


def _changed(thing: Any, change: Callable[[str, Any], Any], name: str = "") -> Any:
    if isinstance(thing, tuple):
        return tuple(_changed(one, change, name) for one in thing)
    if is_dataclass(thing) and not isinstance(thing, type):
        values = {f.name: _changed(getattr(thing, f.name), change, f.name) for f in fields(thing)}
        return replace(thing, **values)
    return change(name, thing)
