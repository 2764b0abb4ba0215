"""States and their desires: loading plans, revising desires, applying what was decided.

The revision is minted here alone. Every change of desire is a compare-and-set on it, so that of
two writers who read the same desire one is told to look again.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from sqlalchemy import CursorResult, and_, func, select, update
from sqlalchemy.exc import IntegrityError

from guardian_core.domain.alerts import WebhookStatus
from guardian_core.domain.decision import (
    UNEXPLAINED,
    Change,
    ClearTarget,
    Close,
    FlatSeen,
    NakedSince,
    Observed,
    Reopen,
    SetTarget,
)
from guardian_core.domain.errors import Conflict
from guardian_core.domain.orders import PositionSide
from guardian_core.domain.plan import Plan, StateStatus
from guardian_core.ports import Tx
from guardian_core.storage.schema import Lane, Webhook, WebhookState
from guardian_core.storage.trades import OrderHistory, histories

LIVE = (StateStatus.PENDING.value, StateStatus.OPEN.value)


@dataclass(frozen=True, slots=True)
class Guarded:
    """A plan with what the domain does not need: its lane, and the trace of its last desire."""

    plan: Plan
    account: str
    lane_id: int
    trace_id: str
    target_reason: str = ""
    desire_bar_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Desire:
    """What should be. None of a level: no such leg; None of the target: guard what is there."""

    stop_loss: Decimal | None
    take_profit: Decimal | None
    target_quantity: Decimal | None = None

    @classmethod
    def of(cls, plan: Plan) -> "Desire":
        return cls(plan.stop_loss, plan.take_profit, plan.target_quantity)


@dataclass(frozen=True, slots=True)
class NewState:
    """A position about to be entered, committed before its order is sent."""

    id: UUID
    lane_id: int
    user_id: str
    side: PositionSide
    quantity: Decimal
    stop_loss: Decimal | None
    take_profit: Decimal | None
    trace_id: str
    bar_time: datetime | None = None
    source: str = "webhook"


def create_state(tx: Tx, new: NewState) -> None:
    """Raises Conflict when the lane already has a live state."""
    now = tx.now()
    try:
        with tx.begin_nested():
            tx.add(
                WebhookState(
                    id=new.id,
                    lane_id=new.lane_id,
                    user_id=new.user_id,
                    side=new.side.value,
                    quantity=new.quantity,
                    status=StateStatus.PENDING.value,
                    current_sl=new.stop_loss,
                    current_tp=new.take_profit,
                    revision=1,
                    revised_at=now,
                    desire_bar_time=new.bar_time,
                    source=new.source,
                    trace_id=new.trace_id,
                    created_at=now,
                )
            )
    except IntegrityError as error:
        raise Conflict("lane_taken", "the lane already has a live state") from error


def revise(
    tx: Tx,
    state_id: UUID,
    expected_revision: int,
    desire: Desire,
    *,
    trace_id: str,
    bar_time: datetime | None = None,
    target_reason: str = "",
) -> int:
    """Commits a new desire and returns its revision.

    Raises Conflict when the state is no longer live or its revision is not the expected one.
    """
    values: dict[str, Any] = {
        "current_sl": desire.stop_loss,
        "current_tp": desire.take_profit,
        "target_quantity": desire.target_quantity,
        "target_reason": target_reason,
        "revision": expected_revision + 1,
        "revised_at": tx.now(),
        "trace_id": trace_id,
    }
    if bar_time is not None:
        values["desire_bar_time"] = bar_time
    if not _set(tx, state_id, expected_revision, values):
        raise _moved_on(state_id, expected_revision)
    return expected_revision + 1


def apply_changes(tx: Tx, guarded: Guarded, changes: Iterable[Change]) -> None:
    """Writes what a decision says of the state, all of it or nothing.

    Raises Conflict when the state moved on meanwhile: what was decided is of the past then.
    """
    plan = guarded.plan
    for change in changes:
        match change:
            case SetTarget(quantity, reason):
                wish = replace(Desire.of(plan), target_quantity=quantity)
                _revise_target(tx, guarded, wish, reason)
            case ClearTarget():
                _revise_target(tx, guarded, replace(Desire.of(plan), target_quantity=None), "")
            case Reopen():
                _reopen(tx, plan)
            case Observed() | NakedSince() | FlatSeen() | Close():
                if not _set(tx, plan.state_id, plan.revision, _columns(tx, plan, change)):
                    raise _moved_on(plan.state_id, plan.revision)


def note_repair(tx: Tx, state_id: UUID) -> None:
    """Counts a repair in the state's row."""
    tx.execute(
        update(WebhookState)
        .where(WebhookState.id == state_id)
        .values(repairs=WebhookState.repairs + 1)
    )


def live_states(tx: Tx, account: str, installation: str) -> dict[str, Guarded]:
    """Every live state of an account, by symbol."""
    rows = tx.execute(
        select(WebhookState, Lane)
        .join(Lane, Lane.id == WebhookState.lane_id)
        .where(Lane.account_name == account, WebhookState.status.in_(LIVE))
    ).all()
    return _guarded(tx, [(state, lane) for state, lane in rows], installation)


def latest_states(
    tx: Tx, account: str, symbols: Sequence[str], installation: str
) -> dict[str, Guarded]:
    """The newest state, of any status, of each named lane that has one."""
    if not symbols:
        return {}
    newest = (
        select(WebhookState.lane_id, func.max(WebhookState.created_at).label("created_at"))
        .join(Lane, Lane.id == WebhookState.lane_id)
        .where(Lane.account_name == account, Lane.symbol.in_(symbols))
        .group_by(WebhookState.lane_id)
        .subquery()
    )
    rows = tx.execute(
        select(WebhookState, Lane)
        .join(Lane, Lane.id == WebhookState.lane_id)
        .join(
            newest,
            and_(
                newest.c.lane_id == WebhookState.lane_id,
                newest.c.created_at == WebhookState.created_at,
            ),
        )
    ).all()
    # A lane's live state beats one closed at the very same instant.
    ordered = sorted(rows, key=lambda pair: pair[0].status in LIVE)
    return _guarded(tx, [(state, lane) for state, lane in ordered], installation)


def live_state(tx: Tx, account: str, symbol: str, installation: str) -> Guarded | None:
    """The lane's pending or open state."""
    rows = tx.execute(
        select(WebhookState, Lane)
        .join(Lane, Lane.id == WebhookState.lane_id)
        .where(Lane.account_name == account, Lane.symbol == symbol, WebhookState.status.in_(LIVE))
    ).all()
    return _guarded(tx, [(state, lane) for state, lane in rows], installation).get(symbol)


def _guarded(
    tx: Tx, rows: Sequence[tuple[WebhookState, Lane]], installation: str
) -> dict[str, Guarded]:
    past = histories(tx, [(state.id, state.revision) for state, _ in rows])
    waiting = [state.id for state, _ in rows if state.status == StateStatus.PENDING.value]
    due = _due_entries(tx, [state_id for state_id in waiting if not past[state_id].entry_sent])
    return {
        lane.symbol: Guarded(
            plan=_plan(state, lane, past[state.id], due, installation),
            account=lane.account_name,
            lane_id=lane.id,
            trace_id=state.trace_id,
            target_reason=state.target_reason,
            desire_bar_time=state.desire_bar_time,
        )
        for state, lane in rows
    }


def _plan(
    state: WebhookState, lane: Lane, past: OrderHistory, due: Container[UUID], installation: str
) -> Plan:
    return Plan(
        state_id=state.id,
        symbol=lane.symbol,
        side=PositionSide(state.side),
        status=StateStatus(state.status),
        revision=state.revision,
        revised_at=state.revised_at,
        stop_loss=state.current_sl,
        take_profit=state.current_tp,
        target_quantity=state.target_quantity,
        net_filled=None if state.source == "adopted" else past.net_filled,
        entry_sent=past.entry_sent,
        entry_due=state.id in due,
        entry_working=past.entry_working,
        last_exit_fill_at=past.last_exit_fill_at,
        naked_since=state.naked_since,
        flat_seen_at=state.flat_seen_at,
        quantity=state.quantity,
        entry_price=state.entry_price,
        closed_at=state.closed_at,
        closed_unexplained=state.close_reason == UNEXPLAINED,
        stop_loss_order_id=state.sl_order_id,
        take_profit_order_id=state.tp_order_id,
        orders=past.orders,
        installation=installation,
    )


def _due_entries(tx: Tx, state_ids: Sequence[UUID]) -> set[UUID]:
    """Of states whose entry has not left: those whose alert is not finished. A state that an
    alert opens bears the alert's id."""
    if not state_ids:
        return set()
    query = select(Webhook.id).where(
        Webhook.id.in_(state_ids),
        Webhook.status.in_((WebhookStatus.RECEIVED.value, WebhookStatus.PROCESSING.value)),
    )
    return set(tx.scalars(query))


def _columns(
    tx: Tx, plan: Plan, change: Observed | NakedSince | FlatSeen | Close
) -> dict[str, Any]:
    match change:
        case Observed(quantity, entry_price, stop_loss_order_id, take_profit_order_id):
            columns: dict[str, Any] = {
                "quantity": quantity,
                "entry_price": entry_price,
                "sl_order_id": stop_loss_order_id,
                "tp_order_id": take_profit_order_id,
            }
            if plan.status is StateStatus.PENDING:
                columns |= {"status": StateStatus.OPEN.value, "opened_at": tx.now()}
            return columns
        case NakedSince(at):
            return {"naked_since": at}
        case FlatSeen(at):
            return {"flat_seen_at": at}
        case Close(reason, incomplete):
            return {
                "status": StateStatus.CLOSED.value,
                "closed_at": tx.now(),
                "close_reason": reason,
                "pnl_incomplete": incomplete,
                "naked_since": None,
                "sl_order_id": None,
                "tp_order_id": None,
            }


def _revise_target(tx: Tx, guarded: Guarded, desire: Desire, reason: str) -> None:
    revise(
        tx,
        guarded.plan.state_id,
        guarded.plan.revision,
        desire,
        trace_id=guarded.trace_id,
        target_reason=reason,
    )


def _reopen(tx: Tx, plan: Plan) -> None:
    """The partial unique index refuses it when a newer state lives; that one then counts."""
    try:
        with tx.begin_nested():
            tx.execute(
                update(WebhookState)
                .where(
                    WebhookState.id == plan.state_id,
                    WebhookState.status == StateStatus.CLOSED.value,
                )
                .values(
                    status=StateStatus.OPEN.value,
                    closed_at=None,
                    close_reason="",
                    flat_seen_at=None,
                    target_quantity=None,
                    revision=plan.revision + 1,
                    revised_at=tx.now(),
                )
            )
    except IntegrityError as error:
        raise Conflict("lane_taken", "a newer state lives in this lane") from error


def _moved_on(state_id: UUID, revision: int) -> Conflict:
    return Conflict("stale_revision", f"state {state_id} is over, or moved past {revision}")


def _set(tx: Tx, state_id: UUID, revision: int, values: dict[str, Any]) -> bool:
    done = tx.execute(
        update(WebhookState)
        .where(
            WebhookState.id == state_id,
            WebhookState.revision == revision,
            WebhookState.status.in_(LIVE),
        )
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    return cast("CursorResult[Any]", done).rowcount == 1
