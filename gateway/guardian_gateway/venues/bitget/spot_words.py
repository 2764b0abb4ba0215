"""Bitget spot's words: what each allowed order is as a request, and what its answers say.

Plain orders and plans (trigger orders) are two services. A plan that triggers places a plain order,
its child, which only the list of its sub-orders names.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from guardian_core.domain.money import EXACT, Instrument, MarketKind, plain
from guardian_core.domain.orders import OrderBody, OrderRef, OrderSide, OrderStatus, OrderType
from guardian_gateway.venues.bitget.shared import (
    BASES,
    TRIGGERS,
    data,
    fee_of,
    side_of,
    status_of,
    type_of,
)
from guardian_gateway.venues.exchange.errors import Strange
from guardian_gateway.venues.exchange.orders import average_price
from guardian_gateway.venues.exchange.reading import (
    Row,
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
    }
)
"""(type, reduce-only) of every order that is ever sent: nothing is reduce-only on spot, and the
take-profit is the guardian's to watch."""

THROUGH = Decimal("1.01")
"""How far through the market a buy may go, at most. Bitget itself takes none beyond 5 %."""

_PLAN_STATUSES = {
    "live": OrderStatus.OPEN,
    "not_trigger": OrderStatus.OPEN,
    "executing": OrderStatus.OPEN,
    "executed": OrderStatus.CLOSED,
    "triggered": OrderStatus.CLOSED,
    "cancelled": OrderStatus.CANCELLED,
    "canceled": OrderStatus.CANCELLED,
    "cancel": OrderStatus.CANCELLED,
    "fail_execute": OrderStatus.REJECTED,
    "fail_trigger": OrderStatus.REJECTED,
}
_QUOTES_IN_DOLLARS = frozenset({"USDT", "USDC", "USD"})


def is_bounded(body: OrderBody) -> bool:
    """Whether an order leaves as a limit order that is filled at once as far as it can be: Bitget
    counts a buy at market in money, and an entry is so many coins."""
    return (body.type, body.side) == (OrderType.MARKET, OrderSide.BUY)


def plain_request(body: OrderBody, bound: Decimal | None) -> dict[str, str]:
    """`bound`: the most that such an order may pay."""
    params = {
        "symbol": body.symbol,
        "side": body.side.value,
        "orderType": body.type.value,
        "force": "gtc",
        "size": plain(body.quantity),
        "clientOid": body.client_order_id,
    }
    if body.type is OrderType.LIMIT:
        assert body.price is not None
        params["price"] = plain(body.price)
    elif bound is not None:
        params |= {"orderType": "limit", "force": "ioc", "price": plain(bound)}
    return params


def bound(last: Decimal, ask: Decimal | None, instrument: Instrument) -> Decimal:
    """The price beyond which a buy at market does not go."""
    most = EXACT.multiply(max(last, ask or last), THROUGH)
    return instrument.round_for_side(most, selling=False)


def plan_request(body: OrderBody) -> dict[str, str]:
    assert body.trigger_price is not None
    return {
        "symbol": body.symbol,
        "side": body.side.value,
        "triggerPrice": plain(body.trigger_price),
        "triggerType": TRIGGERS[body.trigger_basis],
        "orderType": "market",
        "planType": "amount",
        "size": plain(body.quantity),
        "clientOid": body.client_order_id,
    }


def plan_cancelled(answer: Any) -> None:
    if text(row(data(answer)), "result") != "success":
        raise Strange("the cancel was answered, and not with success")


def plain_order(source: Row) -> VenueOrder:
    """In the list of working orders `priceAvg` is the order's own price, and `basePrice` is there
    for what it was filled at; alone, an order has `price`."""
    filled, kind, side = number(source, "baseVolume"), type_of(source), side_of(source)
    in_money = kind is OrderType.MARKET and side is OrderSide.BUY
    return VenueOrder(
        ref=OrderRef(
            venue_order_id=text(source, "orderId"),
            symbol=text(source, "symbol").upper(),
            conditional=False,
            client_order_id=text_or_none(source, "clientOid"),
        ),
        side=side,
        type=kind,
        status=status_of(source),
        quantity=filled if in_money else number(source, "size"),
        filled_quantity=filled,
        average_price=average_price(number(source, "quoteVolume"), filled),
        price=number_above_zero(source, "priceAvg" if "basePrice" in source else "price"),
        created_at=moment(source, "cTime"),
    )


def plain_page(answer: Any) -> tuple[list[VenueOrder], str]:
    page = [plain_order(source) for source in rows(data(answer) or [])]
    return page, page[-1].ref.venue_order_id if page else ""


def one_order(answer: Any) -> VenueOrder | None:
    """The order that a question named; an empty list where Bitget does not know it."""
    found = data(answer) or []
    for source in rows(found if isinstance(found, list) else [found]):
        return plain_order(source)
    return None


def plan_order(source: Row) -> VenueOrder:
    """As the lists show it: a triggered one without what its child filled. Whether it is a stop
    only the price can tell (see `as_a_stop`)."""
    status = _PLAN_STATUSES.get(text(source, "status"))
    if status is None:
        raise Strange(f"plan status {source['status']}")
    in_money = source.get("planType") == "total"
    return VenueOrder(
        ref=OrderRef(
            venue_order_id=text(source, "orderId"),
            symbol=text(source, "symbol").upper(),
            conditional=True,
            client_order_id=text_or_none(source, "clientOid"),
        ),
        side=side_of(source),
        type=OrderType.STOP_LOSS,
        status=status,
        quantity=Decimal(0) if in_money else number(source, "size"),
        filled_quantity=Decimal(0),
        price=number_above_zero(source, "executePrice"),
        trigger_price=number_above_zero(source, "triggerPrice"),
        trigger_basis=BASES.get(str(source.get("triggerType"))),
        created_at=moment(source, "cTime"),
    )


def as_a_stop(plan: VenueOrder, last: Decimal) -> VenueOrder:
    """A waiting plan by where the price is. A plan triggers when the price comes to its level from
    the side on which it stood: so a sell whose level is not below the price is no stop, whatever
    it was meant for. It is shown without a level, which no stop of ours has."""
    level = plan.trigger_price
    if level is None or not is_passed(plan.side, level, last):
        return plan
    return replace(plan, type=OrderType.TAKE_PROFIT, trigger_price=None)


def is_passed(side: OrderSide, level: Decimal, last: Decimal) -> bool:
    """Whether the price has come to a stop's level, or gone beyond it."""
    return last <= level if side is OrderSide.SELL else last >= level


def children(answer: Any) -> list[str | None]:
    """The numbers of the plain orders that a triggered plan became, None for one that failed;
    those that did not first."""
    found = rows(data(answer) or [])
    failed = [str(each.get("status", "")).startswith("fail") for each in found]
    alive = [text(each, "orderId") for each, lost in zip(found, failed, strict=True) if not lost]
    return [*alive, *(None for lost in failed if lost)]


def with_child(parent: VenueOrder, child: VenueOrder) -> VenueOrder:
    """A triggered plan: open until its child is done, with the child's fills as its own."""
    return replace(
        parent,
        child_id=child.ref.venue_order_id,
        status=child.status,
        filled_quantity=child.filled_quantity,
        average_price=child.average_price,
    )


def instrument(source: Row) -> Instrument:
    step = Decimal(1).scaleb(-_places(source, "quantityPrecision"))
    quote = text(source, "quoteCoin")
    # The smallest worth is told in dollars alone.
    least = number(source, "minTradeUSDT") if quote in _QUOTES_IN_DOLLARS else Decimal(0)
    return Instrument(
        symbol=text(source, "symbol"),
        base=text(source, "baseCoin"),
        quote=quote,
        kind=MarketKind.SPOT,
        tick=Decimal(1).scaleb(-_places(source, "pricePrecision")),
        step=step,
        min_quantity=max(number(source, "minTradeAmount"), step),
        min_notional=least,
    )


def _places(source: Row, field: str) -> int:
    places = int(text(source, field))
    if not 0 <= places <= 18:
        raise Strange(f"{places} decimal places")
    return places


def is_spot(source: Row) -> bool:
    return source.get("symbol") == f"{source.get('baseCoin')}{source.get('quoteCoin')}"


def balance(source: Row) -> Balance:
    free = number(source, "available")
    bound_up = EXACT.add(number(source, "frozen"), number(source, "locked"))
    return Balance(text(source, "coin").upper(), free, EXACT.add(free, bound_up))


def ticker(answer: Any) -> tuple[Decimal, Decimal | None]:
    """The last price, and the best one that is asked."""
    for source in rows(data(answer))[:1]:
        return number(source, "lastPr"), number_above_zero(source, "askPr")
    raise Strange("no symbol in the answer")


def fills_page(answer: Any) -> tuple[list[VenueFill], str]:
    page = [fill(source) for source in rows(data(answer) or [])]
    return page, page[-1].venue_fill_id if page else ""


def fill(source: Row) -> VenueFill:
    details = source.get("feeDetail")
    fee, coin = fee_of([row(details)] if details else [], "")
    return VenueFill(
        venue_fill_id=text(source, "tradeId"),
        symbol=text(source, "symbol").upper(),
        venue_order_id=text(source, "orderId"),
        side=side_of(source),
        price=number(source, "priceAvg"),
        quantity=number(source, "size"),
        fee=fee,
        fee_currency=coin,
        at=moment(source, "cTime"),
    )
