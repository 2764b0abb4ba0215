"""What our own orders tell of a state: attempts, fills, and whether an entry still works."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Select, and_, func, or_, select, tuple_

from guardian_core.domain.errors import RejectReason
from guardian_core.domain.money import EXACT, ZERO
from guardian_core.domain.orders import OrderSide, OrderStatus, Role
from guardian_core.domain.plan import PastOrder
from guardian_core.ports import Tx
from guardian_core.storage.schema import Fill, Trade

REFUSALS = 8
"""Refused attempts that are read, of each role: enough for the longest back-off. A repair that is
refused for days must not make every pass read all of it."""


@dataclass(frozen=True, slots=True)
class OrderHistory:
    """`net_filled`: signed base units, less fees taken in base coin; the rest as in Plan."""

    net_filled: Decimal = ZERO
    entry_sent: bool = False
    entry_working: bool = False
    last_exit_fill_at: datetime | None = None
    orders: tuple[PastOrder, ...] = ()


def histories(tx: Tx, states: Sequence[tuple[UUID, int]]) -> dict[UUID, OrderHistory]:
    """The order history of each (state, present revision); two queries, however many states."""
    if not states:
        return {}
    ids = [state_id for state_id, _ in states]
    trades: dict[UUID, list[Trade]] = defaultdict(list)
    for trade in tx.scalars(_relevant(states)):
        trades[_known(trade.webhook_state_id)].append(trade)
    fills: dict[UUID, list[Fill]] = defaultdict(list)
    for fill in tx.scalars(select(Fill).where(Fill.webhook_state_id.in_(ids))):
        fills[_known(fill.webhook_state_id)].append(fill)
    return {
        state_id: _history(trades[state_id], fills[state_id], revision)
        for state_id, revision in states
    }


def _relevant(states: Sequence[tuple[UUID, int]]) -> Select[Trade]:
    present = tuple_(Trade.webhook_state_id, Trade.revision).in_(states)
    group = (Trade.webhook_state_id, Trade.role, Trade.revision)
    newest = (
        select(*group, func.max(Trade.attempt).label("attempt"))
        .where(present)
        .group_by(*group)
        .subquery()
    )
    of_present_revision = or_(
        and_(newest.c.attempt.is_not(None), Trade.status != OrderStatus.REJECTED.value),
        and_(newest.c.attempt.is_not(None), Trade.attempt == 1),  # tells what an exit was for
        Trade.attempt > newest.c.attempt - REFUSALS,
    )
    same = (getattr(newest.c, column.key) == column for column in group)
    return (
        select(Trade)
        .outerjoin(newest, and_(*same))
        .where(
            Trade.webhook_state_id.in_([state_id for state_id, _ in states]),
            or_(
                Trade.role == Role.ENTRY.value,
                # Set with the first fill; decimals are never compared in SQL.
                Trade.average_price.is_not(None),
                of_present_revision,
            ),
        )
    )


def _history(trades: list[Trade], fills: list[Fill], revision: int) -> OrderHistory:
    entries = [t for t in trades if t.role == Role.ENTRY.value and t.source != "order_monitor"]
    return OrderHistory(
        net_filled=_net_filled(trades, fills),
        # An entry that surely never left may be sent again, under the same id.
        entry_sent=any(t.reject_reason != RejectReason.NOT_SENT.value for t in entries),
        entry_working=any(not OrderStatus(t.status).is_terminal for t in entries),
        last_exit_fill_at=_last_exit_fill_at(trades, fills),
        orders=tuple(
            _past(t) for t in trades if t.revision == revision and t.source != "order_monitor"
        ),
    )


def _net_filled(trades: list[Trade], fills: list[Fill]) -> Decimal:
    """An order's fills may be known by its own report before their executions are ingested, or
    the other way round: the larger of the two counts."""
    ingested: dict[UUID | None, Decimal] = defaultdict(lambda: ZERO)
    net = ZERO
    for fill in fills:
        net -= fill.fee_base
        if fill.trade_id is None:
            net += _signed(fill.side, fill.quantity)
        else:
            ingested[fill.trade_id] = EXACT.add(ingested[fill.trade_id], fill.quantity)
    for trade in trades:
        net += _signed(trade.side, max(trade.filled_quantity, ingested[trade.id]))
    return net


def _last_exit_fill_at(trades: list[Trade], fills: list[Fill]) -> datetime | None:
    exits = {t.id: t for t in trades if t.role != Role.ENTRY.value and t.average_price is not None}
    times = [fill.at for fill in fills if fill.trade_id in exits]
    seen = {fill.trade_id for fill in fills}
    times += [trade.updated_at for trade in exits.values() if trade.id not in seen]
    return max(times, default=None)


def _past(trade: Trade) -> PastOrder:
    return PastOrder(
        role=Role(trade.role),
        attempt=trade.attempt,
        status=OrderStatus(trade.status),
        quantity=trade.quantity,
        filled_quantity=trade.filled_quantity,
        updated_at=trade.updated_at,
        reject_reason=RejectReason(trade.reject_reason) if trade.reject_reason else None,
    )


def _signed(side: str, quantity: Decimal) -> Decimal:
    return quantity * OrderSide(side).sign


def _known(state_id: UUID | None) -> UUID:
    assert state_id is not None
    return state_id
