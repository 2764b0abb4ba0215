"""Kraken spot's trades: one list of all pairs, newest first, fifty to a page, which is dear.

1. It is asked for by time alone, so a lane that last traded long ago needs all that was traded
   since, on any pair. That may take more pages than one question has time for: what was read is
   kept, and the next question goes on where this one ended.
2. A trade may be listed late: the last minutes are always asked for again.
3. A trade names its order by number alone, whose own id is asked for once. Without one it counts
   as somebody else's, so an order that is not shown just after it traded is no answer.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from guardian_core.domain.errors import OrderGone, Unavailable
from guardian_gateway.venues.exchange.markets import Markets
from guardian_gateway.venues.kraken import spot_words as words
from guardian_gateway.venues.port import VenueFill, VenueOrder

T = TypeVar("T")

PAGE = 50
ORDERS_AT_ONCE = 50
LATE = timedelta(minutes=2)
KEPT = 20_000
"""Trades, and names of orders."""


_EVER = datetime.min.replace(tzinfo=UTC)


class Ask(Protocol):
    def __call__(
        self, call: str, params: dict[str, str], parse: Callable[[Any], T]
    ) -> Awaitable[T]: ...


class Spans:
    """Stretches of time that were read, apart from one another."""

    def __init__(self) -> None:
        self._spans: list[tuple[datetime, datetime]] = []

    def add(self, low: datetime, high: datetime) -> None:
        if low >= high:
            return
        apart = [span for span in self._spans if span[1] < low or span[0] > high]
        touching = [span for span in self._spans if span not in apart]
        low = min([low, *(start for start, _ in touching)])
        high = max([high, *(end for _, end in touching)])
        self._spans = sorted([*apart, (low, high)])

    def keep(self, low: datetime, high: datetime) -> None:
        """Forgets what is outside."""
        cut = [(max(start, low), min(end, high)) for start, end in self._spans]
        self._spans = [(start, end) for start, end in cut if start < end]

    def newest_gap(self, low: datetime, high: datetime) -> tuple[datetime, datetime] | None:
        for start, end in reversed(self._spans):
            if end < high:
                low = max(low, end)
                break
            high = min(high, start)
        return (low, high) if low < high else None


class SpotTrades:
    """One account's. `now`: by Kraken's clock."""

    def __init__(self, ask: Ask, now: Callable[[], Awaitable[datetime]], markets: Markets) -> None:
        self._ask = ask
        self._now = now
        self._markets = markets
        self._reading = asyncio.Lock()
        self._read = Spans()
        self._read_until = _EVER + LATE
        self._trades: dict[str, VenueFill] = {}
        self._names: OrderedDict[str, str | None] = OrderedDict()

    def learn(self, order: VenueOrder) -> None:
        """An order's number stays its own when it triggers."""
        self._names[order.ref.venue_order_id] = order.ref.client_order_id
        while len(self._names) > KEPT:
            self._names.popitem(last=False)

    def numbers_of(self, client_order_id: str) -> list[str]:
        """As far as they were learnt."""
        return [number for number, name in self._names.items() if name == client_order_id]

    async def fills(self, symbol: str, since: datetime) -> list[VenueFill]:
        """Oldest first. Raises Unavailable."""
        async with self._reading:
            now = await self._now()
            self._read.keep(_EVER, min(self._read_until, now) - LATE)
            self._read_until = now
            low = min(since, now - LATE)
            while (gap := self._read.newest_gap(low, now)) is not None:
                await self._fill(*gap, now)
            found = [fill for fill in self._trades.values() if fill.at >= since]
            self._forget_oldest()
        mine = [fill for fill in found if fill.symbol == symbol]
        return await self._named(sorted(mine, key=lambda fill: fill.at), now - LATE)

    async def _fill(self, low: datetime, high: datetime, now: datetime) -> None:
        """Pages are counted from the newest trade: one that comes in between makes two pages
        overlap, and leaves none out."""
        asked = 0
        while True:
            params = {
                "type": "all",
                # Kraken leaves out what happened at the very start.
                "start": str(int(low.timestamp()) - 1),
                "ofs": str(asked),
                "consolidate_taker": "false",
            }
            if high < now:
                params["end"] = str(int(high.timestamp()) + 1)
            page = await self._ask(
                "privatePostTradesHistory", params, lambda a: words.fills(a, self._markets)
            )
            asked += len(page)
            # Of one moment the newest stands first.
            older = {fill.venue_fill_id: fill for fill in reversed(page)}
            self._trades = older | self._trades
            if len(page) < PAGE:
                self._read.add(low, high)
                return
            self._read.add(min(fill.at for fill in page), high)

    def _forget_oldest(self) -> None:
        if len(self._trades) > KEPT:
            newest = sorted(self._trades.values(), key=lambda fill: fill.at)[-KEPT:]
            self._trades = {fill.venue_fill_id: fill for fill in newest}
            self._read.keep(newest[0].at, self._read_until)

    # Names

    async def _named(self, fills: Sequence[VenueFill], young_from: datetime) -> list[VenueFill]:
        told = dict.fromkeys(fill.venue_order_id for fill in fills)
        unknown = [number for number in told if number not in self._names]
        young = {fill.venue_order_id for fill in fills if fill.at >= young_from}
        for start in range(0, len(unknown), ORDERS_AT_ONCE):
            await self._ask_names(unknown[start : start + ORDERS_AT_ONCE], young)
        return [replace(fill, client_order_id=self._names[fill.venue_order_id]) for fill in fills]

    async def _ask_names(self, numbers: Sequence[str], young: set[str]) -> None:
        try:
            found = await self._ask(
                "privatePostQueryOrders",
                {"txid": ",".join(numbers)},
                lambda answer: words.orders(answer, None, self._markets),
            )
        except OrderGone:
            if len(numbers) > 1:
                # One that is not known may hide the others.
                for number in numbers:
                    await self._ask_names([number], young)
                return
            found = []
        for order in found:
            self.learn(order)
        missing = [number for number in numbers if number not in self._names]
        if young.intersection(missing):
            raise Unavailable("an order has traded, and is not shown yet")
        self._names |= dict.fromkeys(missing)
