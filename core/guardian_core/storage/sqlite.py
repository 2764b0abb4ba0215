"""SQLite: one writer thread per process, and one commit for all that waits (group commit).

1. A result or an error reaches its caller only after the COMMIT that its function was part of.
2. A function's own error undoes that function alone (its savepoint); its neighbours commit.
3. A failed BEGIN or COMMIT fails the whole batch with Unavailable; nothing of it is stored.
4. A caller that is cancelled before its function began has changed nothing; later, the function
   runs to its end and commits, and nobody hears of it.
"""

import asyncio
import os
import queue
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import URL, Connection
from sqlalchemy.exc import DBAPIError

from guardian_core.domain.errors import InvariantBroken, Unavailable
from guardian_core.ports import Clock, Tx
from guardian_core.storage.engines import sqlite_engine

T = TypeVar("T")

BATCH_MAX = 128
QUEUE_MAX = 4096


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    fn: Callable[[Tx], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Outcome:
    job: _Job
    value: Any = None
    error: BaseException | None = None

    def settle(self) -> None:
        if self.job.future.done():
            return
        if self.error is None:
            self.job.future.set_result(self.value)
        else:
            self.job.future.set_exception(self.error)


class _TransactionLost(Exception):
    """SQLite itself rolled the transaction back (disk full, I/O error)."""


class SqliteDatabase:
    """A SQLite file. `queue_max` bounds how many functions may wait."""

    def __init__(self, url: URL, *, clock: Clock, queue_max: int = QUEUE_MAX) -> None:
        self._clock = clock
        self._pid = os.getpid()
        self._engine = sqlite_engine(url)
        self._jobs: queue.Queue[_Job | None] = queue.Queue(queue_max)
        self._writer: threading.Thread | None = None
        self._closed = False

    async def run(self, fn: Callable[[Tx], T]) -> T:
        """See `guardian_core.ports.Database`."""
        if self._closed:
            raise Unavailable("the database is closed")
        loop = asyncio.get_running_loop()
        job = _Job(fn, loop, loop.create_future())
        self._ensure_writer()
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise Unavailable("the database is busy: its queue is full") from None
        value: T = await job.future
        return value

    async def close(self) -> None:
        """Runs what is queued, then ends the writer. Nothing can be run afterwards."""
        self._closed = True
        await asyncio.to_thread(self._stop)

    def _ensure_writer(self) -> None:
        if os.getpid() != self._pid:
            raise InvariantBroken("a database was opened before a fork: open it in the child")
        if self._writer is None:
            # A daemon, so that a process that forgot to close still ends.
            self._writer = threading.Thread(target=self._write, name="sqlite-writer", daemon=True)
            self._writer.start()

    def _stop(self) -> None:
        if self._writer is not None:
            self._jobs.put(None)
            self._writer.join()
            self._writer = None
        self._engine.dispose()

    def _write(self) -> None:
        running = True
        while running:
            batch, running = self._next_batch()
            if batch:
                _deliver(self._run_batch(batch))

    def _next_batch(self) -> tuple[list[_Job], bool]:
        """Waits for one job, then takes what is there; False once the end was asked for."""
        batch: list[_Job] = []
        job = self._jobs.get()
        while job is not None:
            if not job.future.cancelled():
                batch.append(job)
            if len(batch) == BATCH_MAX:
                return batch, True
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return batch, True
        return batch, False

    def _run_batch(self, batch: list[_Job]) -> list[_Outcome]:
        try:
            with self._engine.connect() as connection, connection.begin():
                return [self._run_one(connection, job) for job in batch]
        except Exception as error:
            # Whatever state the connection is in, the next batch gets a new one.
            with suppress(Exception):
                self._engine.dispose()
            failure = Unavailable(f"the database did not commit: {describe(error)}")
            failure.__cause__ = error
            return [_Outcome(job, error=failure) for job in batch]

    def _run_one(self, connection: Connection, job: _Job) -> _Outcome:
        try:
            outcome = _Outcome(job, run_in_savepoint(connection, job.fn, self._clock))
        except BaseException as error:
            outcome = _Outcome(job, error=as_caller_sees_it(error))
        raw: Any = connection.connection.dbapi_connection
        if not raw.in_transaction:
            cause = describe(outcome.error) if outcome.error else "no error was raised"
            raise _TransactionLost(f"SQLite rolled back ({cause})") from outcome.error
        return outcome


def run_in_savepoint(connection: Connection, fn: Callable[[Tx], T], clock: Clock) -> T:
    """Runs `fn` inside the connection's transaction; its error undoes what it alone did."""
    with Tx(connection, expire_on_commit=False, join_transaction_mode="create_savepoint") as tx:
        tx.clock_now = clock.now
        value = fn(tx)
        tx.commit()
        return value


def _deliver(outcomes: Iterable[_Outcome]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_loop[outcome.job.loop].append(outcome)
    for loop, group in by_loop.items():
        # A loop that is gone has nobody waiting.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, group)


def _settle(outcomes: list[_Outcome]) -> None:
    for outcome in outcomes:
        outcome.settle()


_AWAY = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)
"""Result codes of the file, the disk or another process; the others are our own mistakes."""


def as_caller_sees_it(error: BaseException) -> BaseException:
    """A database that is away is Unavailable; a StopIteration, which no future can carry, is a
    RuntimeError; anything else passes through."""
    failure: BaseException
    if isinstance(error, StopIteration):
        failure = RuntimeError("the function raised StopIteration")
    elif isinstance(error, DBAPIError) and _result_code(error) in _AWAY:
        failure = Unavailable(f"the database is away: {describe(error)}")
    else:
        return error
    failure.__cause__ = error
    return failure


class ErrorsAsTheCallerSeesThem:
    """For code that runs a function where it is called, and not in a writer's thread. (A generator
    would not do: contextlib lets a StopIteration through that has become a RuntimeError.)"""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        seen = as_caller_sees_it(error) if error is not None else None
        if seen is not None and seen is not error:
            raise seen from error


def _result_code(error: DBAPIError) -> int | None:
    extended = getattr(error.orig, "sqlite_errorcode", None)
    return None if extended is None else extended & 0xFF


def describe(error: BaseException) -> str:
    """The driver's own words in one line, without statement or parameters."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return f"{type(cause).__name__}: {' '.join(str(cause).split())}"
