"""What the listings show, read from the tables: newest first, bounded, filtered."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select

from guardian_core.domain.alerts import AlertAction
from guardian_core.domain.orders import OrderStatus
from guardian_core.domain.plan import StateStatus
from guardian_core.ports import Tx
from guardian_core.storage.schema import Lane, Trade, Webhook, WebhookState

UNFINISHED = (OrderStatus.PENDING.value, OrderStatus.OPEN.value)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows; None means any."""

    account: str | None = None
    symbol: str | None = None
    status: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class TradeLine:
    """One order of ours; quantities in base units, P&L in quote with fees."""

    id: UUID
    at: datetime
    account: str
    symbol: str
    source: str
    role: str
    type: str
    side: str
    status: str
    quantity: Decimal
    price: Decimal | None
    trigger_price: Decimal | None
    filled_quantity: Decimal
    average_price: Decimal | None
    pnl_average: Decimal | None
    pnl_fifo: Decimal | None
    client_order_id: str
    exchange_order_id: str | None
    revision: int
    attempt: int
    reject_reason: str | None
    error: str
    webhook_state_id: UUID | None
    trace_id: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class WebhookLine:
    """One alert, and what became of it."""

    id: UUID
    received_at: datetime
    status: str
    action: str | None
    account: str | None
    symbol: str | None
    stop_loss: str | None
    take_profit: str | None
    percent: Decimal | None
    message: str
    indicator: str
    bar_time: datetime | None
    processed_at: datetime | None
    revision: int | None
    webhook_state_id: UUID | None
    trace_id: str


@dataclass(frozen=True, slots=True)
class StateLine:
    """One guarded position as its row stands."""

    id: UUID
    account: str
    symbol: str
    side: str
    status: str
    quantity: Decimal
    entry_price: Decimal | None
    stop_loss: Decimal | None
    take_profit: Decimal | None
    target_quantity: Decimal | None
    revision: int
    stop_loss_order_id: str | None
    take_profit_order_id: str | None
    repairs: int
    naked_since: datetime | None
    source: str
    created_at: datetime
    opened_at: datetime | None
    closed_at: datetime | None
    close_reason: str
    realized_pnl: Decimal | None
    pnl_incomplete: bool
    trace_id: str


def trades(tx: Tx, wanted: Filter, *, unfinished: bool = False) -> list[TradeLine]:
    query = select(Trade).order_by(Trade.created_at.desc(), Trade.id).limit(wanted.limit)
    query = _narrowed(query, Trade, wanted)
    if unfinished:
        query = query.where(Trade.status.in_(UNFINISHED))
    return [trade_line(row) for row in tx.scalars(query)]


def webhooks(tx: Tx, wanted: Filter, *, pings: bool) -> list[WebhookLine]:
    """`pings`: also the alerts that only carry a bar."""
    query = select(Webhook).order_by(Webhook.received_at.desc(), Webhook.id).limit(wanted.limit)
    query = _narrowed(query, Webhook, wanted)
    if not pings:
        query = query.where(Webhook.action.is_distinct_from(AlertAction.PING.value))
    return [webhook_line(row) for row in tx.scalars(query)]


def states(tx: Tx, wanted: Filter, *, live: bool) -> list[StateLine]:
    """The live ones, all of them; or those that are over, the last to close first."""
    query = select(WebhookState, Lane).join(Lane, Lane.id == WebhookState.lane_id)
    alive = WebhookState.status.in_([s.value for s in StateStatus if s.is_live])
    if live:
        query = query.where(alive).order_by(Lane.account_name, Lane.symbol)
    else:
        query = query.where(~alive).order_by(WebhookState.closed_at.desc()).limit(wanted.limit)
    if wanted.account is not None:
        query = query.where(Lane.account_name == wanted.account)
    if wanted.symbol is not None:
        query = query.where(Lane.symbol == wanted.symbol)
    return [_state_line(state, lane) for state, lane in tx.execute(query)]


def _narrowed(query: Select[Any], rows: Any, wanted: Filter) -> Select[Any]:
    chosen = {
        rows.account_name: wanted.account,
        rows.symbol: wanted.symbol,
        rows.status: wanted.status,
    }
    return query.where(*(column == value for column, value in chosen.items() if value is not None))


def trade_line(row: Trade) -> TradeLine:
    return TradeLine(
        id=row.id,
        at=row.created_at,
        account=row.account_name,
        symbol=row.symbol,
        source=row.source,
        role=row.role,
        type=row.type,
        side=row.side,
        status=row.status,
        quantity=row.quantity,
        price=row.price,
        trigger_price=row.trigger_price,
        filled_quantity=row.filled_quantity,
        average_price=row.average_price,
        pnl_average=row.pnl_average,
        pnl_fifo=row.pnl_fifo,
        client_order_id=row.client_order_id,
        exchange_order_id=row.exchange_order_id,
        revision=row.revision,
        attempt=row.attempt,
        reject_reason=row.reject_reason,
        error=row.error,
        webhook_state_id=row.webhook_state_id,
        trace_id=row.trace_id,
        updated_at=row.updated_at,
    )


def webhook_line(row: Webhook) -> WebhookLine:
    return WebhookLine(
        id=row.id,
        received_at=row.received_at,
        status=row.status,
        action=row.action,
        account=row.account_name,
        symbol=row.symbol,
        stop_loss=row.prix_sl,
        take_profit=row.prix_tp,
        percent=row.pour_cent,
        message=row.message,
        indicator=row.indicateur_name,
        bar_time=row.bar_time,
        processed_at=row.processed_at,
        revision=row.revision,
        webhook_state_id=row.webhook_state_id,
        trace_id=row.trace_id,
    )


def _state_line(state: WebhookState, lane: Lane) -> StateLine:
    return StateLine(
        id=state.id,
        account=lane.account_name,
        symbol=lane.symbol,
        side=state.side,
        status=state.status,
        quantity=state.quantity,
        entry_price=state.entry_price,
        stop_loss=state.current_sl,
        take_profit=state.current_tp,
        target_quantity=state.target_quantity,
        revision=state.revision,
        stop_loss_order_id=state.sl_order_id,
        take_profit_order_id=state.tp_order_id,
        repairs=state.repairs,
        naked_since=state.naked_since,
        source=state.source,
        created_at=state.created_at,
        opened_at=state.opened_at,
        closed_at=state.closed_at,
        close_reason=state.close_reason,
        realized_pnl=state.realized_pnl,
        pnl_incomplete=state.pnl_incomplete,
        trace_id=state.trace_id,
    )
