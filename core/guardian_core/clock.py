"""The system's clock: the only place that reads raw time."""

import time
from datetime import UTC, datetime


class SystemClock:
    """Wall and monotonic time of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


POSTGRES_CLOCK_SQL = "SELECT clock_timestamp()"
"""The database's own clock; storage reads it at most once per transaction."""
