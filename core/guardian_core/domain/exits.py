"""Exits: a target below the live quantity is sold down to, never below.

Attempt 1 of a revision fixes how much is sold in all; attempt n+1 sells at most what the ones
before it left unfilled, and right after a sale our fills count beside the venue's position. So a
position report that lags behind our own sale cannot sell twice. Where all of attempt 1 is sold and
the fills say with the report that more is there (an entry filled meanwhile), a new revision sells
it. What is left above the target and is less than the venue trades ends the exit.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from guardian_core.domain.backoff import wait_s
from guardian_core.domain.decision import Action, Change, ClearTarget, Reason, Reduce, SetTarget
from guardian_core.domain.money import ZERO, Instrument
from guardian_core.domain.orders import OrderBody, OrderType, Role, leg_order_id
from guardian_core.domain.plan import Plan
from guardian_core.domain.snapshot import LaneSnapshot, LegsMode, Position, WorkingOrder

SOLD_BUT_STILL_THERE = timedelta(seconds=10)
"""After this long the position is really above its target (an entry filled meanwhile); until
then its report may lag behind our own sale."""


@dataclass(frozen=True, slots=True)
class ExitStep:
    """`frees_legs`: the legs' coins are being freed for this exit, so no leg may be touched."""

    actions: tuple[Action, ...] = ()
    changes: tuple[Change, ...] = ()
    reasons: tuple[Reason, ...] = ()
    frees_legs: bool = False
    requeue_after_s: float | None = None


def step(
    plan: Plan, lane: LaneSnapshot, position: Position, instrument: Instrument, now: datetime
) -> ExitStep:
    """The next step toward the plan's target; nothing where there is none."""
    target = plan.target_quantity
    if target is None:
        return ExitStep()
    exit_orders = [o for o in lane.orders if o.ours and o.role is Role.EXIT]
    if exit_orders:
        reason = Reason("ExitWorks", "an exit is on its way")
        return ExitStep(reasons=(reason,), frees_legs=_locks(lane), requeue_after_s=0.5)
    price = lane.notional_price(plan.entry_price)
    excess = instrument.floor_quantity(max(position.quantity - target, ZERO))
    if not instrument.is_tradable(excess, price):
        return ExitStep(changes=(ClearTarget(),), requeue_after_s=0)
    if plan.attempts(Role.EXIT) and _has_grown(plan, target, excess):
        return ExitStep(changes=(SetTarget(target, "StillAboveTarget"),))
    left = min(_left_unfilled(plan, excess), _left_by_fills(plan, target, excess, now))
    quantity = instrument.floor_quantity(min(excess, left))
    if not instrument.is_tradable(quantity, price):
        return _sold_but_still_there(plan, now)
    delay = wait_s(plan.attempts(Role.EXIT), now)
    if delay > 0:
        reason = Reason("ExitRefused", "the venue refused the exit; it is tried again")
        return ExitStep(reasons=(reason,), requeue_after_s=delay)
    return _reduce(plan, lane, quantity)


def outlived(plan: Plan, entry: WorkingOrder) -> bool:
    """Whether an entry is older than an exit: its rest must not refill the position."""
    if plan.target_quantity is not None:
        return True
    exited = plan.last_exit_fill_at
    return exited is not None and entry.created_at is not None and entry.created_at <= exited


def _reduce(plan: Plan, lane: LaneSnapshot, quantity: Decimal) -> ExitStep:
    attempt = plan.next_attempt(Role.EXIT)
    body = OrderBody(
        client_order_id=leg_order_id(
            plan.installation, plan.state_id, Role.EXIT, plan.revision, attempt
        ),
        role=Role.EXIT,
        symbol=plan.symbol,
        side=plan.side.exit_side,
        type=OrderType.MARKET,
        quantity=quantity,
        revision=plan.revision,
        attempt=attempt,
        reduce_only=lane.capabilities.reports_positions,
    )
    frees = tuple(
        o.ref
        for o in lane.orders
        if _locks(lane) and o.ours and o.role is not None and o.role.is_leg and not o.in_flight
    )
    return ExitStep((Reduce(body, frees),), frees_legs=_locks(lane), requeue_after_s=0)


def _left_unfilled(plan: Plan, excess: Decimal) -> Decimal:
    past = plan.attempts(Role.EXIT)
    if not past:
        return excess
    return past[0].quantity - sum((order.filled_quantity for order in past), ZERO)


def _has_grown(plan: Plan, target: Decimal, excess: Decimal) -> bool:
    """Whether no report lags: all that was to be sold is, and our fills, which know each sale from
    its own answer, show the excess too."""
    sold_out = _left_unfilled(plan, excess) <= 0
    return sold_out and plan.held is not None and plan.held - target >= excess


def _left_by_fills(plan: Plan, target: Decimal, excess: Decimal, now: datetime) -> Decimal:
    """Also when a newer revision counts its attempts anew, nothing is sold twice."""
    exited = plan.last_exit_fill_at
    if plan.held is None or exited is None or now - exited >= SOLD_BUT_STILL_THERE:
        return excess
    return plan.held - target


def _sold_but_still_there(plan: Plan, now: datetime) -> ExitStep:
    ends = [order.updated_at for order in plan.attempts(Role.EXIT)]
    newest = max((at for at in (*ends, plan.last_exit_fill_at) if at is not None), default=now)
    if now - newest < SOLD_BUT_STILL_THERE:
        reason = Reason("ExitBooked", "sold; the venue's position does not show it yet")
        return ExitStep(reasons=(reason,), requeue_after_s=0.5)
    assert plan.target_quantity is not None
    return ExitStep(changes=(SetTarget(plan.target_quantity, "StillAboveTarget"),))


def _locks(lane: LaneSnapshot) -> bool:
    """Whether working legs hold the coins that an exit must sell."""
    return lane.capabilities.legs is not LegsMode.INDEPENDENT
