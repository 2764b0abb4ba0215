"""Options that many commands share, and what their texts mean."""

from collections.abc import Coroutine
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import parse_decimal

E = TypeVar("E", bound=Enum)
T = TypeVar("T")

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        help="The data folder. [GUARDIAN_HOME, else ~/.guardian]",
        show_default=False,
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Print JSON: decimals as strings, times as ISO 8601 in UTC."),
]
AccountOption = Annotated[
    str | None,
    typer.Option("--account", "-a", metavar="NAME", help="Only this account.", show_default=False),
]
SymbolOption = Annotated[
    str | None,
    typer.Option("--symbol", "-s", metavar="SYMBOL", help="Only this symbol.", show_default=False),
]
LimitOption = Annotated[
    int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many, newest first.")
]


def choose(kind: type[E], text: str, field: str) -> E:
    """The member of an enumeration that a text names, in any case. Raises CallerError."""
    for member in kind:
        if str(member.value).casefold() == text.casefold():
            return member
    choices = ", ".join(str(member.value) for member in kind)
    raise CallerError(field, f"{text!r} is none of its values", f"use one of: {choices}")


def optional_decimal(text: str | None, field: str) -> Decimal | None:
    """The number that an option's text is. Raises CallerError."""
    return None if text is None else parse_decimal(text, field)


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Runs a command's coroutine to its end."""
    import asyncio

    return asyncio.run(work)
