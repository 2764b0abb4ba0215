"""States for positions that no alert of ours opened."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from guardian_core.domain.errors import Conflict
from guardian_core.domain.orders import PositionSide
from guardian_core.domain.plan import StateStatus
from guardian_core.ports import Tx
from guardian_core.storage.lanes import lane_for
from guardian_core.storage.mirrors import LevelPair, MirrorRow, agree
from guardian_core.storage.schema import Mirror, WebhookState

SOURCE = "adopted"
"""What opening such a position cost is not among our fills, and nobody claims to know it."""


@dataclass(frozen=True, slots=True)
class Adoption:
    """An open position as the venue reports it, and the levels it gets."""

    id: UUID
    account: str
    symbol: str
    side: PositionSide
    quantity: Decimal
    entry_price: Decimal | None
    levels: LevelPair
    trace_id: str


def adopt(tx: Tx, adoption: Adoption, mirror: MirrorRow) -> None:
    """Begins to guard the position, shown by the object that asked for it.

    Raises Conflict when the lane has a live state by now.
    """
    now = tx.now()
    _free_name(tx, mirror)
    try:
        with tx.begin_nested():
            tx.add(
                WebhookState(
                    id=adoption.id,
                    lane_id=lane_for(tx, adoption.account, adoption.symbol),
                    side=adoption.side.value,
                    quantity=adoption.quantity,
                    entry_price=adoption.entry_price,
                    status=StateStatus.OPEN.value,
                    current_sl=adoption.levels.stop_loss,
                    current_tp=adoption.levels.take_profit,
                    revision=1,
                    revised_at=now,
                    source=SOURCE,
                    trace_id=adoption.trace_id,
                    created_at=now,
                    opened_at=now,
                )
            )
    except IntegrityError as error:
        raise Conflict("lane_taken", "the lane already has a live state") from error
    agree(tx, adoption.id, mirror)


def _free_name(tx: Tx, mirror: MirrorRow) -> None:
    """An object of this name may have shown a state that is over."""
    over = select(WebhookState.id).where(
        WebhookState.status.in_((StateStatus.CLOSED.value, StateStatus.RELEASED.value))
    )
    tx.execute(
        delete(Mirror).where(
            Mirror.namespace == mirror.namespace,
            Mirror.name == mirror.name,
            Mirror.state_id.in_(over),
        )
    )
