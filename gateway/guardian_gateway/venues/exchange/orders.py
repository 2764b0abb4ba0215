"""What every adapter asks of the orders that it sends and reads."""

from collections.abc import Iterable
from decimal import Decimal

from guardian_core.domain.errors import Ambiguous, CallerError
from guardian_core.domain.money import EXACT, MAX_DIGITS_AFTER_POINT, plain
from guardian_core.domain.orders import OrderBody, OrderSide, OrderType
from guardian_gateway.venues.port import VenueOrder

FINEST = Decimal(1).scaleb(-MAX_DIGITS_AFTER_POINT)


def one_of_ours(body: OrderBody, allowed: Iterable[tuple[OrderType, bool]], venue: str) -> None:
    """Only shapes (type, reduce-only) that are proved are sent. Raises CallerError."""
    if (body.type, body.reduce_only) not in allowed:
        shape = f"{body.type.value}{' reduce-only' if body.reduce_only else ''}"
        raise CallerError("type", f"{venue} is not sent a {shape} order", "see docs/venues.md")


def check_pair(
    stop_loss: OrderBody, take_profit: OrderBody, profit_types: Iterable[OrderType]
) -> None:
    """Raises CallerError for what is no pair of sells on spot."""
    alike = (stop_loss.symbol, stop_loss.side, stop_loss.quantity) == (
        take_profit.symbol,
        take_profit.side,
        take_profit.quantity,
    )
    shaped = stop_loss.type is OrderType.STOP_LOSS and take_profit.type in profit_types
    plain_ones = not stop_loss.reduce_only and not take_profit.reduce_only
    if not (alike and shaped and plain_ones and stop_loss.side is OrderSide.SELL):
        raise CallerError(
            "pair", "is not a stop-loss and a take-profit of one sell", "sell the same quantity"
        )


def check_is_of(order: VenueOrder, body: OrderBody) -> None:
    """Raises Ambiguous where the answer to a create is about another order."""
    if order.ref.client_order_id != body.client_order_id:
        raise Ambiguous("the venue's answer is about another order")


def average_price(value: Decimal, quantity: Decimal) -> Decimal | None:
    """Of fills that cost `value` together, as fine as the database keeps it."""
    if quantity <= 0 or value <= 0:
        return None
    return EXACT.quantize(EXACT.divide(value, quantity), FINEST)


def short(value: Decimal) -> Decimal:
    """Without the zeros that venues pad with."""
    return Decimal(plain(value))
