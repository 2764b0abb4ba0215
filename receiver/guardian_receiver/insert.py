"""One transaction that stores a batch of alerts: multi-row statements, duplicates passed over.

1. Locks and rows are taken in one order (lanes, digests, keys; each sorted), so two replicas
   with the same alerts wait for each other and never deadlock.
2. `received_at` is the database's clock, one microsecond apart in order of arrival.
3. A row that is there already is never written again; its id and trace id are read instead. So
   a batch whose COMMIT got lost can be run again: it finds its own rows.
4. No journal rows: the webhook's own row says that and when it was received and stored.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast
from uuid import UUID

from sqlalchemy import CursorResult, Table, Text, bindparam, func, select, text, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from guardian_core.ports import Tx
from guardian_core.storage.lanes import lane_for
from guardian_core.storage.schema import Base, Lane, Webhook
from guardian_receiver.duplicates import DedupKey

LaneKey = tuple[str, str]
"""Account name and normalised symbol."""

Row = dict[str, Any]
TICK = timedelta(microseconds=1)


class NewWebhook(NamedTuple):
    """A row to store. `row` lacks what only the transaction knows: lane and received_at."""

    row: Row
    dedup: DedupKey
    lane: LaneKey | None
    summary: str
    """For the log: what the alert asks for, in a few words."""

    @property
    def id(self) -> UUID:
        id_: UUID = self.row["id"]
        return id_


class Stored(NamedTuple):
    """What stands in the database for one new webhook: its own row, or the first of its kind."""

    webhook_id: UUID
    trace_id: str
    lane_id: int | None
    is_duplicate: bool


@dataclass(frozen=True, slots=True)
class Inserted:
    """`stored`: in the batch's order."""

    stored: list[Stored]
    last_received_at: datetime


def insert_batch(tx: Tx, batch: Sequence[NewWebhook], after: datetime | None) -> Inserted:
    """Stores what is new. `after`: the latest received_at that this process has given out."""
    lanes = _lanes(tx, {new.lane for new in batch if new.lane is not None})
    started = tx.now() if after is None else max(tx.now(), after + TICK)
    keys = _keys(tx, batch)
    rows: list[Row] = []
    for position, (new, key) in enumerate(zip(batch, keys, strict=True)):
        if key == new.dedup.key:
            lane_id = None if new.lane is None else lanes[new.lane]
            received_at = started + position * TICK
            rows.append(new.row | {"lane_id": lane_id, "received_at": received_at})
    if _insert_webhooks(tx, rows) == len(batch):
        # Nearly always: nothing was there before.
        stored = [_own(new, lanes) for new in batch]
    else:
        found = _find(tx, keys)
        stored = [
            found[key]._replace(is_duplicate=found[key].webhook_id != new.id)
            for new, key in zip(batch, keys, strict=True)
        ]
    return Inserted(stored, started + len(batch) * TICK)


def _lanes(tx: Tx, wanted: set[LaneKey]) -> dict[LaneKey, int]:
    """Read each time: a remembered id could mean another lane after a backup was restored."""
    if not wanted:
        return {}
    found = tx.execute(_LANES, {"wanted": sorted(wanted)})
    lanes = {(account, symbol): id_ for id_, account, symbol in found}
    for lane in sorted(wanted - lanes.keys()):
        lanes[lane] = lane_for(tx, *lane)
    return lanes


def _keys(tx: Tx, batch: Sequence[NewWebhook]) -> list[str]:
    """For each webhook the key that it is stored under: its own, or another's that is the same."""
    untimed = [new.dedup for new in batch if new.dedup.others]
    if not untimed:
        return [new.dedup.key for new in batch]
    _lock_digests(tx, {dedup.digest for dedup in untimed})
    wanted = {key for dedup in untimed for key in dedup.others}
    query = select(Webhook.dedup_key).where(Webhook.dedup_key.in_(wanted))
    taken = set(tx.execute(query).scalars())
    keys: list[str] = []
    for new in batch:
        key = next((other for other in new.dedup.others if other in taken), new.dedup.key)
        taken.add(key)
        keys.append(key)
    return keys


def _lock_digests(tx: Tx, digests: set[str]) -> None:
    """Two replicas may hold the same alert on either side of a bucket's edge: neither sees the
    other's row before COMMIT, so the second waits here. SQLite has one writer anyway."""
    if _is_postgres(tx):
        tx.execute(_LOCK, {"digests": sorted(int(digest[:15], 16) for digest in digests)})


def _own(new: NewWebhook, lanes: Mapping[LaneKey, int]) -> Stored:
    lane_id = None if new.lane is None else lanes[new.lane]
    return Stored(new.id, new.row["trace_id"], lane_id, is_duplicate=False)


def _find(tx: Tx, keys: Sequence[str]) -> dict[str, Stored]:
    """What stands under each key, as if it were the first."""
    columns = (Webhook.dedup_key, Webhook.id, Webhook.trace_id, Webhook.lane_id)
    query = select(*columns).where(Webhook.dedup_key.in_(set(keys)))
    return {
        key: Stored(id_, trace_id, lane_id, is_duplicate=False)
        for key, id_, trace_id, lane_id in tx.execute(query)
    }


def _insert_webhooks(tx: Tx, rows: list[Row]) -> int:
    """How many of them were new."""
    if not rows:
        return 0
    rows.sort(key=lambda row: str(row["dedup_key"]))
    if _is_postgres(tx):
        done = tx.execute(_POSTGRES_WEBHOOKS, {"rows": _as_json(rows)})
    else:
        done = tx.execute(_SQLITE_WEBHOOKS, rows)
    return cast(CursorResult[Any], done).rowcount


WEBHOOK_COLUMNS = (
    *("id", "trace_id", "received_at", "dedup_key", "lane_id", "account_name", "action"),
    *("user_id", "account_id", "symbol", "exchange", "interval", "bar_time", "bar_open"),
    *("bar_high", "bar_low", "bar_close", "prix", "prix_sl", "prix_tp", "pour_cent"),
    *("indicateur_name", "raw_payload", "status", "message"),
)


def _is_postgres(tx: Tx) -> bool:
    return tx.get_bind().dialect.name == "postgresql"


def _as_json(rows: Sequence[Row]) -> str:
    return json.dumps(rows, default=str)


def _table(model: type[Base]) -> Table:
    """Of the table, not of the model: the ORM's own bookkeeping for each row is not needed."""
    return cast(Table, model.__table__)


def _from_json(model: type[Base], names: Sequence[str]) -> postgresql.Insert:
    """INSERT … SELECT from one JSON parameter: measured 4 times cheaper than multi-row VALUES,
    whose thousands of parameters the driver renders and the server parses one by one."""
    shape = text(f"NULL::{model.__tablename__}")
    rows = func.json_populate_recordset(shape, bindparam("rows", type_=Text)).table_valued(*names)
    values = select(*[rows.c[name] for name in names])
    return postgresql.insert(_table(model)).from_select(list(names), values)


_POSTGRES_WEBHOOKS = _from_json(Webhook, WEBHOOK_COLUMNS).on_conflict_do_nothing()
_SQLITE_WEBHOOKS = sqlite.insert(_table(Webhook)).on_conflict_do_nothing()
_LANES = select(Lane.id, Lane.account_name, Lane.symbol).where(
    tuple_(Lane.account_name, Lane.symbol).in_(bindparam("wanted", expanding=True))
)
_LOCK = text(
    "SELECT count(pg_advisory_xact_lock(digest)) FROM unnest(CAST(:digests AS bigint[])) AS digest"
)
