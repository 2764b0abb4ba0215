"""One account at the gateway: its venue, its lanes' locks, and what it remembers for a moment.

A desk outlives its venue: when the account's row changes, a new venue takes the old one's place
between two uses, and the lanes keep their locks.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from contextvars import Context as ContextVars
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, TypeVar

from guardian_core.accounts import AccountSpec
from guardian_core.domain.errors import Conflict, GuardianError, Unavailable
from guardian_core.domain.money import Instrument
from guardian_core.domain.plan import Policy
from guardian_core.domain.snapshot import Capabilities, Price
from guardian_core.metrics import GatewayMetrics
from guardian_core.ports import Clock, Database
from guardian_core.storage.accounts_store import AccountRow
from guardian_gateway.budget import PAPER_RATE, Budgets
from guardian_gateway.grant import Grant
from guardian_gateway.holder import Holder
from guardian_gateway.venue_calls import READ_WITHIN_S, VenueCalls
from guardian_gateway.venues.catalogue import EXCHANGES
from guardian_gateway.venues.port import Venue

LANE_WITHIN_S = 1.0
PRICE_FRESH_S = 1.0
"""A cached price may be this old: the caller must still be able to act on it (2 s)."""
INSTRUMENT_FRESH_S = 3600.0
INSTRUMENT_AGAIN_S = 60.0
"""An instrument that was not told anew serves on, and is asked for again after so long: without it
nothing on its lane could be guarded."""

T = TypeVar("T")
VenueMaker = Callable[[str, AccountSpec], Venue]


@dataclass(frozen=True, slots=True)
class Context:
    """What every part of the gateway works with."""

    database: Database
    clock: Clock
    installation: str
    holder: Holder
    metrics: GatewayMetrics
    budgets: Budgets
    home: ContextVars
    """Of the gateway itself: its tasks carry none of a caller's."""

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Runs work in a task that no caller owns."""
        return asyncio.create_task(work, context=self.home.copy())


@dataclass(slots=True)
class LaneDesk:
    """What this process knows of one lane's orders.

    `settled_under`: the grant under which all rows left pending were resolved. `sending`: client
    order ids whose outcome a send of this process will bring. `seen`: what the lane looked like
    when its fills were last ingested; None before that. `owes_fills`: they are to be asked for,
    whatever it looks like.
    """

    symbol: str
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    ingesting: asyncio.Lock = field(default_factory=asyncio.Lock)
    settled_under: Grant | None = None
    sending: set[str] = field(default_factory=set)
    seen: frozenset[object] | None = None
    owes_fills: bool = False

    @asynccontextmanager
    async def one_at_a_time(self) -> AsyncIterator[None]:
        """The turn of one decision. Raises Conflict when it does not come within a second."""
        try:
            async with asyncio.timeout(LANE_WITHIN_S):
                await self.turn.acquire()
        except TimeoutError:
            raise Conflict("busy", f"another decision works on {self.symbol}") from None
        try:
            yield
        finally:
            self.turn.release()


class Desk:
    """One account at the gateway."""

    def __init__(self, row: AccountRow, context: Context, make_venue: VenueMaker) -> None:
        self._context = context
        self._make_venue = make_venue
        self._row = row
        self._venue = make_venue(row.name, row.spec)
        self._users = 0
        self._gate = asyncio.Lock()
        self._idle = asyncio.Event()
        self._idle.set()
        self.changing = asyncio.Event()
        """Set while a changed account waits for those who use it as it was: long work gives way."""
        self._lanes: dict[str, LaneDesk] = {}
        self._instruments: dict[str, tuple[float, Instrument]] = {}
        self._prices: dict[str, tuple[float, Price]] = {}
        self.leverage: dict[str, Decimal] = {}
        """As last set by this process."""
        self.calls = self._calls_of(row)

    def _calls_of(self, row: AccountRow) -> VenueCalls:
        """With the tokens of the row's venue."""
        facts = EXCHANGES.get(row.spec.venue)
        rate = facts.rate if facts is not None else PAPER_RATE
        budget = self._context.budgets.of_account(row.spec.venue, rate)
        return VenueCalls(row.name, budget, self._context.metrics)

    @property
    def name(self) -> str:
        return self._row.name

    @property
    def spec(self) -> AccountSpec:
        return self._row.spec

    @property
    def generation(self) -> int:
        """Of the account's spec."""
        return self._row.generation

    @property
    def policy(self) -> Policy:
        return self._row.spec.domain_policy()

    @property
    def venue(self) -> Venue:
        return self._venue

    @property
    def capabilities(self) -> Capabilities:
        return self._venue.capabilities()

    @asynccontextmanager
    async def in_use(self) -> AsyncIterator[None]:
        """The venue is not exchanged meanwhile. Not to be nested."""
        async with self._gate:
            self._users += 1
            self._idle.clear()
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0:
                self._idle.set()

    def is_of(self, row: AccountRow) -> bool:
        """Whether the desk works by this account row."""
        return self._row == row

    async def adopt(self, row: AccountRow) -> None:
        """Works by a changed account row from now on: once nobody uses the old venue."""
        async with self._gate:
            same_account = row.created_at == self._row.created_at
            if self.is_of(row) or (same_account and row.generation < self._row.generation):
                return
            self.changing.set()
            try:
                await self._idle.wait()
            finally:
                self.changing.clear()
            fresh = self._make_venue(row.name, row.spec)
            if row.spec.venue != self._row.spec.venue:
                self.calls = self._calls_of(row)
            old, self._venue, self._row = self._venue, fresh, row
            self._instruments.clear()
            self._prices.clear()
            self.leverage.clear()
            with suppress(GuardianError):
                await old.close()

    async def close(self) -> None:
        await self._venue.close()

    def lanes(self) -> list[LaneDesk]:
        return list(self._lanes.values())

    def lane(self, symbol: str) -> LaneDesk:
        return self._lanes.setdefault(symbol, LaneDesk(symbol))

    async def instrument(self, symbol: str, within_s: float = READ_WITHIN_S) -> Instrument:
        """Raises CallerError when the venue does not trade it, Unavailable when it is away and has
        never told."""
        now_s = self._context.clock.monotonic()
        cached = self._instruments.get(symbol)
        if cached is not None and now_s - cached[0] < INSTRUMENT_FRESH_S:
            return cached[1]
        try:
            found = await self.calls.read(
                "instrument", lambda: self._venue.instrument(symbol), within_s
            )
        except Unavailable:
            if cached is None:
                raise
            now_s, found = now_s - INSTRUMENT_FRESH_S + INSTRUMENT_AGAIN_S, cached[1]
        self._instruments[symbol] = (now_s, found)
        return found

    def forget_prices(self) -> None:
        """For whoever moved the market: the next look is at the venue."""
        self._prices.clear()

    async def price(self, symbol: str, within_s: float = READ_WITHIN_S) -> Price:
        """A price of this very second, with its true age."""
        cached = self._prices.get(symbol)
        if cached is None or self._context.clock.monotonic() - cached[0] >= PRICE_FRESH_S:
            found = await self.calls.read("price", lambda: self._venue.price(symbol), within_s)
            cached = (self._context.clock.monotonic(), found)
            self._prices[symbol] = cached
        asked_at_s, price = cached
        aged_ms = round((self._context.clock.monotonic() - asked_at_s) * 1000)
        return replace(price, age_ms=price.age_ms + aged_ms)
