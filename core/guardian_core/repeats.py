"""What was told already: a failure that repeats every few seconds for hours is journalled now and
then, not each time."""

from collections.abc import Hashable

from guardian_core.ports import Clock
from guardian_core.protocol import OrderOutcome, OutcomeKind

SILENT_FOR_S = 300.0


class Repeats:
    """Remembers failures, in this process alone. `where`: their trace and lane."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told_s: dict[tuple[Hashable, ...], float] = {}

    def is_news(self, where: Hashable, outcome: OrderOutcome) -> bool:
        """Whether to tell of it: a failure that was not told lately, or anything that worked,
        after which the same failure is news again."""
        what = (where, outcome.operation, outcome.role)
        if outcome.outcome is OutcomeKind.ACCEPTED:
            self._told_s = {key: at for key, at in self._told_s.items() if key[:3] != what}
            return True
        now_s = self._clock.monotonic()
        told = {key: at for key, at in self._told_s.items() if now_s - at < SILENT_FOR_S}
        key = (*what, outcome.outcome, outcome.reason)
        is_news = key not in told
        if is_news:
            told[key] = now_s
        self._told_s = told
        return is_news
