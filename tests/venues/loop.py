"""A loop with real sockets and virtual time: when nothing more arrives, it jumps to the next timer.

Client and server live on the same loop, so what one has sent is there for the other at once, and
silence on all sockets means that everybody waits for a timer.
"""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from guardian_core.ports import Clock
from tests.support.loops import to_its_end

EPOCH = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
QUIET_S = 0.001
"""Real time without any arrival after which nothing is under way."""
STUCK_AFTER_S = 20.0


class _Patient:
    """A selector that lets the loop's time jump instead of waiting."""

    def __init__(self, loop: "JumpingLoop", real: selectors.BaseSelector) -> None:
        self._loop = loop
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            found = self._real.select(STUCK_AFTER_S)
            if not found:
                raise RuntimeError("nothing arrives and no timer is set")
            return found
        if timeout <= 0:
            return self._real.select(0)
        found = self._real.select(QUIET_S)
        if not found:
            self._loop.jump(timeout)
        return found


class JumpingLoop(asyncio.SelectorEventLoop):
    """See the module. Starts at time 0; timers are never early."""

    def __init__(self) -> None:
        self._now_s = 0.0
        super().__init__(_Patient(self, selectors.DefaultSelector()))  # type: ignore[arg-type]

    def time(self) -> float:
        return self._now_s

    def jump(self, seconds: float) -> None:
        self._now_s += seconds


class LoopClock:
    """`guardian_core.ports.Clock` on the running loop's time. `ahead_s`: how wrong its wall is."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ahead_s: float = 0.0) -> None:
        self._loop = loop
        self.ahead_s = ahead_s

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self._loop.time() + self.ahead_s)

    def monotonic(self) -> float:
        return self._loop.time()


def clock() -> Clock:
    """Of the running loop."""
    return LoopClock(asyncio.get_running_loop())


def on_jumping_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs an async test on such a loop."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with closing(JumpingLoop()) as loop:
            asyncio.set_event_loop(loop)
            try:
                loop.run_until_complete(to_its_end(test(*args, **kwargs)))
            finally:
                asyncio.set_event_loop(None)

    return run
