"""Kraken spot's words: what each allowed order is as a request, and what its answers say.

1. A triggered order keeps its number.
2. Fees are asked for in the quote currency (`fciq`): else a sale would need more coins than it
   sells, and what was bought would be less than what was filled.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from guardian_core.domain.money import ZERO, plain
from guardian_core.domain.orders import (
    OrderBody,
    OrderRef,
    OrderSide,
    OrderStatus,
    OrderType,
    TriggerBasis,
)
from guardian_gateway.venues.exchange.errors import Strange
from guardian_gateway.venues.exchange.markets import Markets
from guardian_gateway.venues.exchange.orders import average_price, short
from guardian_gateway.venues.exchange.reading import (
    Row,
    number,
    number_above_zero,
    row,
    text,
    text_or_none,
)
from guardian_gateway.venues.kraken.shared import iso
from guardian_gateway.venues.kraken.spot_listing import listing_of, result, symbol_of
from guardian_gateway.venues.port import VenueFill, VenueOrder

SHAPES = frozenset(
    {
        (OrderType.MARKET, False),
        (OrderType.LIMIT, False),
        (OrderType.STOP_LOSS, False),
    }
)
"""(type, reduce-only) of every order that is ever sent: nothing is reduce-only on spot, and a
take-profit would lock the coins that the stop needs."""

_SENT_TYPES = {
    OrderType.MARKET: "market",
    OrderType.LIMIT: "limit",
    OrderType.STOP_LOSS: "stop-loss",
}
_TYPES = {
    **{name: kind for kind, name in _SENT_TYPES.items()},
    "stop-loss-limit": OrderType.STOP_LOSS,
    "trailing-stop": OrderType.STOP_LOSS,
    "trailing-stop-limit": OrderType.STOP_LOSS,
    "take-profit": OrderType.TAKE_PROFIT,
    "take-profit-limit": OrderType.TAKE_PROFIT,
}
_STATUSES = {
    "pending": OrderStatus.OPEN,
    "open": OrderStatus.OPEN,
    "closed": OrderStatus.CLOSED,
    "canceled": OrderStatus.CANCELLED,
    "expired": OrderStatus.CANCELLED,
}


def order_request(body: OrderBody, pair: str, deadline: datetime) -> dict[str, str]:
    params = {
        "pair": pair,
        "type": body.side.value,
        "ordertype": _SENT_TYPES[body.type],
        "volume": plain(body.quantity),
        "oflags": "fciq",
        "cl_ord_id": body.client_order_id,
        "deadline": iso(deadline),
    }
    if body.type is OrderType.LIMIT:
        assert body.price is not None
        params |= {"price": plain(body.price), "timeinforce": "GTC"}
    if body.type.is_conditional:
        assert body.trigger_price is not None
        params |= {"price": plain(body.trigger_price), "trigger": body.trigger_basis.value}
    return params


def sent_number(answer: Any) -> str:
    """The number of the one order that was taken."""
    numbers = result(answer).get("txid")
    if not isinstance(numbers, list) or len(numbers) != 1 or not isinstance(numbers[0], str):
        raise Strange("the answer has no number of one order")
    return numbers[0]


def resting(body: OrderBody, number_: str, at: datetime) -> VenueOrder:
    """An order that was taken, before anything of it is filled."""
    conditional = body.type.is_conditional
    return VenueOrder(
        ref=OrderRef(number_, body.symbol, conditional, body.client_order_id),
        side=body.side,
        type=body.type,
        status=OrderStatus.OPEN,
        quantity=body.quantity,
        filled_quantity=ZERO,
        price=body.price,
        trigger_price=body.trigger_price if conditional else None,
        trigger_basis=body.trigger_basis if conditional else None,
        created_at=at,
    )


def orders(answer: Any, field: str | None, markets: Markets) -> list[VenueOrder]:
    """`field`: where the answer keeps them by their numbers; None: nowhere but at its top."""
    found = result(answer)
    table = found if field is None else row(found.get(field))
    told = [order(number_, row(source), markets) for number_, source in table.items()]
    return sorted(told, key=lambda one: (not one.ref.conditional, one.created_at or _NEVER))


def order(number_: str, source: Row, markets: Markets) -> VenueOrder:
    words = row(source.get("descr"))
    word = text(source, "status")
    if word not in _STATUSES:
        raise Strange(f"order status {word}")
    # A kind of order that we never send, somebody else's, counts as a limit order.
    kind = _TYPES.get(text(words, "ordertype"), OrderType.LIMIT)
    conditional = kind.is_conditional
    filled = short(number(source, "vol_exec"))
    price = number_above_zero(words, "price") if _is_number(words.get("price")) else None
    return VenueOrder(
        ref=OrderRef(
            venue_order_id=number_,
            symbol=symbol_of(text(words, "pair"), markets),
            conditional=conditional,
            client_order_id=text_or_none(source, "cl_ord_id"),
        ),
        side=side_of(words),
        type=kind,
        status=_STATUSES[word],
        quantity=short(number(source, "vol")),
        filled_quantity=filled,
        average_price=average_price(number(source, "cost"), filled),
        price=short(price) if price is not None and kind is OrderType.LIMIT else None,
        trigger_price=short(price) if price is not None and conditional else None,
        trigger_basis=_basis(source) if conditional else None,
        created_at=moment_of(source, "opentm"),
    )


_NEVER = datetime.min.replace(tzinfo=UTC)


def _is_number(value: object) -> bool:
    """Somebody else's trailing stop names a distance, such as +5%."""
    return str(value or "").replace(".", "", 1).isdecimal()


def _basis(source: Row) -> TriggerBasis | None:
    """None for the index price, which we never name."""
    return TriggerBasis.LAST if source.get("trigger") in (None, "", "last") else None


def side_of(source: Row) -> OrderSide:
    word = text(source, "type")
    if word not in ("buy", "sell"):
        raise Strange(f"side {word}")
    return OrderSide(word)


def moment_of(source: Row, field: str) -> datetime:
    """Seconds since 1970, with parts."""
    return datetime.fromtimestamp(float(number(source, field)), UTC)


def cancelled(answer: Any) -> int:
    found = result(answer)
    count = int(number(found, "count"))
    if count != 1 or found.get("pending") is True:
        raise Strange(f"cancelled {count} orders, pending: {found.get('pending')}")
    return count


def fills(answer: Any, markets: Markets) -> list[VenueFill]:
    """Newest first, as they come. The fee is told in the quote currency."""
    found = []
    for number_, source in row(result(answer).get("trades")).items():
        pair = text(row(source), "pair")
        listing = listing_of(pair, markets)
        found.append(
            VenueFill(
                venue_fill_id=number_,
                symbol=listing.instrument.symbol if listing is not None else pair,
                venue_order_id=text(source, "ordertxid"),
                side=side_of(source),
                price=short(number(source, "price")),
                quantity=short(number(source, "vol")),
                fee=short(number(source, "fee")),
                fee_currency=listing.instrument.quote if listing is not None else "",
                at=moment_of(source, "time"),
            )
        )
    return found


def last_price(answer: Any) -> Decimal:
    for source in result(answer).values():
        last = row(source).get("c")
        if isinstance(last, list) and last:
            return number({"c": last[0]}, "c")
    raise Strange("the answer has no last price")


def rights(answer: Any) -> frozenset[str]:
    told = result(answer).get("permissions")
    if not isinstance(told, list):
        raise Strange("the answer has no permissions")
    return frozenset(map(str, told))
