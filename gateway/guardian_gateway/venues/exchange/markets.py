"""What a venue trades: asked for once an hour, and when a symbol is not known yet. What was listed
is kept on a shelf (the database), so that a start does not depend on the venue.

A symbol on our side is base and quote run together, as TradingView writes it (`BTCUSDT`), on every
exchange; what the exchange itself calls it (`BTC-USDT-SWAP`, `PF_XBTUSD`) stays in its adapter.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from guardian_core.domain.errors import CallerError, NotSent, Unavailable
from guardian_core.domain.money import Instrument
from guardian_core.ports import Clock

GOOD_FOR_S = 3600.0
OLD_WITHIN_S = 1.0
"""Whoever can do with what was listed before waits no longer for what is listed now: a read that
runs out of time would know neither."""
SILENT_FOR_S = 60.0
"""A venue that did not tell in time is not asked for what is known again for so long."""
ABSENT_FOR_S = 60.0
"""A symbol that was not there is not asked for again for so long; then it may be newly listed."""


@dataclass(frozen=True, slots=True)
class Listing:
    """An instrument, and the venue's own name for it."""

    instrument: Instrument
    name: str


def by_symbol(listings: "list[Listing]") -> dict[str, Listing]:
    return {listing.instrument.symbol: listing for listing in listings}


class Shelf(Protocol):
    """Keeps one venue's listings. Both raise Unavailable."""

    async def load(self) -> Mapping[str, Listing]: ...

    async def store(self, listings: Mapping[str, Listing]) -> None:
        """Adds them to what is kept."""
        ...


class Markets:
    """One venue's listings by our symbol. `ask`: gives the one asked for, and maybe all others."""

    def __init__(
        self,
        clock: Clock,
        ask: Callable[[str], Awaitable[Mapping[str, Listing]]],
        venue: str,
        shelf: Shelf | None = None,
    ) -> None:
        self._clock = clock
        self._ask = ask
        self._venue = venue
        self._shelf = shelf
        self._loaded = shelf is None
        self._asking = asyncio.Lock()
        self._found: dict[str, tuple[float, Listing]] = {}
        self._symbols: dict[str, str] = {}
        self._absent: dict[str, float] = {}
        self._silent_at_s = -SILENT_FOR_S

    async def instrument(self, symbol: str) -> Instrument:
        """Raises CallerError on Symbol, or Unavailable."""
        return (await self.listing(symbol)).instrument

    async def listing(self, symbol: str) -> Listing:
        """Raises CallerError on Symbol, or Unavailable."""
        async with self._asking:
            now_s = self._clock.monotonic()
            at_s, known = self._found.get(symbol, (-GOOD_FOR_S, None))
            if known is not None and now_s - at_s < GOOD_FOR_S:
                return known
            if now_s - self._absent.get(symbol, -ABSENT_FOR_S) < ABSENT_FOR_S:
                raise self._not_traded(symbol)
            await self._load()
            try:
                answer = await self._asked(symbol, now_s)
            except Unavailable:
                if symbol in self._found:
                    return self._found[symbol][1]
                raise
            self._note(answer, now_s)
            await self._store(answer)
            if symbol in answer:
                return answer[symbol]
            self._found.pop(symbol, None)
            self._absent[symbol] = now_s
            raise self._not_traded(symbol)

    async def _asked(self, symbol: str, now_s: float) -> Mapping[str, Listing]:
        """Raises Unavailable, soon where there is something to do with."""
        if not self._found or (symbol and symbol not in self._found):
            return await self._ask(symbol)
        if now_s - self._silent_at_s < SILENT_FOR_S:
            raise Unavailable(f"{self._venue} has not told what it lists")
        try:
            async with asyncio.timeout(OLD_WITHIN_S):
                return await self._ask(symbol)
        except TimeoutError:
            self._silent_at_s = now_s
            raise Unavailable(f"{self._venue} does not tell what it lists") from None

    async def ready(self) -> None:
        """Asks for the listings if none were seen yet, so that names in answers can be read.
        Raises Unavailable."""
        if self._found:
            return
        try:
            await self.listing("")
        except CallerError:
            return
        except Unavailable:
            if not self._found:
                raise

    async def listing_to_write(self, symbol: str) -> Listing:
        """The listing for a write, whatever its age. Raises CallerError, or NotSent."""
        if symbol in self._found:
            return self._found[symbol][1]
        try:
            return await self.listing(symbol)
        except Unavailable as error:
            raise NotSent(f"{symbol} is not known yet: {error}") from None

    def symbol_of(self, name: str) -> str | None:
        """Our symbol for a venue's name; None when no listing has shown it."""
        return self._symbols.get(name)

    def known(self, name: str) -> Listing | None:
        """The listing of a venue's name; None when none has shown it."""
        symbol = self._symbols.get(name)
        return self._found[symbol][1] if symbol in self._found else None

    def _note(self, listings: Mapping[str, Listing], at_s: float) -> None:
        self._found |= {of: (at_s, listing) for of, listing in listings.items()}
        self._symbols |= {listing.name: of for of, listing in listings.items()}

    async def _load(self) -> None:
        """What is kept, for what is not known: old, so that the venue is asked again next time."""
        if self._loaded or self._shelf is None:
            return
        with suppress(Unavailable):
            kept = await self._shelf.load()
            self._loaded = True
            fresh = {of: listing for of, listing in kept.items() if of not in self._found}
            self._note(fresh, -GOOD_FOR_S)

    async def _store(self, listings: Mapping[str, Listing]) -> None:
        """A database that is away takes nothing from whoever asked."""
        if self._shelf is not None and listings:
            with suppress(Unavailable):
                await self._shelf.store(listings)

    def _not_traded(self, symbol: str) -> CallerError:
        shown = symbol if len(symbol) <= 40 else symbol[:37] + "..."
        return CallerError(
            "Symbol",
            f"{self._venue} does not trade {shown!r}",
            "write base and quote together, such as BTCUSDT, or map it with symbolMap",
        )
