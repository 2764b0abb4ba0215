"""How often news may ask for something that costs: at once, but not for ever."""

from guardian_core.ports import Clock

GAP_S = 0.5
BURST = 6
ONE_EVERY_S = 3.0
"""As often as an account is looked at anyway: in the long run news cost nothing more."""


class Pace:
    """GAP_S apart; BURST in a row, and one more for every ONE_EVERY_S since."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counted_at_s = clock.monotonic()
        self._left: float = BURST
        self._taken_at_s = -GAP_S

    def wait_s(self) -> float:
        """Seconds until the next may be taken; 0 when it may be now."""
        now_s = self._count()
        return max(self._taken_at_s + GAP_S - now_s, (1 - self._left) * ONE_EVERY_S, 0.0)

    def take(self) -> None:
        self._taken_at_s = self._count()
        self._left -= 1

    def _count(self) -> float:
        now_s = self._clock.monotonic()
        gained = (now_s - self._counted_at_s) / ONE_EVERY_S
        self._left = min(BURST, self._left + gained)
        self._counted_at_s = now_s
        return now_s
