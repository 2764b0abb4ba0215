"""Short ways to say what happens on a paper venue. BTCUSDT, unless a test says otherwise."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from guardian_core.domain.money import MarketKind
from guardian_core.domain.orders import OrderBody, OrderSide, OrderType, Role
from guardian_core.protocol import Bar
from guardian_gateway.venues.paper import EventKind, LedgerEvent, PaperExchange, Rules
from tests.support.clock import START

SYMBOL = "BTCUSDT"
NO_FEES = {"taker_fee_percent": Decimal(0), "maker_fee_percent": Decimal(0)}

_ROLES = {
    OrderType.MARKET: Role.ENTRY,
    OrderType.LIMIT: Role.ENTRY,
    OrderType.STOP_LOSS: Role.STOP_LOSS,
    OrderType.TAKE_PROFIT: Role.TAKE_PROFIT,
}


def linear(**rules: Any) -> Rules:
    return Rules(**rules)


def spot(**rules: Any) -> Rules:
    return Rules(market=MarketKind.SPOT, **rules)


def exchange_at(price: str | None, rules: Rules | None = None) -> PaperExchange:
    """A new account on a venue where the price is known already, or not."""
    exchange = PaperExchange(rules or linear(), keep_events=True)
    if price is not None:
        exchange.set_price(SYMBOL, Decimal(price), START)
    return exchange


def body(
    client_order_id: str,
    side: str,
    type_: str,
    quantity: str,
    level: str | None = None,
    *,
    reduce_only: bool = False,
    symbol: str = SYMBOL,
    role: Role | None = None,
) -> OrderBody:
    """`level`: the limit or the trigger."""
    order_type = OrderType(type_)
    number = None if level is None else Decimal(level)
    return OrderBody(
        client_order_id=client_order_id,
        role=role or _ROLES[order_type],
        symbol=symbol,
        side=OrderSide(side),
        type=order_type,
        quantity=Decimal(quantity),
        revision=1,
        attempt=1,
        price=number if order_type is OrderType.LIMIT else None,
        trigger_price=number if order_type.is_conditional else None,
        reduce_only=reduce_only,
    )


def bar(*ohlc: str, minute: int | None = None, symbol: str = SYMBOL) -> Bar:
    """`bar("100")` is a close alone; four numbers are open, high, low and close."""
    time = None if minute is None else START + timedelta(minutes=minute)
    if len(ohlc) == 1:
        return Bar(symbol=symbol, time=time, close=Decimal(ohlc[0]))
    open_, high, low, close = (Decimal(text) for text in ohlc)
    return Bar(symbol=symbol, time=time, open=open_, high=high, low=low, close=close)


def unprotected_s(events: Iterable[LedgerEvent], *, until: datetime, symbol: str = SYMBOL) -> float:
    """For how many seconds a position was larger than what working stops would close of it."""
    seconds = 0.0
    position, stops = Decimal(0), dict[str, LedgerEvent]()
    since: datetime | None = None
    for event in [event for event in events if event.symbol == symbol]:
        if since is not None:
            seconds += (event.at - since).total_seconds()
        position = event.position_after
        if event.kind in _ENDS or event.remaining == 0:
            stops.pop(event.order_id, None)
        elif event.type is OrderType.STOP_LOSS:
            stops[event.order_id] = event
        closing = [s for s in stops.values() if s.side.sign * position < 0]
        covered = sum((stop.remaining for stop in closing), Decimal(0))
        since = event.at if covered < abs(position) else None
    return seconds if since is None else seconds + (until - since).total_seconds()


_ENDS = (EventKind.CANCELLED, EventKind.FORGOTTEN, EventKind.TRIGGERED)
