"""A paper account outside of all processes, and the unreliable way to it.

1. A request that left goes on whatever becomes of its caller: a dead gateway's order may still
   reach the venue, at most `VALID_S` after it was sent (the request's own validity).
2. An error says no more than the real thing would: NotSent only where nothing happened, Ambiguous
   where anything may have.
3. Listings lag behind the truth by at most the visibility delay that the capabilities state.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Generic, TypeVar

from guardian_core.accounts import AccountSpec
from guardian_core.domain.errors import (
    Ambiguous,
    GuardianError,
    NotSent,
    OrderGone,
    Rejected,
    RejectReason,
    Unavailable,
)
from guardian_core.domain.money import Instrument
from guardian_core.domain.orders import OrderBody, OrderRef, Role
from guardian_core.domain.snapshot import Capabilities, Position, Price
from guardian_core.protocol import PaperCommand, PaperReport
from guardian_gateway.venues.paper import MemoryStore, PaperExchange, PaperTiming, PaperVenue, Rules
from guardian_gateway.venues.paper.records import LedgerEvent
from guardian_gateway.venues.port import Balance, VenueFill, VenueOrder
from tests.simulation.eventlog import EventLog
from tests.simulation.loop import VirtualClock, VirtualTimeLoop
from tests.simulation.mortal import ask, spawn
from tests.simulation.weather import Answers, Weather

T = TypeVar("T")

VALID_S = 2.9
"""After this long the venue would refuse the request as expired (recvWindow 3 s)."""
HANGS_S = 6.0
"""Longer than any caller waits."""


@dataclass(frozen=True, slots=True)
class _Moment:
    at_s: float
    orders: tuple[VenueOrder, ...]
    positions: tuple[Position, ...]


class Account:
    """One exchange account: its books, its past, its weather. It outlives every process."""

    def __init__(
        self,
        name: str,
        spec: AccountSpec,
        loop: VirtualTimeLoop,
        log: EventLog,
        weather: Weather,
        *,
        visibility_delay_s: float,
        rules: Rules,
    ) -> None:
        self.name = name
        self.spec = spec
        self.weather = weather
        self.visibility_delay_s = visibility_delay_s
        self.rules = rules
        self._loop = loop
        self._log = log
        self._told = 0
        self._past: deque[_Moment] = deque(maxlen=200)
        self.clock = VirtualClock(loop)
        store = MemoryStore()
        self.exchange: PaperExchange = store.open(name, rules).exchange
        timing = PaperTiming(visibility_delay_s=visibility_delay_s)
        self.venue = PaperVenue(name, spec, store, self.clock, rules=rules, timing=timing)
        self.record()

    @property
    def events(self) -> list[LedgerEvent]:
        return self.exchange.events

    def record(self) -> None:
        """After anything that may have changed the exchange."""
        events = self.exchange.events
        for event in events[self._told :]:
            price = "" if event.price is None else f" @ {event.price}"
            self._log.note(
                "ledger",
                f"{self.name} {event.symbol} {event.kind} #{event.order_id} {event.role}"
                f" {event.side} {event.quantity}{price} left {event.remaining}"
                f" -> {event.position_after}",
            )
        self._told = len(events)
        self._past.append(
            _Moment(
                self._loop.time(),
                tuple(self.exchange.open_orders()),
                tuple(self.exchange.positions()),
            )
        )

    def as_of(self, lag_s: float) -> _Moment:
        """What was true so long ago."""
        then_s = self._loop.time() - lag_s
        return next((m for m in reversed(self._past) if m.at_s <= then_s), self._past[0])

    def set_price(self, symbol: str, price: Decimal) -> None:
        """The market moves by itself."""
        self.exchange.set_price(symbol, price, self.clock.now())
        self.record()


class FaultyVenue:
    """`guardian_gateway.venues.port.Venue` as one process reaches it."""

    name = "paper"

    def __init__(
        self, account: Account, loop: VirtualTimeLoop, log: EventLog, answers: Answers
    ) -> None:
        self._account = account
        self._loop = loop
        self._log = log
        self._answers = answers

    def capabilities(self) -> Capabilities:
        return self._account.venue.capabilities()

    # Reads

    async def instrument(self, symbol: str) -> Instrument:
        return await self._read("instrument", lambda: self._account.venue.instrument(symbol))

    async def balances(self) -> Sequence[Balance]:
        return await self._read("balances", self._account.venue.balances)

    async def positions(self) -> Sequence[Position]:
        async def positions() -> Sequence[Position]:
            lag_s = self._lag_s()
            if lag_s and self._account.venue.capabilities().reports_positions:
                return self._account.as_of(lag_s).positions
            return await self._account.venue.positions()

        return await self._read("positions", positions)

    async def open_orders(self, symbol: str | None = None) -> Sequence[VenueOrder]:
        async def orders() -> Sequence[VenueOrder]:
            weather = self._account.weather
            if weather.happens(weather.odds.unlisted):
                raise Unavailable("orders cannot be listed now")
            lag_s = self._lag_s()
            if lag_s:
                before = self._account.as_of(lag_s).orders
                return [o for o in before if symbol in (None, o.ref.symbol)]
            return await self._account.venue.open_orders(symbol)

        return await self._read("open_orders", orders)

    async def find(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        async def find() -> VenueOrder | None:
            found = await self._account.venue.find(symbol, client_order_id)
            lag_s = self._lag_s()
            if found is None or found.created_at is None or not lag_s:
                return found
            return found if found.created_at <= self._ago(lag_s) else None

        return await self._read(f"find {client_order_id[-6:]}", find)

    async def fills(self, symbol: str, since: datetime | None = None) -> Sequence[VenueFill]:
        async def fills() -> Sequence[VenueFill]:
            known = await self._account.venue.fills(symbol, since)
            newest = self._ago(self._lag_s())
            return [fill for fill in known if fill.at <= newest]

        return await self._read("fills", fills)

    async def price(self, symbol: str) -> Price:
        return await self._read("price", lambda: self._account.venue.price(symbol))

    # Writes

    async def create(self, body: OrderBody) -> VenueOrder:
        return await self._write(
            f"create {_told(body)}", (body.role,), lambda: self._account.venue.create(body)
        )

    async def create_pair(
        self, stop_loss: OrderBody, take_profit: OrderBody
    ) -> Sequence[VenueOrder]:
        return await self._write(
            f"create_pair {_told(stop_loss)} and {_told(take_profit)}",
            (stop_loss.role, take_profit.role),
            lambda: self._account.venue.create_pair(stop_loss, take_profit),
        )

    async def amend(self, order: OrderRef, body: OrderBody) -> VenueOrder:
        return await self._write(
            f"amend #{order.venue_order_id} {_told(body)}",
            (body.role,),
            lambda: self._account.venue.amend(order, body),
        )

    async def cancel(self, order: OrderRef) -> None:
        await self._write(
            f"cancel #{order.venue_order_id}", (), lambda: self._account.venue.cancel(order)
        )
        if self._account.weather.happens(self._account.weather.odds.gone):
            raise OrderGone("the order was gone (it was cancelled a moment ago)")

    async def set_leverage(self, symbol: str, leverage: Decimal) -> None:
        await self._write(
            f"set_leverage {leverage}",
            (),
            lambda: self._account.venue.set_leverage(symbol, leverage),
        )

    async def close(self) -> None:
        return None

    async def paper_command(self, command: PaperCommand) -> PaperReport:
        async def command_() -> PaperReport:
            report = await self._account.venue.paper_command(command)
            self._account.record()
            return report

        return await self._read(f"paper {command.kind}", command_)

    # The way there and back

    async def _read(self, call: str, ask_venue: Callable[[], Awaitable[T]]) -> T:
        weather = self._account.weather

        async def serve() -> T:
            await asyncio.sleep(weather.latency_s() + weather.slowness_s())
            if weather.odds.away or weather.happens(weather.odds.unavailable):
                if weather.happens(0.3):
                    await asyncio.sleep(HANGS_S)
                raise Unavailable("the venue is away")
            value = await ask_venue()
            await asyncio.sleep(weather.latency_s())
            return value

        return await self._call(call, serve, quiet=True)

    async def _write(
        self, call: str, roles: Sequence[Role], effect: Callable[[], Awaitable[T]]
    ) -> T:
        request = _Write(self, call, roles, effect)
        return await self._call(call, request.serve, quiet=False)

    async def _call(self, call: str, serve: Callable[[], Awaitable[T]], *, quiet: bool) -> T:
        peer = self._account.name
        with self._answers.call(peer):
            try:
                value = await ask(self._loop, serve)
            except GuardianError as error:
                if isinstance(error, (Unavailable, Ambiguous)):
                    self._answers.fail(peer)
                self._log.note("venue", f"{peer} {call}: {type(error).__name__} {error}")
                raise
        if not quiet:
            self._log.note("venue", f"{peer} {call}: ok")
        return value

    def _lag_s(self) -> float:
        weather = self._account.weather
        if not weather.happens(weather.odds.stale):
            return 0.0
        return weather.random.uniform(0, self._account.visibility_delay_s)

    def _ago(self, seconds: float) -> datetime:
        return self._account.clock.now() - timedelta(seconds=seconds)


class _Write(Generic[T]):
    """One write on its way to the venue and back."""

    def __init__(
        self,
        way: FaultyVenue,
        call: str,
        roles: Sequence[Role],
        effect: Callable[[], Awaitable[T]],
    ) -> None:
        self._way = way
        self._call = call
        self._roles = [role.value for role in roles]
        self._effect = effect
        self._account = way._account
        self._loop = way._loop
        self._sent_s = self._loop.time()

    async def serve(self) -> T:
        weather = self._account.weather
        await self._travel()
        if weather.refuses(self._roles):
            for role in self._roles:
                self._way._answers.fail(f"{self._account.name}/{role}")
            raise Rejected(RejectReason.INVALID_ORDER, "refused (a fault)")
        lost = weather.happens(weather.odds.lost_answer)
        try:
            value = await self._take_effect()
        except GuardianError as error:
            await asyncio.sleep(weather.latency_s())
            if lost:
                raise Ambiguous("the answer was lost") from error
            raise
        await asyncio.sleep(weather.latency_s() + weather.slowness_s())
        if lost:
            raise Ambiguous("the answer was lost")
        return value

    async def _travel(self) -> None:
        """Raises when the request does not arrive, or arrives when nobody waits any more."""
        weather, odds = self._account.weather, self._account.weather.odds
        await asyncio.sleep(weather.latency_s())
        if odds.away or weather.happens(odds.not_sent):
            raise Ambiguous("no answer") if weather.happens(0.3) else NotSent("no connection")
        if weather.happens(odds.vanishes):
            raise Ambiguous("connection reset")
        if weather.happens(odds.late_effect):
            spawn(self._loop, self._take_effect_late)
            raise Ambiguous("connection reset")
        if weather.happens(odds.hangs):
            if weather.happens(0.6):
                spawn(self._loop, self._take_effect_late)
            await asyncio.sleep(HANGS_S)
            raise Ambiguous("no answer")

    async def _take_effect(self) -> T:
        try:
            return await self._effect()
        finally:
            self._account.record()

    async def _take_effect_late(self) -> None:
        left_s = VALID_S - (self._loop.time() - self._sent_s)
        await asyncio.sleep(self._account.weather.random.uniform(0, left_s))
        try:
            await self._take_effect()
        except GuardianError as error:
            self._way._log.note("venue", f"late {self._call}: {error}")
        else:
            self._way._log.note("venue", f"late {self._call}: done, nobody hears of it")


def _told(body: OrderBody) -> str:
    level = body.trigger_price or body.price
    at = "" if level is None else f" @ {level}"
    ident = f"{body.client_order_id[-6:]} r{body.revision}a{body.attempt}"
    return f"{body.role} {body.side} {body.quantity}{at} [{ident}]"
