"""Which client order id a fill belongs to, on venues whose fills name the venue's number only.

A fill that names no order of ours counts as somebody else's; on spot its coins are then not
guarded. So a number that is not known is asked for, once.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from guardian_core.domain.errors import Unavailable
from guardian_gateway.venues.port import VenueFill, VenueOrder

KEPT = 10_000
UNSURE_FOR = timedelta(seconds=4)
"""An order that has filled may show so much later than its fill."""


class Unsure(Exception):
    """The order, or what became it, does not show. `name`: as far as it shows."""

    def __init__(self, name: str | None) -> None:
        super().__init__("not shown")
        self.name = name


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

    async def told(
        self, fills: Sequence[VenueFill], now: datetime | None = None
    ) -> list[VenueFill]:
        """The same fills, with names. Raises Unavailable. `now`: needed where `ask` may raise
        Unsure, which is believed of older fills alone."""
        told: list[VenueFill] = []
        for fill in fills:
            key = (fill.symbol, fill.venue_order_id)
            if key not in self._names:
                self._keep(key, await self._name_of(fill, now))
            told.append(replace(fill, client_order_id=self._names[key]))
        return told

    async def _name_of(self, fill: VenueFill, now: datetime | None) -> str | None:
        try:
            return await self._ask(fill.symbol, fill.venue_order_id)
        except Unsure as error:
            if now is not None and now - fill.at < UNSURE_FOR:
                raise Unavailable(f"order {fill.venue_order_id} is not shown yet") from None
            return error.name

    def _keep(self, key: tuple[str, str], name: str | None) -> None:
        self._names[key] = name
        while len(self._names) > KEPT:
            self._names.popitem(last=False)
