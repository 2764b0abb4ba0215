"""SQLite without threads, for the simulator and for fast tests.

`run` yields to the loop before and after its transaction, as every real database does: others
act in between, and a caller may die after the COMMIT without having heard of it.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import URL, StaticPool

from guardian_core.domain.errors import Unavailable
from guardian_core.ports import Clock, Tx
from guardian_core.storage.engines import sqlite_engine
from guardian_core.storage.schema import Base
from guardian_core.storage.sqlite import ErrorsAsTheCallerSeesThem

T = TypeVar("T")


class InlineDatabase:
    """One connection, in memory or on a file. Makes the tables itself where they are missing."""

    def __init__(self, *, clock: Clock, path: Path | None = None) -> None:
        self._clock = clock
        self._closed = False
        url = URL.create("sqlite+pysqlite", database=str(path) if path else ":memory:")
        self._engine = sqlite_engine(url, poolclass=StaticPool)
        with self._engine.begin() as connection:
            Base.metadata.create_all(connection)

    async def run(self, fn: Callable[[Tx], T]) -> T:
        """See `guardian_core.ports.Database`."""
        await asyncio.sleep(0)
        value = self.run_now(fn)
        await asyncio.sleep(0)
        return value

    def run_now(self, fn: Callable[[Tx], T]) -> T:
        """`run` without its two yields, for whoever looks on from outside the loop."""
        if self._closed:
            raise Unavailable("the database is closed")
        with ErrorsAsTheCallerSeesThem(), Tx(self._engine, expire_on_commit=False) as tx:
            tx.clock_now = self._clock.now
            value = fn(tx)
            tx.commit()
            return value

    async def close(self) -> None:
        self._closed = True
        self._engine.dispose()
