"""Bitget spot's plans: the stops, from their placing to what they became.

1. Nothing in a plan says whether it is a stop: it triggers when the price comes to its level from
   wherever it stood. So a stop is placed only below the price, looked at once more when it was
   taken, and counts as one only while the price is above it: else it is shown without a level, so
   that it is replaced.
2. Lists are by symbol, and know no filter by id: all their pages are read.
3. A plan that has triggered is in the history, and its sub-orders name the plain order it became.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from guardian_core.domain.errors import (
    Ambiguous,
    NotSent,
    OrderGone,
    Rejected,
    RejectReason,
    Unavailable,
)
from guardian_core.domain.orders import OrderBody, OrderRef, OrderStatus, OrderType
from guardian_core.ports import Clock
from guardian_gateway.venues.bitget import spot_words as words
from guardian_gateway.venues.bitget.recent import Recent
from guardian_gateway.venues.bitget.shared import (
    KEPT,
    LISTS_LAG_S,
    LOOK_AGAIN_S,
    Ask,
    as_taken,
    data,
    named,
    one_by_one,
    pages,
    taken,
)
from guardian_gateway.venues.exchange.client import Client
from guardian_gateway.venues.exchange.names import OrderNames
from guardian_gateway.venues.exchange.orders import check_is_of
from guardian_gateway.venues.exchange.reading import row, rows, to_ms
from guardian_gateway.venues.port import VenueOrder

SUB_ORDERS = "privateSpotGetV2SpotTradePlanSubOrder"
"""ccxt has no name for it."""

PRICE_WITHIN_S = 0.5
"""Of the 2 s that a listing may take, and the 3 s of a write."""

Plain = Callable[[dict[str, str]], Awaitable[VenueOrder | None]]
"""A plain order by one of its ids."""


class Plans:
    """One account's."""

    def __init__(self, client: Client, clock: Clock, plain: Plain, names: OrderNames) -> None:
        self._client = client
        self._clock = clock
        self._plain = plain
        self._names = names
        self._stops: Recent[float] = Recent()
        """When plans were last seen waiting as stops, by client order id."""

    # Reads

    async def waiting(self, symbol: str) -> list[VenueOrder]:
        """Those that have not triggered, as the price shows them. Raises Unavailable."""
        found = await self._as_priced(symbol)
        if any(not _is_stop(plan) and _id(plan) in self._stops for plan in found):
            # One that the price has just come to is gone by the next look.
            await asyncio.sleep(LOOK_AGAIN_S)
            found = await self._as_priced(symbol)
        for plan in filter(_is_stop, found):
            self._stops.note(_id(plan), self._clock.monotonic())
        return found

    async def _as_priced(self, symbol: str) -> list[VenueOrder]:
        found = await pages(self._lists("Current"), symbol=symbol)
        if not found:
            return []
        try:
            last, _ = await self.ticker_now(symbol)
        except Unavailable:
            # What was a stop counts as one; of what is not known nobody can say it.
            if all(_id(plan) in self._stops for plan in found):
                return found
            raise
        return [words.as_a_stop(plan, last) for plan in found]

    async def find(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        """Waiting, then ended: that is the way they go."""
        found = await self._find(symbol, client_order_id)
        if found is None and client_order_id in self._stops:
            # It was there, and may be in neither list while it triggers.
            await asyncio.sleep(LOOK_AGAIN_S)
            found = await self._find(symbol, client_order_id)
        seen_s = self._stops.get(client_order_id)
        lately = seen_s is not None and self._clock.monotonic() - seen_s < LISTS_LAG_S
        if found is None and lately:
            raise Unavailable(f"plan {client_order_id} is in neither list")
        return found

    async def _find(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        for plan in await self.waiting(symbol):
            if plan.ref.client_order_id == client_order_id:
                return plan
        async for plan in self._past(symbol):
            if plan.ref.client_order_id == client_order_id:
                return await self._as_it_stands(plan)
        return None

    async def became(self, symbol: str, order_id: str, order: VenueOrder | None) -> str | None:
        """Our id of the plan whose child a plain order is; None where it is none's."""
        async for plan in self._past(symbol):
            if plan.status is not OrderStatus.CLOSED or not _may_be(plan, order):
                continue
            if order_id in await self._children(plan):
                return plan.ref.client_order_id
        return None

    async def ticker(self, symbol: str) -> tuple[Decimal, Decimal | None]:
        return await self._client.read(
            "publicSpotGetV2SpotMarketTickers", {"symbol": symbol}, words.ticker, signed=False
        )

    async def ticker_now(self, symbol: str) -> tuple[Decimal, Decimal | None]:
        """The same for what cannot wait for it. Raises Unavailable soon."""
        try:
            async with asyncio.timeout(PRICE_WITHIN_S):
                return await self.ticker(symbol)
        except TimeoutError:
            raise Unavailable(f"the price of {symbol} does not come") from None

    # Writes

    async def create(self, body: OrderBody) -> VenueOrder:
        if await self._is_passed(body):
            raise Rejected(RejectReason.CROSSED, f"the price has come to {body.trigger_price}")
        ack = await self._client.write(
            "privateSpotPostV2SpotTradePlacePlanOrder", words.plan_request(body), taken
        )
        plan = as_taken(body, ack)
        check_is_of(plan, body)
        self._stops.note(body.client_order_id, self._clock.monotonic())
        if await self._is_passed(body):
            await self._take_back(plan)
        return plan

    async def _is_passed(self, body: OrderBody) -> bool:
        """False where the price cannot be read, or does not come at once: what protects is sent all
        the same, and shows by the next look what it is."""
        try:
            last, _ = await self.ticker_now(body.symbol)
        except Unavailable:
            return False
        assert body.trigger_price is not None
        return words.is_passed(body.side, body.trigger_price, last)

    async def _take_back(self, plan: VenueOrder) -> None:
        """A plan that the price passed while it was placed: it has triggered, or waits for the
        price to come back, and protects nothing. Raises Rejected when it is surely gone."""
        try:
            await self.cancel(plan.ref)
        except OrderGone:
            return
        except (NotSent, Rejected) as error:
            raise Ambiguous(f"a stop that the price has passed still waits: {error}") from None
        raise Rejected(RejectReason.CROSSED, f"the price has come to {plan.trigger_price}")

    async def cancel(self, order: OrderRef) -> None:
        await self._client.write(
            "privateSpotPostV2SpotTradeCancelPlanOrder", named(order), words.plan_cancelled
        )

    # Details

    def _past(self, symbol: str) -> AsyncIterator[VenueOrder]:
        """Those that have ended, newest first."""
        now = self._clock.now()
        span = {
            "startTime": str(to_ms(now - KEPT + timedelta(hours=1))),
            "endTime": str(to_ms(now + timedelta(hours=1))),
        }
        return one_by_one(self._lists("History"), symbol=symbol, **span)

    def _lists(self, where: str) -> Ask[VenueOrder]:
        async def ask(more: dict[str, str]) -> tuple[list[VenueOrder], str]:
            return await self._client.read(
                f"privateSpotGetV2SpotTrade{where}PlanOrder", more, _page
            )

        return ask

    async def _children(self, plan: VenueOrder) -> list[str | None]:
        return await self._client.read(
            SUB_ORDERS, {"planOrderId": plan.ref.venue_order_id}, words.children
        )

    async def _as_it_stands(self, plan: VenueOrder) -> VenueOrder:
        """A plan, with what became of its child once it has triggered."""
        if plan.status is not OrderStatus.CLOSED:
            return plan
        numbers = await self._children(plan)
        if not numbers:
            raise Unavailable(f"plan {plan.ref.venue_order_id} triggered, and its child is hid")
        if numbers[0] is None:
            return replace(plan, status=OrderStatus.REJECTED)
        child = await self._plain({"orderId": numbers[0]})
        if child is None:
            raise Unavailable(f"order {numbers[0]}, a triggered plan's child, is not shown")
        shown = words.with_child(plan, child)
        self._names.learn(shown)
        return shown


def _page(answer: object) -> tuple[list[VenueOrder], str]:
    source = row(data(answer))
    page = [words.plan_order(each) for each in rows(source.get("orderList") or [])]
    return page, page[-1].ref.venue_order_id if page else ""


def _id(plan: VenueOrder) -> str:
    return plan.ref.client_order_id or plan.ref.venue_order_id


def _is_stop(plan: VenueOrder) -> bool:
    return plan.type is OrderType.STOP_LOSS


def _may_be(plan: VenueOrder, order: VenueOrder | None) -> bool:
    """Whether a plan can have become this order, which is no larger and no older."""
    if order is None:
        return True
    made, became = plan.created_at, order.created_at
    if made is not None and became is not None and made > became:
        return False
    return plan.side is order.side and plan.quantity >= order.quantity
