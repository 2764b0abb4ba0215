"""How much an entry buys, and what an exit leaves.

Called by the engine, once per alert: what comes out is committed and never sized again.
"""

from decimal import Decimal
from fractions import Fraction

from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import EXACT, ZERO, Instrument, MarketKind, plain

PERCENT_FIELD = "PourCent"


def entry_quantity(
    free_quote: Decimal,
    percent: Decimal,
    leverage: Decimal,
    price: Decimal,
    instrument: Instrument,
    fee_percent: Decimal,
) -> Decimal:
    """The largest quantity in whole steps whose margin and fee together fit in the share.

    The fee is charged on the notional, so leverage multiplies it too:
    `notional / leverage + notional * fee <= free * percent`. Leverage counts on derivatives only.
    `fee_percent` may hold a margin for slippage as well. Raises CallerError on what is out of
    range, and on `PourCent` when the venue's minimum is not reached.
    """
    _check_percent(percent)
    if price <= 0:
        raise CallerError("price", f"{plain(price)} is not above 0")
    if leverage <= 0:
        raise CallerError("leverage", f"{plain(leverage)} is not above 0")
    if fee_percent < 0:
        raise CallerError("fee_percent", f"{plain(fee_percent)} is below 0")
    times = leverage if instrument.kind is not MarketKind.SPOT else Decimal(1)
    share = Fraction(max(free_quote, ZERO)) * Fraction(percent) / 100
    notional = share * Fraction(times) / (1 + Fraction(times) * Fraction(fee_percent) / 100)
    quantity = _floored(notional / Fraction(price), instrument.step)
    if not instrument.is_tradable(quantity, price):
        raise CallerError(
            PERCENT_FIELD,
            f"{plain(percent)} % of {plain(free_quote)} {instrument.quote} free at leverage "
            f"{plain(times)} and price {plain(price)} is {plain(quantity)} {instrument.base}; "
            + _minimum(instrument),
            "raise PourCent, or add funds",
        )
    return quantity


def exit_target(
    live: Decimal, percent: Decimal, instrument: Instrument, price: Decimal | None = None
) -> Decimal:
    """What shall remain of a live quantity when `percent` of it is to be closed.

    The part sold is floored to the step. Nothing unsellable is left on purpose: a rest below
    the venue's minimum is sold too. A part below the minimum cannot be sold: CallerError on
    `PourCent`; and where neither part could stand alone, half or more means all of it, less than
    half is that error. 100 % is always 0. With a price the minimum notional counts as well.
    """
    _check_percent(percent)
    if live <= 0:
        raise CallerError("quantity", "there is no open position to close a part of")
    if percent == 100:
        return ZERO
    sold = _floored(Fraction(live) * Fraction(percent) / 100, instrument.step)
    rest = EXACT.subtract(live, sold)
    rest_stands = instrument.is_tradable(rest, price)
    sold_stands = instrument.is_tradable(sold, price)
    if not rest_stands and (sold_stands or percent >= 50):
        return ZERO
    if not sold_stands:
        raise CallerError(
            PERCENT_FIELD,
            f"{plain(percent)} % of {plain(live)} {instrument.base} is {plain(sold)}; "
            + _minimum(instrument),
            "raise PourCent, or close 100",
        )
    return rest


def _check_percent(percent: Decimal) -> None:
    if not percent.is_finite() or not 0 < percent <= 100:
        raise CallerError(PERCENT_FIELD, f"{percent} is not a percentage", "above 0, at most 100")


def _floored(quantity: Fraction, step: Decimal) -> Decimal:
    return EXACT.multiply(Decimal(quantity // Fraction(step)), step)


def _minimum(instrument: Instrument) -> str:
    quantity = max(instrument.min_quantity, instrument.step)
    text = f"the venue trades {instrument.symbol} from {plain(quantity)} {instrument.base}"
    if instrument.min_notional > 0:
        text += f" and {plain(instrument.min_notional)} {instrument.quote}"
    return text
