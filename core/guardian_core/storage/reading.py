"""Databases for looking only: a listing neither waits for the writer nor makes it wait.

`run` is that of every Database, but a function that writes fails. Nothing is migrated and no file
is made: what is missing or of another version is told instead.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, NullPool, create_engine, event

from guardian_core.domain.errors import ConfigurationError, Unavailable
from guardian_core.ports import Clock, Database, Tx
from guardian_core.storage.engines import SQLITE_BUSY_TIMEOUT_MS, is_sqlite, parse_url
from guardian_core.storage.migrations import require_current_on
from guardian_core.storage.postgres import PostgresDatabase
from guardian_core.storage.sqlite import ErrorsAsTheCallerSeesThem

T = TypeVar("T")


def open_for_reading(url: str, *, clock: Clock) -> Database:
    """The database behind a URL. Raises ConfigurationError when the URL or the file is wrong."""
    parsed = parse_url(url)
    if is_sqlite(parsed):
        return SqliteReader(Path(parsed.database or ""), clock=clock)
    options = parsed.query.get("options", "")
    theirs = options if isinstance(options, str) else " ".join(options)
    read_only = f"{theirs} -c default_transaction_read_only=on".strip()
    return PostgresDatabase(parsed.update_query_dict({"options": read_only}), clock=clock)


async def require_current(database: Database) -> None:
    """Raises ConfigurationError unless the database has exactly this version's schema."""
    await database.run(lambda tx: require_current_on(tx.connection()))


class SqliteReader:
    """One snapshot of the file per `run`, in the caller's own thread: reads are short."""

    def __init__(self, path: Path, *, clock: Clock) -> None:
        if not path.is_file():
            raise ConfigurationError(f"there is no database at {path}: start `guardian up` first")
        self._clock = clock
        self._closed = False
        self._engine = create_engine(
            "sqlite://", creator=lambda: _connect(path), poolclass=NullPool, hide_parameters=True
        )
        event.listen(self._engine, "begin", _begin)

    async def run(self, fn: Callable[[Tx], T]) -> T:
        """See `guardian_core.ports.Database`."""
        if self._closed:
            raise Unavailable("the database is closed")
        with ErrorsAsTheCallerSeesThem(), Tx(self._engine, expire_on_commit=False) as tx:
            tx.clock_now = self._clock.now
            return fn(tx)

    async def close(self) -> None:
        self._closed = True
        self._engine.dispose()


def _connect(path: Path) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    return sqlite3.connect(
        uri, uri=True, timeout=SQLITE_BUSY_TIMEOUT_MS / 1000, isolation_level=None
    )


def _begin(connection: Connection) -> None:
    driver: Any = connection
    driver.exec_driver_sql("BEGIN")
