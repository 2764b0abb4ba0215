"""The one shared database, and the unreliable way to it.

1. A transaction is atomic and serial; before and after it time passes, and others act.
2. An error may come before the commit, where nothing happened, or after it, where all did.
3. A process that dies while its transaction is under way may find it done or not.
4. A function may be run twice, its first run rolled back, as after a lost race.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from guardian_core.domain.errors import Unavailable
from guardian_core.ports import Tx
from guardian_core.storage.inline import InlineDatabase
from tests.simulation.eventlog import EventLog
from tests.simulation.loop import OWNER, Owner, VirtualTimeLoop
from tests.simulation.mortal import ask
from tests.simulation.weather import Answers, Weather

T = TypeVar("T")

PEER = "database"
HANGS_S = 3.0
"""The server's own limit on a statement."""


class _Undo(Exception):
    """Rolls a first run back."""


class FaultyDatabase:
    """`guardian_core.ports.Database` as one process reaches it."""

    def __init__(
        self,
        inner: InlineDatabase,
        loop: VirtualTimeLoop,
        log: EventLog,
        weather: Weather,
        answers: Answers,
    ) -> None:
        self._inner = inner
        self._loop = loop
        self._log = log
        self._weather = weather
        self._answers = answers

    async def run(self, fn: Callable[[Tx], T]) -> T:
        caller = OWNER.get()
        with self._answers.call(PEER):
            try:
                return await ask(self._loop, lambda: self._serve(fn, caller))
            except Unavailable as error:
                self._answers.fail(PEER)
                self._log.note("database", f"{_name(fn)}: {error}")
                raise

    async def close(self) -> None:
        return None

    async def _serve(self, fn: Callable[[Tx], T], caller: Owner | None) -> T:
        weather, odds = self._weather, self._weather.odds
        await asyncio.sleep(weather.latency_s() + weather.slowness_s())
        if odds.away or weather.happens(odds.not_sent):
            await asyncio.sleep(HANGS_S if weather.happens(0.3) else 0)
            raise Unavailable("the database is away")
        if caller is not None and not caller.alive and weather.happens(0.5):
            raise Unavailable("its client died before it committed")
        if weather.happens(0.02):
            self._rehearse(fn)
        value = self._inner.run_now(fn)
        await asyncio.sleep(weather.latency_s())
        if weather.happens(odds.lost_answer):
            raise Unavailable("the connection was lost while it committed")
        return value

    def _rehearse(self, fn: Callable[[Tx], T]) -> None:
        def undone(tx: Tx) -> None:
            fn(tx)
            tx.flush()
            raise _Undo

        try:
            self._inner.run_now(undone)
        except Exception:
            # What it raises in earnest is told in earnest.
            return


def _name(fn: Callable[..., object]) -> str:
    return getattr(fn, "__qualname__", type(fn).__name__)
