"""The paper venue's memory: its records by key, what a command changed, and the way back.

1. Between `command()` and its end a command sees its own changes; when it raises, none of them
   remains, not even a number it drew.
2. `drain()` gives every record that finished commands changed, once, as it stands now.
3. Inside a command decimals are exact: arithmetic that would round raises.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, localcontext
from typing import Any, TypeVar, cast

from guardian_core.domain.money import ZERO
from guardian_gateway.venues.paper.records import (
    LedgerEvent,
    PaperBalance,
    PaperCounter,
    PaperFill,
    PaperLeverage,
    PaperOrder,
    PaperPosition,
    PaperPrice,
    Record,
)

EXACTLY = Context(prec=200, traps=[Inexact, InvalidOperation, DivisionByZero])

R = TypeVar("R")
_Slot = tuple[type[Record], str]


class Book:
    """One account's records. `keep_events`: whether the ledger of events grows in memory."""

    def __init__(self, records: Iterable[Record] = (), *, keep_events: bool = False) -> None:
        self._tables: dict[type[Any], dict[str, Any]] = {}
        self._working: dict[str, PaperOrder] = {}
        self._by_client_id: dict[str, str] = {}
        self._undo: list[tuple[_Slot, Record | None]] = []
        self._changed: dict[_Slot, None] = {}
        self._keep_events = keep_events
        self.events: list[LedgerEvent] = []
        for record in records:
            self._set((type(record), record.key), record)

    @contextmanager
    def command(self) -> Iterator[None]:
        """The scope of one command: all of its changes, or none."""
        self._undo.clear()
        events = len(self.events)
        try:
            with localcontext(EXACTLY):
                yield
        except BaseException:
            for slot, before in reversed(self._undo):
                self._set(slot, before)
            del self.events[events:]
            self._undo.clear()
            raise
        self._changed.update((slot, None) for slot, _ in self._undo)
        self._undo.clear()

    def drain(self) -> tuple[Record, ...]:
        """What has changed since the last drain."""
        changed = tuple(self._tables[kind][key] for kind, key in self._changed)
        self._changed.clear()
        return changed

    def put(self, record: Record) -> None:
        slot = (type(record), record.key)
        self._undo.append((slot, self._get(type(record), record.key)))
        self._set(slot, record)

    def next_number(self) -> str:
        number = self.counter.last + 1
        self.put(PaperCounter(number))
        return str(number)

    def note(self, event: LedgerEvent) -> None:
        if self._keep_events:
            self.events.append(event)

    @property
    def counter(self) -> PaperCounter:
        return self._get(PaperCounter, "counter") or PaperCounter()

    @property
    def working(self) -> tuple[PaperOrder, ...]:
        """Accepted and not finished, oldest first."""
        return tuple(sorted(self._working.values(), key=lambda order: order.number))

    @property
    def balances(self) -> Mapping[str, PaperBalance]:
        return self._table(PaperBalance)

    @property
    def positions(self) -> Mapping[str, PaperPosition]:
        return self._table(PaperPosition)

    @property
    def fills(self) -> Mapping[str, PaperFill]:
        return self._table(PaperFill)

    def order(self, order_id: str) -> PaperOrder | None:
        return self._get(PaperOrder, order_id)

    def order_of_client(self, client_order_id: str) -> PaperOrder | None:
        order_id = self._by_client_id.get(client_order_id)
        return None if order_id is None else self.order(order_id)

    def total(self, currency: str) -> Decimal:
        balance = self._get(PaperBalance, currency)
        return ZERO if balance is None else balance.total

    def position(self, symbol: str) -> PaperPosition:
        return self._get(PaperPosition, symbol) or PaperPosition(symbol)

    def price(self, symbol: str) -> PaperPrice | None:
        return self._get(PaperPrice, symbol)

    def leverage(self, symbol: str) -> Decimal | None:
        record = self._get(PaperLeverage, symbol)
        return None if record is None else record.leverage

    def add(self, currency: str, amount: Decimal) -> None:
        self.put(PaperBalance(currency, self.total(currency) + amount))

    def _table(self, kind: type[R]) -> dict[str, R]:
        return cast(dict[str, R], self._tables.setdefault(kind, {}))

    def _get(self, kind: type[R], key: str) -> R | None:
        return self._table(kind).get(key)

    def _set(self, slot: _Slot, record: Record | None) -> None:
        kind, key = slot
        if record is None:
            gone = self._tables[kind].pop(key)
            if isinstance(gone, PaperOrder):
                self._working.pop(key, None)
                self._by_client_id.pop(gone.client_order_id or "", None)
            return
        self._table(kind)[key] = record
        if isinstance(record, PaperOrder):
            if record.working:
                self._working[key] = record
            else:
                self._working.pop(key, None)
            if record.client_order_id is not None:
                self._by_client_id[record.client_order_id] = key
