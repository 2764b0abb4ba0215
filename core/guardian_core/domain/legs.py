"""Rules 3, 4 and 5: what stands for each leg, and what makes it right."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from guardian_core.domain.backoff import wait_s, watched_for_s
from guardian_core.domain.decision import Action, Amend, Cancel, Coverage, Reason, Submit
from guardian_core.domain.money import Instrument
from guardian_core.domain.orders import (
    LEGS,
    OrderBody,
    OrderStatus,
    OrderType,
    Role,
    TriggerBasis,
    leg_order_id,
)
from guardian_core.domain.plan import PastOrder, Plan, Policy
from guardian_core.domain.snapshot import LaneSnapshot, LegsMode, Position, WorkingOrder


@dataclass(frozen=True, slots=True)
class LegView:
    """One leg: its desired level (on the tick; None: not desired) and what stands for it.

    `right`: the one order that is as desired. `others`: all further working orders of ours for
    this leg. `watched`: the guardian executes it itself, the venue holds no order.
    """

    role: Role
    level: Decimal | None
    basis: TriggerBasis
    right: WorkingOrder | None = None
    others: tuple[WorkingOrder, ...] = ()
    in_flight: bool = False
    is_ahead: bool = False
    watched: bool = False

    @property
    def is_right(self) -> bool:
        return self.level is None or self.right is not None or self.watched

    @property
    def is_watched(self) -> bool:
        """Desired, and the guardian's own to execute."""
        return self.level is not None and self.watched

    @property
    def is_missing(self) -> bool:
        """Desired, and no order of ours works for it, nor may yet turn out to."""
        nothing = not self.others and not self.in_flight and not self.is_ahead
        return not self.is_right and nothing

    @property
    def orders(self) -> tuple[WorkingOrder, ...]:
        return ((self.right,) if self.right else ()) + self.others

    def order_id(self, plan: Plan) -> str | None:
        """The venue's id of what stands for this leg; the stored one while that is looked up."""
        if self.in_flight or self.is_ahead:
            stop = self.role is Role.STOP_LOSS
            return plan.stop_loss_order_id if stop else plan.take_profit_order_id
        return self.orders[0].ref.venue_order_id if self.orders else None


@dataclass(frozen=True, slots=True)
class Repair:
    actions: tuple[Action, ...] = ()
    reasons: tuple[Reason, ...] = ()
    requeue_after_s: float | None = None


def view(
    plan: Plan,
    role: Role,
    lane: LaneSnapshot,
    instrument: Instrument,
    policy: Policy,
    now: datetime,
) -> LegView:
    """What stands for one leg of an open position."""
    level = plan.level(role)
    if level is not None:
        level = instrument.trigger_price(level, selling=plan.side.exit_side.sign < 0)
    own = [o for o in lane.orders if o.ours and o.role is role]
    newer = [o for o in own if o.state_id == plan.state_id and (o.revision or 0) > plan.revision]
    quantity = instrument.floor_quantity(lane.live_quantity)
    standing = sorted(
        (o for o in own if not o.in_flight and o not in newer),
        key=lambda o: (o.revision or 0, o.attempt or 0, o.ref.venue_order_id),
        reverse=True,
    )
    right = next((o for o in standing if _is_right(o, plan, level, quantity, lane, policy)), None)
    return LegView(
        role=role,
        level=level,
        basis=policy.trigger_basis,
        right=right,
        others=tuple(o for o in standing if o is not right),
        in_flight=any(o.in_flight for o in own),
        is_ahead=bool(newer),
        watched=role is Role.TAKE_PROFIT and right is None and _must_be_watched(plan, lane, now),
    )


def _must_be_watched(plan: Plan, lane: LaneSnapshot, now: datetime) -> bool:
    """Whether the take-profit must be watched: the venue holds the stop alone, or has just refused
    the pair. The stop goes out alone then: it is worth more than both together never."""
    if lane.capabilities.legs is not LegsMode.PAIR:
        return lane.capabilities.legs is LegsMode.STOP_ONLY
    return watched_for_s(plan.attempts(Role.TAKE_PROFIT), now) > 0


def _is_right(
    order: WorkingOrder,
    plan: Plan,
    level: Decimal | None,
    quantity: Decimal,
    lane: LaneSnapshot,
    policy: Policy,
) -> bool:
    return (
        level is not None
        and order.side is plan.side.exit_side
        and order.trigger_price == level
        and (order.whole_position or order.remaining == quantity)
        and order.trigger_basis in (None, policy.trigger_basis)
        and (order.reduce_only or not lane.capabilities.reports_positions)
    )


def coverage(views: tuple[LegView, ...]) -> Coverage:
    """How covered an open position is."""
    desired = [view for view in views if view.level is not None]
    if not desired:
        return Coverage.UNGUARDED
    if all(view.is_right for view in desired):
        return Coverage.PROTECTED
    if any(view.is_right or view.others for view in desired):
        return Coverage.PARTIAL
    return Coverage.NAKED


def foreign_stops(lane: LaneSnapshot, plan: Plan) -> tuple[Reason, ...]:
    """Rule 5: somebody else's stop on this position is reported, never touched."""
    return tuple(
        Reason("ForeignStop", f"order {order.ref.venue_order_id} is not ours and stays")
        for order in lane.orders
        if not order.ours and order.type.is_conditional and order.side is plan.side.exit_side
    )


def repair(
    plan: Plan,
    lane: LaneSnapshot,
    position: Position,
    instrument: Instrument,
    policy: Policy,
    views: tuple[LegView, ...],
    barred: frozenset[Role],
    now: datetime,
) -> Repair:
    """The actions that make every leg right, as this venue allows."""
    quantity = instrument.floor_quantity(position.quantity)
    maker = _BodyMaker(plan, quantity, policy, lane.capabilities.reports_positions)
    if lane.capabilities.legs is LegsMode.INDEPENDENT:
        parts = [_repair_one(plan, lane, view, barred, maker, now) for view in views]
        return _joined(parts)
    return _repair_locked(plan, views, barred, maker, now)


@dataclass(frozen=True, slots=True)
class _BodyMaker:
    plan: Plan
    quantity: Decimal
    policy: Policy
    reduce_only: bool

    def body(self, view: LegView) -> OrderBody:
        plan, role = self.plan, view.role
        attempt = plan.next_attempt(role)
        stop = role is Role.STOP_LOSS
        return OrderBody(
            client_order_id=leg_order_id(
                plan.installation, plan.state_id, role, plan.revision, attempt
            ),
            role=role,
            symbol=plan.symbol,
            side=plan.side.exit_side,
            type=OrderType.STOP_LOSS if stop else OrderType.TAKE_PROFIT,
            quantity=self.quantity,
            revision=plan.revision,
            attempt=attempt,
            trigger_price=view.level,
            reduce_only=self.reduce_only,
            trigger_basis=self.policy.trigger_basis,
        )


def _repair_one(
    plan: Plan,
    lane: LaneSnapshot,
    view: LegView,
    barred: frozenset[Role],
    maker: _BodyMaker,
    now: datetime,
) -> Repair:
    """A leg that stands alone beside the other."""
    if view.in_flight or view.is_ahead:
        return Repair(requeue_after_s=0.5 if view.in_flight else None)
    if view.level is None or view.right is not None:
        why = "LegRemoved" if view.level is None else "Surplus"
        return Repair(tuple(Cancel(order.ref, why) for order in view.others))
    held = _held_back(plan, (view,), barred, now)
    if held is not None:
        return held
    body = maker.body(view)
    # An order keeps its state when it is amended, and its fills count for that one.
    own = len(view.others) == 1 and view.others[0].state_id == plan.state_id
    if lane.capabilities.amend and own:
        return Repair((Amend(view.others[0].ref, body),))
    replaces = tuple(order.ref for order in view.others)
    cancel_first = bool(replaces) and not lane.capabilities.create_then_cancel
    return Repair((Submit((body,), replaces, cancel_first),))


def _repair_locked(
    plan: Plan,
    views: tuple[LegView, ...],
    barred: frozenset[Role],
    maker: _BodyMaker,
    now: datetime,
) -> Repair:
    """Legs that share the same locked coins: all of them are right together, or all are redone."""
    if any(view.in_flight or view.is_ahead for view in views):
        return Repair(requeue_after_s=0.5)
    wanted = tuple(
        v for v in views if v.level is not None and not v.watched and v.role not in barred
    )
    surplus = tuple(order for v in views for order in v.others)
    unpaired = len(wanted) == len(LEGS) and len({v.right.pair_id for v in wanted if v.right}) > 1
    crossed = _crossed(views, barred)
    # Its level cannot be placed now: another one, or one for too little, is better than none.
    stop_stands = any(v.others for v in views if v.role is Role.STOP_LOSS and v.role in barred)
    if stop_stands or (all(v.right for v in wanted) and not surplus and not unpaired):
        again_s = watched_for_s(plan.attempts(Role.TAKE_PROFIT), now)
        return Repair(reasons=crossed, requeue_after_s=again_s or None)
    held = _held_back(plan, wanted, frozenset(), now)
    if held is not None:
        return held
    replaces = tuple(order.ref for v in views for order in v.orders)
    if not wanted:
        return Repair(tuple(Cancel(ref, "LegRemoved") for ref in replaces))
    bodies = tuple(maker.body(v) for v in wanted)
    return Repair((Submit(bodies, replaces, cancel_first=bool(replaces)),))


def _held_back(
    plan: Plan, views: tuple[LegView, ...], barred: frozenset[Role], now: datetime
) -> Repair | None:
    """Why these legs must not be sent now: crossed, or backing off after a reject."""
    crossed = _crossed(views, barred)
    if crossed:
        return Repair(reasons=crossed)
    delay = max((wait_s(_attempts(plan, view, views), now) for view in views), default=0.0)
    if delay > 0:
        reason = Reason("RepairRefused", f"refused by the venue; again in {delay:.1f} s")
        return Repair(reasons=(reason,), requeue_after_s=delay)
    return None


def _crossed(views: tuple[LegView, ...], barred: frozenset[Role]) -> tuple[Reason, ...]:
    text = ", ".join(f"{view.role} {view.level}" for view in views if view.role in barred)
    return (Reason("LevelCrossed", f"the price has passed {text}"),) if text else ()


def _attempts(plan: Plan, view: LegView, views: tuple[LegView, ...]) -> tuple[PastOrder, ...]:
    """What the next attempt at a leg is to learn from: a stop alone, nothing of refused pairs."""
    past = plan.attempts(view.role)
    if len(views) > 1:
        return past
    others = {o.updated_at for o in plan.orders if o.role in LEGS and o.role is not view.role}
    paired = [o for o in past if o.status is OrderStatus.REJECTED and o.updated_at in others]
    return tuple(order for order in past if order not in paired)


def _joined(parts: list[Repair]) -> Repair:
    return Repair(
        tuple(action for part in parts for action in part.actions),
        tuple(reason for part in parts for reason in part.reasons),
        min((p.requeue_after_s for p in parts if p.requeue_after_s is not None), default=None),
    )
