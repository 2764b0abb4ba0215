"""Logging: Loguru for every line of the process, and the named points an alert passes through.

`log_point` is for the 14 points of an alert's story; everything else uses `loguru.logger` as it
is. No line ever carries a request body, a token or an exchange key: fields are ids, symbols,
prices and reasons. Tracebacks are printed without the values of variables for the same reason.
"""

import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, TextIO

from loguru import logger

if TYPE_CHECKING:
    from loguru import Message, Record


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


class Point(StrEnum):
    """The named points: T6 the receiver, T3 the engine, T7 the operator."""

    RECEIVED = "T6.1"
    STORED = "T6.2"
    PUBLISHED = "T6.3"
    POSITION_LOOKED_UP = "T3.1"
    OLD_STOP_LOSS = "T3.2"
    OLD_TAKE_PROFIT = "T3.3"
    NEW_STOP_LOSS = "T3.4"
    NEW_TAKE_PROFIT = "T3.5"
    STATE_UPDATED = "T3.6"
    WEBHOOK_FINISHED = "T3.7"
    PASS_VALIDATED = "T7.1"
    """Logged at DEBUG, or when what the pass found has changed."""
    LEG_MISSING = "T7.2"
    LEG_REPAIRED = "T7.3"
    REPAIR_FAILED = "T7.4"

    @property
    def text(self) -> str:
        """What happened at this point, in words."""
        return _TEXTS[self]


_TEXTS = {
    Point.RECEIVED: "alert received",
    Point.STORED: "alert stored",
    Point.PUBLISHED: "wake-up published",
    Point.POSITION_LOOKED_UP: "position looked up",
    Point.OLD_STOP_LOSS: "old stop-loss replaced or cancelled",
    Point.OLD_TAKE_PROFIT: "old take-profit replaced or cancelled",
    Point.NEW_STOP_LOSS: "new stop-loss",
    Point.NEW_TAKE_PROFIT: "new take-profit",
    Point.STATE_UPDATED: "state updated",
    Point.WEBHOOK_FINISHED: "webhook finished",
    Point.PASS_VALIDATED: "pass validated",
    Point.LEG_MISSING: "leg missing",
    Point.LEG_REPAIRED: "leg repaired",
    Point.REPAIR_FAILED: "repair failed",
}


def log_point(
    point: Point,
    message: str = "",
    *,
    trace_id: str | None,
    level: str = "INFO",
    **fields: object,
) -> None:
    """One line for one named point. `message` replaces the point's own text."""
    # Bound, not formatted: a brace in a message is no placeholder.
    bound = logger.bind(point=point.value, trace_id=trace_id, **fields)
    bound.opt(depth=1).log(level, "{}", message or point.text)


def log_points(point: Point, rows: Sequence[Mapping[str, object]], level: str = "INFO") -> None:
    """One line per row, for a batch that passed a point together; a row holds its trace_id.

    Loguru handles the batch as one record, which costs a tenth of as many records.
    """
    if rows:
        logger.opt(depth=1).bind(point=point.value, **{_ROWS: rows}).log(level, "{}", point.text)


_ROWS = "_rows"

_Lines = Callable[["Record", Sequence[Mapping[str, object]]], str]


def setup_logging(
    log_format: LogFormat, level: str, service: str, *, stream: TextIO | None = None
) -> None:
    """Sends every log line of this process, also the standard library's, to one stream.

    `service` marks each JSON line; `stream` is stderr unless given. Calling it again replaces
    the former set-up.
    """
    target = stream if stream is not None else sys.stderr
    lines = _json_lines(service) if log_format is LogFormat.JSON else _text_lines(target.isatty())
    logger.remove()
    logger.add(_sink(target, lines), level=level, format="", backtrace=False, diagnose=False)
    _route_standard_logging(level)


def _sink(stream: TextIO, lines: _Lines) -> "Callable[[Message], None]":
    def write(message: "Message") -> None:
        record = message.record
        extra = record["extra"]
        rows = extra.pop(_ROWS, None)
        if record["exception"] is not None:
            # With an empty format, the message is the traceback alone.
            extra["exception"] = str(message).strip()
        stream.write(lines(record, [extra] if rows is None else [extra | row for row in rows]))
        stream.flush()

    return write


def _json_lines(service: str) -> _Lines:
    def lines(record: "Record", rows: Sequence[Mapping[str, object]]) -> str:
        head: dict[str, object] = {
            "time": record["time"].isoformat(timespec="milliseconds"),
            "level": record["level"].name,
            "service": service,
            "logger": record["name"],
            "message": record["message"],
        }
        # The head is the same for a whole batch, and encoded once.
        begun = _encode(head)[:-1]
        return "".join([_json_line(begun, head, row) for row in rows])

    return lines


def _json_line(begun: str, head: Mapping[str, object], row: Mapping[str, object]) -> str:
    told = {name: value for name, value in row.items() if value is not None}
    if not head.keys().isdisjoint(told):
        return _encode({**head, **told}) + "\n"
    return f"{begun}, {_encode(told)[1:]}\n" if told else f"{begun}}}\n"


_encode = json.JSONEncoder(default=str).encode

_COLOURS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[1;31m"}
_DIM, _BOLD, _PLAIN = "\x1b[2m", "\x1b[1m", "\x1b[0m"


def _text_lines(coloured: bool) -> _Lines:
    def paint(colour: str, text: str) -> str:
        return f"{colour}{text}{_PLAIN}" if coloured and colour else text

    def lines(record: "Record", rows: Sequence[Mapping[str, object]]) -> str:
        level = record["level"].name
        head = paint(_DIM, record["time"].strftime("%H:%M:%S.%f")[:-3])
        head += " " + paint(_COLOURS.get(level, ""), f"{level: <7}")
        head += " " + paint(_BOLD, f"{rows[0].get('point', '')!s: <4}") + " " + record["message"]
        return "".join(
            [f"{head}  {paint(_DIM, _words(row))}".rstrip() + _tail(row) for row in rows]
        )

    return lines


def _words(row: Mapping[str, object]) -> str:
    return " ".join(
        [
            f"{name}={_shown(value)}"
            for name, value in row.items()
            if value is not None and name not in ("point", "exception")
        ]
    )


def _tail(row: Mapping[str, object]) -> str:
    return f"\n{row['exception']}\n" if "exception" in row else "\n"


def _shown(value: object) -> str:
    text = str(value)
    return text if text.isprintable() and text and " " not in text else json.dumps(text)


class _ToLoguru(logging.Handler):
    """Hands a record of the standard library on, under the name of the module that logged it."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level: str | int = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno

        def rename(ours: "Record") -> None:
            ours["name"] = record.name

        named = logger.patch(rename)
        named.opt(exception=record.exc_info).log(level, "{}", record.getMessage())


QUIET = ("sqlalchemy", "alembic", "httpx", "httpcore", "asyncio", "uvicorn")
"""Libraries whose own INFO lines tell an operator nothing."""


def _route_standard_logging(level: str) -> None:
    logging.basicConfig(handlers=[_ToLoguru()], level=level, force=True)
    for name in list(logging.root.manager.loggerDict):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.root.level))
