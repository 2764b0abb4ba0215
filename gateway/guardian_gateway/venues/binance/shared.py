"""What Binance's two markets have in common: words, instruments, and how fills are asked for."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import (
    Instrument,
    MarketKind,
)
from guardian_core.domain.orders import OrderRef, OrderSide, OrderStatus, OrderType
from guardian_gateway.venues.exchange.errors import Strange
from guardian_gateway.venues.exchange.markets import Listing, by_symbol
from guardian_gateway.venues.exchange.orders import short
from guardian_gateway.venues.exchange.reading import Row, number, rows, text, to_ms
from guardian_gateway.venues.port import VenueFill

PAGE = 1000
"""Trades in one answer, at most."""

STATUSES = {
    "NEW": OrderStatus.OPEN,
    "PENDING_NEW": OrderStatus.OPEN,
    "PARTIALLY_FILLED": OrderStatus.OPEN,
    "PENDING_CANCEL": OrderStatus.OPEN,
    "FILLED": OrderStatus.CLOSED,
    "CANCELED": OrderStatus.CANCELLED,
    "EXPIRED": OrderStatus.CANCELLED,
    "EXPIRED_IN_MATCH": OrderStatus.CANCELLED,
    "REJECTED": OrderStatus.REJECTED,
}

_TYPES = {
    "MARKET": OrderType.MARKET,
    "LIMIT": OrderType.LIMIT,
    "LIMIT_MAKER": OrderType.LIMIT,
    "STOP": OrderType.STOP_LOSS,
    "STOP_MARKET": OrderType.STOP_LOSS,
    "STOP_LOSS": OrderType.STOP_LOSS,
    "STOP_LOSS_LIMIT": OrderType.STOP_LOSS,
    "TRAILING_STOP_MARKET": OrderType.STOP_LOSS,
    "TAKE_PROFIT": OrderType.TAKE_PROFIT,
    "TAKE_PROFIT_MARKET": OrderType.TAKE_PROFIT,
    "TAKE_PROFIT_LIMIT": OrderType.TAKE_PROFIT,
}


def side_of(source: Row) -> OrderSide:
    match text(source, "side"):
        case "BUY":
            return OrderSide.BUY
        case "SELL":
            return OrderSide.SELL
        case other:
            raise Strange(f"side {other}")


def type_of(source: Row, field: str) -> OrderType:
    """A kind of order that we never send, somebody else's, counts as a limit order."""
    return _TYPES.get(text(source, field), OrderType.LIMIT)


def status_of(source: Row) -> OrderStatus:
    try:
        return STATUSES[text(source, "status")]
    except KeyError:
        raise Strange(f"order status {source['status']}") from None


def named(order: OrderRef) -> dict[str, str]:
    """How a plain order is named in a request: by its number, or by our id where that is all
    there is."""
    if order.venue_order_id:
        return {"symbol": order.symbol, "orderId": order.venue_order_id}
    return {"symbol": order.symbol, "origClientOrderId": order.client_order_id or ""}


def filters_of(source: Row) -> Mapping[str, Row]:
    return {text(each, "filterType"): each for each in rows(source.get("filters"))}


def instrument_of(source: Row, kind: MarketKind, min_notional: Decimal) -> Instrument:
    """By the coarser of the limit orders' step and the market orders'."""
    filters = filters_of(source)
    lots = [filters[name] for name in ("LOT_SIZE", "MARKET_LOT_SIZE") if name in filters]
    if not lots or "PRICE_FILTER" not in filters:
        raise Strange(f"no step or tick of {source.get('symbol')}")
    return Instrument(
        symbol=text(source, "symbol"),
        base=text(source, "baseAsset"),
        quote=text(source, "quoteAsset"),
        kind=kind,
        tick=short(number(filters["PRICE_FILTER"], "tickSize")),
        step=short(max(number(lot, "stepSize") for lot in lots)),
        min_quantity=short(max(number(lot, "minQty") for lot in lots)),
        min_notional=short(min_notional),
    )


def listings_of(
    answer: Row, is_ours: Callable[[Row], bool], make: Callable[[Row], Instrument]
) -> dict[str, Listing]:
    """Every symbol, halted ones too, since positions stay. One that cannot be read is left out,
    not all the others with it."""
    found: list[Listing] = []
    for source in rows(answer.get("symbols")):
        if not is_ours(source):
            continue
        try:
            one = make(source)
        except (Strange, CallerError):
            continue
        found.append(Listing(one, one.symbol))
    return by_symbol(found)


Ask = Callable[[dict[str, str]], Awaitable[Sequence[VenueFill]]]
"""One page of fills, oldest first."""


async def latest_fills(ask: Ask, since: datetime) -> list[VenueFill] | None:
    """All from `since` on, when the newest page reaches back so far; None when it does not."""
    page = await ask({"limit": str(PAGE)})
    if len(page) >= PAGE and page[0].at >= since:
        return None
    return [fill for fill in page if fill.at >= since]


async def every_fill(
    ask: Ask, since: datetime, now: datetime, window: timedelta
) -> list[VenueFill]:
    """All fills from `since` on, oldest first, page by page. `window`: the longest time that one
    question may span."""
    found: dict[str, VenueFill] = {}
    start = since
    while start <= now:
        span = {"startTime": str(to_ms(start)), "endTime": str(to_ms(start + window))}
        page = await ask({**span, "limit": str(PAGE)})
        found |= {fill.venue_fill_id: fill for fill in page}
        if len(page) >= PAGE:
            found |= await _onward(ask, page[-1])
            break
        start += window
    return sorted(found.values(), key=lambda fill: (fill.at, int(fill.venue_fill_id)))


async def _onward(ask: Ask, last: VenueFill) -> dict[str, VenueFill]:
    """What came after a full page: by number, which no time limit binds."""
    found: dict[str, VenueFill] = {}
    while True:
        params = {"fromId": str(int(last.venue_fill_id) + 1), "limit": str(PAGE)}
        page = await ask(params)
        found |= {fill.venue_fill_id: fill for fill in page}
        if len(page) < PAGE:
            return found
        last = page[-1]
