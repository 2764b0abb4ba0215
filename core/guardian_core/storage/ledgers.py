"""A state with everything that moved money in it, and where its result is written.

Called by the Order Monitor. Results touch `realized_pnl`, `pnl_incomplete`, `pnl_average` and
`pnl_fifo` only, never a revision or an `updated_at`: those belong to the desire and to the order.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select, update

from guardian_core.domain.orders import OrderSide, PositionSide
from guardian_core.domain.plan import StateStatus
from guardian_core.ports import Tx
from guardian_core.storage.schema import Fill, FundingPayment, Lane, Trade, WebhookState

SETTLED_AFTER = timedelta(hours=1)
"""How long after its closing a state's result is still calculated anew on each pass."""
INCOMPLETE_UNTIL = timedelta(days=1)
"""The same for a state whose fills do not explain its closing: the missing ones may yet come."""
UNSETTLED_MAX = 100
_LIVE = (StateStatus.PENDING.value, StateStatus.OPEN.value)


@dataclass(frozen=True, slots=True)
class LedgerState:
    """The state's row, as far as its result depends on it. `quantity` as the venue last said."""

    id: UUID
    symbol: str
    side: PositionSide
    status: StateStatus
    source: str
    quantity: Decimal
    entry_price: Decimal | None
    trace_id: str
    created_at: datetime
    closed_at: datetime | None
    close_reason: str
    realized_pnl: Decimal | None
    pnl_incomplete: bool


@dataclass(frozen=True, slots=True)
class LedgerFill:
    """`fee_base`: the part of the fee that came out of the coins; `fee_quote`: the whole fee's
    worth in quote, None where nobody knew a price for it."""

    trade_id: UUID | None
    side: OrderSide
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_quote: Decimal | None
    fee_base: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class LedgerFunding:
    amount: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class LedgerTrade:
    """`reported`: how much of the order filled by its own report, ingested as fills or not."""

    id: UUID
    reported: Decimal
    pnl_average: Decimal | None
    pnl_fifo: Decimal | None


@dataclass(frozen=True, slots=True)
class Ledger:
    """Fills and funding oldest first; only trades that filled."""

    state: LedgerState
    fills: tuple[LedgerFill, ...] = ()
    funding: tuple[LedgerFunding, ...] = ()
    trades: tuple[LedgerTrade, ...] = ()


def due_states(tx: Tx, account: str, also: Collection[UUID] = ()) -> list[LedgerState]:
    """States whose result may change: live, closed a short while ago, never settled, or named."""
    now = tx.now()
    recent = or_(
        WebhookState.closed_at >= now - SETTLED_AFTER,
        and_(WebhookState.closed_at >= now - INCOMPLETE_UNTIL, WebhookState.pnl_incomplete),
    )
    unsettled = and_(WebhookState.realized_pnl.is_(None), WebhookState.status.not_in(_LIVE))
    found = [
        *_states(tx, account, WebhookState.status.in_(_LIVE)),
        *_states(tx, account, recent),
        *_states(tx, account, unsettled, limit=UNSETTLED_MAX),
        *(_states(tx, account, WebhookState.id.in_(also)) if also else ()),
    ]
    return list({state.id: state for state in found}.values())


def ledgers(tx: Tx, account: str, states: Sequence[LedgerState]) -> list[Ledger]:
    """The ledgers of these states; three queries, however many states."""
    if not states:
        return []
    ids = [state.id for state in states]
    fills, trades = _fills(tx, ids), _trades(tx, ids)
    funding = _funding(tx, account, states)
    return [
        Ledger(s, tuple(fills[s.id]), tuple(funding[s.id]), tuple(trades[s.id])) for s in states
    ]


def ledgers_since(tx: Tx, account: str, since: datetime) -> list[Ledger]:
    """Of all states that a fill or funding has moved since then."""
    filled = select(Fill.webhook_state_id).where(Fill.account_name == account, Fill.at >= since)
    paid = select(FundingPayment.symbol).where(
        FundingPayment.account_name == account, FundingPayment.at >= since
    )
    funded = and_(
        Lane.symbol.in_(paid),
        or_(WebhookState.closed_at.is_(None), WebhookState.closed_at >= since),
    )
    return ledgers(tx, account, _states(tx, account, or_(WebhookState.id.in_(filled), funded)))


def locked_ledger(tx: Tx, account: str, state_id: UUID) -> Ledger:
    """The state's ledger as it is once nobody else can be writing its result."""
    tx.execute(select(WebhookState.id).where(WebhookState.id == state_id).with_for_update())
    return ledgers(tx, account, _states(tx, account, WebhookState.id == state_id))[0]


def store_result(tx: Tx, state_id: UUID, realized: Decimal | None, incomplete: bool) -> None:
    tx.execute(
        update(WebhookState)
        .where(WebhookState.id == state_id)
        .values(realized_pnl=realized, pnl_incomplete=incomplete)
        .execution_options(synchronize_session=False)
    )


def store_trade_pnl(tx: Tx, trade_id: UUID, average: Decimal, fifo: Decimal) -> None:
    tx.execute(
        update(Trade)
        .where(Trade.id == trade_id)
        .values(pnl_average=average, pnl_fifo=fifo)
        .execution_options(synchronize_session=False)
    )


def _states(
    tx: Tx, account: str, which: ColumnElement[bool], limit: int | None = None
) -> list[LedgerState]:
    query = (
        select(WebhookState, Lane.symbol)
        .join(Lane, Lane.id == WebhookState.lane_id)
        .where(Lane.account_name == account, which)
        .order_by(WebhookState.created_at, WebhookState.id)
        .limit(limit)
        .execution_options(populate_existing=True)
    )
    return [_state(row, symbol) for row, symbol in tx.execute(query)]


def _state(row: WebhookState, symbol: str) -> LedgerState:
    return LedgerState(
        id=row.id,
        symbol=symbol,
        side=PositionSide(row.side),
        status=StateStatus(row.status),
        source=row.source,
        quantity=row.quantity,
        entry_price=row.entry_price,
        trace_id=row.trace_id,
        created_at=row.created_at,
        closed_at=row.closed_at,
        close_reason=row.close_reason,
        realized_pnl=row.realized_pnl,
        pnl_incomplete=row.pnl_incomplete,
    )


def _fills(tx: Tx, state_ids: Sequence[UUID]) -> dict[UUID, list[LedgerFill]]:
    """In the order of their execution. Venues count their fills up, so length comes first."""
    query = select(
        Fill.webhook_state_id,
        Fill.venue_fill_id,
        Fill.trade_id,
        Fill.side,
        Fill.quantity,
        Fill.price,
        Fill.fee,
        Fill.fee_quote,
        Fill.fee_base,
        Fill.at,
    ).where(Fill.webhook_state_id.in_(state_ids))
    rows = sorted(
        tx.execute(query), key=lambda row: (row.at, len(row.venue_fill_id), row.venue_fill_id)
    )
    found: dict[UUID, list[LedgerFill]] = defaultdict(list)
    for row in rows:
        found[row.webhook_state_id].append(
            LedgerFill(
                trade_id=row.trade_id,
                side=OrderSide(row.side),
                quantity=row.quantity,
                price=row.price,
                fee=row.fee,
                fee_quote=row.fee_quote,
                fee_base=row.fee_base,
                at=row.at,
            )
        )
    return found


def _trades(tx: Tx, state_ids: Sequence[UUID]) -> dict[UUID, list[LedgerTrade]]:
    """Those that filled, by their fills or by their own report (their average price then)."""
    with_fills = select(Fill.trade_id).where(Fill.webhook_state_id.in_(state_ids))
    query = (
        select(
            Trade.id,
            Trade.webhook_state_id,
            Trade.filled_quantity,
            Trade.pnl_average,
            Trade.pnl_fifo,
        )
        .where(
            Trade.webhook_state_id.in_(state_ids),
            or_(Trade.average_price.is_not(None), Trade.id.in_(with_fills)),
        )
        .order_by(Trade.created_at, Trade.id)
    )
    found: dict[UUID, list[LedgerTrade]] = defaultdict(list)
    for row in tx.execute(query):
        trade = LedgerTrade(row.id, row.filled_quantity, row.pnl_average, row.pnl_fifo)
        found[row.webhook_state_id].append(trade)
    return found


def _funding(
    tx: Tx, account: str, states: Sequence[LedgerState]
) -> dict[UUID, list[LedgerFunding]]:
    """A payment that names no state belongs to the one that was live on its lane."""
    query = (
        select(FundingPayment)
        .where(
            FundingPayment.account_name == account,
            FundingPayment.symbol.in_({state.symbol for state in states}),
            FundingPayment.at >= min(state.created_at for state in states),
        )
        .order_by(FundingPayment.at, FundingPayment.venue_payment_id)
    )
    found: dict[UUID, list[LedgerFunding]] = defaultdict(list)
    for payment in tx.scalars(query):
        for state in states:
            if _concerns(payment, state):
                found[state.id].append(LedgerFunding(payment.amount, payment.at))
    return found


def _concerns(payment: FundingPayment, state: LedgerState) -> bool:
    if payment.webhook_state_id is not None:
        return payment.webhook_state_id == state.id
    ended = state.closed_at is not None and payment.at > state.closed_at
    return payment.symbol == state.symbol and payment.at >= state.created_at and not ended
