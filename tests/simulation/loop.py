"""An asyncio loop whose time is virtual: when nothing is ready, it jumps to the next timer.

1. The same seed and the same program give the same run, whatever the machine's load.
2. A timer is never early; it may be a little late, as on a busy machine, so timers that were set
   for the same instant go off in seeded order.
3. Callbacks of one owner (a simulated process) run in the order asyncio promises; those of
   different owners, which would be different operating system processes, run in seeded order.
4. There is no I/O and no thread: whoever wants one gets an error.
"""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context, ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, Protocol

EPOCH = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)
TIMER_LATE_MAX_S = 0.002
STEPS_AT_ONE_INSTANT_MAX = 50_000


class Owner(Protocol):
    alive: bool


OWNER: ContextVar[Owner | None] = ContextVar("owner", default=None)
"""The simulated process that the running code belongs to; None: the world outside of all."""


class Stuck(Exception):
    """Nothing is ready and no timer is set, or time has stopped moving."""


class VirtualTimeLoop(asyncio.BaseEventLoop):
    """See the module's rules. Starts at time 0."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._now_s = 0.0
        self._steps = 0
        self._random = random.Random(f"loop/{seed}")

    def time(self) -> float:
        return self._now_s

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        late_s = self._random.random() * TIMER_LATE_MAX_S
        return super().call_at(when + late_s, callback, *args, context=context)

    def run_in_executor(
        self, executor: object, func: Callable[..., object], *args: object
    ) -> NoReturn:
        raise RuntimeError(f"{func} wants a thread: there are none in the simulator")

    def _write_to_self(self) -> None:
        """Wakes the selector of a real loop; here nothing sleeps."""

    def _run_once(self) -> None:
        self._move_time()
        while self._timers and self._timers[0].when() <= self._now_s:
            timer = heapq.heappop(self._timers)
            timer._scheduled = False
            self._ready_handles.append(timer)
        ready = list(self._ready_handles)
        self._ready_handles.clear()
        self._steps += len(ready)
        if self._steps > STEPS_AT_ONE_INSTANT_MAX:
            raise Stuck(f"{self._steps} steps at {self._now_s:.3f} s: something spins")
        for handle in self._interleaved(ready):
            owner = handle._context.get(OWNER)
            if not handle.cancelled() and (owner is None or owner.alive):
                handle._run()

    def _move_time(self) -> None:
        timers = self._timers
        while timers and timers[0].cancelled():
            heapq.heappop(timers)._scheduled = False
        if self._ready_handles or self._stopping:  # type: ignore[attr-defined]
            return
        if not timers:
            raise Stuck(f"at {self._now_s:.3f} s nothing is ready and no timer is set")
        if timers[0].when() > self._now_s:
            self._now_s = timers[0].when()
            self._steps = 0

    def _interleaved(self, ready: list[Any]) -> Iterator[Any]:
        """Seeded order between owners, the given order within each."""
        owners: dict[Owner | None, deque[Any]] = {}
        for handle in ready:
            owners.setdefault(handle._context.get(OWNER), deque()).append(handle)
        if len(owners) == 1:
            yield from ready
            return
        turns = [owner for owner, handles in owners.items() for _ in handles]
        self._random.shuffle(turns)
        for owner in turns:
            yield owners[owner].popleft()

    # BaseEventLoop's own names for these carry no types.

    @property
    def _timers(self) -> list[Any]:
        timers: list[Any] = self._scheduled  # type: ignore[attr-defined]
        return timers

    @property
    def _ready_handles(self) -> deque[Any]:
        handles: deque[Any] = self._ready  # type: ignore[attr-defined]
        return handles


class VirtualClock:
    """`guardian_core.ports.Clock` on a loop's time; `skew_s`: how far a machine's wall is off."""

    def __init__(self, loop: asyncio.AbstractEventLoop, skew_s: float = 0.0) -> None:
        self._loop = loop
        self._epoch = EPOCH + timedelta(seconds=skew_s)

    def now(self) -> datetime:
        return self._epoch + timedelta(seconds=self._loop.time())

    def monotonic(self) -> float:
        return self._loop.time()
