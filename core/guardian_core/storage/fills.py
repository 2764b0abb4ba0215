"""Fills that no order row explains yet, and the rows they turn out to belong to.

Called by the Order Monitor. The gateway stores a fill with its order's row where it knows the
order; a fill without one is *loose*. A *found order* is a trade row (source `order_monitor`) that
stands for loose fills of one venue order; its id is derived, so that two who find it at once
make one row. Everything here is idempotent.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from sqlalchemy import delete, or_, select, update

from guardian_core.domain.money import EXACT, ZERO
from guardian_core.domain.orders import OrderSide, OrderStatus, OrderType, PositionSide, Role
from guardian_core.domain.plan import StateStatus
from guardian_core.ports import Tx
from guardian_core.protocol import Source
from guardian_core.storage.schema import Fill, Lane, Trade, WebhookState
from guardian_core.storage.upsert import insert_if_absent

LOOSE_MAX = 500
"""Loose fills taken up per pass; the next pass takes the next ones."""
CLOSED_SKEW = timedelta(seconds=2)
"""By how much a venue's clock may run ahead of ours when its last fill meets our closing."""
FOUND = Source.ORDER_MONITOR.value
_UNFINISHED = (OrderStatus.PENDING.value, OrderStatus.OPEN.value)


@dataclass(frozen=True, slots=True)
class LooseFill:
    id: UUID
    symbol: str
    venue_fill_id: str
    venue_order_id: str
    side: OrderSide
    quantity: Decimal
    price: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class Owner:
    """A trade row that fills belong to, with every venue order id it goes by."""

    trade_id: UUID
    state_id: UUID | None
    symbol: str
    venue_order_ids: tuple[str, ...]
    is_found: bool


@dataclass(frozen=True, slots=True)
class StateAt:
    """The state that a lane had at some time."""

    id: UUID
    side: PositionSide
    trace_id: str


@dataclass(frozen=True, slots=True)
class FoundOrder:
    """What a found order's row says; its quantities come from its fills."""

    account: str
    symbol: str
    venue_order_id: str
    side: OrderSide
    role: Role
    state_id: UUID | None
    trace_id: str
    first_fill_at: datetime

    @property
    def client_order_id(self) -> str:
        return f"ext-{self.symbol}-{self.venue_order_id}"

    @property
    def trade_id(self) -> UUID:
        return uuid5(NAMESPACE_OID, f"{self.account}/{self.client_order_id}")


def loose_fills(tx: Tx, account: str) -> list[LooseFill]:
    """Fills without a trade row, oldest first, at most LOOSE_MAX."""
    query = (
        select(Fill)
        .where(Fill.account_name == account, Fill.trade_id.is_(None))
        .order_by(Fill.at, Fill.venue_fill_id)
        .limit(LOOSE_MAX)
    )
    return [
        LooseFill(
            id=fill.id,
            symbol=fill.symbol,
            venue_fill_id=fill.venue_fill_id,
            venue_order_id=fill.venue_order_id,
            side=OrderSide(fill.side),
            quantity=fill.quantity,
            price=fill.price,
            at=fill.at,
        )
        for fill in tx.scalars(query)
    ]


def owners(tx: Tx, account: str, venue_order_ids: Collection[str]) -> list[Owner]:
    """Trade rows that go by any of these ids, found orders last."""
    ids = sorted(set(venue_order_ids) - {""})
    if not ids:
        return []
    query = select(Trade).where(
        Trade.account_name == account,
        or_(Trade.exchange_order_id.in_(ids), Trade.child_order_id.in_(ids)),
    )
    return sorted(map(_owner, tx.scalars(query)), key=lambda owner: owner.is_found)


def found_orders(tx: Tx, state_ids: Collection[UUID]) -> list[Owner]:
    """The found orders of these states."""
    query = select(Trade).where(
        Trade.webhook_state_id.in_(state_ids),
        Trade.role.in_((Role.ENTRY.value, Role.EXIT.value)),
        Trade.revision == 0,
        Trade.source == FOUND,
    )
    return [_owner(row) for row in tx.scalars(query)] if state_ids else []


def working_sides(tx: Tx, account: str) -> set[tuple[str, OrderSide]]:
    """(symbol, side) of every order of ours that may still fill, or already has unseen."""
    query = select(Trade.symbol, Trade.side).where(
        Trade.account_name == account, Trade.status.in_(_UNFINISHED), Trade.source != FOUND
    )
    return {(symbol, OrderSide(side)) for symbol, side in tx.execute(query)}


def state_at(tx: Tx, account: str, symbol: str, at: datetime) -> StateAt | None:
    """The lane's state that was live at that time."""
    query = (
        select(
            WebhookState.id,
            WebhookState.side,
            WebhookState.trace_id,
            WebhookState.status,
            WebhookState.closed_at,
        )
        .join(Lane, Lane.id == WebhookState.lane_id)
        .where(Lane.account_name == account, Lane.symbol == symbol, WebhookState.created_at <= at)
        .order_by(WebhookState.created_at.desc())
        .limit(1)
    )
    row = tx.execute(query).first()
    if row is None:
        return None
    was_live = row.closed_at is not None and at <= row.closed_at + CLOSED_SKEW
    if not was_live and not StateStatus(row.status).is_live:
        return None
    return StateAt(row.id, PositionSide(row.side), row.trace_id)


def add_found_order(tx: Tx, found: FoundOrder) -> bool:
    """Stores the row, without quantities; `refresh_found_order` adds those. Whether it is new."""
    values: dict[str, Any] = {
        "id": found.trade_id,
        "client_order_id": found.client_order_id,
        "webhook_state_id": found.state_id,
        "account_name": found.account,
        "symbol": found.symbol,
        "source": FOUND,
        "role": found.role.value,
        "type": OrderType.MARKET.value,
        "side": found.side.value,
        "status": OrderStatus.CLOSED.value,
        "quantity": ZERO,
        "reduce_only": False,
        "contract_size": Decimal(1),
        "exchange_order_id": found.venue_order_id,
        "filled_quantity": ZERO,
        "revision": 0,
        "attempt": 0,
        "trace_id": found.trace_id,
        "error": "",
        "created_at": found.first_fill_at,
        "acknowledged_at": found.first_fill_at,
        "updated_at": tx.now(),
    }
    return insert_if_absent(tx, Trade, values)


def refresh_found_order(tx: Tx, trade_id: UUID) -> None:
    """Brings a found order's quantities up to its fills; removes one that has no fills left."""
    fills = tx.execute(select(Fill.quantity, Fill.price).where(Fill.trade_id == trade_id)).all()
    if not fills:
        tx.execute(delete(Trade).where(Trade.id == trade_id, Trade.source == FOUND))
        return
    quantity = notional = ZERO
    for fill in fills:
        quantity = EXACT.add(quantity, fill.quantity)
        notional = EXACT.add(notional, EXACT.multiply(fill.quantity, fill.price))
    average = EXACT.divide(notional, quantity).quantize(Decimal(1).scaleb(-18), context=EXACT)
    tx.execute(
        update(Trade)
        .where(Trade.id == trade_id, Trade.source == FOUND)
        .values(
            quantity=quantity,
            filled_quantity=quantity,
            average_price=average,
            updated_at=tx.now(),
        )
    )


def attach(tx: Tx, fill_ids: Sequence[UUID], owner: Owner) -> None:
    """Says whose these loose fills are. A fill that has an owner by now keeps it."""
    tx.execute(
        update(Fill)
        .where(Fill.id.in_(fill_ids), Fill.trade_id.is_(None))
        .values(trade_id=owner.trade_id, webhook_state_id=owner.state_id)
        .execution_options(synchronize_session=False)
    )


def move_fills(tx: Tx, found: Owner, own: Owner) -> None:
    """Gives a found order's fills to the order of ours that they turned out to be, and drops it."""
    tx.execute(
        update(Fill)
        .where(Fill.trade_id == found.trade_id)
        .values(trade_id=own.trade_id, webhook_state_id=own.state_id)
        .execution_options(synchronize_session=False)
    )
    refresh_found_order(tx, found.trade_id)


def _owner(row: Trade) -> Owner:
    ids = (row.exchange_order_id, row.child_order_id)
    return Owner(
        trade_id=row.id,
        state_id=row.webhook_state_id,
        symbol=row.symbol,
        venue_order_ids=tuple(text for text in ids if text),
        is_found=row.source == FOUND,
    )
