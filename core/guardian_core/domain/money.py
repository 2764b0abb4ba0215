"""Decimal arithmetic for prices and quantities, and the instrument that bounds them.

A float never carries a price or a quantity. Quantities are in base units (coins), never in
contracts, unless a name says `_contracts`.
"""

from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from enum import StrEnum

from guardian_core.domain.errors import CallerError

ZERO = Decimal(0)

EXACT = Context(prec=80)
"""Exact for products of any two numbers that `parse_decimal` lets in (36 digits each), and for
whole quotients of them."""

MAX_DIGITS_BEFORE_POINT = 18
MAX_DIGITS_AFTER_POINT = 18
_BITS_MAX = 64
"""Of an int: more is beyond 18 digits, and Python refuses to print the really long ones."""


class MarketKind(StrEnum):
    """What kind of market a symbol trades on. Inverse contracts are refused elsewhere."""

    SPOT = "spot"
    LINEAR = "linear"


def parse_decimal(value: object, field: str) -> Decimal:
    """A finite Decimal with at most 18 digits on each side of the point.

    Accepts Decimal, int, and text (ASCII digits, no `1_000`); a float goes through its shortest
    text form. Every zero becomes plain 0. Raises CallerError that names `field`.
    """
    if isinstance(value, bool) or not isinstance(value, Decimal | int | float | str):
        raise CallerError(field, f"{_shown(value)} is not a number", "send a decimal number")
    if isinstance(value, int) and value.bit_length() > _BITS_MAX:
        raise CallerError(field, "the number is too large", "at most 18 digits")
    number = value if isinstance(value, Decimal) else _from_text(str(value), field)
    if not number.is_finite():
        raise CallerError(field, f"{_shown(value)} is not finite", "send a finite number")
    if number == 0:
        return ZERO
    if number.adjusted() >= MAX_DIGITS_BEFORE_POINT:
        raise CallerError(field, f"{_shown(value)} is too large", "at most 18 digits")
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -MAX_DIGITS_AFTER_POINT:
        raise CallerError(field, f"{_shown(value)} is too fine", "at most 18 decimal places")
    return number


def _from_text(text: str, field: str) -> Decimal:
    """Stricter than Decimal, which takes underscores and the digits of every script."""
    try:
        if text.isascii() and "_" not in text:
            return Decimal(text.strip())
    except InvalidOperation:
        pass
    raise CallerError(field, f"{_shown(text)} is not a number", "send a number")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def plain(value: Decimal) -> str:
    """The shortest exact text without an exponent: `1E+2` gives `100`, `1.50` gives `1.5`."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def floor_to_step(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` that is no larger in size than `value`."""
    return EXACT.multiply(EXACT.divide_int(value, step), step)


def round_price(price: Decimal, tick: Decimal, *, up: bool) -> Decimal:
    """The nearest multiple of `tick` at or above (`up`) or at or below the price."""
    below = floor_to_step(price, tick)
    if below > price:  # the price is below zero, and flooring went towards it
        below = EXACT.subtract(below, tick)
    return EXACT.add(below, tick) if up and below < price else below


@dataclass(frozen=True, slots=True)
class Instrument:
    """What a venue says of one symbol. Prices are quote per base; quantities are base units."""

    symbol: str
    base: str
    quote: str
    kind: MarketKind
    tick: Decimal
    step: Decimal
    min_quantity: Decimal
    min_notional: Decimal
    contract_size: Decimal = Decimal(1)

    def __post_init__(self) -> None:
        for name in ("tick", "step", "contract_size"):
            if getattr(self, name) <= 0:
                raise CallerError(name, f"must be above 0 for {self.symbol}")

    def floor_quantity(self, quantity: Decimal) -> Decimal:
        """The quantity in whole steps, never more than given."""
        return floor_to_step(quantity, self.step)

    def round_for_side(self, price: Decimal, *, selling: bool) -> Decimal:
        """A price never worse than asked: a sell rounds up, a buy rounds down.

        So a long's stop-loss gives up no more than was asked and its take-profit earns no
        less, and a limit entry never pays more than its limit.
        """
        return round_price(price, self.tick, up=selling)

    def trigger_price(self, level: Decimal, *, selling: bool) -> Decimal:
        """A desired level as a venue takes it: rounded for its side, and at least one tick."""
        return max(self.round_for_side(level, selling=selling), self.tick)

    def is_tradable(self, quantity: Decimal, price: Decimal | None) -> bool:
        """Whether the venue would take an order of this quantity (at this price, if known)."""
        whole = self.floor_quantity(quantity)
        if whole <= 0 or whole < self.min_quantity:
            return False
        return price is None or EXACT.multiply(whole, price) >= self.min_notional
