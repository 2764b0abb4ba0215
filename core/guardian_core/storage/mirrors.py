"""The mirror: what a state and its TradingPosition last agreed on, and the states themselves as
they are shown there.

A base is only ever replaced by one of the same or a later revision, so a writer who comes late
cannot turn what was agreed since into somebody's edit.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, func, or_, select, update

from guardian_core.domain.errors import Conflict
from guardian_core.domain.orders import PositionSide
from guardian_core.domain.plan import StateStatus
from guardian_core.logs import Point
from guardian_core.ports import Tx
from guardian_core.storage.desires import LIVE, Desire, revise
from guardian_core.storage.schema import Journal, Lane, Mirror, WebhookState
from guardian_core.storage.upsert import changed_rows, insert_if_absent


@dataclass(frozen=True, slots=True)
class LevelPair:
    """Both desired levels; None of one: no such leg. 43000 and 43000.00 are the same."""

    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Agreed:
    """Levels that state and object both had, and the desire's revision then."""

    levels: LevelPair
    revision: int


@dataclass(frozen=True, slots=True)
class MirrorRow:
    """`uid` is None until the object is known to exist; nothing is agreed before."""

    namespace: str
    name: str
    uid: str | None
    agreed: Agreed
    pinned: bool

    @property
    def base(self) -> Agreed | None:
        return None if self.uid is None else self.agreed


@dataclass(frozen=True, slots=True)
class ShownState:
    """A state with all that its TradingPosition shows of it. `mirror`: None before the first."""

    id: UUID
    account: str
    symbol: str
    side: PositionSide
    status: StateStatus
    source: str
    levels: LevelPair
    target_quantity: Decimal | None
    target_reason: str
    revision: int
    quantity: Decimal
    entry_price: Decimal | None
    stop_loss_order_id: str | None
    take_profit_order_id: str | None
    naked_since: datetime | None
    repairs: int
    realized_pnl: Decimal | None
    trace_id: str
    opened_at: datetime | None
    closed_at: datetime | None
    close_reason: str
    mirror: MirrorRow | None = None

    @property
    def is_live(self) -> bool:
        return self.status.is_live

    @property
    def pinned(self) -> bool:
        return self.mirror is not None and self.mirror.pinned


def shown_states(tx: Tx, account: str | None = None) -> list[ShownState]:
    """Every live state, and those that are over and still mirrored; of one account or of all."""
    query = _query().where(or_(WebhookState.status.in_(LIVE), Mirror.state_id.is_not(None)))
    if account is not None:
        query = query.where(Lane.account_name == account)
    return _views(tx, query)


def shown_state(tx: Tx, state_id: UUID) -> ShownState | None:
    return next(iter(_views(tx, _query().where(WebhookState.id == state_id))), None)


def state_named(tx: Tx, namespace: str, name: str) -> ShownState | None:
    """The state whose mirror has this name."""
    query = _query().where(Mirror.namespace == namespace, Mirror.name == name)
    return next(iter(_views(tx, query)), None)


def live_state_of(tx: Tx, account: str, symbol: str) -> ShownState | None:
    """The lane's pending or open state."""
    query = _query().where(
        Lane.account_name == account, Lane.symbol == symbol, WebhookState.status.in_(LIVE)
    )
    return next(iter(_views(tx, query)), None)


def agree(tx: Tx, state_id: UUID, mirror: MirrorRow) -> bool:
    """Stores what was agreed; False, and nothing is changed, where a later revision was agreed on
    since. Writes nothing where nothing changes. Once there is a row, only `pin` changes the pin."""
    values = _columns(mirror)
    if insert_if_absent(tx, Mirror, values | {"state_id": state_id}):
        return True
    row = tx.get_one(Mirror, state_id, with_for_update=True, populate_existing=True)
    if row.synced_revision > mirror.agreed.revision:
        return False
    for column, value in (values | {"pinned": row.pinned}).items():
        if getattr(row, column) != value:
            setattr(row, column, value)
    return True


def merge_edit(
    tx: Tx, state: ShownState, merged: LevelPair, shown: MirrorRow, trace_id: str
) -> int:
    """Makes an edit the desire, and what the object says the base, in one transaction; returns the
    new revision. `merged`: what the desire becomes; `shown`: the object and its levels.

    Raises Conflict when the desire moved on meanwhile.
    """
    revision = revise(
        tx,
        state.id,
        state.revision,
        Desire(merged.stop_loss, merged.take_profit, state.target_quantity),
        trace_id=trace_id,
        target_reason=state.target_reason,
    )
    agree(tx, state.id, replace(shown, agreed=Agreed(shown.agreed.levels, revision)))
    return revision


def pin(tx: Tx, state_id: UUID, *, pinned: bool) -> None:
    """Says whether alerts move the levels of a state that is mirrored."""
    statement = update(Mirror).where(Mirror.state_id == state_id, Mirror.pinned != pinned)
    changed_rows(tx, statement.values(pinned=pinned))


def is_pinned(tx: Tx, state_id: UUID) -> bool:
    found = tx.scalars(select(Mirror.pinned).where(Mirror.state_id == state_id)).one_or_none()
    return bool(found)


def forget(tx: Tx, state_id: UUID) -> None:
    """Drops a state's mirror; its history stays."""
    changed_rows(tx, delete(Mirror).where(Mirror.state_id == state_id))


def release(tx: Tx, state: ShownState) -> None:
    """Ends the guarding of a live state; its orders stay. Raises Conflict when it moved on."""
    statement = update(WebhookState).where(
        WebhookState.id == state.id,
        WebhookState.revision == state.revision,
        WebhookState.status.in_(LIVE),
    )
    values = {"status": StateStatus.RELEASED.value, "closed_at": tx.now(), "naked_since": None}
    if changed_rows(tx, statement.values(close_reason="Released", **values)) != 1:
        raise Conflict("stale_revision", f"state {state.id} is over, or moved past it")


def last_repair_at(tx: Tx, state_id: UUID) -> datetime | None:
    """When a leg of the state was put back last, as the journal tells."""
    query = select(func.max(Journal.at)).where(
        Journal.webhook_state_id == state_id, Journal.point == Point.LEG_REPAIRED.value
    )
    return tx.scalars(query).one()


def _columns(mirror: MirrorRow) -> dict[str, Any]:
    return {
        "namespace": mirror.namespace,
        "name": mirror.name,
        "uid": mirror.uid,
        "base_stop_loss": mirror.agreed.levels.stop_loss,
        "base_take_profit": mirror.agreed.levels.take_profit,
        "synced_revision": mirror.agreed.revision,
        "pinned": mirror.pinned,
    }


def _query() -> Select[WebhookState, Lane, Mirror]:
    return (
        select(WebhookState, Lane, Mirror)
        .join(Lane, Lane.id == WebhookState.lane_id)
        .outerjoin(Mirror, Mirror.state_id == WebhookState.id)
        .order_by(WebhookState.created_at, WebhookState.id)
    )


def _views(tx: Tx, query: Select[WebhookState, Lane, Mirror]) -> list[ShownState]:
    rows = tx.execute(query.execution_options(populate_existing=True)).all()
    return [_view(*row) for row in rows]


def _view(state: WebhookState, lane: Lane, mirror: Mirror | None) -> ShownState:
    return ShownState(
        id=state.id,
        account=lane.account_name,
        symbol=lane.symbol,
        side=PositionSide(state.side),
        status=StateStatus(state.status),
        source=state.source,
        levels=LevelPair(state.current_sl, state.current_tp),
        target_quantity=state.target_quantity,
        target_reason=state.target_reason,
        revision=state.revision,
        quantity=state.quantity,
        entry_price=state.entry_price,
        stop_loss_order_id=state.sl_order_id,
        take_profit_order_id=state.tp_order_id,
        naked_since=state.naked_since,
        repairs=state.repairs,
        realized_pnl=state.realized_pnl,
        trace_id=state.trace_id,
        opened_at=state.opened_at,
        closed_at=state.closed_at,
        close_reason=state.close_reason,
        mirror=None if mirror is None else _mirror(mirror),
    )


def _mirror(row: Mirror) -> MirrorRow:
    levels = LevelPair(row.base_stop_loss, row.base_take_profit)
    agreed = Agreed(levels, row.synced_revision)
    return MirrorRow(row.namespace, row.name, row.uid, agreed, row.pinned)
