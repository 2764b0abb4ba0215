"""Rate tokens: what a venue lets one address and one account ask, with a part kept for writes.

1. A read leaves the reserve untouched, so polling never delays a stop-loss.
2. Tokens come back evenly; nobody gets more than `per_second` over any long time, nor more than
   `capacity` at once.
"""

import asyncio
from dataclasses import dataclass

WRITE_RESERVE = 0.3
EASY = 0.6
"""So full is a bucket of which a look that nobody waits for may take."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_second` tokens come back each second, up to `capacity`."""

    per_second: float
    capacity: float


PAPER_RATE = Rate(per_second=10_000, capacity=10_000)
"""No venue to spare; a bound all the same, so that the code is the same."""


class Bucket:
    """A token bucket on the event loop's clock."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._tokens = rate.capacity
        self._counted_at_s: float | None = None

    def wait_s(self, cost: float, *, writing: bool) -> float:
        """Seconds until so many tokens may be taken; 0 when they may be now."""
        self._refill()
        floor = 0.0 if writing else self._rate.capacity * WRITE_RESERVE
        # A cost above what a full bucket gives would wait for ever: it takes the full bucket.
        wanted = min(cost + floor, self._rate.capacity)
        return max(0.0, (wanted - self._tokens) / self._rate.per_second)

    def ease_s(self) -> float:
        """Seconds until so much is there that others lack nothing."""
        self._refill()
        return max(0.0, (self._rate.capacity * EASY - self._tokens) / self._rate.per_second)

    def take(self, cost: float) -> None:
        self._refill()
        self._tokens -= cost

    def _refill(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._counted_at_s is not None:
            gained = (now_s - self._counted_at_s) * self._rate.per_second
            self._tokens = min(self._rate.capacity, self._tokens + gained)
        self._counted_at_s = now_s


class Budget:
    """What one account may spend: its own bucket, and the one it shares with its address."""

    def __init__(self, *buckets: Bucket) -> None:
        self._buckets = buckets

    async def spend(self, cost: float = 1, *, writing: bool) -> None:
        """Waits for the tokens, then takes them."""
        while True:
            wait_s = max(bucket.wait_s(cost, writing=writing) for bucket in self._buckets)
            if wait_s <= 0:
                break
            await asyncio.sleep(wait_s)
        for bucket in self._buckets:
            bucket.take(cost)

    async def ease(self) -> None:
        """Waits until others lack nothing; takes nothing."""
        while True:
            wait_s = max(bucket.ease_s() for bucket in self._buckets)
            if wait_s <= 0:
                return
            await asyncio.sleep(wait_s)


class Budgets:
    """The buckets of one process: one per venue (its address is ours), one per account."""

    def __init__(self) -> None:
        self._shared: dict[str, Bucket] = {}

    def of_account(self, venue: str, rate: Rate) -> Budget:
        shared = self._shared.setdefault(venue, Bucket(rate))
        return Budget(shared, Bucket(rate))
