"""What `guardian up` shows while it runs: one line per event, each with its trace id.

Fed by the log: a named point is an event, a warning is one too; everything else is silence. An
alert that only carries a bar is none.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO, TypeVar

from guardian_cli.output import printable
from guardian_core.logs import Point

if TYPE_CHECKING:
    from loguru import Message

V = TypeVar("V")

ALERTS_REMEMBERED = 1_000

LABELS = {
    Point.STORED.value: "alert committed",
    Point.WEBHOOK_FINISHED.value: "alert finished",
    Point.OLD_STOP_LOSS.value: "old stop-loss",
    Point.OLD_TAKE_PROFIT.value: "old take-profit",
    Point.NEW_STOP_LOSS.value: "stop-loss works",
    Point.NEW_TAKE_PROFIT.value: "take-profit works",
    Point.LEG_MISSING.value: "leg gone",
    Point.LEG_REPAIRED.value: "repaired",
    Point.REPAIR_FAILED.value: "repair failed",
    "entry": "entry sent",
    "exit": "exit sent",
    "opened": "position opened",
    "protected": "protected",
    "closed": "position closed",
    "pnl": "result",
    "target_set": "reducing",
    "target_reached": "reduced",
    "reopened": "position is back",
    "fill_found": "fill found",
    "adjusted": "leg adjusted",
    "submit_failed": "not sent",
    "flat_seen": "flat?",
}
"""What an event is called, by its point; one that is not here is told in the journal only."""

FAILED_LABELS = {
    Point.NEW_STOP_LOSS.value: "stop-loss failed",
    Point.NEW_TAKE_PROFIT.value: "take-profit failed",
    "entry": "entry failed",
    "exit": "exit failed",
}

_LEGS = {
    Point.NEW_STOP_LOSS.value: "stop-loss",
    Point.NEW_TAKE_PROFIT.value: "take-profit",
}

_COLOURS = {
    "position opened": "32",
    "repaired": "32",
    "protected": "32",
    "leg gone": "33",
    "warning": "33",
}
_RED, _DIM = "31", "2"


@dataclass
class _Opening:
    """What an alert that is at work has opened so far: told in one line, with its legs."""

    text: str = ""
    legs: list[str] = field(default_factory=list)

    def takes(self, point: str, text: str) -> bool:
        """Whether this event is part of the opening, and so not told by itself."""
        if point == "opened":
            self.text = self.text or text
            return True
        if point not in _LEGS or not self.text:
            return False
        self.legs.append(f"{_LEGS[point]} {text.rpartition(' at ')[2]}")
        return True

    def event(self) -> tuple[str, str, bool]:
        legs = f", with {' and '.join(self.legs)}" if self.legs else ""
        return LABELS["opened"], self.text + legs, False


class EventLines:
    """A Loguru sink that writes events to a stream, in colour on a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._coloured = stream.isatty()
        self._alerts: OrderedDict[str, str] = OrderedDict()
        self._at_work: OrderedDict[str, _Opening] = OrderedDict()

    def __call__(self, message: "Message") -> None:
        record = message.record
        extra = record["extra"]
        time = record["time"].strftime("%H:%M:%S")
        rows = extra.get("_rows")
        for row in [extra] if rows is None else [extra | each for each in rows]:
            for event in self._told(row, record["level"].name, record["message"]):
                self._stream.write(self._line(time, *event, str(row.get("trace_id") or "")))
        self._stream.flush()

    def _told(
        self, row: Mapping[str, object], level: str, message: str
    ) -> list[tuple[str, str, bool]]:
        """Each event's label, its text, and whether it is bad; none for what is no event."""
        point, trace_id = row.get("point"), str(row.get("trace_id"))
        bad = level in ("ERROR", "CRITICAL")
        match point:
            case Point.RECEIVED.value:
                _remember(self._alerts, trace_id, str(row.get("alert", "")))
                return []
            case Point.STORED.value:
                return self._stored(row, trace_id)
            case Point.WEBHOOK_FINISHED.value:
                return self._finished(trace_id, message, bad)
        if bad and point in FAILED_LABELS:
            return [(FAILED_LABELS[str(point)], message, True)]
        if point in LABELS:
            label = LABELS[str(point)]
            text = message.removeprefix(f"{label}: ")
            opening = self._at_work.get(trace_id)
            if opening is not None and opening.takes(str(point), text):
                return []
            return [(label, text, bad)]
        if bad or level == "WARNING":
            return [("error" if bad else "warning", message, bad)]
        return []

    def _stored(self, row: Mapping[str, object], trace_id: str) -> list[tuple[str, str, bool]]:
        alert = self._alerts.pop(trace_id, "")
        if alert.startswith("PING"):
            return []
        if row.get("duplicate_of"):
            return [("duplicate", f"{alert}, as {row['duplicate_of']}", False)]
        _remember(self._at_work, trace_id, _Opening())
        return [(LABELS[Point.STORED.value], alert, False)]

    def _finished(self, trace_id: str, message: str, bad: bool) -> list[tuple[str, str, bool]]:
        opening = self._at_work.pop(trace_id, None)
        events = [] if opening is None or not opening.text else [opening.event()]
        if message.startswith("PING ") and not bad:
            return events
        return [*events, (LABELS[Point.WEBHOOK_FINISHED.value], message, bad)]

    def _line(self, time: str, label: str, text: str, bad: bool, trace_id: str) -> str:
        colour = _RED if bad else _COLOURS.get(label, "")
        shown = printable(text) if text.isprintable() else json.dumps(text)
        line = f"{self._paint(_DIM, time)}  {self._paint(colour, f'{label: <18}')} {shown}"
        return f"{line}  {self._paint(_DIM, trace_id)}".rstrip() + "\n"

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._coloured and code and text else text


def _remember(memory: OrderedDict[str, V], trace_id: str, value: V) -> None:
    memory[trace_id] = value
    while len(memory) > ALERTS_REMEMBERED:
        memory.popitem(last=False)
