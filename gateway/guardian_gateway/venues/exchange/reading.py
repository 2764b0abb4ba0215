"""Careful reading of a venue's answers: what is not as promised raises Strange, never a guess."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import parse_decimal
from guardian_gateway.venues.exchange.errors import Strange

Row = Mapping[str, Any]


def row(value: object) -> Row:
    if not isinstance(value, dict):
        raise Strange("the answer is no JSON object")
    return value


def rows(value: object) -> Sequence[Row]:
    if not isinstance(value, list):
        raise Strange("the answer is no JSON list")
    return [row(each) for each in value]


def text(source: Row, field: str) -> str:
    """A text or whole number that is there and not empty."""
    value = source.get(field)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise Strange(f"the answer has no {field}")
    return str(value)


def text_or_none(source: Row, field: str) -> str | None:
    return text(source, field) if source.get(field) not in (None, "") else None


def number(source: Row, field: str) -> Decimal:
    value = source.get(field)
    try:
        return parse_decimal(value, field)
    except CallerError:
        raise Strange(f"the answer has no number as {field}") from None


def number_above_zero(source: Row, field: str) -> Decimal | None:
    """None where the venue writes 0, or nothing, for "has none"."""
    if source.get(field) in (None, ""):
        return None
    value = number(source, field)
    return value if value > 0 else None


def flag(source: Row, field: str) -> bool:
    value = source.get(field, False)
    if isinstance(value, str):
        return value.lower() == "true"
    return value is True


def moment(source: Row, field: str) -> datetime:
    """Milliseconds since 1970."""
    value = text(source, field)
    if not value.isdecimal():
        raise Strange(f"the answer has no time as {field}")
    return from_ms(int(value))


def from_ms(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def to_ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
