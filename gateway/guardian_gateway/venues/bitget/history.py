"""One market's fills: seven days to a question, a hundred to a page, newest first."""

from collections import OrderedDict
from datetime import datetime, timedelta

from guardian_gateway.venues.bitget.shared import KEPT, WINDOW, Ask, pages
from guardian_gateway.venues.exchange.reading import to_ms
from guardian_gateway.venues.port import VenueFill

SETTLED_AFTER = timedelta(hours=1)
"""What happened so long ago is all listed by now."""
WEEKS_KEPT = 1_000


class History:
    """Of one account. Weeks that are over are asked for once: a symbol that last traded long ago
    takes more questions than there may be time for."""

    def __init__(self) -> None:
        self._over: OrderedDict[tuple[str, datetime], list[VenueFill]] = OrderedDict()

    async def fills(
        self, symbol: str, ask: Ask[VenueFill], since: datetime, now: datetime
    ) -> list[VenueFill]:
        """All from `since` on, oldest first. `ask`: of this symbol alone. Raises Unavailable."""
        found: dict[str, VenueFill] = {}
        start = max(since, now - KEPT)
        while start <= now:
            end = start + WINDOW
            week = self._over.get((symbol, start))
            if week is None:
                week = await pages(ask, startTime=str(to_ms(start)), endTime=str(to_ms(end)))
                if end < now - SETTLED_AFTER:
                    self._keep((symbol, start), week)
            found |= {fill.venue_fill_id: fill for fill in week}
            start = end
        return sorted(found.values(), key=_by_age)

    def _keep(self, which: tuple[str, datetime], week: list[VenueFill]) -> None:
        self._over[which] = week
        while len(self._over) > WEEKS_KEPT:
            self._over.popitem(last=False)


def _by_age(fill: VenueFill) -> tuple[datetime, int, str]:
    """Of those of one moment, the smaller number is the older one."""
    return fill.at, len(fill.venue_fill_id), fill.venue_fill_id
