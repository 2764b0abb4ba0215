"""Waiting for something to become true, instead of sleeping and hoping."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")

_FIRST_PAUSE_S = 0.005
_LONGEST_PAUSE_S = 0.1


def eventually(condition: Callable[[], T], *, within_s: float = 5.0, what: str = "") -> T:
    """Calls `condition` until it returns something true, and returns that.

    An AssertionError counts as "not yet", so a condition may be a function of plain asserts that
    returns True. Any other exception ends the wait at once.
    """
    attempts = _Attempts(within_s, what or _name_of(condition))
    while True:
        try:
            value = condition()
        except AssertionError as error:
            attempts.note(error)
        else:
            if value:
                return value
            attempts.note(value)
        time.sleep(attempts.next_pause())


@overload
async def eventually_async(
    condition: Callable[[], Awaitable[T | None]], *, within_s: float = 5.0, what: str = ""
) -> T: ...


@overload
async def eventually_async(
    condition: Callable[[], T], *, within_s: float = 5.0, what: str = ""
) -> T: ...


async def eventually_async(
    condition: Callable[[], object], *, within_s: float = 5.0, what: str = ""
) -> object:
    """Like `eventually`; lets the event loop run meanwhile, and awaits what `condition` returns."""
    attempts = _Attempts(within_s, what or _name_of(condition))
    while True:
        try:
            result = condition()
            value = await result if isinstance(result, Awaitable) else result
        except AssertionError as error:
            attempts.note(error)
        else:
            if value:
                return value
            attempts.note(value)
        await asyncio.sleep(attempts.next_pause())


class _Attempts:
    """Counts tries against a deadline, and tells what the last one saw when it has passed."""

    def __init__(self, within_s: float, what: str) -> None:
        self._within_s = within_s
        self._what = what
        self._deadline = time.monotonic() + within_s
        self._pause_s = _FIRST_PAUSE_S
        self._count = 0
        self._last: object = None

    def note(self, outcome: object) -> None:
        self._count += 1
        self._last = outcome

    def next_pause(self) -> float:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            message = (
                f"not within {self._within_s} s: {self._what} "
                f"({self._count} tries, the last gave {self._last!r})"
            )
            cause = self._last if isinstance(self._last, AssertionError) else None
            raise AssertionError(message) from cause
        pause_s = min(self._pause_s, left_s)
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
        return pause_s


def _name_of(condition: Callable[[], object]) -> str:
    code = getattr(condition, "__code__", None)
    if code is None:
        return repr(condition)
    return f"{condition.__qualname__} at {code.co_filename}:{code.co_firstlineno}"
