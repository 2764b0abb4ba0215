"""What a venue trades: asked for once an hour, and when a symbol is not known yet."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import Instrument
from guardian_core.ports import Clock

GOOD_FOR_S = 3600.0
ABSENT_FOR_S = 60.0
"""A symbol that was not there is not asked for again for so long; then it may be newly listed."""


class Markets:
    """One venue's instruments by symbol. `ask`: gives the one asked for, and maybe all others."""

    def __init__(
        self, clock: Clock, ask: Callable[[str], Awaitable[Mapping[str, Instrument]]], venue: str
    ) -> None:
        self._clock = clock
        self._ask = ask
        self._venue = venue
        self._asking = asyncio.Lock()
        self._found: dict[str, tuple[float, Instrument]] = {}
        self._absent: dict[str, float] = {}

    async def instrument(self, symbol: str) -> Instrument:
        """Raises CallerError on Symbol, or Unavailable."""
        async with self._asking:
            now_s = self._clock.monotonic()
            at_s, known = self._found.get(symbol, (-GOOD_FOR_S, None))
            if known is not None and now_s - at_s < GOOD_FOR_S:
                return known
            if now_s - self._absent.get(symbol, -ABSENT_FOR_S) < ABSENT_FOR_S:
                raise self._not_traded(symbol)
            answer = await self._ask(symbol)
            self._found |= {name: (now_s, found) for name, found in answer.items()}
            if symbol in answer:
                return answer[symbol]
            self._found.pop(symbol, None)
            self._absent[symbol] = now_s
            raise self._not_traded(symbol)

    def _not_traded(self, symbol: str) -> CallerError:
        shown = symbol if len(symbol) <= 40 else symbol[:37] + "..."
        return CallerError(
            "Symbol",
            f"{self._venue} does not trade {shown!r}",
            "write it as the venue does, such as BTCUSDT, or map it with symbolMap",
        )
