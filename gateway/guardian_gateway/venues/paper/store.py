"""Where a paper account's books are kept, and the keeper that is only memory.

Every command runs against books that hold what was last committed, and is told as done only once
its changes are committed too: what a caller heard and what is kept never differ, whoever dies.
"""

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Protocol, TypeVar

from guardian_gateway.venues.paper.exchange import PaperExchange
from guardian_gateway.venues.paper.records import LedgerEvent
from guardian_gateway.venues.paper.rules import Rules
from guardian_gateway.venues.port import VenueFill

T = TypeVar("T")


class PaperBooks(Protocol):
    """One account's books. `recall`: the client order ids that `fn` asks about."""

    async def read(self, fn: Callable[[PaperExchange], T], *, recall: Collection[str] = ()) -> T:
        """What `fn` returns. Raises Unavailable."""
        ...

    async def write(self, fn: Callable[[PaperExchange], T], *, recall: Collection[str] = ()) -> T:
        """What the command `fn` returns, once its changes are kept. `fn` may be run again from
        the start, so it has no effect but on the exchange; its error passes through and changes
        nothing. Raises Unavailable; whether the changes were kept is then unknown."""
        ...

    async def fills(self, symbol: str, since: datetime | None = None) -> list[VenueFill]:
        """Oldest first. Raises Unavailable."""
        ...

    @property
    def events(self) -> list[LedgerEvent]:
        """The ledger of kept changes; empty unless the store keeps one."""
        ...


class PaperStore(Protocol):
    def open(self, account: str, rules: Rules) -> PaperBooks: ...


class MemoryStore:
    """For the simulator and for tests: books outlive every venue object made over them."""

    def __init__(self, *, keep_events: bool = True) -> None:
        self._keep_events = keep_events
        self._books: dict[str, MemoryBooks] = {}

    def open(self, account: str, rules: Rules) -> "MemoryBooks":
        books = self._books.get(account)
        if books is None:
            exchange = PaperExchange(rules, keep_events=self._keep_events)
            books = self._books[account] = MemoryBooks(exchange)
        return books


class MemoryBooks:
    """Yields to the loop before and after each call, as a database does: others act in between,
    and a caller may die after its command was done without having heard of it."""

    def __init__(self, exchange: PaperExchange) -> None:
        self.exchange = exchange

    @property
    def events(self) -> list[LedgerEvent]:
        return self.exchange.events

    async def read(self, fn: Callable[[PaperExchange], T], *, recall: Collection[str] = ()) -> T:
        await asyncio.sleep(0)
        value = fn(self.exchange)
        await asyncio.sleep(0)
        return value

    async def write(self, fn: Callable[[PaperExchange], T], *, recall: Collection[str] = ()) -> T:
        await asyncio.sleep(0)
        value = fn(self.exchange)
        self.exchange.drain()
        await asyncio.sleep(0)
        return value

    async def fills(self, symbol: str, since: datetime | None = None) -> list[VenueFill]:
        return await self.read(lambda exchange: exchange.fills(symbol, since))
