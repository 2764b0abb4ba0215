"""The paper venue's records as rows of `paper_record`: exact decimals as strings, JSON bodies.

A finished order moves out of the kind that is loaded for every command; a fill's key begins with
its time in fixed width, so that one range of the primary key is one stretch of time, whatever the
database's collation.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

from guardian_gateway.venues.paper.records import (
    PaperBalance,
    PaperCounter,
    PaperFill,
    PaperLeverage,
    PaperOrder,
    PaperPosition,
    PaperPrice,
    Record,
)

WORKING = "working_order"
FINISHED = "finished_order"
CLIENT_ID = "client_order_id"
COUNTER = "counter"

_KINDS: dict[str, type[Record]] = {
    WORKING: PaperOrder,
    FINISHED: PaperOrder,
    "balance": PaperBalance,
    "position": PaperPosition,
    "price": PaperPrice,
    "leverage": PaperLeverage,
    COUNTER: PaperCounter,
}
_KIND_OF = {record: kind for kind, record in _KINDS.items() if record is not PaperOrder}
_ADAPTERS: dict[type[Record], TypeAdapter[Any]] = {
    record: TypeAdapter(record) for record in (*_KINDS.values(), PaperFill)
}

LOADED_KINDS = tuple(kind for kind in _KINDS if kind != FINISHED)
"""All that a command needs, apart from the past."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def kind_of(record: Record) -> str:
    match record:
        case PaperOrder():
            return WORKING if record.working else FINISHED
        case PaperFill():
            return fill_kind(record.symbol)
        case _:
            return _KIND_OF[type(record)]


def key_of(record: Record) -> str:
    if isinstance(record, PaperFill):
        return fill_key(record.at, int(record.fill_id))
    return record.key


def body_of(record: Record) -> dict[str, Any]:
    body: dict[str, Any] = _ADAPTERS[type(record)].dump_python(record, mode="json")
    return body


def record_of(kind: str, body: dict[str, Any]) -> Record:
    record: Record = _ADAPTERS[_KINDS[kind]].validate_python(body)
    return record


def fill_of(body: dict[str, Any]) -> PaperFill:
    fill: PaperFill = _ADAPTERS[PaperFill].validate_python(body)
    return fill


def fill_kind(symbol: str) -> str:
    return f"fill:{symbol}"


def fill_key(at: datetime, number: int = 0) -> str:
    """Ordered as time is, then by number: 18 digits of microseconds and 12 of the number."""
    return f"{(at - _EPOCH) // timedelta(microseconds=1):018d}{number:012d}"
