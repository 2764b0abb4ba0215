"""Kraken futures' words: what each allowed order is as a request, and what its answers say.

1. Numbers are contracts; a linear perpetual's contract is one coin, times `contractSize`.
2. An order that was sent is told by its events: PLACE for what rests or waits for its trigger,
   EXECUTION for each fill. Conditional orders are told in another shape (`orderTrigger`).
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from guardian_core.domain.money import EXACT, ZERO, plain
from guardian_core.domain.orders import (
    OrderBody,
    OrderRef,
    OrderSide,
    OrderStatus,
    OrderType,
    TriggerBasis,
)
from guardian_gateway.venues.exchange.errors import Answer, Refusal, Strange
from guardian_gateway.venues.exchange.markets import Listing, Markets
from guardian_gateway.venues.exchange.orders import average_price
from guardian_gateway.venues.exchange.reading import (
    Row,
    flag,
    number,
    number_above_zero,
    row,
    rows,
    text,
    text_or_none,
)
from guardian_gateway.venues.kraken.codes import CANCELLING
from guardian_gateway.venues.kraken.futures_listing import place_of
from guardian_gateway.venues.kraken.shared import iso, iso_moment
from guardian_gateway.venues.port import VenueOrder

SHAPES = frozenset(
    {
        (OrderType.MARKET, False),
        (OrderType.LIMIT, False),
        (OrderType.MARKET, True),
        (OrderType.STOP_LOSS, True),
        (OrderType.TAKE_PROFIT, True),
    }
)
"""(type, reduce-only) of every order that is ever sent."""

_SENT_TYPES = {
    OrderType.MARKET: "mkt",
    OrderType.LIMIT: "lmt",
    OrderType.STOP_LOSS: "stp",
    OrderType.TAKE_PROFIT: "take_profit",
}
_TAKEN = frozenset({"placed", "partiallyFilled", "filled"})
_WORKING = frozenset({"untouched", "partiallyFilled"})


def order_request(body: OrderBody, name: str, deadline: datetime) -> dict[str, str]:
    params = {
        "orderType": _SENT_TYPES[body.type],
        "symbol": name,
        "side": body.side.value,
        "size": plain(body.quantity),
        "reduceOnly": "true" if body.reduce_only else "false",
        "cliOrdId": body.client_order_id,
        "processBefore": iso(deadline),
    }
    if body.type is OrderType.LIMIT:
        assert body.price is not None
        params["limitPrice"] = plain(body.price)
    if body.type.is_conditional:
        assert body.trigger_price is not None
        params["stopPrice"] = plain(body.trigger_price)
        params["triggerSignal"] = body.trigger_basis.value
    return params


def cancel_request(order: OrderRef, deadline: datetime) -> dict[str, str]:
    which = {"order_id": order.venue_order_id}
    if not order.venue_order_id:
        which = {"cliOrdId": order.client_order_id or ""}
    return {**which, "processBefore": iso(deadline)}


def in_contracts(body: OrderBody, listing: Listing) -> OrderBody:
    size = listing.instrument.contract_size
    return body if size == 1 else replace(body, quantity=EXACT.divide(body.quantity, size))


def sent_order(answer: Any, body: OrderBody, contract_size: Decimal) -> VenueOrder:
    """What became of an order that was sent. Raises Refusal."""
    status = row(row(answer).get("sendStatus"))
    word = text(status, "status")
    events = rows(status.get("orderEvents") or [])
    fills = [event for event in events if event.get("type") == "EXECUTION"]
    if word not in _TAKEN:
        if fills:
            raise Strange(f"executed, and told as {word}")
        raise Refusal(Answer(200, word, _reasons(events)))
    placed = next((event for event in events if event.get("type") == "PLACE"), None)
    amounts = [EXACT.multiply(number(fill, "amount"), contract_size) for fill in fills]
    filled = sum(amounts, ZERO)
    value = sum(
        (
            EXACT.multiply(number(fill, "price"), amount)
            for fill, amount in zip(fills, amounts, strict=True)
        ),
        ZERO,
    )
    order = VenueOrder(
        ref=OrderRef(
            venue_order_id=text(status, "order_id"),
            symbol=body.symbol,
            conditional=body.type.is_conditional,
            client_order_id=_name_of(status, events),
        ),
        side=body.side,
        type=body.type,
        status=_status_sent(body, placed, filled),
        quantity=body.quantity,
        filled_quantity=filled,
        average_price=average_price(value, filled),
        price=body.price,
        reduce_only=body.reduce_only,
        created_at=iso_moment(status, "receivedTime"),
    )
    return _as_triggered(order, placed) if body.type.is_conditional else order


def _status_sent(body: OrderBody, placed: Row | None, filled: Decimal) -> OrderStatus:
    if filled >= body.quantity:
        return OrderStatus.CLOSED
    if placed is not None and body.type is not OrderType.MARKET:
        return OrderStatus.OPEN
    if filled > 0:
        # The rest of a market order, or what a reduce-only one had too much, is gone.
        return OrderStatus.CANCELLED
    raise Strange("the order was taken, and neither rests nor filled")


def _as_triggered(order: VenueOrder, placed: Row | None) -> VenueOrder:
    """With the level as it was taken. Raises Strange."""
    if placed is None:
        raise Strange("the conditional order was taken, and is not shown")
    trigger = row(placed.get("orderTrigger"))
    if not flag(trigger, "reduceOnly"):
        raise Strange("the conditional order is not reduce-only")
    return replace(
        order,
        trigger_price=number(trigger, "triggerPrice"),
        trigger_basis=basis_of(trigger, "triggerSignal"),
    )


def _name_of(status: Row, events: Sequence[Row]) -> str | None:
    if text_or_none(status, "cliOrdId") is not None:
        return text(status, "cliOrdId")
    for event in events:
        for part, field in (
            ("order", "cliOrdId"),
            ("orderPriorExecution", "cliOrdId"),
            ("orderTrigger", "clientId"),
        ):
            if isinstance(event.get(part), dict):
                return text_or_none(event[part], field)
    return None


def _reasons(events: Sequence[Row]) -> str:
    return ", ".join(str(event["reason"]) for event in events if event.get("reason"))


def cancelled(answer: Any) -> str:
    """Raises Refusal for everything but an order that this has ended."""
    status = row(row(answer).get("cancelStatus"))
    word = text(status, "status")
    if word != "cancelled":
        raise Refusal(Answer(200, f"{CANCELLING}{word}"))
    return word


def working_orders(answer: Any, markets: Markets) -> list[VenueOrder]:
    """Conditional ones first."""
    found = [working_order(source, markets) for source in rows(row(answer).get("openOrders"))]
    return sorted(found, key=lambda order: not order.ref.conditional)


def working_order(source: Row, markets: Markets) -> VenueOrder:
    status = text(source, "status")
    if status not in _WORKING:
        raise Strange(f"order status {status}")
    symbol, contract_size = place_of(text(source, "symbol"), markets)
    kind = _type_of(text(source, "orderType"))
    filled = EXACT.multiply(number(source, "filledSize"), contract_size)
    left = EXACT.multiply(number(source, "unfilledSize"), contract_size)
    conditional = kind.is_conditional
    return VenueOrder(
        ref=OrderRef(
            venue_order_id=text(source, "order_id"),
            symbol=symbol,
            conditional=conditional,
            client_order_id=text_or_none(source, "cliOrdId"),
        ),
        side=side_of(source, "side"),
        type=kind,
        status=OrderStatus.OPEN,
        quantity=filled + left,
        filled_quantity=filled,
        price=number_above_zero(source, "limitPrice"),
        trigger_price=number_above_zero(source, "stopPrice") if conditional else None,
        trigger_basis=basis_of(source, "triggerSignal") if conditional else None,
        reduce_only=flag(source, "reduceOnly"),
        created_at=iso_moment(source, "receivedTime"),
    )


def side_of(source: Row, field: str) -> OrderSide:
    word = text(source, field).lower()
    if word not in ("buy", "sell"):
        raise Strange(f"{field} {word}")
    return OrderSide(word)


def _type_of(word: str) -> OrderType:
    """A kind of order that we never send, somebody else's, counts as a limit order."""
    if word == "take_profit":
        return OrderType.TAKE_PROFIT
    stops = ("stp", "stop", "trailing_stop", "stop_loss")
    return OrderType.STOP_LOSS if word in stops else OrderType.LIMIT


def basis_of(source: Row, field: str) -> TriggerBasis | None:
    """`last`, `last_price` and `LastPrice` are one; None for a price that we never name."""
    word = str(source.get(field)).lower()
    return next((basis for basis in TriggerBasis if word.startswith(basis.value)), None)
