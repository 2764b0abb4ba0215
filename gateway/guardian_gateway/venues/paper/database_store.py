"""Paper books in the installation's database: one transaction per command, no memory to go stale.

1. A command locks the account's counter row, loads what works now, runs, and writes what changed,
   in one transaction. So it can be run by any replica, and two of them never overwrite each other.
2. What grows without end (finished orders, fills, used ids) is never loaded as a whole.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Select, delete, select

from guardian_core.ports import Database, Tx
from guardian_core.storage.schema import PaperRecord
from guardian_core.storage.upsert import insert_if_absent, put_rows
from guardian_gateway.venues.paper import rows
from guardian_gateway.venues.paper.exchange import PaperExchange
from guardian_gateway.venues.paper.records import LedgerEvent, PaperCounter, PaperOrder, Record
from guardian_gateway.venues.paper.rules import Rules
from guardian_gateway.venues.port import VenueFill

T = TypeVar("T")


class DatabaseStore:
    """`keep_events`: whether opened books keep the ledger in memory, for tests."""

    def __init__(self, db: Database, *, keep_events: bool = False) -> None:
        self._db = db
        self._keep_events = keep_events

    def open(self, account: str, rules: Rules) -> "DatabaseBooks":
        return DatabaseBooks(self._db, account, rules, keep_events=self._keep_events)


class DatabaseBooks:
    """One account's rows."""

    def __init__(
        self, db: Database, account: str, rules: Rules, *, keep_events: bool = False
    ) -> None:
        self._db = db
        self._account = account
        self._rules = rules
        self._keep_events = keep_events
        self._events: list[LedgerEvent] = []
        # The row lock alone would be right; this keeps an account from taking every connection.
        self._turn = asyncio.Lock()

    @property
    def events(self) -> list[LedgerEvent]:
        return self._events

    async def read(self, fn: Callable[[PaperExchange], T], *, recall: Collection[str] = ()) -> T:
        def transaction(tx: Tx) -> T:
            return fn(self._load(tx, recall))

        async with self._turn:
            return await self._db.run(transaction)

    async def write(self, fn: Callable[[PaperExchange], T], *, recall: Collection[str] = ()) -> T:
        def transaction(tx: Tx) -> tuple[T, list[LedgerEvent]]:
            self._lock(tx)
            exchange = self._load(tx, recall)
            value = fn(exchange)
            self._save(tx, exchange.drain())
            return value, exchange.events

        async with self._turn:
            value, events = await self._db.run(transaction)
            self._events.extend(events)
            return value

    async def fills(self, symbol: str, since: datetime | None = None) -> list[VenueFill]:
        def transaction(tx: Tx) -> list[VenueFill]:
            query = self._select(rows.fill_kind(symbol)).order_by(PaperRecord.key)
            if since is not None:
                query = query.where(PaperRecord.key >= rows.fill_key(since))
            return [rows.fill_of(body).as_venue_fill() for _, _, body in tx.execute(query)]

        async with self._turn:
            return await self._db.run(transaction)

    def _select(self, *kinds: str) -> Select[tuple[str, str, dict[str, Any]]]:
        return select(PaperRecord.kind, PaperRecord.key, PaperRecord.body).where(
            PaperRecord.account_name == self._account, PaperRecord.kind.in_(kinds)
        )

    def _lock(self, tx: Tx) -> None:
        """Waits for every other command on this account; makes the row that is locked."""
        query = self._select(rows.COUNTER).with_for_update()
        if tx.execute(query).first() is None:
            insert_if_absent(tx, PaperRecord, self._row(PaperCounter()))
            tx.execute(query).one()

    def _load(self, tx: Tx, recall: Collection[str]) -> PaperExchange:
        records = [
            rows.record_of(kind, body)
            for kind, _, body in tx.execute(
                self._select(*rows.LOADED_KINDS).order_by(PaperRecord.kind, PaperRecord.key)
            )
        ]
        working = {r.order_id for r in records if isinstance(r, PaperOrder)}
        records.extend(self._recall(tx, recall, working))
        return PaperExchange(self._rules, records, keep_events=self._keep_events)

    def _recall(
        self, tx: Tx, client_order_ids: Collection[str], loaded: Collection[str]
    ) -> Iterator[Record]:
        """The finished orders among those that ever had one of these ids."""
        if not client_order_ids:
            return
        known = self._select(rows.CLIENT_ID).where(PaperRecord.key.in_(client_order_ids))
        order_ids = {body["order_id"] for _, _, body in tx.execute(known)}.difference(loaded)
        if order_ids:
            finished = self._select(rows.FINISHED).where(PaperRecord.key.in_(order_ids))
            for kind, _, body in tx.execute(finished):
                yield rows.record_of(kind, body)

    def _save(self, tx: Tx, changed: tuple[Record, ...]) -> None:
        if not changed:
            return
        new = [self._row(record) for record in changed]
        orders = [record for record in changed if isinstance(record, PaperOrder)]
        new += [
            self._make(rows.CLIENT_ID, order.client_order_id, {"order_id": order.order_id})
            for order in orders
            if order.client_order_id is not None
        ]
        finished = [order.order_id for order in orders if not order.working]
        if finished:
            tx.execute(
                delete(PaperRecord).where(
                    PaperRecord.account_name == self._account,
                    PaperRecord.kind == rows.WORKING,
                    PaperRecord.key.in_(finished),
                )
            )
        put_rows(tx, PaperRecord, new)

    def _row(self, record: Record) -> dict[str, Any]:
        return self._make(rows.kind_of(record), rows.key_of(record), rows.body_of(record))

    def _make(self, kind: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
        return {"account_name": self._account, "kind": kind, "key": key, "body": body}
