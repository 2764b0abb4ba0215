"""A clock that stands still until a test moves it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)


class FakeClock:
    """Wall and monotonic time that go forward together."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._monotonic_s = 1_000.0
        self._followers: list[Callable[[datetime], None]] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        self._monotonic_s += seconds
        self.set_wall_time(self._now + timedelta(seconds=seconds))

    def set_wall_time(self, now: datetime) -> None:
        """As an administrator or NTP would: the monotonic time does not notice."""
        self._now = now
        for follow in self._followers:
            follow(now)

    def lead(self, follow: Callable[[datetime], None]) -> None:
        """Sets another clock by this one, now and at each change."""
        self._followers.append(follow)
        follow(self._now)
