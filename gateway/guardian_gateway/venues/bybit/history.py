"""One market's fills: seven days to a question, a hundred to a page, newest first."""

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


async def fills(
    client: Client,
    category: str,
    markets: Markets,
    symbol: str,
    since: datetime | None,
    now: datetime,
) -> list[VenueFill]:
    """All from `since` on, oldest first. Bybit names each by our id itself."""
    name = (await markets.listing_to_write(symbol)).name
    found: dict[str, VenueFill] = {}
    start = max(since or now - WINDOW, now - KEPT)
    while start <= now:
        asked = {
            "category": category,
            "symbol": name,
            "startTime": str(to_ms(start)),
            "endTime": str(to_ms(start + WINDOW)),
            "limit": str(PAGE),
        }
        page = await every(
            client, "privateGetV5ExecutionList", asked, lambda source: words.fill(source, markets)
        )
        # Of one moment the newest stands first too.
        found |= {fill.venue_fill_id: fill for fill in reversed(page) if fill is not None}
        start += WINDOW
    return sorted(found.values(), key=lambda fill: fill.at)
