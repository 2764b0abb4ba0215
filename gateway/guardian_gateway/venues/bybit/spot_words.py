"""Bybit spot's words: what each allowed order is as a request, and the pairs."""

from decimal import Decimal

from guardian_core.domain.money import Instrument, MarketKind, plain
from guardian_core.domain.orders import OrderBody, OrderType
from guardian_gateway.venues.bybit import words
from guardian_gateway.venues.exchange.markets import Listing
from guardian_gateway.venues.exchange.orders import short
from guardian_gateway.venues.exchange.reading import Row, number, number_above_zero, text

SHAPES = frozenset(
    {(OrderType.MARKET, False), (OrderType.LIMIT, False), (OrderType.STOP_LOSS, False)}
)
"""(type, reduce-only) of every order that is ever sent: nothing is reduce-only on spot, and the
take-profit is the guardian's to watch."""

STOP = "tpslOrder"
"""The kind of conditional order that locks its coins from the start. (`StopOrder` does not: its
coins could be gone when it fires.)"""


def order_request(body: OrderBody, name: str) -> words.Request:
    """Quantities are coins, also of a market buy; nothing is borrowed."""
    limit = body.type is OrderType.LIMIT
    request: words.Request = {
        "category": "spot",
        "symbol": name,
        "side": words.SIDES[body.side],
        "orderType": "Limit" if limit else "Market",
        "qty": plain(body.quantity),
        "timeInForce": "GTC" if limit else "IOC",
        "orderFilter": kind_of(is_conditional=body.type.is_conditional),
        "isLeverage": 0,
        "orderLinkId": body.client_order_id,
    }
    if limit:
        assert body.price is not None
        return request | {"price": plain(body.price)}
    request["marketUnit"] = "baseCoin"
    if body.trigger_price is not None:
        request["triggerPrice"] = plain(body.trigger_price)
    return request


def kind_of(*, is_conditional: bool) -> str:
    return STOP if is_conditional else "Order"


def listing(source: Row) -> Listing:
    """The smallest quantity is one step: Bybit checks what an order is worth, and no more."""
    base, quote = text(source, "baseCoin"), text(source, "quoteCoin")
    lots = words.part(source, "lotSizeFilter")
    step = short(number(lots, "basePrecision"))
    one = Instrument(
        symbol=base + quote,
        base=base,
        quote=quote,
        kind=MarketKind.SPOT,
        tick=short(number(words.part(source, "priceFilter"), "tickSize")),
        step=step,
        min_quantity=step,
        min_notional=short(number_above_zero(lots, "minOrderAmt") or Decimal(0)),
    )
    return Listing(one, text(source, "symbol"))
