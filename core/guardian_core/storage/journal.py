"""The journal: one row per named log point and transition, read by `guardian trace`."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from guardian_core.ports import Tx
from guardian_core.storage.schema import Journal

STORY_MAX = 10_000


@dataclass(frozen=True, slots=True)
class JournalRow:
    at: datetime
    component: str
    point: str
    detail: str
    trace_id: str | None
    webhook_id: UUID | None
    webhook_state_id: UUID | None
    trade_id: UUID | None
    account: str | None
    symbol: str | None


def record(  # noqa: PLR0913 - all but four are named
    tx: Tx,
    component: str,
    point: str,
    detail: str,
    *,
    trace_id: str | None = None,
    webhook_id: UUID | None = None,
    webhook_state_id: UUID | None = None,
    trade_id: UUID | None = None,
    account: str | None = None,
    symbol: str | None = None,
) -> None:
    """Adds a row, at the database's time. It is stored exactly if the transaction is."""
    tx.add(
        Journal(
            at=tx.now(),
            component=component,
            point=point,
            detail=detail,
            trace_id=trace_id,
            webhook_id=webhook_id,
            webhook_state_id=webhook_state_id,
            trade_id=trade_id,
            account_name=account,
            symbol=symbol,
        )
    )


def story(tx: Tx, trace_id: str) -> list[JournalRow]:
    """Everything that happened under a trace, in order; the first STORY_MAX rows."""
    query = (
        select(Journal)
        .where(Journal.trace_id == trace_id)
        .order_by(Journal.at, Journal.id)
        .limit(STORY_MAX)
    )
    return [_row(row) for row in tx.execute(query).scalars()]


def _row(row: Journal) -> JournalRow:
    return JournalRow(
        at=row.at,
        component=row.component,
        point=row.point,
        detail=row.detail,
        trace_id=row.trace_id,
        webhook_id=row.webhook_id,
        webhook_state_id=row.webhook_state_id,
        trade_id=row.trade_id,
        account=row.account_name,
        symbol=row.symbol,
    )
