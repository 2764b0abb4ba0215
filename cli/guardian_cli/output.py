"""How results are shown: tables for people, JSON that stays the same for machines.

In JSON a decimal is a string, a time is ISO 8601 in UTC, and a name is what the row calls it.
"""

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from guardian_core.domain.money import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDTH_MAX = 500
TRACE_SHOWN = 12
"""Digits of a trace id that a table shows; `guardian trace` takes as few as six."""


def json_ready(value: Any) -> Any:  # noqa: PLR0911 - one case for each kind of value
    """The value in JSON's own types."""
    match value:
        case None | bool() | int() | float():
            return value
        case Enum():
            return value.value
        case str():
            return value
        case Decimal():
            return plain(value)
        case datetime():
            return iso(value)
        case UUID():
            return str(value)
        case Mapping():
            return {str(key): json_ready(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [json_ready(item) for item in value]
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: json_ready(getattr(value, name)) for name in names}
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def print_json(value: Any) -> None:
    """One JSON document on stdout. A list of nothing is `[]`."""
    sys.stdout.write(json.dumps(json_ready(value), indent=2, ensure_ascii=False) + "\n")


def iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def console(*, stderr: bool = False) -> "Console":
    """Text as it is: no markup, no emoji, no guessed highlights in what others have written.

    What is no terminal gets lines as long as they are.
    """
    from rich.console import Console

    made = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not made.is_terminal:
        made.width = WIDTH_MAX
    return made


def table(*columns: str, right: Sequence[str] = (), wrap: Sequence[str] = ()) -> "Table":
    """A table with a head line and no frame.

    `right`: the columns that hold numbers; `wrap`: those that give way on a narrow terminal.
    """
    from rich.table import Table

    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(
            column,
            justify="right" if column in right else "left",
            no_wrap=column not in wrap,
            overflow="fold" if column in wrap else "ellipsis",
        )
    return made


def shown(value: object) -> str:
    """A cell's text."""
    match value:
        case None | "":
            return "–"
        case Decimal():
            return plain(value)
        case datetime():
            return clock_text(value)
        case Enum():
            return str(value.value)
        case bool():
            return "yes" if value else "no"
        case _:
            return printable(str(value))


def printable(text: str) -> str:
    """Text from outside (a symbol, a venue's message) that cannot command a terminal."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def clock_text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%m-%d %H:%M:%S")


def trace_text(trace_id: str | None) -> str:
    return (trace_id or "–")[:TRACE_SHOWN]


def duration_text(seconds: float | None) -> str:
    """`4.2 s`, `12 min`, `3 h`, `2 d`."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    for unit, length_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length_s:
            return f"{seconds / length_s:.0f} {unit}"
    raise AssertionError(seconds)
