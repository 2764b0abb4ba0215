"""Who passes when: one pass per account every interval, and at once when something happened.

Passes of one account never overlap; accounts do not wait for each other. A failed pass is tried
again after half a second. The interval is measured from start to start. News that an account has
moved wakes it at once, but no more often than its pace allows: a busy account must not spend the
calls that its exchange grants.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

from loguru import logger

from guardian_core.domain.errors import GuardianError
from guardian_core.pace import Pace
from guardian_core.ports import Clock

RETRY_AFTER_FAILURE_S = 0.5
ACCOUNTS_REREAD_EVERY_S = 2.0
SHORTEST_GAP_S = 0.05
"""Between two passes of an account, however often it is woken."""

Pass = Callable[[str], Awaitable[float | None]]
"""Runs one pass over the named account; returns in how many seconds it wants the next."""

Intervals = Callable[[], Awaitable[Mapping[str, float]]]
"""Every account that is to be guarded, with its interval in seconds."""


class Scheduler:
    """Runs `run_pass` for every account that `intervals` names, until cancelled."""

    def __init__(self, run_pass: Pass, intervals: Intervals, clock: Clock) -> None:
        self._run_pass = run_pass
        self._read_intervals = intervals
        self._clock = clock
        self._intervals: dict[str, float] = {}
        self._wakes: dict[str, asyncio.Event] = {}
        self._paces: dict[str, Pace] = {}
        self._nudging: dict[str, asyncio.TimerHandle] = {}
        self._finished: dict[str, float] = {}

    def wake(self, account: str) -> None:
        """Asks for a pass now; forgotten for an account that is not guarded here."""
        if account in self._wakes:
            self._wakes[account].set()

    def nudge(self, account: str) -> None:
        """Something happened on the account: asks for a pass as soon as its pace allows."""
        if account not in self._paces or account in self._nudging:
            return
        wait_s = self._paces[account].wait_s()
        later = asyncio.get_running_loop().call_later(wait_s, self._nudged, account)
        self._nudging[account] = later

    def _nudged(self, account: str) -> None:
        self._nudging.pop(account, None)
        if account in self._paces:
            self._paces[account].take()
            self.wake(account)

    def age_s(self) -> float:
        """Seconds since the account that waits longest had a pass that succeeded."""
        now = self._clock.monotonic()
        return max((now - at for at in self._finished.values()), default=0.0)

    async def run(self) -> None:
        tasks: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                await self._reread()
                for account in [name for name in self._intervals if name not in tasks]:
                    self._wakes[account] = asyncio.Event()
                    self._paces.setdefault(account, Pace(self._clock))
                    self._finished[account] = self._clock.monotonic()
                    tasks[account] = asyncio.create_task(self._loop(account))
                for account in [name for name in tasks if name not in self._intervals]:
                    tasks.pop(account).cancel()
                    del self._wakes[account], self._finished[account], self._paces[account]
                await asyncio.sleep(ACCOUNTS_REREAD_EVERY_S)
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    async def _reread(self) -> None:
        try:
            self._intervals = dict(await self._read_intervals())
        except GuardianError as error:
            logger.warning("accounts could not be read, the known ones go on: {}", error)
        except Exception:
            logger.exception("accounts could not be read, the known ones go on")

    async def _loop(self, account: str) -> None:
        wake = self._wakes[account]
        while True:
            started_s = self._clock.monotonic()
            wake.clear()
            delay_s = await self._once(account)
            spent_s = self._clock.monotonic() - started_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(SHORTEST_GAP_S, delay_s - spent_s)):
                    await wake.wait()

    async def _once(self, account: str) -> float:
        """Seconds from this pass's start to the next one's."""
        interval_s = self._intervals.get(account, RETRY_AFTER_FAILURE_S)
        try:
            wish_s = await self._run_pass(account)
        except GuardianError as error:
            logger.bind(account=account).warning("pass failed: {}", error)
            return RETRY_AFTER_FAILURE_S
        except Exception:
            # A mistake of ours on one account must not end the guarding of the others.
            logger.bind(account=account).exception("pass failed unexpectedly")
            return RETRY_AFTER_FAILURE_S
        self._finished[account] = self._clock.monotonic()
        return interval_s if wish_s is None else min(interval_s, wish_s)
