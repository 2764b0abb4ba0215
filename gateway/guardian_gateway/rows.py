"""Trade rows: reading them as frozen values, and the few ways in which they change.

1. A row is `pending` from before its order is sent until its outcome is known.
2. Evidence that an order exists beats any belief that it does not; a finished order comes back
   to life only on the word of a listing that is newer than the row (`reopen`).
3. `updated_at` changes with every change, so a reader can tell that a row has moved on.

All functions here are synchronous parts of a transaction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import or_, select

from guardian_core.domain.errors import RejectReason
from guardian_core.domain.orders import (
    OrderBody,
    OrderRef,
    OrderSide,
    OrderStatus,
    OrderType,
    Role,
)
from guardian_core.ports import Tx
from guardian_core.protocol import Source
from guardian_core.storage.schema import Trade
from guardian_gateway.venues.port import VenueOrder

NOT_TERMINAL = (OrderStatus.PENDING.value, OrderStatus.OPEN.value)
_OF_ORDERS = Trade.source != Source.ORDER_MONITOR.value
"""Rows of that source stand for fills without an order of ours: no order to look after."""


@dataclass(frozen=True, slots=True)
class TradeRow:
    """One order's row as it stood when it was read. `age_s`: since it was written, by the
    database's clock; `acknowledged_age_s`: since the venue was first known to have it."""

    id: UUID
    client_order_id: str
    state_id: UUID | None
    symbol: str
    role: Role
    type: OrderType
    side: OrderSide
    status: OrderStatus
    quantity: Decimal
    price: Decimal | None
    trigger_price: Decimal | None
    reduce_only: bool
    exchange_order_id: str | None
    child_order_id: str | None
    pair_id: str | None
    filled_quantity: Decimal
    average_price: Decimal | None
    revision: int
    attempt: int
    reject_reason: RejectReason | None
    error: str
    created_at: datetime
    updated_at: datetime
    age_s: float
    acknowledged_age_s: float | None
    quiet_s: float
    """Seconds since the row last changed."""

    def is_meant_by(self, ref: OrderRef) -> bool:
        """Whether a reference names this order, by any of its ids."""
        if ref.client_order_id is not None and ref.client_order_id == self.client_order_id:
            return True
        known = (self.exchange_order_id, self.child_order_id)
        return bool(ref.venue_order_id) and ref.venue_order_id in known

    def ref(self) -> OrderRef:
        return OrderRef(
            venue_order_id=self.exchange_order_id or "",
            symbol=self.symbol,
            conditional=self.type.is_conditional,
            client_order_id=self.client_order_id,
        )


def read(trade: Trade, now: datetime) -> TradeRow:
    acknowledged = trade.acknowledged_at
    return TradeRow(
        id=trade.id,
        client_order_id=trade.client_order_id,
        state_id=trade.webhook_state_id,
        symbol=trade.symbol,
        role=Role(trade.role),
        type=OrderType(trade.type),
        side=OrderSide(trade.side),
        status=OrderStatus(trade.status),
        quantity=trade.quantity,
        price=trade.price,
        trigger_price=trade.trigger_price,
        reduce_only=trade.reduce_only,
        exchange_order_id=trade.exchange_order_id,
        child_order_id=trade.child_order_id,
        pair_id=trade.pair_id,
        filled_quantity=trade.filled_quantity,
        average_price=trade.average_price,
        revision=trade.revision,
        attempt=trade.attempt,
        reject_reason=RejectReason(trade.reject_reason) if trade.reject_reason else None,
        error=trade.error,
        created_at=trade.created_at,
        updated_at=trade.updated_at,
        age_s=(now - trade.created_at).total_seconds(),
        acknowledged_age_s=(now - acknowledged).total_seconds() if acknowledged else None,
        quiet_s=(now - trade.updated_at).total_seconds(),
    )


def unfinished(tx: Tx, account: str, symbol: str | None = None) -> list[Trade]:
    """Every pending or open row of an account, or of one of its lanes."""
    query = select(Trade).where(
        Trade.account_name == account, Trade.status.in_(NOT_TERMINAL), _OF_ORDERS
    )
    if symbol is not None:
        query = query.where(Trade.symbol == symbol)
    return list(tx.scalars(query.order_by(Trade.created_at, Trade.id)))


def named(tx: Tx, account: str, ids: Iterable[str]) -> list[Trade]:
    """The rows that any of these client or venue order ids belongs to."""
    wanted = sorted({text for text in ids if text})
    found: dict[UUID, Trade] = {}
    for start in range(0, len(wanted), _IDS_AT_ONCE):
        some = wanted[start : start + _IDS_AT_ONCE]
        match = or_(
            Trade.client_order_id.in_(some),
            Trade.exchange_order_id.in_(some),
            Trade.child_order_id.in_(some),
        )
        query = select(Trade).where(Trade.account_name == account, match, _OF_ORDERS)
        found |= {trade.id: trade for trade in tx.scalars(query)}
    return list(found.values())


_IDS_AT_ONCE = 200


def ids_of(refs: Iterable[OrderRef]) -> list[str]:
    """All ids that these references carry."""
    return [text for ref in refs for text in (ref.venue_order_id, ref.client_order_id) if text]


def same_body(row: TradeRow, body: OrderBody, state_id: UUID) -> bool:
    """Whether a row was written for exactly this order."""
    return (
        row.state_id == state_id
        and row.role is body.role
        and row.symbol == body.symbol
        and row.side is body.side
        and row.type is body.type
        and row.quantity == body.quantity
        and row.price == body.price
        and row.trigger_price == body.trigger_price
        and row.reduce_only == body.reduce_only
        and (row.revision, row.attempt) == (body.revision, body.attempt)
    )


def absorb(trade: Trade, order: VenueOrder, now: datetime, *, reopen: bool = False) -> bool:
    """Writes into the row what the venue says of its order. True when that changed anything."""
    before = _facts(trade)
    _absorb_ids(trade, order)
    trade.filled_quantity = max(trade.filled_quantity, order.filled_quantity)
    if order.average_price is not None and order.filled_quantity >= trade.filled_quantity > 0:
        trade.average_price = order.average_price
    trade.status = _next_status(trade, order, reopen=reopen).value
    if trade.status == OrderStatus.REJECTED.value:
        trade.reject_reason = trade.reject_reason or RejectReason.INVALID_ORDER.value
    elif trade.reject_reason is not None:
        trade.reject_reason, trade.error = None, ""
    if _facts(trade) == before:
        return False
    trade.acknowledged_at = trade.acknowledged_at or now
    trade.updated_at = now
    return True


def is_news(row: TradeRow, order: VenueOrder, *, reopen: bool = False) -> bool:
    """Whether absorbing the order would change the row. Nothing is written."""
    copy = Trade(
        exchange_order_id=row.exchange_order_id,
        child_order_id=row.child_order_id,
        pair_id=row.pair_id,
        quantity=row.quantity,
        filled_quantity=row.filled_quantity,
        average_price=row.average_price,
        status=row.status.value,
        reject_reason=row.reject_reason.value if row.reject_reason else None,
        error=row.error,
    )
    return absorb(copy, order, row.updated_at, reopen=reopen)


def _facts(trade: Trade) -> tuple[object, ...]:
    return (
        trade.exchange_order_id,
        trade.child_order_id,
        trade.pair_id,
        trade.filled_quantity,
        trade.average_price,
        trade.status,
        trade.reject_reason,
    )


def _absorb_ids(trade: Trade, order: VenueOrder) -> None:
    """A triggered conditional order appears as its child, or names it: the row keeps both ids,
    since the fills carry the child's."""
    own = order.ref.venue_order_id
    parent = order.parent_id or (
        trade.exchange_order_id if trade.exchange_order_id not in (None, own) else None
    )
    if parent is not None:
        trade.exchange_order_id = parent
        trade.child_order_id = own
    else:
        trade.exchange_order_id = own
        trade.child_order_id = order.child_id or trade.child_order_id
    trade.pair_id = trade.pair_id or order.pair_id


def _next_status(trade: Trade, order: VenueOrder, *, reopen: bool) -> OrderStatus:
    was = OrderStatus(trade.status)
    told = OrderStatus.OPEN if order.status is OrderStatus.PENDING else order.status
    if trade.filled_quantity >= trade.quantity:
        return OrderStatus.CLOSED
    match was:
        case OrderStatus.PENDING | OrderStatus.OPEN | OrderStatus.REJECTED:
            return told
        case OrderStatus.CLOSED | OrderStatus.CANCELLED:
            return told if reopen and not told.is_terminal else was


def refuse(trade: Trade, reason: RejectReason, message: str, now: datetime) -> None:
    """The order surely does not exist. Only a pending row can be told so."""
    if trade.status != OrderStatus.PENDING.value:
        return
    trade.status = OrderStatus.REJECTED.value
    trade.reject_reason = reason.value
    trade.error = message[:500]
    trade.updated_at = now


def end(trade: Trade, now: datetime, message: str = "") -> None:
    """The order works no more: cancelled by us, or gone from the venue without a trace."""
    if trade.status not in NOT_TERMINAL:
        return
    whole = trade.filled_quantity >= trade.quantity
    trade.status = (OrderStatus.CLOSED if whole else OrderStatus.CANCELLED).value
    trade.error = message[:500]
    trade.updated_at = now


def get(tx: Tx, row_ids: Sequence[UUID]) -> dict[UUID, Trade]:
    found = tx.scalars(select(Trade).where(Trade.id.in_(row_ids)).with_for_update())
    return {trade.id: trade for trade in found}
