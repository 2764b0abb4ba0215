"""Whose orders to list: a few symbols cost less than all of them, which exchanges charge dearly.

All symbols are listed at the start and every half minute; in between those that showed an order
then, or that this process has used since. Orders of ours are only made by this process while it
holds the lease, so none can be missed; somebody else's on another symbol shows by the next time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from guardian_core.ports import Clock
from guardian_gateway.venues.port import VenueOrder

ALL_EVERY_S = 30.0
USED_FOR_S = 600.0
FEW = 8


class Interest:
    """The symbols of one account that are worth a look."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._all_at_s: float | None = None
        self._used_at_s: dict[str, float] = {}

    def use(self, *symbols: str) -> None:
        now_s = self._clock.monotonic()
        self._used_at_s |= dict.fromkeys(symbols, now_s)

    async def listed(
        self,
        symbol: str | None,
        ask: Callable[[str | None], Awaitable[list[VenueOrder]]],
    ) -> list[VenueOrder]:
        """The orders of one symbol, or of all that are worth a look. Raises what `ask` raises."""
        if symbol is not None:
            self.use(symbol)
            return await ask(symbol)
        few = self.few()
        if few is None:
            found = await ask(None)
            self.saw_all(order.ref.symbol for order in found)
            return found
        asked = await asyncio.gather(*(ask(each) for each in few), return_exceptions=True)
        return [order for answer in asked for order in _or_raise(answer)]

    def saw_all(self, symbols: Iterable[str]) -> None:
        """All were listed; these had orders."""
        now_s = self._clock.monotonic()
        self._all_at_s = now_s
        used = {s: at_s for s, at_s in self._used_at_s.items() if now_s - at_s < USED_FOR_S}
        self._used_at_s = used | dict.fromkeys(symbols, now_s)

    def few(self) -> list[str] | None:
        """The symbols to list; None when it is all of them."""
        now_s = self._clock.monotonic()
        due = self._all_at_s is None or now_s - self._all_at_s >= ALL_EVERY_S
        return None if due or len(self._used_at_s) > FEW else sorted(self._used_at_s)


def _or_raise(answer: list[VenueOrder] | BaseException) -> list[VenueOrder]:
    if isinstance(answer, BaseException):
        raise answer
    return answer
