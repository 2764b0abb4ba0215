"""How well the world answers: latencies, odds of faults, windows of bad weather.

Also the judge of the promise's precondition, "each call is answered within 1 s": every call to a
venue or to the database is reported here, so that the oracle knows since when all has been well.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from tests.simulation.loop import OWNER, VirtualTimeLoop

ANSWERS_WITHIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Odds:
    """Chances of each fault per call, and typical latencies in seconds."""

    latency_s: float = 0.03
    slow: float = 0.0
    """Answered, but only after 1 to 4 s."""
    hangs: float = 0.0
    """No answer within anybody's patience; the effect may happen."""
    unavailable: float = 0.0
    """A read fails."""
    unlisted: float = 0.0
    """The listing of orders fails, as when only that endpoint is overloaded."""
    not_sent: float = 0.0
    """A write surely did not arrive."""
    lost_answer: float = 0.0
    """A write happened, and its answer is an error that says nothing."""
    vanishes: float = 0.0
    """A write did not happen, and its answer is an error that says nothing."""
    late_effect: float = 0.0
    """A write whose answer was an error happens only afterwards."""
    stale: float = 0.0
    """A listing shows what was true before, within the venue's visibility delay."""
    gone: float = 0.0
    """A cancel that succeeded says that the order was gone."""
    away: bool = False


CALM = Odds(latency_s=0.02)


class Answers:
    """Since when each peer has answered every call within a second."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop
        self._failed_at: dict[str, float] = {}
        self._waiting: dict[str, dict[object, tuple[float, object]]] = {}

    @contextmanager
    def call(self, peer: str) -> Iterator[None]:
        """One call, seen from its caller; an error or more than 1 s is a failure to answer."""
        waiting = self._waiting.setdefault(peer, {})
        key, started_s = object(), self._loop.time()
        waiting[key] = (started_s, OWNER.get())
        try:
            yield
        finally:
            del waiting[key]
            if self._loop.time() - started_s > ANSWERS_WITHIN_S:
                self.fail(peer)

    def fail(self, peer: str) -> None:
        self._failed_at[peer] = self._loop.time()

    def well_since(self, peer: str) -> float:
        """The latest moment at which the peer did not keep to the precondition."""
        now_s = self._loop.time()
        for started_s, owner in self._waiting.get(peer, {}).values():
            alive = owner is None or getattr(owner, "alive", True)
            if alive and now_s - started_s > ANSWERS_WITHIN_S:
                return now_s
        return self._failed_at.get(peer, 0.0)


class Weather:
    """The present odds of one peer, and the dice."""

    def __init__(self, name: str, seed: int, odds: Odds = CALM) -> None:
        self.name = name
        self.odds = odds
        self.random = random.Random(f"weather/{name}/{seed}")
        self.refusing: dict[str, int] = {}
        """Role of an order: how many creates of it are refused still."""

    def change(self, odds: Odds) -> None:
        self.odds = odds

    def away(self, away: bool) -> None:
        self.odds = replace(self.odds, away=away)

    def happens(self, chance: float) -> bool:
        return chance > 0 and self.random.random() < chance

    def latency_s(self) -> float:
        """Half of a round trip: mostly short, with a tail."""
        base = self.odds.latency_s
        return self.random.uniform(0.2, 1.0) * base + min(
            self.random.expovariate(4.0 / base) if base else 0.0, 8 * base
        )

    def slowness_s(self) -> float:
        return self.random.uniform(1.0, 4.0) if self.happens(self.odds.slow) else 0.0

    def refuses(self, roles: list[str]) -> bool:
        for role in roles:
            if self.refusing.get(role, 0) > 0:
                self.refusing[role] -= 1
                return True
        return False
