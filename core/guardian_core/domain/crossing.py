"""Rule 6: levels that the price has already passed.

Only a leg that does not stand can be crossed: one that works is the venue's to trigger.
"""

from datetime import datetime, timedelta

from guardian_core.domain.backoff import MAX_S, rejects
from guardian_core.domain.decision import SetTarget
from guardian_core.domain.errors import RejectReason
from guardian_core.domain.legs import LegView
from guardian_core.domain.money import ZERO
from guardian_core.domain.orders import Role
from guardian_core.domain.plan import OnCrossedStop, Plan, Policy, crossed_percent
from guardian_core.domain.snapshot import LaneSnapshot, LegsMode, Price

PRICE_AGE_MAX_MS = 2000
REFUSALS_THAT_PROVE = 2
"""So many refusals of the venue in a row outweigh a price that looks uncrossed: it judges by
another price (mark, index) than the one we were shown."""
REFUSAL_PROVES_FOR = timedelta(seconds=MAX_S)
"""Then the leg is tried again: the price may be back."""


def target(
    plan: Plan, lane: LaneSnapshot, views: tuple[LegView, ...], policy: Policy, now: datetime
) -> SetTarget | None:
    """What a crossed level makes of the desire: everything sold, or nothing changed."""
    for view in views:
        if not is_crossed(plan, lane, view, now):
            continue
        if view.role is Role.TAKE_PROFIT:
            return SetTarget(ZERO, "TakeProfitReached")
        if policy.on_crossed_stop is OnCrossedStop.CLOSE:
            return SetTarget(ZERO, "StopCrossed")
    return None


def barred(
    plan: Plan, lane: LaneSnapshot, views: tuple[LegView, ...], now: datetime
) -> frozenset[Role]:
    """Legs that cannot be placed now, because the venue would refuse or fire them at once."""
    return frozenset(view.role for view in views if is_crossed(plan, lane, view, now))


def is_crossed(plan: Plan, lane: LaneSnapshot, view: LegView, now: datetime) -> bool:
    stands = view.is_right and not view.watched
    if view.level is None or stands or view.in_flight or view.is_ahead:
        return False
    price = fresh(lane.price)
    shown = price is not None and (
        crossed_percent(plan.side, view.role, view.level, price.of(view.basis)) is not None
    )
    if shown or view.watched or _is_of_a_pair(plan, lane, view):
        return shown
    past = plan.attempts(view.role)
    refused = (
        bool(past)
        and past[-1].reject_reason is RejectReason.CROSSED
        and now - past[-1].updated_at < REFUSAL_PROVES_FOR
    )
    return refused and (price is None or rejects(past) >= REFUSALS_THAT_PROVE)


def _is_of_a_pair(plan: Plan, lane: LaneSnapshot, view: LegView) -> bool:
    """Whether a refusal says nothing of a take-profit: it may be its stop that was crossed."""
    pair = lane.capabilities.legs is LegsMode.PAIR and plan.stop_loss is not None
    return pair and view.role is Role.TAKE_PROFIT


def fresh(price: Price | None) -> Price | None:
    """The price, if its answer is recent enough to act on."""
    return price if price is not None and price.age_ms <= PRICE_AGE_MAX_MS else None
