"""How much of what is played for each exchange: by default each kind of market once, and of the
faults of a write, on exchanges of no new kind, one of each sort. EXCHANGES=all plays everything:
`make test-exchanges`.
"""

import os
from collections.abc import Iterable

EVERYTHING = os.environ.get("EXCHANGES") == "all"

ONE_OF_A_KIND = ("binanceusdm", "bitget")
"""Legs side by side; the stop alone, with a watched take-profit. Pairs are played on paper."""
EVERY_FAULT_ON = ("binanceusdm", "okx", "bitget")
"""Legs side by side; a pair; the stop alone."""

ONE_OF_A_SORT = (
    "hangs, not done",
    "reset after",
    "empty 200",
    "502, done",
    "429",
    "unknown to itself, done",
    "clock is off",
)
"""Of `tests.venues.fake.troubles`: silence, a broken connection, nonsense, a broken server, a
refusal, doubt, and a wrong clock."""


def played(names: Iterable[str]) -> list[str]:
    """Those exchanges on which the whole product is played."""
    return [name for name in names if EVERYTHING or name in ONE_OF_A_KIND]


def is_struck(name: str, trouble: str) -> bool:
    """Whether an exchange's writes meet this trouble."""
    return EVERYTHING or name in EVERY_FAULT_ON or trouble in ONE_OF_A_SORT
