"""Profit and loss of a sequence of fills, by average price and by FIFO, exact.

Called by the Order Monitor with one state's fills in order. Quantities are base units, money is
quote. Rules, each a property test:

1. Inside, all is a Fraction. A result is rounded (half even) to 18 decimal places, or to as many
   as the fills' own products need where that is more; so whatever is exact comes out exact, and
   at flat that is everything: both methods then agree with the cash that moved.
2. Fees count when they are paid, not when the position closes; funding likewise.
3. A spot fee taken out of the coins: `quantity` is what the venue says was traded, and the
   position moves by that less `fee_base`. `fee_quote` is the worth of the whole fee, so a buy of
   `q` with `fee_base` f books `q - f` coins at the price, and a fee of `f * price`: together
   exactly the `q * price` that left the account.
4. A fill larger than the position closes it and opens the rest on the other side, at its price.
5. `per_fill` are differences of rounded running totals: they add up to `realized` exactly.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import EXACT, ZERO
from guardian_core.domain.orders import OrderSide

PLACES = 18


@dataclass(frozen=True, slots=True)
class PnlFill:
    """One execution. Fees above 0 were paid, below 0 earned (a maker's rebate)."""

    side: OrderSide
    quantity: Decimal
    price: Decimal
    fee_quote: Decimal = ZERO
    fee_base: Decimal = ZERO

    def __post_init__(self) -> None:
        for name in ("quantity", "price"):
            value = getattr(self, name)
            if not value.is_finite() or value <= 0:
                raise CallerError(name, f"{value} of a fill must be above 0")

    @property
    def position_change(self) -> Fraction:
        """Signed, in coins that really came or went."""
        return self.side.sign * Fraction(self.quantity) - Fraction(self.fee_base)


@dataclass(frozen=True, slots=True)
class PnlFunding:
    """A payment for holding a derivative, in quote: received above 0, paid below."""

    amount: Decimal


PnlEvent = PnlFill | PnlFunding


@dataclass(frozen=True, slots=True)
class Pnl:
    """`realized` is net of fees and holds funding. `open_quantity` is signed (long above 0),
    `open_cost` what that rest was entered for (never below 0). `per_fill`: what each event
    added to `realized`."""

    realized: Decimal
    fees: Decimal
    open_quantity: Decimal
    open_cost: Decimal
    per_fill: tuple[Decimal, ...]

    @property
    def average_entry(self) -> Decimal | None:
        """The open rest's average entry price to 18 places; None when flat."""
        if self.open_quantity == 0:
            return None
        return _rounded(abs(Fraction(self.open_cost) / Fraction(self.open_quantity)), PLACES)


def average_price_pnl(fills: Sequence[PnlEvent]) -> Pnl:
    """Every coin of the position costs the same: the average of its entries."""
    return _pnl(fills, _enter_average)


def fifo_pnl(fills: Sequence[PnlEvent]) -> Pnl:
    """The coins that came first go first, each at its own cost."""
    return _pnl(fills, _enter_fifo)


def fee_in_quote(
    fee: Decimal,
    fee_currency: str,
    base: str,
    quote: str,
    price: Decimal,
    other_prices: Mapping[str, Decimal],
) -> Decimal | None:
    """A fee's worth in quote, at the fill's own price where it was paid in base.

    `other_prices`: quote per unit of a third currency (BNB, KCS, …). None when that is not
    known: the P&L is then incomplete, and says so.
    """
    if fee == 0 or fee_currency == quote:
        return fee
    worth = price if fee_currency == base else other_prices.get(fee_currency)
    return None if worth is None else EXACT.multiply(fee, worth)


@dataclass(slots=True)
class _Lot:
    """Coins still held (signed, short below 0) and the money they were entered for (above 0)."""

    quantity: Fraction
    cost: Fraction


_Lots = list[_Lot]
_Enter = Callable[[_Lots, _Lot], None]


def _enter_fifo(lots: _Lots, lot: _Lot) -> None:
    lots.append(lot)


def _enter_average(lots: _Lots, lot: _Lot) -> None:
    if lots:
        lots[0].quantity += lot.quantity
        lots[0].cost += lot.cost
    else:
        lots.append(lot)


def _pnl(events: Sequence[PnlEvent], enter: _Enter) -> Pnl:
    places = _places(events)
    lots: _Lots = []
    realized = fees = Fraction(0)
    totals = [ZERO]
    for event in events:
        if isinstance(event, PnlFunding):
            realized += Fraction(event.amount)
        else:
            realized += _trade(lots, event, enter) - Fraction(event.fee_quote)
            fees += Fraction(event.fee_quote)
        totals.append(_rounded(realized, places))
    return Pnl(
        realized=totals[-1],
        fees=_rounded(fees, places),
        open_quantity=_rounded(sum((lot.quantity for lot in lots), Fraction(0)), places),
        open_cost=_rounded(sum((lot.cost for lot in lots), Fraction(0)), places),
        per_fill=tuple(_rounded(Fraction(b) - Fraction(a), places) for a, b in pairwise(totals)),
    )


def _trade(lots: _Lots, fill: PnlFill, enter: _Enter) -> Fraction:
    """Closes what the fill can close, oldest lot first; opens the rest. The profit, before fees."""
    change, price = fill.position_change, Fraction(fill.price)
    profit = Fraction(0)
    while change and lots and (lots[0].quantity > 0) != (change > 0):
        lot = lots[0]
        part = min(Fraction(1), abs(change / lot.quantity))
        closed, cost = lot.quantity * part, lot.cost * part
        profit += closed * price - (cost if closed > 0 else -cost)
        change += closed
        lot.quantity -= closed
        lot.cost -= cost
        if lot.quantity == 0:
            del lots[0]
    if change:
        enter(lots, _Lot(change, abs(change) * price))
    return profit


def _places(events: Sequence[PnlEvent]) -> int:
    """How many decimal places hold every amount that the events moved."""
    places = PLACES
    for event in events:
        if isinstance(event, PnlFunding):
            amounts = [Fraction(event.amount)]
        else:
            change = event.position_change
            amounts = [change, change * Fraction(event.price), Fraction(event.fee_quote)]
        for amount in amounts:
            while (amount * 10**places).denominator != 1:
                places += 1
    return places


def _rounded(value: Fraction, places: int) -> Decimal:
    """Half even, without trailing zeros, whatever the context's precision."""
    scaled = round(value * 10**places)
    while places > 0 and scaled % 10 == 0:
        scaled //= 10
        places -= 1
    digits = tuple(int(digit) for digit in str(abs(scaled)))
    return Decimal((int(scaled < 0), digits, -places))
