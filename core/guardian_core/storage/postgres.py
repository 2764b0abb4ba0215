"""PostgreSQL through psycopg2: a bounded pool of connections and as many threads.

1. A lost race (deadlock, serialization failure) is run again, three times at most.
2. A connection that died before COMMIT was sent surely stored nothing: the function runs again
   on a new connection. So a restarted server costs no failed call, and no ping before each.
3. A connection that died during COMMIT leaves the outcome unknown; Unavailable says so.
4. Nobody waits for ever: the server ends long statements, TCP ends dead connections, and what
   still gives no answer (a frozen server) is cut off by shutting its socket down.
"""

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from guardian_core.clock import POSTGRES_CLOCK_SQL
from guardian_core.domain.errors import InvariantBroken, Unavailable
from guardian_core.ports import Clock, Tx
from guardian_core.storage.engines import postgres_engine
from guardian_core.storage.sqlite import describe

T = TypeVar("T")

SIZE = 8
QUEUE_MAX = 4096
ATTEMPTS = 3
ANSWER_WITHIN_S = 6.0

_LOST_RACE = frozenset({"40001", "40P01"})
_NOT_NOW = frozenset({"25006", "25P03"})
"""Not OperationalErrors, yet about the server: a standby after a failover, our idle limit."""


@dataclass(eq=False)
class _Call:
    """One `run`. Its caller may give up in one thread while another works on it."""

    fn: Callable[[Tx], Any]
    connected: bool = False
    committing: bool = False
    given_up: bool = False
    _socket: int | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def hold(self, tx: Tx) -> None:
        """From here to `let_go`, giving up ends the wait for the server's answer."""
        raw: Any = tx.connection().connection.dbapi_connection
        with self._lock:
            self._socket = raw.fileno()
            self.connected = True

    def let_go(self) -> None:
        with self._lock:
            self._socket = None

    def begin_commit(self) -> None:
        """After a caller has given up, nothing is committed any more."""
        with self._lock:
            if self.given_up:
                raise Unavailable("nobody waits for this transaction any more")
            self.committing = True

    def give_up(self) -> bool:
        """Returns whether the COMMIT may have been sent."""
        with self._lock:
            self.given_up = True
            if self._socket is not None:
                with suppress(OSError), socket.socket(fileno=os.dup(self._socket)) as duplicate:
                    duplicate.shutdown(socket.SHUT_RDWR)
            return self.committing


class PostgresDatabase:
    """A PostgreSQL database; `size` transactions at a time, `queue_max` waiting."""

    def __init__(
        self,
        url: URL,
        *,
        clock: Clock,
        size: int = SIZE,
        queue_max: int = QUEUE_MAX,
        answer_within_s: float = ANSWER_WITHIN_S,
    ) -> None:
        self._clock = clock
        self._pid = os.getpid()
        self._answer_within_s = answer_within_s
        self._engine = postgres_engine(url, size=size)
        self._executor = ThreadPoolExecutor(size, thread_name_prefix="postgres")
        self._room = threading.BoundedSemaphore(size + queue_max)
        self._closed = False

    async def run(self, fn: Callable[[Tx], T]) -> T:
        """See `guardian_core.ports.Database`."""
        if self._closed:
            raise Unavailable("the database is closed")
        if os.getpid() != self._pid:
            raise InvariantBroken("a database was opened before a fork: open it in the child")
        if not self._room.acquire(blocking=False):
            raise Unavailable("the database is busy: its queue is full")
        call = _Call(fn)
        future = self._executor.submit(self._work, call)
        future.add_done_callback(lambda _: self._room.release())
        answer = asyncio.wrap_future(future)
        try:
            await asyncio.wait((answer,), timeout=self._answer_within_s)
        finally:
            # Cancels what has not begun; what runs goes on to its end.
            if not answer.done():
                answer.cancel()
        if answer.cancelled():
            unknown = call.give_up()
            raise Unavailable(
                f"the database did not answer within {self._answer_within_s:g} s,"
                f" {_outcome(unknown)}"
            )
        value: T = answer.result()
        return value

    async def close(self) -> None:
        """Waits for what is running and queued. Nothing can be run afterwards."""
        self._closed = True
        await asyncio.to_thread(self._executor.shutdown)
        self._engine.dispose()

    def _work(self, call: _Call) -> Any:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._attempt(call)
            except DBAPIError as error:
                if attempt < ATTEMPTS and _may_run_again(call, error):
                    continue
                if _is_away(error):
                    raise Unavailable(_away(call, error)) from error
                raise
            except StopIteration as error:
                # No future can carry it: its caller would wait for ever.
                raise RuntimeError("the function raised StopIteration") from error
        raise InvariantBroken("unreachable: the last attempt returns or raises")

    def _attempt(self, call: _Call) -> Any:
        call.connected = call.committing = False
        with Tx(self._engine, expire_on_commit=False) as tx:
            try:
                call.hold(tx)
                tx.clock_now = _DatabaseClock(tx, self._clock)
                value = call.fn(tx)
                tx.flush()
                call.begin_commit()
                tx.commit()
                return value
            finally:
                call.let_go()


class _DatabaseClock:
    """The server's clock: asked once per transaction, then carried on by our monotonic one.

    The reference is taken after the answer, so this runs behind the server by one trip at most,
    never ahead: a lease looks valid for a moment longer, never expired too early.
    """

    def __init__(self, tx: Tx, clock: Clock) -> None:
        self._tx = tx
        self._clock = clock
        self._asked: tuple[datetime, float] | None = None

    def __call__(self) -> datetime:
        if self._asked is None:
            server: datetime = self._tx.connection().scalar(_CLOCK).astimezone(UTC)
            self._asked = (server, self._clock.monotonic())
            return server
        server, reference_s = self._asked
        return server + timedelta(seconds=self._clock.monotonic() - reference_s)


_CLOCK = text(POSTGRES_CLOCK_SQL)


def _may_run_again(call: _Call, error: DBAPIError) -> bool:
    if call.given_up:
        return False
    if _sqlstate(error) in _LOST_RACE:
        return True
    return call.connected and not call.committing and error.connection_invalidated


def _is_away(error: DBAPIError) -> bool:
    return isinstance(error, OperationalError | InterfaceError) or _sqlstate(error) in _NOT_NOW


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "pgcode", None)


def _away(call: _Call, error: DBAPIError) -> str:
    unknown = call.committing and _sqlstate(error) not in _LOST_RACE
    return f"the database is away, {_outcome(unknown)}: {describe(error)}"


def _outcome(unknown: bool) -> str:
    return "it may have committed or not" if unknown else "nothing was changed"
