"""What the demo tells, as it happens: one entry per expectation or event."""

from collections.abc import Callable
from dataclasses import dataclass

from guardian_core.ports import Clock


@dataclass(frozen=True, slots=True)
class Entry:
    """`held`: None for what was done, else whether what was expected came true.

    `at_seconds`: since the demo's start; `candle`: the day's time (UTC). `repaired_seconds`: from
    the harm to the moment when the venue's books were right again.
    """

    at_seconds: float
    candle: str
    chapter: str
    text: str
    held: bool | None = None
    trace_id: str | None = None
    repaired_seconds: float | None = None


class Timeline:
    """`on_entry` hears of each entry as it comes; `candle` tells the day's time."""

    def __init__(
        self, clock: Clock, candle: Callable[[], str], on_entry: Callable[[Entry], None]
    ) -> None:
        self._clock = clock
        self._candle = candle
        self._on_entry = on_entry
        self._started_s = clock.monotonic()
        self.chapter = ""
        self.entries: list[Entry] = []

    def tell(
        self,
        text: str,
        *,
        held: bool | None = None,
        trace_id: str | None = None,
        repaired_s: float | None = None,
    ) -> None:
        entry = Entry(
            at_seconds=round(self._clock.monotonic() - self._started_s, 3),
            candle=self._candle(),
            chapter=self.chapter,
            text=text,
            held=held,
            trace_id=trace_id,
            repaired_seconds=None if repaired_s is None else round(repaired_s, 3),
        )
        self.entries.append(entry)
        self._on_entry(entry)

    @property
    def failures(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.held is False]

    @property
    def expectations(self) -> int:
        return sum(entry.held is not None for entry in self.entries)
