"""One market's orders: listed, looked up, placed and cancelled.

1. Bybit answers a write as soon as it has taken it up, before the order has been matched or
   refused by the matching engine. So each write is followed by a look at the order itself.
2. What was taken up and cannot be seen is not guessed: a plain order is ambiguous, to be looked
   up by its id. A conditional one is told as open, with nothing filled, as Bybit took it: the
   next listing shows it, or it is looked up too.
3. An id is unknown only when neither the current orders nor the history know it. (A server that
   was restarted shows ended orders in the history alone.)
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from guardian_core.domain.errors import Ambiguous, GuardianError, OrderGone
from guardian_core.domain.money import ZERO
from guardian_core.domain.orders import OrderBody, OrderRef, OrderStatus, OrderType, Role
from guardian_gateway.venues.bybit import words
from guardian_gateway.venues.bybit.calls import every
from guardian_gateway.venues.exchange.client import Client
from guardian_gateway.venues.exchange.markets import Markets
from guardian_gateway.venues.exchange.reading import Row
from guardian_gateway.venues.port import VenueOrder

PAGE = 50
"""Orders in one answer, at most."""

LOOKS_AFTER_S = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.5)
"""Pauses before each look at an order that was just written: two seconds together, which leaves
the gateway's own limit for a write some time for the request."""

_CURRENT = "privateGetV5OrderRealtime"
_HISTORY = "privateGetV5OrderHistory"


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of an order as far as it could be seen. `why`: not, in words."""

    order: VenueOrder | None = None
    why: str = "it does not show"


class Orders:
    """Of one account in one category (`linear`, `spot`)."""

    def __init__(self, client: Client, category: str, markets: Markets) -> None:
        self._client = client
        self._category = category
        self._markets = markets

    async def listed(self, where: dict[str, str], filters: Sequence[str]) -> list[VenueOrder]:
        """The working orders there, by several questions, each order once. An order that a later
        question shows again counts as that shows it."""
        await self._markets.ready()
        found: dict[str, VenueOrder] = {}
        for kind in filters:
            asked = {"category": self._category, **where, "openOnly": "0", "limit": str(PAGE)}
            asked |= {"orderFilter": kind} if kind else {}
            orders = await every(self._client, _CURRENT, asked, self._parse)
            found |= {order.ref.venue_order_id: order for order in orders}
        return [order for order in found.values() if not order.status.is_terminal]

    async def find(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        return await self._look(symbol, {"orderLinkId": client_order_id})

    async def _look(self, symbol: str, which: dict[str, str]) -> VenueOrder | None:
        """By one id. Raises Unavailable."""
        name = (await self._markets.listing_to_write(symbol)).name
        asked = {"category": self._category, "symbol": name, **which}
        for call in (_CURRENT, _HISTORY):
            try:
                page = await self._client.read(call, asked, lambda a: words.page(a, self._parse))
            except OrderGone:
                continue
            same = [order for order in page.found if _is(order, which)]
            if same:
                return same[0]
        return None

    async def place(self, body: OrderBody, request: words.Request) -> VenueOrder:
        """Sends an order, and tells it as it then stands."""
        taken = await self._client.write(
            "privatePostV5OrderCreate",
            request,
            words.acknowledged,
            entering=body.role is Role.ENTRY,
        )
        if taken.client_order_id != body.client_order_id:
            raise Ambiguous("the venue's answer is about another order")
        # A market order is over at once: what does not fill is cancelled.
        market = body.type is OrderType.MARKET
        seen = await self._seen(
            body.symbol,
            {"orderLinkId": body.client_order_id},
            lambda order: order.status.is_terminal or not market,
        )
        if seen.order is not None:
            return seen.order
        if body.type.is_conditional:
            return _as_taken(body, taken)
        raise Ambiguous(f"the order was taken up, and {seen.why}")

    async def cancel(self, order: OrderRef, more: words.Request) -> None:
        """Raises OrderGone where it was over before, Ambiguous where its end is not seen."""
        name = (await self._markets.listing_to_write(order.symbol)).name
        which = {"orderId": order.venue_order_id}
        if not order.venue_order_id:
            which = {"orderLinkId": order.client_order_id or ""}
        await self._client.write(
            "privatePostV5OrderCancel",
            {"category": self._category, "symbol": name, **which, **more},
            words.acknowledged,
        )
        seen = await self._seen(order.symbol, which, lambda found: found.status.is_terminal)
        if seen.order is None:
            raise Ambiguous(f"the cancel was taken up, and {seen.why}")
        if not seen.order.status.is_terminal:
            raise Ambiguous(f"the cancel was taken up, and the order is {seen.order.status.value}")
        if seen.order.status is not OrderStatus.CANCELLED:
            raise OrderGone(f"the order is {seen.order.status.value}")

    async def _seen(
        self, symbol: str, which: dict[str, str], is_settled: Callable[[VenueOrder], bool]
    ) -> Seen:
        """The order once it has settled, else as it was last seen. Raises nothing."""
        seen = Seen()
        for pause_s in LOOKS_AFTER_S:
            await asyncio.sleep(pause_s)
            try:
                found = await self._look(symbol, which)
            except GuardianError as error:
                # Whatever kept the order from being read says nothing of what was sent.
                return Seen(seen.order, f"it cannot be read: {error}")
            if found is not None:
                seen = Seen(found)
                if is_settled(found):
                    break
        return seen

    def _parse(self, source: Row) -> VenueOrder:
        return words.order(source, self._markets)


def _is(order: VenueOrder, which: dict[str, str]) -> bool:
    if "orderId" in which:
        return order.ref.venue_order_id == which["orderId"]
    return order.ref.client_order_id == which["orderLinkId"]


def _as_taken(body: OrderBody, taken: words.Acknowledged) -> VenueOrder:
    return VenueOrder(
        ref=OrderRef(taken.venue_order_id, body.symbol, True, body.client_order_id),
        side=body.side,
        type=body.type,
        status=OrderStatus.OPEN,
        quantity=body.quantity,
        filled_quantity=ZERO,
        trigger_price=body.trigger_price,
        trigger_basis=body.trigger_basis,
        reduce_only=body.reduce_only,
    )
