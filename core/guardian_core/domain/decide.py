"""What to do about one lane: the index of the rules that keep a position protected.

Called by guarding (for engine and operator alike) with what the database desires and what the
venue reports; pure, so the same inputs always give the same decision.

1.  A snapshot older than 5 s, or with a failed section, gives Unknown and no action: a missing
    report is not "flat", a failed query is not "missing".
2.  Flat is believed when the lane's fills net to nothing, or 10 s after it was first seen; until
    then Unknown. Flat: our protective orders are cancelled, then the state is closed; not while
    an entry still works or is still to be sent. A position that comes back, and that the closed
    state's fills still account for, reopens it. (flatness)
3.  Each desired leg has exactly one working order: right side, trigger, basis, reduce-only, and
    100 % of the live position. (legs)
4.  A wrong leg is amended where the venue can; else its replacement is created before it is
    cancelled; cancel-first only where the venue can do neither. (legs)
5.  Orders of a revision above the plan's are left alone; foreign orders are never touched, and a
    foreign working stop is reported. (legs)
6.  A level that the price has passed, its leg not standing: a stop closes the position or
    alerts, as the policy says; a take-profit closes it. Only a price at most 2 s old, or the
    venue's own refusal, is evidence. (crossing)
7.  After definite rejects a leg backs off, at most 5 s; a position naked for longer than the
    policy allows gets target 0. (backoff, here)
8.  A protective fill or an exit cancels what still works of an older entry. A position on the
    other side is not ours to guard: our orders go, the state closes, old levels never apply;
    right after an entry filled, only when it is reported for 10 s.
9.  A rest below the venue's minimum is Dust: reported and closed. (flatness)
10. Deciding again on the result of an applied decision gives no actions.

An exit is a desire too: a target below the live quantity is sold down to, reduce-only, each
attempt at most what the one before left unfilled. (exits)
"""

from datetime import datetime, timedelta
from decimal import Decimal

from guardian_core.domain import crossing, exits, flatness, legs
from guardian_core.domain.decision import (
    Action,
    Cancel,
    Change,
    Close,
    Coverage,
    Decision,
    FlatSeen,
    NakedSince,
    Observed,
    Reason,
    SetTarget,
)
from guardian_core.domain.legs import LegView
from guardian_core.domain.money import ZERO, Instrument
from guardian_core.domain.orders import LEGS, Role
from guardian_core.domain.plan import Plan, Policy, StateStatus
from guardian_core.domain.snapshot import LaneSnapshot, Position

SNAPSHOT_AGE_MAX_S = 5.0
TARGET_GRACE = timedelta(seconds=5)
"""How long missing legs wait for a target to be reached before they are created all the same."""


def decide(plan: Plan | None, lane: LaneSnapshot, policy: Policy, now: datetime) -> Decision:
    """The decision for one lane. `plan` is the lane's live state, else its latest, else None."""
    unknown = _why_unknown(lane)
    if unknown:
        return Decision(Coverage.UNKNOWN, reasons=unknown)
    if plan is None or not plan.status.is_live:
        return flatness.decide_without_state(plan, lane, now)
    if plan.status is StateStatus.PENDING and not plan.entry_sent:
        return flatness.decide_unsent(plan, lane)
    if lane.position is None:
        return flatness.decide_flat(plan, lane, now)
    if lane.position.side is not plan.side:
        return _decide_turned(plan, lane, now)
    assert lane.instrument is not None
    return _decide_open(plan, lane, lane.position, lane.instrument, policy, now)


def _why_unknown(lane: LaneSnapshot) -> tuple[Reason, ...]:
    if lane.failures:
        return tuple(Reason("VenueUnavailable", text) for text in lane.failures)
    if lane.age_s > SNAPSHOT_AGE_MAX_S:
        return (Reason("StaleSnapshot", f"the snapshot is {lane.age_s:.1f} s old"),)
    if lane.position is not None and lane.instrument is None:
        return (Reason("InstrumentUnknown", f"no instrument for {lane.symbol} in the snapshot"),)
    return ()


def _decide_turned(plan: Plan, lane: LaneSnapshot, now: datetime) -> Decision:
    """Rule 8: the venue holds the other side; nothing of this plan may touch that position."""
    assert lane.position is not None
    reasons = (
        Reason("SideTurned", f"the venue reports a {lane.position.side}, the state a {plan.side}"),
    )
    if plan.status is StateStatus.PENDING:
        # Its entry filled, or may yet: for a while the report may be of the position before.
        if flatness.is_held(plan, lane):
            first_seen = plan.flat_seen_at
            if first_seen is None:
                seen = FlatSeen(now)
                return Decision(
                    Coverage.UNGUARDED,
                    changes=(seen,),
                    reasons=reasons,
                    requeue_after_s=flatness.SOON_S,
                )
            if now - first_seen < flatness.FLAT_BELIEVED_AFTER:
                return Decision(Coverage.UNGUARDED, reasons=reasons)
        elif plan.entry_working:
            return Decision(Coverage.UNGUARDED, reasons=reasons)
    own = tuple(o for o in lane.orders if o.ours and o.role is not None)
    cancels = tuple(Cancel(o.ref, "SideTurned") for o in own if not o.in_flight)
    if own:
        soon_s = 0 if cancels else flatness.SOON_S
        return Decision(Coverage.UNGUARDED, cancels, reasons=reasons, requeue_after_s=soon_s)
    incomplete = plan.net_filled != ZERO
    return Decision(Coverage.UNGUARDED, changes=(Close("SideTurned", incomplete),), reasons=reasons)


def _decide_open(
    plan: Plan,
    lane: LaneSnapshot,
    position: Position,
    instrument: Instrument,
    policy: Policy,
    now: datetime,
) -> Decision:
    views = tuple(legs.view(plan, role, lane, instrument, policy, now) for role in LEGS)
    dust = flatness.decide_dust(plan, lane, instrument, views)
    if dust is not None:
        return dust
    changes = _observations(plan, position, views, now)
    reasons = legs.foreign_stops(lane, plan)

    if plan.target_quantity is None:
        target = crossing.target(plan, lane, views, policy, now) or _unprotected_target(
            plan, views, policy, now
        )
        if target is not None:
            return _finish(plan, views, (), (*changes, target), reasons, requeue_after_s=0)

    exit_step = exits.step(plan, lane, position, instrument, now)
    actions: tuple[Action, ...] = (*_entry_cancels(plan, lane), *exit_step.actions)
    waiting = plan.target_quantity is not None and now - plan.revised_at < TARGET_GRACE
    repair = legs.Repair()
    if not exit_step.frees_legs and not waiting:
        barred = crossing.barred(plan, lane, views, now)
        repair = legs.repair(plan, lane, position, instrument, policy, views, barred, now)
    return _finish(
        plan,
        views,
        (*actions, *repair.actions),
        (*changes, *exit_step.changes),
        (*reasons, *exit_step.reasons, *repair.reasons),
        requeue_after_s=_soonest(exit_step.requeue_after_s, repair.requeue_after_s),
    )


def _finish(
    plan: Plan,
    views: tuple[LegView, ...],
    actions: tuple[Action, ...],
    changes: tuple[Change, ...],
    reasons: tuple[Reason, ...],
    requeue_after_s: float | None,
) -> Decision:
    return Decision(
        coverage=legs.coverage(views),
        actions=actions,
        changes=changes,
        reasons=reasons,
        missing=tuple(view.role for view in views if view.is_missing),
        watched=tuple(view.role for view in views if view.is_watched),
        requeue_after_s=requeue_after_s,
    )


def _observations(
    plan: Plan, position: Position, views: tuple[LegView, ...], now: datetime
) -> tuple[Change, ...]:
    """What the state's row should say of the venue, where it says something else."""
    changes: list[Change] = []
    ids = {view.role: view.order_id(plan) for view in views}
    seen = Observed(
        quantity=position.quantity,
        entry_price=position.entry_price or plan.entry_price,
        stop_loss_order_id=ids[Role.STOP_LOSS],
        take_profit_order_id=ids[Role.TAKE_PROFIT],
    )
    stored = Observed(
        quantity=plan.quantity or ZERO,
        entry_price=plan.entry_price,
        stop_loss_order_id=plan.stop_loss_order_id,
        take_profit_order_id=plan.take_profit_order_id,
    )
    if seen != stored or plan.status is StateStatus.PENDING:
        changes.append(seen)
    missing = any(view.is_missing for view in views)
    settled = all(not view.in_flight for view in views)
    if missing and plan.naked_since is None:
        changes.append(NakedSince(now))
    elif not missing and settled and plan.naked_since is not None:
        changes.append(NakedSince(None))
    if plan.flat_seen_at is not None:
        changes.append(FlatSeen(None))
    return tuple(changes)


def _unprotected_target(
    plan: Plan, views: tuple[LegView, ...], policy: Policy, now: datetime
) -> SetTarget | None:
    """Rule 7's end: naked for longer than the policy bears."""
    naked = plan.naked_since
    if policy.max_unprotected_s is None or naked is None or all(v.is_right for v in views):
        return None
    if not any(view.is_missing for view in views):
        return None
    if (now - naked).total_seconds() < policy.max_unprotected_s:
        return None
    return SetTarget(Decimal(0), "MaxUnprotected")


def _entry_cancels(plan: Plan, lane: LaneSnapshot) -> tuple[Cancel, ...]:
    """Rule 8: whatever of an older entry still works must not refill an exited position."""
    return tuple(
        Cancel(order.ref, "ExitFirst")
        for order in flatness.working_entries(lane)
        if not order.in_flight and exits.outlived(plan, order)
    )


def _soonest(*delays: float | None) -> float | None:
    return min((delay for delay in delays if delay is not None), default=None)
