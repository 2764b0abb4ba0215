"""What Bitget's two markets have in common: the envelope, words, pages, fees, and acknowledgements.

A create is answered with the order's two ids and nothing else: what it filled is asked for after.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar

from guardian_core.domain.errors import Ambiguous, CallerError, OrderGone, Unavailable
from guardian_core.domain.money import EXACT, Instrument
from guardian_core.domain.orders import (
    OrderBody,
    OrderRef,
    OrderSide,
    OrderStatus,
    OrderType,
    TriggerBasis,
)
from guardian_gateway.venues.exchange.checks import (
    Finding,
    found_out,
    key_findings,
)
from guardian_gateway.venues.exchange.client import Client
from guardian_gateway.venues.exchange.errors import Strange
from guardian_gateway.venues.exchange.markets import Listing, by_symbol
from guardian_gateway.venues.exchange.reading import Row, flag, number, row, rows, text
from guardian_gateway.venues.port import VenueOrder

T = TypeVar("T")

PAGE = 100
"""Rows in one answer, at most."""
KEPT = timedelta(days=90)
"""How long Bitget shows ended orders and fills."""
WINDOW = timedelta(days=7)
"""The longest time that one question for fills spans; its pages are asked for one by one."""
PAGES_MAX = 100

LOOKS_AFTER_S = (0.0, 0.1, 0.2, 0.3)
"""Pauses before each look at an order that was just written."""

LOOK_AGAIN_S = 0.5
LISTS_LAG_S = 4.0
"""So long a plan that was seen may be missing from both of its lists; it is sought again soon."""

TRIGGERS = {TriggerBasis.LAST: "fill_price", TriggerBasis.MARK: "mark_price"}
BASES = {name: basis for basis, name in TRIGGERS.items()}

_STATUSES = {
    "init": OrderStatus.OPEN,
    "new": OrderStatus.OPEN,
    "live": OrderStatus.OPEN,
    "partially_filled": OrderStatus.OPEN,
    "filled": OrderStatus.CLOSED,
    "canceled": OrderStatus.CANCELLED,
    "cancelled": OrderStatus.CANCELLED,
}
_TYPES = {"market": OrderType.MARKET, "limit": OrderType.LIMIT}


def data(answer: Any) -> Any:
    """What an answer carries. One that does not say that all went well is a strange one."""
    source = row(answer)
    if source.get("code") != "00000":
        raise Strange("the answer does not say that it went well")
    return source.get("data")


def page_of(answer: Any, field: str, read: Callable[[Row], T]) -> tuple[list[T], str]:
    """A page of a list, and the number before which the next one begins. Bitget writes null for
    no rows."""
    source = row(data(answer))
    found = source.get(field)
    page = [] if found is None else [read(each) for each in rows(found)]
    return page, str(source.get("endId") or "")


def side_of(source: Row) -> OrderSide:
    match text(source, "side").lower():
        case "buy":
            return OrderSide.BUY
        case "sell":
            return OrderSide.SELL
        case other:
            raise Strange(f"side {other}")


def status_of(source: Row) -> OrderStatus:
    """Of a plain order, which names it differently in a list and alone."""
    name = text(source, "state" if "state" in source else "status")
    try:
        return _STATUSES[name]
    except KeyError:
        raise Strange(f"order status {name}") from None


def type_of(source: Row) -> OrderType:
    """A kind of order that we never send, somebody else's, counts as a limit order."""
    return _TYPES.get(text(source, "orderType"), OrderType.LIMIT)


def named(order: OrderRef) -> dict[str, str]:
    """How an order is named in a request: by its number, or by our id where that is all there
    is."""
    if order.venue_order_id:
        return {"orderId": order.venue_order_id}
    return {"clientOid": order.client_order_id or ""}


@dataclass(frozen=True, slots=True)
class Taken:
    """That an order was taken: its number, and the id that it was sent with."""

    order_id: str
    client_order_id: str


def taken(answer: Any) -> Taken:
    source = row(data(answer))
    return Taken(text(source, "orderId"), text(source, "clientOid"))


def as_taken(body: OrderBody, ack: Taken) -> VenueOrder:
    """The order as it was sent, when no more is known than that it was taken."""
    return VenueOrder(
        ref=OrderRef(
            venue_order_id=ack.order_id,
            symbol=body.symbol,
            conditional=body.type.is_conditional,
            client_order_id=ack.client_order_id,
        ),
        side=body.side,
        type=body.type,
        status=OrderStatus.OPEN,
        quantity=body.quantity,
        filled_quantity=Decimal(0),
        price=body.price if body.type is OrderType.LIMIT else None,
        trigger_price=body.trigger_price,
        trigger_basis=body.trigger_basis if body.type.is_conditional else None,
        reduce_only=body.reduce_only,
    )


def seen(answer: Any, read: Callable[[Any], T]) -> T:
    """What `read` makes of an order that was just taken. Raises Ambiguous where it is none that we
    know."""
    try:
        return read(answer)
    except Strange as error:
        raise Ambiguous(f"the order was taken, and then shown as: {error}") from None


async def read_back(order: VenueOrder, look: Callable[[], Awaitable[VenueOrder]]) -> VenueOrder:
    """A plain order that was just taken, with what it has filled if that shows by now: a market
    order is looked at until it is over, for a moment."""
    ends_at_once = order.type is OrderType.MARKET
    for pause_s in LOOKS_AFTER_S:
        await asyncio.sleep(pause_s)
        try:
            order = await look()
        except OrderGone:
            continue
        except Unavailable:
            return order
        if order.status.is_terminal or not ends_at_once:
            return order
    return order


async def until_ended(look: Callable[[], Awaitable[VenueOrder | None]]) -> None:
    """A cancel is answered when it was taken. Raises OrderGone where the order was filled before
    it, and Ambiguous where it still works a moment later, or cannot be seen."""
    for pause_s in LOOKS_AFTER_S:
        await asyncio.sleep(pause_s)
        try:
            order = await look()
        except Unavailable as error:
            raise Ambiguous(f"the cancel was taken, and not seen: {error}") from None
        if order is None or order.status is OrderStatus.CANCELLED:
            return
        if order.status.is_terminal:
            raise OrderGone(f"the order is {order.status.value}")
    raise Ambiguous("the cancel was taken, and the order still works")


def fee_of(details: Sequence[Row], quote: str) -> tuple[Decimal, str]:
    """What was paid (above 0) and in which coin; Bitget writes payments below 0. Of a fee that
    was paid in two coins, the part in the first."""
    if not details:
        return Decimal(0), quote
    coin = text(details[0], "feeCoin")
    parts = [number(each, "totalFee") for each in details if each.get("feeCoin") == coin]
    total = Decimal(0)
    for part in parts:
        total = EXACT.subtract(total, part)
    return total, coin


Ask = Callable[[dict[str, str]], Awaitable[tuple[list[T], str]]]
"""One page, newest first, and the number before which the next one begins."""


async def pages(ask: Ask[T], **params: str) -> list[T]:
    """All pages. Raises Unavailable."""
    return [one async for one in one_by_one(ask, **params)]


async def one_by_one(ask: Ask[T], **params: str) -> AsyncIterator[T]:
    """The same for whoever may stop before the end: the newest first. Raises Unavailable."""
    until: dict[str, str] = {}
    for _ in range(PAGES_MAX):
        page, last = await ask({**params, **until, "limit": str(PAGE)})
        for one in page:
            yield one
        if len(page) < PAGE:
            return
        if not last or until == {"idLessThan": last}:
            raise Unavailable("a full page does not tell where the next one begins")
        until = {"idLessThan": last}
    raise Unavailable(f"more than {PAGES_MAX} pages")


def listings_of(
    answer: Any, is_ours: Callable[[Row], bool], make: Callable[[Row], Instrument]
) -> dict[str, Listing]:
    """Every symbol, halted ones too, since positions stay. One that cannot be read is left out,
    not all the others with it."""
    found: list[Listing] = []
    for source in rows(data(answer)):
        if not is_ours(source):
            continue
        try:
            one = make(source)
        except (Strange, CallerError):
            continue
        found.append(Listing(one, one.symbol))
    return by_symbol(found)


async def account_findings(client: Client, right: str) -> Sequence[Finding]:
    """Whether the account's key may trade (`right`: Bitget's short name for that) and withdraw, or
    why that could not be asked."""

    async def ask() -> Sequence[Finding]:
        rights = await client.read("privateSpotGetV2SpotAccountInfo", {}, _rights)
        # A list that names no right at all tells nothing.
        may_withdraw = not rights or bool(rights & {"wwow", "withdraw"})
        return key_findings(bool(rights & {right, "trade"}), may_withdraw, is_live=client.is_live)

    return await found_out("keys", ask())


def _rights(answer: Any) -> frozenset[str]:
    found = row(data(answer)).get("authorities")
    if not isinstance(found, list):
        raise Strange("the answer does not tell the key's rights")
    return frozenset(str(each) for each in found)


def is_yes(source: Row, field: str) -> bool:
    return str(source.get(field, "")).lower() == "yes" or flag(source, field)
