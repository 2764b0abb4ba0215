"""Rules 2 and 9: when a lane is flat, when its state is over, and what is too small to guard."""

from datetime import datetime, timedelta

from guardian_core.domain import exits
from guardian_core.domain.decision import (
    UNEXPLAINED,
    Cancel,
    Close,
    Coverage,
    Decision,
    FlatSeen,
    Reason,
    Reopen,
)
from guardian_core.domain.legs import LegView
from guardian_core.domain.money import ZERO, Instrument
from guardian_core.domain.orders import Role
from guardian_core.domain.plan import Plan, StateStatus
from guardian_core.domain.snapshot import LaneSnapshot, WorkingOrder

FLAT_BELIEVED_AFTER = timedelta(seconds=10)
REOPEN_WITHIN = timedelta(hours=1)
SOON_S = 0.5


def decide_without_state(plan: Plan | None, lane: LaneSnapshot, now: datetime) -> Decision:
    """A lane with no live state: leftovers of a closed one, or a position that is not ours."""
    over = plan is not None and plan.status is StateStatus.CLOSED
    leftovers = (*_sweep(lane), *_orphans(lane)) if over else ()
    if lane.position is None:
        return Decision(Coverage.FLAT, leftovers)
    if _is_dust(plan, lane):
        return Decision(Coverage.DUST, leftovers, reasons=(_below_minimum(lane),))
    if plan is not None and _comes_back(plan, lane, now):
        return Decision(Coverage.UNKNOWN, changes=(Reopen(),), requeue_after_s=0)
    reason = Reason("NoDesire", f"a {lane.position.side} that no alert of ours opened")
    if plan is not None and lane.position.side is plan.side and is_held(plan, lane):
        leftovers = ()  # it may be ours, after so long that nobody can tell
    return Decision(Coverage.UNGUARDED, leftovers, reasons=(reason,))


def decide_unsent(plan: Plan, lane: LaneSnapshot) -> Decision:
    """A state whose entry has not left: whatever the venue reports is not its position."""
    there = Coverage.FLAT if lane.position is None else Coverage.UNGUARDED
    if plan.entry_due:
        return Decision(there, reasons=(Reason("EntryNotSent", "the entry is not sent yet"),))
    return Decision(there, changes=(Close("EntryNeverSent"),))


def decide_flat(plan: Plan, lane: LaneSnapshot, now: datetime) -> Decision:
    """A live state, and a venue that reports no position."""
    filled = plan.net_filled is not None and _is_filled(plan, lane)
    entries = working_entries(lane)
    unfilled = plan.status is StateStatus.PENDING and not filled
    if unfilled and (entries or plan.entry_working):
        return Decision(Coverage.FLAT, reasons=(Reason("EntryWorks", "the entry still works"),))
    own = tuple(o for o in lane.orders if o.ours and o.role is not Role.ENTRY)
    if any(order.in_flight for order in own):
        reason = Reason("InFlight", "an order of ours is being looked up")
        return Decision(Coverage.UNKNOWN, reasons=(reason,), requeue_after_s=SOON_S)
    explained = unfilled or (plan.net_filled is not None and not filled)
    if not explained:
        waiting = _wait_for_flat(plan, now)
        if waiting is not None:
            return waiting
    outlived = [o for o in entries if exits.outlived(plan, o) and not o.in_flight]
    if outlived:
        cancels = tuple(Cancel(order.ref, "ExitFirst") for order in outlived)
        return Decision(Coverage.FLAT, cancels, requeue_after_s=0)
    if entries:
        return Decision(Coverage.FLAT, reasons=(Reason("EntryWorks", "an entry still works"),))
    sweep = _sweep(lane)
    if sweep:
        return Decision(Coverage.FLAT, sweep, requeue_after_s=0)
    if unfilled:
        return Decision(Coverage.FLAT, changes=(Close("EntryNotFilled"),))
    close = Close("Flat" if explained else UNEXPLAINED, incomplete=not explained)
    return Decision(Coverage.FLAT, changes=(close,))


def decide_dust(
    plan: Plan, lane: LaneSnapshot, instrument: Instrument, views: tuple[LegView, ...]
) -> Decision | None:
    """Rule 9. On spot the notional counts too, but not while a right leg works, unless all of
    it is to be sold."""
    kept = plan.target_quantity != ZERO and any(view.is_right for view in views)
    if instrument.is_tradable(lane.live_quantity, None) if kept else not _is_dust(plan, lane):
        return None
    reason = _below_minimum(lane)
    unsettled = any(order.ours and order.in_flight for order in lane.orders)
    if unsettled or plan.entry_working or working_entries(lane):
        return Decision(Coverage.DUST, reasons=(reason,))
    sweep = _sweep(lane)
    if sweep:
        return Decision(Coverage.DUST, sweep, reasons=(reason,), requeue_after_s=0)
    return Decision(Coverage.DUST, changes=(Close("Dust"),), reasons=(reason,))


def working_entries(lane: LaneSnapshot) -> tuple[WorkingOrder, ...]:
    return tuple(o for o in lane.orders if o.ours and o.role is Role.ENTRY)


def is_held(plan: Plan, lane: LaneSnapshot) -> bool:
    """Whether our fills left a position on the plan's own side."""
    return plan.held is not None and plan.held > 0 and _is_filled(plan, lane)


def _is_dust(plan: Plan | None, lane: LaneSnapshot) -> bool:
    assert lane.instrument is not None
    price = lane.notional_price(plan.entry_price if plan else None)
    return not lane.instrument.is_tradable(lane.live_quantity, price)


def _below_minimum(lane: LaneSnapshot) -> Reason:
    text = f"{lane.live_quantity} {lane.symbol} is less than the venue trades"
    return Reason("BelowMinimum", text)


def _orphans(lane: LaneSnapshot) -> tuple[Cancel, ...]:
    """Cancels of entries whose state is over: a fill would open what nobody wants any more."""
    return tuple(
        Cancel(order.ref, "EntryOrphaned") for order in working_entries(lane) if not order.in_flight
    )


def _sweep(lane: LaneSnapshot) -> tuple[Cancel, ...]:
    """Cancels of every order of ours that only made sense beside a position."""
    return tuple(
        Cancel(order.ref, "PositionClosed")
        for order in lane.orders
        if order.ours and order.role is not Role.ENTRY and not order.in_flight
    )


def _wait_for_flat(plan: Plan, now: datetime) -> Decision | None:
    """Unknown until an unexplained flat has been seen for long enough."""
    reason = Reason("FlatNotBelieved", "the venue says flat, our fills do not")
    if plan.flat_seen_at is None:
        return Decision(
            Coverage.UNKNOWN, changes=(FlatSeen(now),), reasons=(reason,), requeue_after_s=SOON_S
        )
    if now - plan.flat_seen_at < FLAT_BELIEVED_AFTER:
        return Decision(Coverage.UNKNOWN, reasons=(reason,))
    return None


def _is_filled(plan: Plan, lane: LaneSnapshot) -> bool:
    """Whether our fills leave more than the venue's smallest step."""
    assert plan.net_filled is not None
    step = lane.instrument.step if lane.instrument else None
    return abs(plan.net_filled) >= step if step is not None else plan.net_filled != 0


def _comes_back(plan: Plan, lane: LaneSnapshot, now: datetime) -> bool:
    """Only fills bring a closed state back: a position opened by hand later must never inherit
    its old levels. On spot, coins that were gone and turn up again may be anybody's."""
    assert lane.position is not None
    assert lane.instrument is not None
    recent = plan.closed_at is not None and now - plan.closed_at < REOPEN_WITHIN
    if plan.status is not StateStatus.CLOSED or not recent:
        return False
    if plan.closed_unexplained and not lane.capabilities.reports_positions:
        return False
    if lane.position.side is not plan.side or not is_held(plan, lane):
        return False
    return plan.held is not None and lane.instrument.is_tradable(plan.held, None)
