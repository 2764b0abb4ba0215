"""Orders of Kraken futures that ended, and executions: where each is asked for.

1. `orders/status` shows what is open or has ended within 5 s. `fills` shows executions at once,
   without their fees. The history shows everything, with fees, and may be behind.
2. The history's calls have a small budget of their own (100, and 100 more in 10 minutes): an
   allowance here is spent first, so that it never runs into the venue's refusal.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from guardian_core.domain.errors import OrderGone, Unavailable
from guardian_core.domain.money import EXACT, ZERO
from guardian_core.ports import Clock
from guardian_gateway.venues.exchange.client import Client
from guardian_gateway.venues.exchange.markets import Listing, Markets
from guardian_gateway.venues.exchange.reading import Row, number, row, rows, text_or_none, to_ms
from guardian_gateway.venues.kraken import futures_events as words
from guardian_gateway.venues.port import VenueFill, VenueOrder

PAGE = 1000
"""Events in one answer, at most."""
ORDERS_SINCE = timedelta(days=7)
"""How far back an order that ended is looked for."""
CHILD_SHOWS_WITHIN = timedelta(seconds=30)
"""An order that was triggered so long ago and has no execution became nothing."""
CALLS, CALLS_IN_S = 90, 600.0
LOOK_UP_CALLS = 3
"""What a look-up takes: triggers, orders, and the executions of what it finds."""
KEPT_FOR_LOOK_UPS = 4 * LOOK_UP_CALLS
"""Fills are asked for again and again; they must not take what an order in doubt needs."""


class Allowance:
    """So many calls in so long a time."""

    def __init__(self, clock: Clock, calls: int, in_s: float) -> None:
        self._clock = clock
        self._calls, self._per_s = calls, calls / in_s
        self._left, self._counted_at_s = float(calls), clock.monotonic()

    def spend(self, calls: int = 1, *, leaving: int = 0) -> None:
        """All of them or none. Raises Unavailable instead of one too many."""
        now_s = self._clock.monotonic()
        gained = (now_s - self._counted_at_s) * self._per_s
        self._left, self._counted_at_s = min(self._calls, self._left + gained), now_s
        if self._left < calls + leaving:
            raise Unavailable("the history was asked too often: its budget comes back slowly")
        self._left -= calls

    def give_back(self, calls: int) -> None:
        self._left += calls


class FuturesHistory:
    """One account's."""

    def __init__(self, client: Client, clock: Clock, markets: Markets) -> None:
        self._client = client
        self._clock = clock
        self._markets = markets
        self._allowance = Allowance(clock, CALLS, CALLS_IN_S)

    async def recent(self, client_order_id: str) -> VenueOrder | None:
        """An order that is open or has just ended. Raises Unavailable."""
        try:
            found = await self._client.read(
                "privateGetOrdersStatus",
                {"cliOrdIds": client_order_id},
                lambda answer: words.statuses(answer, self._markets),
            )
        except OrderGone:
            return None
        mine = [order for order in found if order.ref.client_order_id == client_order_id]
        # What a triggered order became says more than what it was.
        ended = next((order for order in mine if order.status.is_terminal), None)
        order = ended or next(iter(mine), None)
        if order is None or order.filled_quantity == 0:
            return order
        return replace(order, average_price=words.priced(order, await self._live()))

    async def _live(self) -> list[words.Live]:
        """The newest hundred executions."""
        return await self._client.read(
            "privateGetFills", {}, lambda answer: words.live_fills(answer, self._markets)
        )

    async def past(self, listing: Listing, client_order_id: str) -> VenueOrder | None:
        """An order that works no more, from what happened to it. Raises Unavailable while the
        history is behind what is known otherwise."""
        since = self._clock.now() - ORDERS_SINCE
        # At once: two that share what is left call by call would both end half-way.
        self._allowance.spend(LOOK_UP_CALLS)
        triggers = await self._events("historyGetTriggers", listing, since, client_order_id)
        orders = await self._events("historyGetOrders", listing, since, client_order_id)
        if not triggers and not orders:
            self._allowance.give_back(1)
            if any(fill.client_order_id == client_order_id for fill in await self._live()):
                raise Unavailable(f"order {client_order_id} filled, and is not in the history yet")
            return None
        start = min(event.at for event in (*triggers, *orders)) - timedelta(seconds=1)
        fills = await self._fills(listing, start)
        mine = [fill for fill in fills if fill.client_order_id == client_order_id]
        order = words.ended(listing, triggers, orders, mine)
        told = max((number(event.order, "filled") for event in orders), default=ZERO)
        if EXACT.multiply(told, listing.instrument.contract_size) > order.filled_quantity:
            raise Unavailable(f"order {client_order_id} filled more than its executions say so far")
        if not orders:
            self._check_end(order, triggers[-1])
        return order

    def _check_end(self, order: VenueOrder, last: words.Event) -> None:
        """Raises Unavailable where more must have happened to a conditional order than is shown."""
        name = order.ref.client_order_id
        if last.kind in ("OrderTriggerPlaced", "OrderTriggerUpdated"):
            raise Unavailable(f"order {name} is not listed, and its history has no end yet")
        young = self._clock.now() - last.at < CHILD_SHOWS_WITHIN
        if last.kind == "OrderTriggerActivated" and young and order.filled_quantity == 0:
            raise Unavailable(f"order {name} was triggered, and what it became is not shown yet")

    async def fills(self, listing: Listing, since: datetime) -> list[VenueFill]:
        """Executions from `since` on, oldest first. Raises Unavailable."""
        self._allowance.spend(leaving=KEPT_FOR_LOOK_UPS)
        return await self._fills(listing, since)

    async def _fills(self, listing: Listing, since: datetime) -> list[VenueFill]:
        found: dict[str, VenueFill] = {}
        for source in await self._elements("historyGetExecutions", listing, since, {}):
            fill = words.execution(source, listing)
            found[fill.venue_fill_id] = fill
        return sorted(found.values(), key=lambda fill: fill.at)

    async def _events(
        self, call: str, listing: Listing, since: datetime, client_order_id: str
    ) -> list[words.Event]:
        """Oldest first."""
        both = {"opened": "true", "closed": "true"}
        elements = await self._elements(call, listing, since, both)
        return words.events_of(client_order_id, elements)

    async def _elements(
        self, call: str, listing: Listing, since: datetime, more: dict[str, str]
    ) -> list[Row]:
        """The first page has been paid for."""
        found: list[Row] = []
        token: str | None = None
        while True:
            params = {
                "version": "v3",
                "tradeable": listing.name,
                "since": str(to_ms(since)),
                "sort": "asc",
                "count": str(PAGE),
                **more,
            }
            if token is not None:
                params["continuation_token"] = token
                self._allowance.spend()
            page = await self._client.read(call, params, row)
            elements = rows(page.get("elements"))
            found += elements
            following = text_or_none(page, "continuationToken")
            if not elements or following in (None, token):
                return found
            token = following
