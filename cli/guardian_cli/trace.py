"""`guardian trace`: the whole story of one alert, as all tables tell it, in order of time."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select

from guardian_cli.rows import WebhookLine, webhook_line
from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import plain
from guardian_core.domain.orders import OrderStatus
from guardian_core.logs import Point
from guardian_core.ports import Tx
from guardian_core.storage import journal
from guardian_core.storage.journal import JournalRow
from guardian_core.storage.schema import Fill, Journal, Trade, Webhook, WebhookState

PREFIX_MIN = 6
CANDIDATES_MAX = 10
_HEX = re.compile(r"[0-9a-f]{6,32}")
_POINT_TEXTS = {point.value: point.text for point in Point}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened. `after_seconds`: since the step before; None for the first."""

    at: datetime
    component: str
    point: str
    text: str
    after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """`total_seconds`: from the first step to the last. `alert`: None for a trace without one."""

    trace_id: str
    alert: WebhookLine | None
    raw_payload: str | None
    steps: tuple[Step, ...]
    total_seconds: float


def find_trace(tx: Tx, text: str) -> str:
    """The trace id that a prefix of it, or a webhook's id, names. Raises CallerError."""
    wanted = text.strip().lower()
    webhook_id = _uuid(wanted)
    if webhook_id is not None:
        webhook = tx.get(Webhook, webhook_id)
        if webhook is not None:
            return webhook.trace_id
    prefix = wanted.replace("-", "")
    if not _HEX.fullmatch(prefix):
        raise CallerError(
            "ID", f"{text[:40]!r} is no trace id", f"give {PREFIX_MIN} to 32 of its hex digits"
        )
    found = _with_prefix(tx, prefix)
    if not found:
        raise CallerError("ID", f"no alert has a trace {prefix}…", "see `guardian webhooks`")
    if len(found) > 1:
        raise CallerError(
            "ID", f"{prefix} begins {len(found)} traces or more: {', '.join(found)}", "give more"
        )
    return found[0]


def read_story(tx: Tx, trace_id: str) -> Story:
    """Everything the tables say of a trace."""
    alert = tx.scalars(
        select(Webhook).where(Webhook.trace_id == trace_id).order_by(Webhook.received_at)
    ).first()
    told = journal.story(tx, trace_id)
    steps = sorted(
        (*_alert_steps(tx, trace_id, told), *_journal_steps(told), *_order_steps(tx, trace_id)),
        key=lambda step: step.at,
    )
    return Story(
        trace_id=trace_id,
        alert=webhook_line(alert) if alert else None,
        raw_payload=alert.raw_payload if alert else None,
        steps=tuple(_timed(steps)),
        total_seconds=(steps[-1].at - steps[0].at).total_seconds() if steps else 0.0,
    )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _with_prefix(tx: Tx, prefix: str) -> list[str]:
    """Exact ranges, not LIKE, so that the index on trace_id is used on both databases."""
    found: set[str] = set()
    columns: tuple[Any, ...] = (Webhook.trace_id, Journal.trace_id, Trade.trace_id)
    for column in columns:
        query = select(column).where(column >= prefix, column < prefix + "g").distinct()
        found.update(tx.scalars(query.limit(CANDIDATES_MAX)))
    return sorted(found)


def _alert_steps(tx: Tx, trace_id: str, told: Iterable[JournalRow]) -> Iterator[Step]:
    """What the alerts' own rows tell, where the journal does not tell it already."""
    points = {row.point for row in told}
    rows = tx.scalars(select(Webhook).where(Webhook.trace_id == trace_id))
    for row in rows:
        if Point.RECEIVED.value not in points:
            what = " ".join(filter(None, (row.action, row.symbol))) or "an alert that was not read"
            yield Step(row.received_at, "receiver", Point.RECEIVED.value, f"received: {what}")
            yield Step(row.received_at, "receiver", Point.STORED.value, Point.STORED.text)
        if row.processed_at is not None and Point.WEBHOOK_FINISHED.value not in points:
            text = f"{row.status}: {row.message}" if row.message else row.status
            yield Step(row.processed_at, "engine", Point.WEBHOOK_FINISHED.value, text)


def _journal_steps(told: Iterable[JournalRow]) -> Iterator[Step]:
    for row in told:
        text = row.detail or _POINT_TEXTS.get(row.point, row.point)
        yield Step(row.at, row.component, row.point, text)


def _order_steps(tx: Tx, trace_id: str) -> Iterator[Step]:
    """The orders that were sent under this trace, and their fills whenever they came."""
    trades = {row.id: row for row in tx.scalars(select(Trade).where(Trade.trace_id == trace_id))}
    for trade in trades.values():
        yield Step(trade.created_at, "gateway", "order", f"{_order_text(trade)} written ahead")
        if trade.acknowledged_at is not None:
            text = f"{trade.role} acknowledged as {trade.exchange_order_id}"
            yield Step(trade.acknowledged_at, "gateway", "order", text)
        if OrderStatus(trade.status).is_terminal:
            yield Step(trade.updated_at, "gateway", "order", _end_text(trade))
    if trades:
        for fill in tx.scalars(select(Fill).where(Fill.trade_id.in_(trades))):
            assert fill.trade_id is not None
            yield Step(fill.at, "venue", "fill", _fill_text(fill, trades[fill.trade_id]))
    yield from _closing_steps(tx, trace_id, trades)


def _closing_steps(tx: Tx, trace_id: str, trades: Iterable[UUID]) -> Iterator[Step]:
    """How the position ended that this trace opened or last changed."""
    ids = select(Trade.webhook_state_id).where(Trade.id.in_(list(trades)))
    states = select(WebhookState).where(
        or_(WebhookState.trace_id == trace_id, WebhookState.id.in_(ids)),
        WebhookState.realized_pnl.is_not(None),
        WebhookState.closed_at.is_not(None),
    )
    for state in tx.scalars(states):
        assert state.realized_pnl is not None
        assert state.closed_at is not None
        text = f"position closed ({state.close_reason}), P&L {plain(state.realized_pnl)}"
        yield Step(state.closed_at, "operator", "settled", text)


def _order_text(trade: Trade) -> str:
    level = trade.trigger_price if trade.trigger_price is not None else trade.price
    at = "at market" if level is None else f"at {plain(level)}"
    return f"{trade.role} {trade.side} {plain(trade.quantity)} {trade.symbol} {at}"


def _end_text(trade: Trade) -> str:
    filled = f", filled {plain(trade.filled_quantity)}" if trade.filled_quantity else ""
    why = trade.error or trade.reject_reason or ""
    return f"{trade.role} {trade.status}{filled}" + (f": {why}" if why else "")


def _fill_text(fill: Fill, trade: Trade) -> str:
    fee = f", fee {plain(fill.fee)} {fill.fee_currency}" if fill.fee else ""
    return f"{trade.role} filled {fill.side} {plain(fill.quantity)} at {plain(fill.price)}{fee}"


def _timed(steps: list[Step]) -> Iterator[Step]:
    before: datetime | None = None
    for step in steps:
        after_s = None if before is None else (step.at - before).total_seconds()
        yield replace(step, after_seconds=after_s)
        before = step.at
