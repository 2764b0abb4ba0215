"""What Kraken futures tell of orders that ended, and of executions: reading alone.

1. In the history an order's `quantity` is what is left of it.
2. A triggered order may keep its id or become an order of another one; the client's id stays in
   either case, and is what ties them together here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from guardian_core.domain.money import EXACT, ZERO
from guardian_core.domain.orders import OrderRef, OrderSide, OrderStatus, OrderType, TriggerBasis
from guardian_gateway.venues.exchange.errors import Strange
from guardian_gateway.venues.exchange.markets import Listing, Markets
from guardian_gateway.venues.exchange.orders import average_price
from guardian_gateway.venues.exchange.reading import (
    Row,
    flag,
    moment,
    number,
    number_above_zero,
    row,
    rows,
    text,
    text_or_none,
)
from guardian_gateway.venues.kraken.futures_listing import place_of
from guardian_gateway.venues.kraken.futures_words import basis_of, side_of
from guardian_gateway.venues.kraken.shared import iso_moment
from guardian_gateway.venues.port import VenueFill, VenueOrder

_STATUSES = {
    "ENTERED_BOOK": OrderStatus.OPEN,
    "TRIGGER_PLACED": OrderStatus.OPEN,
    "FULLY_EXECUTED": OrderStatus.CLOSED,
    "CANCELLED": OrderStatus.CANCELLED,
    "REJECTED": OrderStatus.REJECTED,
    "TRIGGER_ACTIVATION_FAILURE": OrderStatus.CANCELLED,
}
_TRIGGERED = "STOP_ORDER_TRIGGERED"
_KINDS = {
    "OrderPlaced": "order",
    "OrderUpdated": "newOrder",
    "OrderCancelled": "order",
    "OrderRejected": "order",
    "OrderTriggerPlaced": "order",
    "OrderTriggerUpdated": "newOrderTrigger",
    "OrderTriggerCancelled": "order",
    "OrderTriggerActivated": "order",
}
"""The events that tell of an order, and which part of each does."""


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to an order; `order` as it was after that."""

    kind: str
    at: datetime
    order: Row


@dataclass(frozen=True, slots=True)
class Live:
    """An execution as `fills` shows it: at once, and without its fee."""

    order_id: str
    client_order_id: str | None
    price: Decimal
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class _Trigger:
    kind: OrderType
    level: Decimal
    basis: TriggerBasis | None


def statuses(answer: Any, markets: Markets) -> list[VenueOrder]:
    """An id that is not known is left out, or comes without a status that an order has; one that
    became another order is left to that."""
    return [
        _status(source, markets)
        for source in rows(row(answer).get("orders"))
        if source.get("status") in _STATUSES and source.get("updateReason") != _TRIGGERED
    ]


def _status(source: Row, markets: Markets) -> VenueOrder:
    order = row(source.get("order"))
    symbol, contract_size = place_of(text(order, "symbol"), markets)
    side = side_of(order, "side")
    trigger = _trigger(order.get("priceTriggerOptions"), side)
    filled = EXACT.multiply(number(order, "filled"), contract_size)
    quantity = EXACT.multiply(number(order, "quantity"), contract_size)
    status = _STATUSES[text(source, "status")]
    if status is OrderStatus.REJECTED and filled > 0:
        status = OrderStatus.CANCELLED
    return VenueOrder(
        ref=OrderRef(
            venue_order_id=text(order, "orderId"),
            symbol=symbol,
            conditional=trigger is not None,
            client_order_id=text_or_none(order, "cliOrdId"),
        ),
        side=side,
        type=trigger.kind if trigger else OrderType.LIMIT,
        status=status,
        # Of an order that has ended it may be what was left.
        quantity=max(quantity, filled),
        filled_quantity=filled,
        price=None if trigger else number_above_zero(order, "limitPrice"),
        trigger_price=trigger.level if trigger else None,
        trigger_basis=trigger.basis if trigger else None,
        reduce_only=flag(order, "reduceOnly"),
        created_at=iso_moment(order, "timestamp"),
    )


def _trigger(source: object, side: OrderSide) -> _Trigger | None:
    """What fires at or below (above) its level is, for an order of this side."""
    if not isinstance(source, dict):
        return None
    below = text(source, "triggerSide").lower().endswith("below")
    stop = below is (side is OrderSide.SELL)
    return _Trigger(
        kind=OrderType.STOP_LOSS if stop else OrderType.TAKE_PROFIT,
        level=number(source, "triggerPrice"),
        basis=basis_of(source, "triggerSignal"),
    )


def live_fills(answer: Any, markets: Markets) -> list[Live]:
    found = []
    for source in rows(row(answer).get("fills")):
        _, contract_size = place_of(text(source, "symbol"), markets)
        found.append(
            Live(
                order_id=text(source, "order_id"),
                client_order_id=text_or_none(source, "cliOrdId"),
                price=number(source, "price"),
                quantity=EXACT.multiply(number(source, "size"), contract_size),
            )
        )
    return found


def priced(order: VenueOrder, fills: Sequence[Live]) -> Decimal | None:
    """What an order filled at, where all its executions are among these."""
    mine = [
        fill
        for fill in fills
        if fill.order_id == order.ref.venue_order_id
        or fill.client_order_id == order.ref.client_order_id is not None
    ]
    quantity = sum((fill.quantity for fill in mine), ZERO)
    if quantity < order.filled_quantity:
        return None
    value = sum((EXACT.multiply(fill.price, fill.quantity) for fill in mine), ZERO)
    return average_price(value, quantity)


def events_of(client_order_id: str, elements: Sequence[Row]) -> list[Event]:
    found: list[Event] = []
    for source in elements:
        event = row(source.get("event"))
        for kind, part in _KINDS.items():
            if isinstance(event.get(kind), dict):
                order = row(event[kind].get(part))
                if order.get("clientId") == client_order_id:
                    found.append(Event(kind, moment(source, "timestamp"), order))
    return found


def ended(
    listing: Listing,
    triggers: Sequence[Event],
    orders: Sequence[Event],
    fills: Sequence[VenueFill],
) -> VenueOrder:
    """An order that works no more, as its executions say; without any it was cancelled, or
    refused."""
    first = (*triggers, *orders)[0].order
    contracts = number(first, "quantity") + (ZERO if triggers else number(first, "filled"))
    quantity = EXACT.multiply(contracts, listing.instrument.contract_size)
    filled = sum((fill.quantity for fill in fills), ZERO)
    value = sum((EXACT.multiply(fill.price, fill.quantity) for fill in fills), ZERO)
    status = OrderStatus.CLOSED if filled >= quantity > 0 else OrderStatus.CANCELLED
    if filled == 0 and orders and orders[-1].kind == "OrderRejected":
        status = OrderStatus.REJECTED
    side = side_of(first, "direction")
    trigger = _trigger(first.get("triggerOptions"), side)
    own = text(first, "uid")
    others = {fill.venue_order_id for fill in fills} - {own}
    return VenueOrder(
        ref=OrderRef(own, listing.instrument.symbol, bool(triggers), text(first, "clientId")),
        side=side,
        type=trigger.kind if trigger else OrderType.LIMIT,
        status=status,
        quantity=max(quantity, filled),
        filled_quantity=filled,
        average_price=average_price(value, filled),
        price=None if trigger else number_above_zero(first, "limitPrice"),
        trigger_price=trigger.level if trigger else None,
        trigger_basis=trigger.basis if trigger else None,
        reduce_only=flag(first, "reduceOnly"),
        child_id=min(others, default=None) if triggers else None,
        created_at=moment(first, "timestamp"),
    )


def execution(source: Row, listing: Listing) -> VenueFill:
    event = row(source.get("event"))
    told = row(event.get("Execution", event.get("execution")))
    one = row(told.get("execution", told))
    order = row(one.get("order"))
    charged = one.get("orderData")
    if not isinstance(charged, dict):
        raise Strange("an execution without its fee")
    return VenueFill(
        venue_fill_id=text(one, "uid"),
        symbol=listing.instrument.symbol,
        venue_order_id=text(order, "uid"),
        side=side_of(order, "direction"),
        price=number(one, "price"),
        quantity=EXACT.multiply(number(one, "quantity"), listing.instrument.contract_size),
        fee=number(charged, "fee"),
        fee_currency=listing.instrument.quote,
        at=moment(one, "timestamp"),
        client_order_id=text_or_none(order, "clientId"),
    )
