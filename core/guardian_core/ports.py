"""The seams: every outside thing sits behind one of these, with a real adapter on each side.

No service asks which adapter it was given; the same contract tests run against all.
"""

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from sqlalchemy.orm import Session

from guardian_core.domain.snapshot import AccountSnapshot
from guardian_core.protocol import (
    BalanceReport,
    CheckReport,
    DecisionRequest,
    DecisionResult,
    FillReport,
    InstrumentReport,
    PaperCommand,
    PaperReport,
)

T = TypeVar("T")


class Clock(Protocol):
    """`now` is UTC with zone; `monotonic` counts seconds and never goes back."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...


class Ids(Protocol):
    def uuid(self) -> UUID: ...

    def trace_id(self) -> str:
        """32 lower-case hex digits, as W3C trace-context has it."""
        ...

    def token(self) -> str:
        """A secret of at least 128 random bits, safe in a URL path."""
        ...


class Tx(Session):
    """One transaction. Flushed and committed by `Database.run`, never by its function."""

    clock_now: Callable[[], datetime]

    def now(self) -> datetime:
        """The database's clock (UTC): the only time that leases and rows are compared by."""
        return self.clock_now()


class Database(Protocol):
    async def run(self, fn: Callable[[Tx], T]) -> T:
        """Runs `fn` in one transaction and returns what it returned, after COMMIT.

        `fn` is synchronous and may be run again after a lost race, so it has no effect but
        the database. An error that it raises rolls back and passes through. Raises
        `Unavailable` when the database is away; the commit's outcome is then unknown.
        """
        ...

    async def close(self) -> None: ...


class Bus(Protocol):
    """Says when, never what: a lost message costs a poll interval, never an alert."""

    async def publish(self, message: dict[str, str]) -> None:
        """Best effort. Raises Unavailable when the message surely did not go out."""
        ...

    def subscribe(self) -> AsyncIterator[dict[str, str]]: ...

    async def close(self) -> None: ...


class GatewayClient(Protocol):
    """The gateway as engine, operator and cli see it.

    Reads raise Unavailable. `submit` raises Conflict (gather anew), NotSent (surely nothing
    happened), or Ambiguous (no answer: gather before anything else). CallerError for requests
    that can never succeed.
    """

    async def snapshot(self, account: str, symbol: str | None = None) -> AccountSnapshot: ...

    async def submit(
        self, account: str, symbol: str, request: DecisionRequest
    ) -> DecisionResult: ...

    async def balances(self, account: str) -> BalanceReport: ...

    async def check(self, account: str) -> CheckReport:
        """Keys, rights, clock, position mode, symbols and other installations, asked anew."""
        ...

    async def instrument(self, account: str, symbol: str) -> InstrumentReport: ...

    async def fills(
        self, account: str, symbol: str, since: datetime | None = None
    ) -> FillReport: ...

    async def paper(self, account: str, command: PaperCommand) -> PaperReport: ...

    async def close(self) -> None: ...


class Mirror(Protocol):
    """Carries desires outward (custom resources on a cluster). A failure never fails a trade."""

    async def desire_changed(self, state_id: UUID) -> None: ...


class NoMirror:
    """On one machine the database row is the desire, and nothing needs telling."""

    async def desire_changed(self, state_id: UUID) -> None:
        return None
