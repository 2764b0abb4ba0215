"""One market's fills: seven days to a question, a hundred to a page, newest first."""

from collections import OrderedDict
from datetime import datetime, timedelta

from guardian_gateway.venues.bybit import words
from guardian_gateway.venues.bybit.calls import every
from guardian_gateway.venues.exchange.client import Client
from guardian_gateway.venues.exchange.markets import Markets
from guardian_gateway.venues.exchange.reading import to_ms
from guardian_gateway.venues.port import VenueFill

PAGE = 100
WINDOW = timedelta(days=7)
KEPT = timedelta(days=729)
"""Bybit keeps two years."""


SETTLED_AFTER = timedelta(hours=1)
"""What happened so long ago is all listed by now."""
WEEKS_KEPT = 1_000


class History:
    """Of one account in one category. Weeks that are over are asked for once: a symbol that last
    traded long ago takes more questions than there may be time for."""

    def __init__(self, client: Client, category: str, markets: Markets) -> None:
        self._client = client
        self._category = category
        self._markets = markets
        self._over: OrderedDict[tuple[str, datetime], list[VenueFill]] = OrderedDict()

    async def fills(self, symbol: str, since: datetime | None, now: datetime) -> list[VenueFill]:
        """All from `since` on, oldest first. Bybit names each by our id itself."""
        name = (await self._markets.listing_to_write(symbol)).name
        found: dict[str, VenueFill] = {}
        start = max(since or now - WINDOW, now - KEPT)
        while start <= now:
            week = self._over.get((name, start))
            if week is None:
                week = await self._week(name, start)
                if start + WINDOW < now - SETTLED_AFTER:
                    self._keep((name, start), week)
            found |= {fill.venue_fill_id: fill for fill in week}
            start += WINDOW
        return sorted(found.values(), key=lambda fill: fill.at)

    async def _week(self, name: str, start: datetime) -> list[VenueFill]:
        asked = {
            "category": self._category,
            "symbol": name,
            "startTime": str(to_ms(start)),
            "endTime": str(to_ms(start + WINDOW)),
            "limit": str(PAGE),
        }
        page = await every(
            self._client,
            "privateGetV5ExecutionList",
            asked,
            lambda source: words.fill(source, self._markets),
        )
        # Of one moment the newest stands first too.
        return [fill for fill in reversed(page) if fill is not None]

    def _keep(self, which: tuple[str, datetime], week: list[VenueFill]) -> None:
        self._over[which] = week
        while len(self._over) > WEEKS_KEPT:
            self._over.popitem(last=False)
