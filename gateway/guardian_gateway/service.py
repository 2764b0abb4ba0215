"""The gateway: one desk per account, made when it is first asked for.

Called by the HTTP API and by the in-process client. What is under way is not undone by a caller
that goes away: it runs to its end in a task of the gateway's own.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import copy_context
from datetime import datetime
from typing import Any, Protocol, TypeVar, runtime_checkable

from loguru import logger
from prometheus_client import CollectorRegistry
from sqlalchemy import select

from guardian_core.domain.errors import CallerError, GuardianError, NotSent, Unavailable
from guardian_core.domain.snapshot import AccountSnapshot
from guardian_core.gateway_codec import UnknownAccount
from guardian_core.metrics import GatewayMetrics
from guardian_core.ports import Bus, Clock, Database
from guardian_core.protocol import (
    BalanceLine,
    BalanceReport,
    CheckLine,
    CheckReport,
    DecisionRequest,
    DecisionResult,
    FillLine,
    FillReport,
    InstrumentReport,
    PaperCommand,
    PaperReport,
)
from guardian_core.storage.accounts_store import get_account
from guardian_gateway.budget import Budgets
from guardian_gateway.decisions import Decisions
from guardian_gateway.desk import Context, Desk, VenueMaker
from guardian_gateway.examiner import Examiner
from guardian_gateway.holder import Holder
from guardian_gateway.outcomes import Resolver
from guardian_gateway.snapshots import Snapshots
from guardian_gateway.streams import Streams
from guardian_gateway.venues.exchange.checks import Finding
from guardian_gateway.venues.port import VenueFill

T = TypeVar("T")

FINISH_WITHIN_S = 5.0
"""At the end, decisions under way may take this long to learn what became of their orders."""


@runtime_checkable
class PaperControls(Protocol):
    """What only a paper venue can."""

    async def paper_command(self, command: PaperCommand) -> PaperReport: ...


class _Counter:
    """One account's desk and everything that works at it."""

    def __init__(self, desk: Desk, context: Context) -> None:
        self.desk = desk
        self.resolver = Resolver(desk, context)
        self.examiner = Examiner(desk, context)
        self.decisions = Decisions(desk, context, self.resolver, self.examiner)
        self.snapshots = Snapshots(desk, context, self.resolver)

    async def close(self) -> None:
        await self.resolver.close()
        await self.desk.close()


class Gateway:
    """What the gateway does for its callers. Every method raises NotHolder where another gateway
    holds the lease, UnknownAccount, ConfigurationError, or Unavailable."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        installation: str,
        make_venue: VenueMaker,
        holder: Holder,
        registry: CollectorRegistry,
        news: Bus | None = None,
    ) -> None:
        metrics = GatewayMetrics(registry)
        self._context = Context(
            database, clock, installation, holder, metrics, Budgets(), copy_context()
        )
        self._make_venue = make_venue
        self._streams = Streams(self._context, news) if news is not None else None
        self._counters: dict[str, _Counter] = {}
        self._running: set[asyncio.Task[Any]] = set()
        self._closing = False

    @property
    def holder(self) -> Holder:
        return self._context.holder

    async def snapshot(self, account: str, symbol: str | None = None) -> AccountSnapshot:
        return await self._serve(account, lambda counter: counter.snapshots.take(symbol))

    async def submit(self, account: str, symbol: str, request: DecisionRequest) -> DecisionResult:
        """Raises CallerError, Conflict or NotSent besides; nothing was sent then."""

        async def execute(counter: _Counter) -> DecisionResult:
            with logger.contextualize(trace_id=request.trace_id):
                return await counter.decisions.execute(symbol, request)

        return await self._serve(account, execute)

    async def balances(self, account: str) -> BalanceReport:
        async def read(counter: _Counter) -> BalanceReport:
            desk = counter.desk
            found = await desk.calls.read("balances", desk.venue.balances)
            lines = (BalanceLine(currency=b.currency, free=b.free, total=b.total) for b in found)
            return BalanceReport(balances=tuple(lines))

        return await self._serve(account, read)

    async def check(self, account: str) -> CheckReport:
        """Looks the account over, anew."""

        async def look(counter: _Counter) -> CheckReport:
            found = await counter.examiner.look()
            return CheckReport(lines=tuple(map(_check_line, found)))

        return await self._serve(account, look)

    async def instrument(self, account: str, symbol: str) -> InstrumentReport:
        """With the price, where the venue has one."""

        async def read(counter: _Counter) -> InstrumentReport:
            instrument = await counter.desk.instrument(symbol)
            try:
                price = await counter.desk.price(symbol)
            except Unavailable:
                return InstrumentReport(instrument=instrument)
            return InstrumentReport(
                instrument=instrument, last_price=price.last, price_age_ms=price.age_ms
            )

        return await self._serve(account, read)

    async def fills(self, account: str, symbol: str, since: datetime | None = None) -> FillReport:
        """As the venue lists them, oldest first."""
        if since is not None and since.tzinfo is None:
            raise CallerError("since", "has no time zone", "send 2025-06-01T12:00:00Z")

        async def read(counter: _Counter) -> FillReport:
            desk = counter.desk
            await desk.instrument(symbol)
            found = await desk.calls.read("fills", lambda: desk.venue.fills(symbol, since))
            return FillReport(fills=tuple(map(_line_of, found)))

        return await self._serve(account, read)

    async def paper(self, account: str, command: PaperCommand) -> PaperReport:
        """Raises CallerError where the account is not on paper."""

        async def act(counter: _Counter) -> PaperReport:
            venue = counter.desk.venue
            if not isinstance(venue, PaperControls):
                raise CallerError("account", f"{account} is not a paper account")
            try:
                return await venue.paper_command(command)
            finally:
                counter.desk.forget_prices()

        return await self._serve(account, act)

    async def check_database(self) -> None:
        """Raises Unavailable when the database does not answer."""
        await self._context.database.run(lambda tx: tx.execute(select(1)).scalar_one())

    async def close(self) -> None:
        """Takes no more requests, lets decisions under way end, closes the venues. Rows left
        pending are resolved by whoever writes next."""
        self._closing = True
        if self._streams is not None:
            await self._streams.close()
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=FINISH_WITHIN_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for counter in self._counters.values():
            with suppress(GuardianError):
                await counter.close()

    async def _serve(self, account: str, work: Callable[[_Counter], Awaitable[T]]) -> T:
        """Runs the work in a task of the gateway's own."""
        if self._closing:
            raise NotSent("the gateway is stopping")

        async def serve() -> T:
            async with self._counter(account) as counter:
                return await work(counter)

        task = self._context.start(serve())
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            # Marks an error as seen: its caller may have gone away.
            task.exception()

    @asynccontextmanager
    async def _counter(self, account: str) -> AsyncIterator[_Counter]:
        """The account's counter, by its present row. The venue stays the same meanwhile."""
        self._context.holder.grant()
        try:
            row = await self._context.database.run(lambda tx: get_account(tx, account))
        except Unavailable as error:
            raise NotSent(f"nothing was asked of the venue: {error}") from error
        if row is None:
            raise UnknownAccount(account)
        counter = self._counters.get(account)
        if counter is None:
            counter = _Counter(Desk(row, self._context, self._make_venue), self._context)
            self._counters[account] = counter
        elif not counter.desk.is_of(row):
            await counter.desk.adopt(row)
        if self._streams is not None:
            self._streams.follow(counter.desk)
        async with counter.desk.in_use():
            yield counter


def _check_line(finding: Finding) -> CheckLine:
    return CheckLine(what=finding.what, ok=finding.ok, found=finding.found, asked=finding.asked)


def _line_of(fill: VenueFill) -> FillLine:
    return FillLine(
        venue_fill_id=fill.venue_fill_id,
        venue_order_id=fill.venue_order_id,
        client_order_id=fill.client_order_id,
        side=fill.side,
        price=fill.price,
        quantity=fill.quantity,
        fee=fill.fee,
        fee_currency=fill.fee_currency,
        at=fill.at,
    )
