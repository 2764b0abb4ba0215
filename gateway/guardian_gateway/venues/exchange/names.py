"""Which client order id a fill belongs to, on venues whose fills name the venue's number only.

A fill that names no order of ours counts as somebody else's; on spot its coins are then not
guarded. So a number that is not known is asked for, once.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from guardian_gateway.venues.port import VenueFill, VenueOrder

KEPT = 10_000


class OrderNames:
    """Client order ids by (symbol, venue's number); None: surely without one."""

    def __init__(self, ask: Callable[[str, str], Awaitable[str | None]]) -> None:
        self._ask = ask
        self._names: OrderedDict[tuple[str, str], str | None] = OrderedDict()

    def learn(self, order: VenueOrder) -> None:
        """A triggered order's child goes by its parent's name."""
        name, symbol = order.ref.client_order_id, order.ref.symbol
        if order.child_id is not None:
            self._keep((symbol, order.child_id), name)
        elif not order.ref.conditional:
            self._keep((symbol, order.ref.venue_order_id), name)

    async def told(self, fills: Sequence[VenueFill]) -> list[VenueFill]:
        """The same fills, with names. Raises Unavailable."""
        told: list[VenueFill] = []
        for fill in fills:
            key = (fill.symbol, fill.venue_order_id)
            if key not in self._names:
                self._keep(key, await self._ask(*key))
            told.append(replace(fill, client_order_id=self._names[key]))
        return told

    def _keep(self, key: tuple[str, str], name: str | None) -> None:
        self._names[key] = name
        while len(self._names) > KEPT:
            self._names.popitem(last=False)
