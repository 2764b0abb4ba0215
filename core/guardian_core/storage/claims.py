"""Claims: an engine's lease on a lane, and the webhook that it works meanwhile.

1. A lane has one claim at most, so one webhook of it is worked at a time, even by one holder.
2. A lane's webhooks come in order: one left `processing` by a dead claim first, then by
   received_at, then by insertion.
3. The epoch grows by one at each take. Whoever writes under an older one gets Conflict.
4. A claim is alive until its `until` by the database's clock; afterwards anybody may take it.
"""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    case,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute

from guardian_core.domain.alerts import WebhookStatus
from guardian_core.domain.errors import Conflict
from guardian_core.ports import Tx
from guardian_core.storage.schema import Lane, Webhook
from guardian_core.storage.upsert import changed_rows

LEASE_S = 15.0

CANDIDATES_MAX = 8
"""Lanes to look at in one call. More are only found done when as many engines race for them."""

_UNFINISHED = (WebhookStatus.RECEIVED.value, WebhookStatus.PROCESSING.value)


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """A stored alert; the fields are the table's."""

    id: UUID
    trace_id: str
    received_at: datetime
    lane_id: int | None
    account_name: str | None
    action: str | None
    user_id: str | None
    account_id: str | None
    symbol: str | None
    exchange: str | None
    interval: str | None
    bar_time: datetime | None
    bar_open: Decimal | None
    bar_high: Decimal | None
    bar_low: Decimal | None
    bar_close: Decimal | None
    prix: Decimal | None
    prix_sl: str | None
    prix_tp: str | None
    pour_cent: Decimal | None
    indicateur_name: str
    raw_payload: str
    status: str
    message: str
    order_body: dict[str, Any] | None
    webhook_state_id: UUID | None
    revision: int | None
    processed_at: datetime | None

    @classmethod
    def of(cls, row: Webhook) -> "WebhookRow":
        return cls(**{field.name: getattr(row, field.name) for field in fields(cls)})


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work one webhook of one lane, until `finish`, `put_back` or a take-over."""

    lane_id: int
    account_name: str
    symbol: str
    """The lane's normalised one."""
    holder: str
    epoch: int
    webhook: WebhookRow

    @property
    def webhook_id(self) -> UUID:
        return self.webhook.id


def claim_next(tx: Tx, holder: str, lease_s: float = LEASE_S) -> Claim | None:
    """Takes the free lane that has waited longest; None when there is nothing to do."""
    finished: list[int] = []
    for _ in range(CANDIDATES_MAX):
        lane = _lock_waiting_lane(tx, finished)
        if lane is None:
            return None
        webhook = _next_of(tx, lane.id)
        if webhook is not None:
            return _take(tx, lane, webhook, holder, lease_s)
        # Another engine finished the lane between our look and our lock.
        finished.append(lane.id)
    return None


def renew(tx: Tx, claim: Claim, lease_s: float = LEASE_S) -> None:
    """Extends the claim from now, also one that expired and that nobody has taken."""
    _update_lane(tx, claim, claim_until=tx.now() + timedelta(seconds=lease_s))


def check(tx: Tx, claim: Claim) -> None:
    """Raises Conflict when the claim has expired or is lost; else it stays ours to the COMMIT."""
    held = select(Lane.claim_until).where(*_ours(claim)).with_for_update(key_share=True)
    until = tx.execute(held).scalar_one_or_none()
    if until is None or until <= tx.now():
        raise _lost(claim)


def finish(tx: Tx, claim: Claim, status: WebhookStatus, message: str) -> None:
    """Ends the webhook as processed or error, and frees the lane for its next."""
    if status not in (WebhookStatus.PROCESSED, WebhookStatus.ERROR):
        raise ValueError(f"{status} does not end a webhook")
    _update_lane(tx, claim, claim_holder=None, claim_until=None, not_before=None)
    _update_webhook(tx, claim, status=status.value, message=message, processed_at=tx.now())


def put_back(tx: Tx, claim: Claim, not_before: datetime, message: str) -> None:
    """Leaves the webhook first in its lane, and the lane alone until `not_before`."""
    _update_lane(tx, claim, claim_holder=None, claim_until=None, not_before=not_before)
    _update_webhook(tx, claim, status=WebhookStatus.RECEIVED.value, message=message)


def pending_count(tx: Tx) -> int:
    """How many webhooks are not finished."""
    query = select(func.count()).select_from(Webhook).where(Webhook.status.in_(_UNFINISHED))
    return tx.execute(query).scalar_one()


def forget_claims(tx: Tx) -> int:
    """Frees every lane at once. Only for a process that knows that no engine is alive."""
    statement = update(Lane).where(Lane.claim_holder.is_not(None))
    return changed_rows(tx, statement.values(claim_holder=None, claim_until=None))


def _lock_waiting_lane(tx: Tx, except_ids: list[int]) -> Lane | None:
    now = tx.now()
    query = (
        select(Lane)
        .join(Webhook, Webhook.lane_id == Lane.id)
        .where(
            Webhook.status.in_(_UNFINISHED),
            or_(Lane.claim_until.is_(None), Lane.claim_until <= now),
            or_(Lane.not_before.is_(None), Lane.not_before <= now),
            Lane.id.not_in(except_ids),
        )
        .order_by(Webhook.received_at, _insertion(tx))
        .limit(1)
        # No key of a lane ever changes: a webhook being inserted must not hide its lane.
        .with_for_update(of=Lane, key_share=True, skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return tx.execute(query).scalar_one_or_none()


def _next_of(tx: Tx, lane_id: int) -> Webhook | None:
    begun_first = case((Webhook.status == WebhookStatus.PROCESSING.value, 0), else_=1)
    query = (
        select(Webhook)
        .where(Webhook.lane_id == lane_id, Webhook.status.in_(_UNFINISHED))
        .order_by(begun_first, Webhook.received_at, _insertion(tx))
        .limit(1)
        .execution_options(populate_existing=True)
    )
    return tx.execute(query).scalar_one_or_none()


def _insertion(tx: Tx) -> ColumnElement[int] | InstrumentedAttribute[int | None]:
    on_sqlite = tx.get_bind().dialect.name == "sqlite"
    return literal_column("webhook.rowid") if on_sqlite else Webhook.seq


def _take(tx: Tx, lane: Lane, webhook: Webhook, holder: str, lease_s: float) -> Claim:
    lane.claim_holder = holder
    lane.claim_epoch += 1
    lane.claim_until = tx.now() + timedelta(seconds=lease_s)
    webhook.status = WebhookStatus.PROCESSING.value
    tx.flush()
    return Claim(
        lane_id=lane.id,
        account_name=lane.account_name,
        symbol=lane.symbol,
        holder=holder,
        epoch=lane.claim_epoch,
        webhook=WebhookRow.of(webhook),
    )


def _ours(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    return (
        Lane.id == claim.lane_id,
        Lane.claim_epoch == claim.epoch,
        Lane.claim_holder == claim.holder,
    )


def _update_lane(tx: Tx, claim: Claim, **values: Any) -> None:
    if changed_rows(tx, update(Lane).where(*_ours(claim)).values(values)) != 1:
        raise _lost(claim)


def _update_webhook(tx: Tx, claim: Claim, **values: Any) -> None:
    tx.execute(update(Webhook).where(Webhook.id == claim.webhook_id).values(values))


def _lost(claim: Claim) -> Conflict:
    return Conflict(
        "claim_lost",
        f"{claim.holder} no longer holds lane {claim.account_name} {claim.symbol}"
        f" (epoch {claim.epoch})",
    )
