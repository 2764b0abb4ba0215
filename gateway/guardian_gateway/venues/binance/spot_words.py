"""Binance spot's words: what each allowed order is as a request, and what its answers say.

A triggered order keeps its number here: there are no children. The two orders of a pair carry
the number of their list.
"""

from decimal import Decimal
from typing import Any

from guardian_core.domain.money import Instrument, MarketKind, plain
from guardian_core.domain.orders import (
    OrderBody,
    OrderRef,
    OrderSide,
    OrderType,
    TriggerBasis,
)
from guardian_gateway.venues.binance.shared import (
    filters_of,
    instrument_of,
    side_of,
    status_of,
    type_of,
)
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
from guardian_gateway.venues.port import Balance, VenueFill, VenueOrder

SHAPES = frozenset(
    {
        (OrderType.MARKET, False),
        (OrderType.LIMIT, False),
        (OrderType.STOP_LOSS, False),
        (OrderType.TAKE_PROFIT, False),
    }
)
"""(type, reduce-only) of every order that is ever sent: nothing is reduce-only on spot."""

NO_LIST = "-1"


def order_request(body: OrderBody) -> dict[str, str]:
    params = {
        "symbol": body.symbol,
        "side": body.side.value.upper(),
        "type": body.type.value.upper(),
        "quantity": plain(body.quantity),
        "newClientOrderId": body.client_order_id,
        "newOrderRespType": "RESULT",
    }
    if body.type is OrderType.LIMIT:
        assert body.price is not None
        params |= {"price": plain(body.price), "timeInForce": "GTC"}
    if body.trigger_price is not None:
        params["stopPrice"] = plain(body.trigger_price)
    return params


def pair_request(stop_loss: OrderBody, take_profit: OrderBody) -> dict[str, str]:
    """For a sell: the take-profit lies above the price, the stop-loss below it."""
    assert stop_loss.trigger_price is not None
    params = {
        "symbol": stop_loss.symbol,
        "side": stop_loss.side.value.upper(),
        "quantity": plain(stop_loss.quantity),
        "listClientOrderId": f"{stop_loss.client_order_id}p",
        "aboveClientOrderId": take_profit.client_order_id,
        "belowType": "STOP_LOSS",
        "belowStopPrice": plain(stop_loss.trigger_price),
        "belowClientOrderId": stop_loss.client_order_id,
        "newOrderRespType": "RESULT",
    }
    if take_profit.type is OrderType.LIMIT:
        assert take_profit.price is not None
        return params | {"aboveType": "LIMIT_MAKER", "abovePrice": plain(take_profit.price)}
    assert take_profit.trigger_price is not None
    above = {"aboveType": "TAKE_PROFIT", "aboveStopPrice": plain(take_profit.trigger_price)}
    return params | above


def order(answer: Any) -> VenueOrder:
    source = row(answer)
    filled = number(source, "executedQty")
    trigger = number_above_zero(source, "stopPrice")
    list_id = text(source, "orderListId") if "orderListId" in source else NO_LIST
    kind = type_of(source, "type")
    return VenueOrder(
        ref=OrderRef(
            venue_order_id=text(source, "orderId"),
            symbol=text(source, "symbol"),
            conditional=kind.is_conditional,
            client_order_id=text_or_none(source, "clientOrderId"),
        ),
        side=side_of(source),
        type=kind,
        status=status_of(source),
        quantity=number(source, "origQty"),
        filled_quantity=filled,
        average_price=average_price(number(source, "cummulativeQuoteQty"), filled),
        price=number_above_zero(source, "price"),
        trigger_price=trigger,
        trigger_basis=TriggerBasis.LAST if trigger is not None else None,
        pair_id=list_id if list_id != NO_LIST else None,
        created_at=moment(source, "time" if "time" in source else "transactTime"),
    )


def pair(answer: Any) -> list[VenueOrder]:
    return [order(report) for report in rows(row(answer).get("orderReports"))]


def cancelled(answer: Any) -> bool:
    """Whether the answer tells of an order, or of its whole list, that works no more."""
    source = row(answer)
    if "orderReports" in source:
        return bool(text(source, "listOrderStatus") == "ALL_DONE")
    return text(source, "status") == "CANCELED"


def is_spot(source: Row) -> bool:
    return source.get("isSpotTradingAllowed") is True


def instrument(source: Row) -> Instrument:
    filters = filters_of(source)
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL")
    minimum = number(notional, "minNotional") if notional is not None else Decimal(0)
    return instrument_of(source, MarketKind.SPOT, minimum)


def balances(answer: Any) -> list[Balance]:
    found = []
    for source in rows(row(answer).get("balances")):
        free, locked = number(source, "free"), number(source, "locked")
        if free + locked > 0:
            found.append(Balance(text(source, "asset"), free, free + locked))
    return found


def fill(source: Row) -> VenueFill:
    return VenueFill(
        venue_fill_id=text(source, "id"),
        symbol=text(source, "symbol"),
        venue_order_id=text(source, "orderId"),
        side=OrderSide.BUY if flag(source, "isBuyer") else OrderSide.SELL,
        price=number(source, "price"),
        quantity=number(source, "qty"),
        fee=number(source, "commission"),
        fee_currency=text(source, "commissionAsset"),
        at=moment(source, "time"),
    )
