"""Bybit's words that both markets share: envelopes, orders, fills, balances.

A triggered order keeps its number on Bybit (Untriggered, Triggered, New, Filled): there are no
children.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, TypeVar

from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import ZERO
from guardian_core.domain.orders import (
    OrderRef,
    OrderSide,
    OrderStatus,
    OrderType,
    TriggerBasis,
)
from guardian_core.domain.snapshot import Price
from guardian_gateway.venues.exchange.errors import Strange
from guardian_gateway.venues.exchange.markets import Listing, Markets
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

T = TypeVar("T")
Request = dict[str, str | int | bool]
"""A POST is JSON here, with numbers and truth values of their own kind."""

SIDES = {OrderSide.BUY: "Buy", OrderSide.SELL: "Sell"}
BASES = {TriggerBasis.LAST: "LastPrice", TriggerBasis.MARK: "MarkPrice"}
_KNOWN_SIDES = {name: side for side, name in SIDES.items()}
_KNOWN_BASES = {name: basis for basis, name in BASES.items()}

_STATUSES = {
    "Created": OrderStatus.OPEN,
    "New": OrderStatus.OPEN,
    "PartiallyFilled": OrderStatus.OPEN,
    "Untriggered": OrderStatus.OPEN,
    "Triggered": OrderStatus.OPEN,
    "Filled": OrderStatus.CLOSED,
    "Cancelled": OrderStatus.CANCELLED,
    "PartiallyFilledCanceled": OrderStatus.CANCELLED,
    "Deactivated": OrderStatus.CANCELLED,
    "Rejected": OrderStatus.REJECTED,
}
"""`Triggered` is the moment between Untriggered and New."""

_OF_THE_POSITION = frozenset({"TakeProfit", "StopLoss", "TrailingStop"})
"""Stops that belong to a whole position, as the exchange's own page makes them."""

_NO_TRADE = frozenset({"Funding"})
"""Kinds of execution that move money and no coins."""


def result(answer: Any) -> Row:
    """What an answer holds. ccxt lets one code pass that is no success."""
    source = row(answer)
    if text(source, "retCode") != "0":
        raise Strange(f"the answer has code {source['retCode']}")
    return row(source.get("result"))


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list. `cursor`: of the next one, empty where there is none. It comes escaped
    for an address, and goes back as it came."""

    found: list[T]
    cursor: str


def page(answer: Any, parse: Callable[[Row], T]) -> Page[T]:
    source = result(answer)
    cursor = source.get("nextPageCursor") or ""
    if not isinstance(cursor, str):
        raise Strange("the answer's cursor is no text")
    return Page([parse(each) for each in rows(source.get("list"))], cursor)


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """That a request was taken up, which is all that Bybit answers to a write."""

    venue_order_id: str
    client_order_id: str | None


def acknowledged(answer: Any) -> Acknowledged:
    source = result(answer)
    return Acknowledged(text(source, "orderId"), text_or_none(source, "orderLinkId"))


def symbol_of(source: Row, markets: Markets) -> str:
    """Ours; the venue's own name where no listing shows it, as of dated futures."""
    name = text(source, "symbol")
    return markets.symbol_of(name) or name


def order(source: Row, markets: Markets) -> VenueOrder:
    filled = number(source, "cumExecQty")
    trigger = number_above_zero(source, "triggerPrice")
    side = side_of(source)
    kind = _type(source, side, trigger)
    quantity = number(source, "qty")
    return VenueOrder(
        ref=OrderRef(
            venue_order_id=text(source, "orderId"),
            symbol=symbol_of(source, markets),
            conditional=kind.is_conditional,
            client_order_id=text_or_none(source, "orderLinkId"),
        ),
        side=side,
        type=kind,
        status=_status(source),
        quantity=quantity,
        filled_quantity=filled,
        average_price=number_above_zero(source, "avgPrice") if filled > 0 else None,
        price=number_above_zero(source, "price") if source.get("orderType") == "Limit" else None,
        trigger_price=trigger,
        trigger_basis=_basis(source) if trigger is not None else None,
        reduce_only=flag(source, "reduceOnly"),
        whole_position=quantity == 0 or source.get("stopOrderType") in _OF_THE_POSITION,
        created_at=moment(source, "createdTime"),
    )


def side_of(source: Row) -> OrderSide:
    try:
        return _KNOWN_SIDES[text(source, "side")]
    except KeyError:
        raise Strange(f"side {source['side']}") from None


def _status(source: Row) -> OrderStatus:
    try:
        return _STATUSES[text(source, "orderStatus")]
    except KeyError:
        raise Strange(f"order status {source['orderStatus']}") from None


def _type(source: Row, side: OrderSide, trigger: Decimal | None) -> OrderType:
    if trigger is None:
        return OrderType.MARKET if source.get("orderType") == "Market" else OrderType.LIMIT
    falling = _fires_when_falling(source, trigger)
    return OrderType.STOP_LOSS if falling is (side is OrderSide.SELL) else OrderType.TAKE_PROFIT


def _fires_when_falling(source: Row, trigger: Decimal) -> bool:
    """Derivatives say so; a spot order waits for the price to come to its trigger from where it
    was when the order came."""
    direction = str(source.get("triggerDirection") or "0")
    if direction in ("1", "2"):
        return direction == "2"
    base = number_above_zero(source, "basePrice")
    return base is None or trigger < base


def _basis(source: Row) -> TriggerBasis | None:
    """Spot, which names none, has the last price alone."""
    if source.get("triggerBy") in (None, "", "UNKNOWN"):
        return TriggerBasis.LAST
    return _KNOWN_BASES.get(str(source["triggerBy"]))


def fill(source: Row, markets: Markets) -> VenueFill | None:
    """None for what is no trade."""
    if source.get("execType") in _NO_TRADE:
        return None
    known = markets.known(text(source, "symbol"))
    fee = number(source, "execFee") if source.get("execFee") not in (None, "") else ZERO
    currency = text_or_none(source, "feeCurrency")
    if currency is None and known is not None:
        # Derivatives name none: fees are paid in what the contract is settled in.
        currency = known.instrument.quote
    return VenueFill(
        venue_fill_id=text(source, "execId"),
        symbol=symbol_of(source, markets),
        venue_order_id=text(source, "orderId"),
        side=side_of(source),
        price=number(source, "execPrice"),
        quantity=number(source, "execQty"),
        fee=fee,
        fee_currency=currency or "",
        at=moment(source, "execTime"),
        client_order_id=text_or_none(source, "orderLinkId"),
    )


def balances(answer: Any) -> list[Balance]:
    """Per coin: of another coin that counts as collateral too, nothing is promised here. `free`
    is what neither orders nor positions hold, less an open loss."""
    found = []
    for account in rows(result(answer).get("list")):
        for source in rows(account.get("coin")):
            total = number(source, "walletBalance") - _or_zero(source, "spotBorrow")
            held = sum(_or_zero(source, name) for name in _HOLDING)
            loss = min(_or_zero(source, "unrealisedPnl"), ZERO)
            if total != 0:
                free = max(ZERO, total - held + loss)
                found.append(Balance(text(source, "coin"), free, total))
    return found


_HOLDING = ("locked", "totalOrderIM", "totalPositionIM")


def _or_zero(source: Row, field: str) -> Decimal:
    """Portfolio margin leaves some fields empty."""
    return number(source, field) if source.get(field) not in (None, "") else ZERO


def price(answer: Any, symbol: str, age_ms: int) -> Price:
    for source in rows(result(answer).get("list"))[:1]:
        last = number(source, "lastPrice")
        return Price(symbol, last, age_ms=age_ms, mark=number_above_zero(source, "markPrice"))
    raise Strange("no symbol in the answer")


def listings(found: list[Row], make: Callable[[Row], Listing | None]) -> list[Listing]:
    """One that cannot be read is left out, not all the others with it."""
    made = []
    for source in found:
        try:
            one = make(source)
        except (Strange, CallerError):
            continue
        if one is not None:
            made.append(one)
    return made


def part(source: Row, field: str) -> Row:
    return row(source.get(field))


def permitted(permissions: Mapping[str, Any], group: str, name: str) -> bool:
    found = permissions.get(group)
    return isinstance(found, list) and name in found
