"""Why the paper venue refuses an order: the reasons real venues give.

Reduce-only orders on derivatives need no minimum notional, as on Binance USD-M (-4164 names the
exception), so a position that could be opened can always be protected and closed.
"""

from decimal import Decimal

from guardian_core.domain.errors import CallerError, Rejected, RejectReason
from guardian_core.domain.money import Instrument, plain
from guardian_core.domain.orders import OrderBody, OrderSide, OrderType
from guardian_gateway.venues.paper.book import Book
from guardian_gateway.venues.paper.funds import Funds
from guardian_gateway.venues.paper.records import PaperOrder
from guardian_gateway.venues.paper.rules import Rules


def check_new(book: Book, client_order_id: str) -> None:
    """An id is used once, for ever."""
    if book.order_of_client(client_order_id) is not None:
        raise Rejected(RejectReason.DUPLICATE_ID, f"order id {client_order_id} was used before")


def check_symbol(rules: Rules, symbol: str) -> Instrument:
    try:
        return rules.instrument(symbol)
    except CallerError as error:
        raise Rejected(RejectReason.UNKNOWN_SYMBOL, str(error)) from error


def check_shape(instrument: Instrument, body: OrderBody) -> None:
    """Ticks, steps and the minimum quantity."""
    for name, value in (("price", body.price), ("trigger price", body.trigger_price)):
        if value is not None and (value <= 0 or value % instrument.tick != 0):
            raise Rejected(
                RejectReason.INVALID_ORDER,
                f"{name} {plain(value)} is not a multiple of the tick {instrument.tick}",
            )
    if body.quantity % instrument.step != 0:
        raise Rejected(
            RejectReason.INVALID_ORDER,
            f"quantity {plain(body.quantity)} is not a multiple of the step {instrument.step}",
        )
    if body.quantity < instrument.min_quantity:
        raise Rejected(
            RejectReason.BELOW_MINIMUM,
            f"quantity {plain(body.quantity)} is below the minimum {instrument.min_quantity}",
        )


def check_notional(rules: Rules, instrument: Instrument, order: PaperOrder, price: Decimal) -> None:
    if order.reduce_only and not rules.spot:
        return
    notional = order.quantity * price
    if notional < instrument.min_notional:
        raise Rejected(
            RejectReason.BELOW_MINIMUM,
            f"{plain(notional)} {instrument.quote} is below the minimum notional"
            f" {instrument.min_notional}",
        )


def check_not_crossed(book: Book, order: PaperOrder) -> None:
    """A trigger that the price has passed would fire at once: refused, as Binance's -2021."""
    price = book.price(order.symbol)
    if order.type.is_conditional and price is not None and order.is_reached(price.last):
        raise Rejected(
            RejectReason.CROSSED,
            f"{order.type} {order.side} at {order.trigger_price} would trigger immediately:"
            f" the price is {price.last}",
        )


def check_reduces(funds: Funds, order: PaperOrder) -> None:
    if order.reduce_only and funds.closable(order.symbol, order.side) <= 0:
        raise Rejected(
            RejectReason.REDUCE_ONLY, f"there is no {order.symbol} position to {order.side} out of"
        )


def check_funds(funds: Funds, order: PaperOrder, price: Decimal) -> None:
    """`free` must be read without the order itself among the working ones."""
    currency, need = funds.needed(order, price)
    free = funds.free(currency)
    if need > free:
        raise Rejected(
            RejectReason.INSUFFICIENT_FUNDS,
            f"{plain(need)} {currency} needed, {plain(free)} free",
        )


def check_pair(rules: Rules, stop_loss: OrderBody, take_profit: OrderBody) -> None:
    if not rules.spot:
        raise Rejected(RejectReason.NOT_PERMITTED, "pairs exist on spot only")
    alike = all(
        getattr(stop_loss, name) == getattr(take_profit, name)
        for name in ("symbol", "side", "quantity")
    )
    shaped = stop_loss.type is OrderType.STOP_LOSS and take_profit.type in (
        OrderType.TAKE_PROFIT,
        OrderType.LIMIT,
    )
    if not alike or not shaped or stop_loss.client_order_id == take_profit.client_order_id:
        raise Rejected(
            RejectReason.INVALID_ORDER,
            "a pair is a stop_loss and a take_profit or limit order of one symbol, side and"
            " quantity, with two ids",
        )


def check_rests(book: Book, order: PaperOrder) -> None:
    price = book.price(order.symbol)
    if price is not None and order.is_reached(price.last):
        raise Rejected(
            RejectReason.CROSSED,
            f"the pair's limit {order.price} would fill immediately: the price is {price.last}",
        )


def check_amendable(rules: Rules, order: PaperOrder, body: OrderBody) -> None:
    if not rules.amend or order.pair_id is not None:
        raise Rejected(RejectReason.NOT_PERMITTED, "this order cannot be amended: replace it")
    same = (order.symbol, order.side, order.type) == (body.symbol, body.side, body.type)
    if not same or order.type is OrderType.MARKET or body.quantity <= order.filled:
        raise Rejected(
            RejectReason.INVALID_ORDER,
            "an amendment keeps symbol, side and type, and asks for more than is filled",
        )


def fill_price(book: Book, order: PaperOrder) -> Decimal:
    """The price that an order is weighed by: what it would pay at worst, as far as is known."""
    last = book.price(order.symbol)
    if order.type is OrderType.MARKET:
        if last is None:
            raise Rejected(
                RejectReason.INVALID_ORDER,
                f"the paper venue has no price for {order.symbol} yet: send an alert with Close,"
                f" or `guardian paper price {order.symbol} PRICE`",
            )
        return last.last
    level = order.level
    assert level is not None
    if order.type is OrderType.LIMIT and order.side is OrderSide.SELL and last is not None:
        return max(level, last.last)
    return level
