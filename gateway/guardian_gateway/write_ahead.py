"""The fence: one transaction that lets an order be sent, and writes it down first.

Run by the decision executor before each send. Under the lock of the state's row it checks:

1. This gateway still holds its lease, under the epoch it acts for (the lease row is locked for
   sharing: a take-over waits for this transaction, or this transaction sees it).
2. A known client order id is answered by its row: same order, its outcome; another, Conflict.
   An entry that surely never reached the venue may be sent again, under the same id.
3. The state is live, and its revision is the one that the decision was made on.
4. The attempt follows the last one of its role and revision; no newer revision has an order of
   that role; what still works of the role is named as replaced; nothing is in flight.
5. Exits: one at a time, and all attempts together sell no more than the first one was for.
6. Entries: the state has not been filled yet (unless entries repeat), the alert is young enough,
   and the account's limits allow it; what does not fit is written down as rejected.
7. Orders to cancel are ours, of no newer revision, and of no other live state.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import NAMESPACE_OID, UUID, uuid5

from sqlalchemy import and_, func, or_, select

from guardian_core.domain.errors import CallerError, Conflict, RejectReason
from guardian_core.domain.money import ZERO
from guardian_core.domain.orders import OrderBody, OrderRef, OrderStatus, Role, belongs_to
from guardian_core.domain.plan import Policy, RepeatEntry, StateStatus
from guardian_core.ports import Clock, Tx
from guardian_core.protocol import DecisionRequest, Enter, Source
from guardian_core.storage.schema import Lane, Trade, Webhook, WebhookState
from guardian_gateway import rows
from guardian_gateway.grant import Grant, check_lease
from guardian_gateway.limits import EntryLimits
from guardian_gateway.rows import TradeRow
from guardian_gateway.shapes import creates_of, refs_of


@dataclass(frozen=True, slots=True)
class Fence:
    """For whom the fence stands. `contract_size`: base units per contract, for the row. `limits`:
    None where entries have none."""

    account: str
    symbol: str
    installation: str
    grant: Grant
    policy: Policy
    clock: Clock
    contract_size: Decimal = Decimal(1)
    limits: EntryLimits | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """By client order id: `stored` rows that answer for themselves, ids of rows `written` now.

    `at_s`: monotonic time not later than the commit; a send long after it must not start.
    `named`: the rows of the orders that the request would end or change.
    """

    at_s: float
    stored: Mapping[str, TradeRow] = field(default_factory=dict)
    written: Mapping[str, UUID] = field(default_factory=dict)
    named: tuple[TradeRow, ...] = ()

    def row_of(self, ref: OrderRef) -> TradeRow | None:
        return next((row for row in self.named if row.is_meant_by(ref)), None)


def admit(tx: Tx, fence: Fence, request: DecisionRequest, write: Collection[int] = ()) -> Admission:
    """Checks the whole request and writes the rows of the actions numbered in `write`.

    Raises NotHolder, Conflict or CallerError; then nothing is written.
    """
    check_lease(tx, fence.grant)
    named = _check_refs(tx, fence, request)
    named_rows = tuple(rows.read(trade, tx.now()) for trade in named)
    if request.state_id is None:
        return Admission(at_s=fence.clock.monotonic(), named=named_rows)
    state = _locked_state(tx, fence, request.state_id)
    check = _Check(tx, fence, request, state, tuple(named))
    stored, fresh = check.known_and_fresh()
    answered_only = not fresh and all(creates_of(action) for action in request.actions)
    if not answered_only:
        check.revision()
    written: dict[str, UUID] = {}
    for index, action in enumerate(request.actions):
        if action.kind == "amend":
            check.amend(action.body)
        for body in creates_of(action):
            if body.client_order_id not in fresh:
                continue
            check.create(body)
            webhook_id = action.webhook_id if isinstance(action, Enter) else None
            # What is refused anyway is so before anything is prepared for it.
            if index in write or check.refusal(body, webhook_id) is not None:
                row = check.insert(body, webhook_id)
                if row.status is OrderStatus.REJECTED:
                    stored[body.client_order_id] = row
                else:
                    written[body.client_order_id] = row.id
    tx.flush()
    return Admission(fence.clock.monotonic(), stored, written, named_rows)


def _locked_state(tx: Tx, fence: Fence, state_id: UUID) -> WebhookState:
    query = (
        select(WebhookState)
        .join(Lane, Lane.id == WebhookState.lane_id)
        .where(
            WebhookState.id == state_id,
            Lane.account_name == fence.account,
            Lane.symbol == fence.symbol,
        )
        .with_for_update(of=WebhookState)
    )
    state = tx.scalars(query).one_or_none()
    if state is None:
        raise CallerError("state_id", f"{state_id} is no state of {fence.account} {fence.symbol}")
    return state


def _check_refs(tx: Tx, fence: Fence, request: DecisionRequest) -> list[Trade]:
    """Rule 7. Returns the rows of all orders that the request names."""
    refs = [ref for action in request.actions for ref in refs_of(action)]
    found = rows.named(tx, fence.account, rows.ids_of(refs))
    for ref in refs:
        trade = next((t for t in found if _is_meant(t, ref)), None)
        if trade is None:
            if not belongs_to(fence.installation, ref.client_order_id):
                raise CallerError("order", f"{ref.venue_order_id} is not ours", "leave it alone")
            continue
        if trade.symbol != fence.symbol:
            raise CallerError("order", f"{ref.venue_order_id} is of lane {trade.symbol}")
        if trade.webhook_state_id == request.state_id:
            if trade.revision > request.revision:
                raise Conflict("superseded", f"order {ref.venue_order_id} is of a newer revision")
        elif trade.webhook_state_id is not None:
            other = tx.get(WebhookState, trade.webhook_state_id)
            if other is not None and StateStatus(other.status).is_live:
                raise Conflict("state_live", f"order {ref.venue_order_id} guards state {other.id}")
    return found


def _is_meant(trade: Trade, ref: OrderRef) -> bool:
    if ref.client_order_id is not None and ref.client_order_id == trade.client_order_id:
        return True
    return bool(ref.venue_order_id) and ref.venue_order_id in (
        trade.exchange_order_id,
        trade.child_order_id,
    )


@dataclass(frozen=True, slots=True)
class _Check:
    """The checks of one request against one locked state."""

    tx: Tx
    fence: Fence
    request: DecisionRequest
    state: WebhookState
    named: tuple[Trade, ...]

    def known_and_fresh(self) -> tuple[dict[str, TradeRow], set[str]]:
        """Rule 2: answered by their rows, and not yet known (or surely never sent)."""
        bodies = [body for action in self.request.actions for body in creates_of(action)]
        known = _by_client_id(self.tx, self.fence.account, [b.client_order_id for b in bodies])
        stored: dict[str, TradeRow] = {}
        fresh: set[str] = set()
        for body in bodies:
            trade = known.get(body.client_order_id)
            if trade is None:
                fresh.add(body.client_order_id)
                continue
            row = rows.read(trade, self.tx.now())
            if not rows.same_body(row, body, self.state.id):
                raise Conflict("id_reused", f"{body.client_order_id} names another order")
            if body.role is Role.ENTRY and row.reject_reason is RejectReason.NOT_SENT:
                fresh.add(body.client_order_id)
            else:
                stored[body.client_order_id] = row
        for action in self.request.actions:
            if len({body.client_order_id in fresh for body in creates_of(action)}) > 1:
                raise Conflict("id_reused", "only one order of a pair is known")
        return stored, fresh

    def revision(self) -> None:
        """Rule 3, for whatever the request may do."""
        if self.request.revision != self.state.revision:
            raise Conflict(
                "stale_revision",
                f"decided on revision {self.request.revision}, the desire is at "
                f"{self.state.revision}",
            )
        only_cancels = all(action.kind == "cancel" for action in self.request.actions)
        if not only_cancels and not StateStatus(self.state.status).is_live:
            raise Conflict("state_closed", f"state {self.state.id} is {self.state.status}")

    def create(self, body: OrderBody) -> None:
        """Rules 4 to 6 for one new order."""
        past = self._past(body.role)
        if body.role is Role.ENTRY:
            self._entry(past)
        elif body.role is Role.EXIT:
            self._attempt(body, past)
            _check_exit(body, past)
        else:
            self._attempt(body, past)
        self._nothing_else_works(body.role, past)

    def amend(self, body: OrderBody) -> None:
        past = self._past(body.role)
        self._attempt(body, past)
        self._nothing_else_works(body.role, past)

    def _past(self, role: Role) -> list[Trade]:
        """The role's rows that matter: unfinished, of this revision or a newer one; all entries.
        Of refusals, which may go on for days, only the first."""
        query = select(Trade).where(
            Trade.webhook_state_id == self.state.id,
            Trade.role == role.value,
            Trade.source != Source.ORDER_MONITOR.value,
        )
        if role is not Role.ENTRY:
            unfinished = Trade.status.in_(rows.NOT_TERMINAL)
            tells = or_(Trade.status != OrderStatus.REJECTED.value, Trade.attempt == 1)
            recent = and_(Trade.revision >= self.request.revision, tells)
            query = query.where(or_(unfinished, recent))
        return list(self.tx.scalars(query))

    def _attempt(self, body: OrderBody, past: Sequence[Trade]) -> None:
        if any(trade.revision > body.revision for trade in past):
            raise Conflict("superseded", f"a newer revision's {body.role.value} exists")
        attempts = select(func.max(Trade.attempt)).where(
            Trade.webhook_state_id == self.state.id,
            Trade.role == body.role.value,
            Trade.revision == body.revision,
            Trade.source != Source.ORDER_MONITOR.value,
        )
        last = self.tx.scalar(attempts) or 0
        if body.attempt != last + 1:
            raise Conflict(
                "stale_attempt",
                f"attempt {body.attempt} of the {body.role.value}, the last one was {last}",
            )

    def _nothing_else_works(self, role: Role, past: Sequence[Trade]) -> None:
        """What works of this role must be named as replaced; its fate must be known."""
        own = {body.client_order_id for a in self.request.actions for body in creates_of(a)}
        ending = {trade.id for trade in self.named}
        for trade in past:
            if trade.status not in rows.NOT_TERMINAL or trade.client_order_id in own:
                continue
            if trade.status == OrderStatus.PENDING.value:
                raise Conflict("in_flight", f"the outcome of {trade.client_order_id} is not known")
            if role is Role.EXIT or trade.id not in ending:
                raise Conflict("working", f"{role.value} {trade.client_order_id} works already")

    def _entry(self, past: Sequence[Trade]) -> None:
        adds = self.fence.policy.repeat_entry is RepeatEntry.ADD
        pending = self.state.status == StateStatus.PENDING.value
        if not pending and not adds:
            raise Conflict("already_entered", f"state {self.state.id} is {self.state.status}")
        if any(trade.filled_quantity > 0 for trade in past) and not adds:
            raise Conflict("already_entered", f"an entry of state {self.state.id} has filled")

    def insert(self, body: OrderBody, webhook_id: UUID | None) -> TradeRow:
        """Writes the row, pending; an entry that must not be sent at once as rejected."""
        now = self.tx.now()
        refusal = self.refusal(body, webhook_id)
        trade = self.tx.get(Trade, row_id(self.fence.account, body.client_order_id))
        if trade is None:
            trade = self._new_row(body)
            self.tx.add(trade)
        trade.status = OrderStatus.PENDING.value
        trade.reject_reason, trade.error = None, ""
        trade.created_at = trade.updated_at = now
        trade.trace_id = self.request.trace_id
        if refusal is not None:
            rows.refuse(trade, *refusal, now)
        self.tx.flush()
        return rows.read(trade, now)

    def refusal(self, body: OrderBody, webhook_id: UUID | None) -> tuple[RejectReason, str] | None:
        """Why an entry must not be sent; None for whatever may be."""
        if webhook_id is None:
            return None
        late = self._lateness(webhook_id, self.tx.now())
        if late is not None:
            return RejectReason.EXPIRED, late
        limits, account = self.fence.limits, self.fence.account
        over = limits.refusal(self.tx, account, body) if limits is not None else None
        return None if over is None else (RejectReason.OVER_LIMIT, over)

    def _lateness(self, webhook_id: UUID, now: datetime) -> str | None:
        webhook = self.tx.get(Webhook, webhook_id)
        if webhook is None:
            raise CallerError("webhook_id", f"{webhook_id} is not known")
        age_s = (now - webhook.received_at).total_seconds()
        allowed_s = self.fence.policy.max_entry_age_s
        if age_s <= allowed_s:
            return None
        return f"the alert is {age_s:.1f} s old, entries are sent within {allowed_s:g} s"

    def _new_row(self, body: OrderBody) -> Trade:
        return Trade(
            id=row_id(self.fence.account, body.client_order_id),
            client_order_id=body.client_order_id,
            webhook_state_id=self.state.id,
            account_name=self.fence.account,
            symbol=body.symbol,
            source=self.request.source.value,
            role=body.role.value,
            type=body.type.value,
            side=body.side.value,
            quantity=body.quantity,
            price=body.price,
            trigger_price=body.trigger_price,
            reduce_only=body.reduce_only,
            contract_size=self.fence.contract_size,
            filled_quantity=ZERO,
            revision=body.revision,
            attempt=body.attempt,
        )


def row_id(account: str, client_order_id: str) -> UUID:
    """A row's id is derived as its order's id is: a replay finds the same row."""
    return uuid5(NAMESPACE_OID, f"trade/{account}/{client_order_id}")


def _by_client_id(tx: Tx, account: str, ids: Sequence[str]) -> dict[str, Trade]:
    query = select(Trade).where(Trade.account_name == account, Trade.client_order_id.in_(ids))
    return {trade.client_order_id: trade for trade in tx.scalars(query)}


def _check_exit(body: OrderBody, past: Sequence[Trade]) -> None:
    """Rule 5: attempts of one revision share what the first one was for."""
    earlier = [trade for trade in past if trade.revision == body.revision]
    first = next((trade for trade in earlier if trade.attempt == 1), None)
    if first is None:
        return
    sold = sum((trade.filled_quantity for trade in earlier), ZERO)
    if sold + body.quantity > first.quantity:
        raise Conflict(
            "oversold",
            f"{sold} of {first.quantity} is sold; {body.quantity} more would be too much",
        )
