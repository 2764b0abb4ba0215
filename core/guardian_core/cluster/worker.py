"""Work that may wait: the latest wish for each key counts, and what fails is tried again, later
and later. Whoever asks never waits and is never told of a failure.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from loguru import logger

from guardian_core.domain.errors import GuardianError
from guardian_core.ports import Clock

K = TypeVar("K")

FIRST_RETRY_S: Final = 0.5
LAST_RETRY_S: Final = 5.0
AT_ONCE: Final = 4
TOLD_EVERY: Final = 20
"""A failure that repeats is told at the first time, and now and then."""
GAP_S: Final = 0.1
"""Between two calls of one key, however often it is added."""


class Worker(Generic[K]):
    """Calls `handle` for each added key, one call of a key at a time. Await `run()` in a task.

    A key added while its call is under way is handled once more. `handle` returns in how many
    seconds it wants to be called again without being asked; None: it is done.
    """

    def __init__(
        self, name: str, handle: Callable[[K], Awaitable[float | None]], clock: Clock
    ) -> None:
        self._name = name
        self._handle = handle
        self._clock = clock
        self._due: dict[K, float] = {}
        self._failures: dict[K, int] = {}
        self._not_before_s: dict[K, float] = {}
        self._at_work: dict[K, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()

    @property
    def is_idle(self) -> bool:
        return not self._due and not self._at_work

    def add(self, key: K) -> None:
        """As soon as can be; while it fails, no sooner than its next try."""
        if key not in self._due:
            self._due[key] = max(self._clock.monotonic(), self._not_before_s.get(key, 0.0))
            self._changed.set()

    async def run(self) -> None:
        try:
            while True:
                self._changed.clear()
                wait_s = self._start_due()
                try:
                    async with asyncio.timeout(wait_s):
                        await self._changed.wait()
                except TimeoutError:
                    pass
        finally:
            for task in self._at_work.values():
                task.cancel()
            await asyncio.gather(*self._at_work.values(), return_exceptions=True)

    def _start_due(self) -> float | None:
        """Starts what is due; in how many seconds the next will be."""
        now_s = self._clock.monotonic()
        self._not_before_s = {k: at_s for k, at_s in self._not_before_s.items() if at_s > now_s}
        waits = []
        for key, due_s in sorted(self._due.items(), key=lambda item: item[1]):
            if len(self._at_work) >= AT_ONCE:
                return None
            if key in self._at_work:
                continue
            if due_s > now_s:
                waits.append(due_s - now_s)
                continue
            del self._due[key]
            self._at_work[key] = asyncio.create_task(self._work(key))
        return min(waits, default=None)

    async def _work(self, key: K) -> None:
        try:
            wish_s = await self._handle(key)
            self._failures.pop(key, None)
        except GuardianError as error:
            wish_s = self._next_try_s(key)
            level = "DEBUG" if self._failures[key] % TOLD_EVERY != 1 else "WARNING"
            logger.log(level, "{} of {}: {}", self._name, key, error)
        except Exception:
            # A mistake of ours about one object must not stop the others.
            logger.exception("{} of {} failed unexpectedly", self._name, key)
            wish_s = self._next_try_s(key)
        finally:
            self._at_work.pop(key, None)
            soonest_s = self._not_before_s[key] = self._clock.monotonic() + GAP_S
            if key in self._due:
                self._due[key] = max(self._due[key], soonest_s)
            self._changed.set()
        if wish_s is not None:
            soonest = self._clock.monotonic() + wish_s
            # While it fails, also what was asked for meanwhile waits for the next try.
            self._due[key] = soonest if key in self._failures else self._due.get(key, soonest)

    def _next_try_s(self, key: K) -> float:
        tries = self._failures[key] = self._failures.get(key, 0) + 1
        wait_s: float = min(LAST_RETRY_S, FIRST_RETRY_S * 2 ** (tries - 1))
        return wait_s
