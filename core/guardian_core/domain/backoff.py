"""Rule 7: how long to wait after the venue's definite rejects, while somebody is naked."""

from collections.abc import Sequence
from datetime import datetime

from guardian_core.domain.errors import RejectReason
from guardian_core.domain.orders import OrderStatus, Role
from guardian_core.domain.plan import PastOrder

FIRST_S = 0.5
MAX_S = 5.0
PAIR_MAX_S = 600.0
"""To try a refused pair again, the stop that stands alone has to go first."""

_COSTS_NOTHING = frozenset({RejectReason.NOT_SENT, RejectReason.DUPLICATE_ID})
"""Refusals that say nothing of the next try: it goes out at once."""

_PASSES = frozenset({RejectReason.RATE_LIMITED})
"""Refusals that say nothing of the order itself."""


def rejects(past: Sequence[PastOrder]) -> int:
    """Definite rejects in a row, newest backwards."""
    count = 0
    for order in reversed(past):
        if not _is_refusal(order):
            break
        count += 1
    return count


def watched_for_s(past: Sequence[PastOrder], now: datetime) -> float:
    """For how long yet the take-profit of a refused pair is only watched: 1, 2, 4, ... seconds by
    its attempt, PAIR_MAX_S at most. 0: it was not refused, or the pair may be tried again."""
    if not past or not _is_refusal(past[-1]) or past[-1].reject_reason in _PASSES:
        return 0.0
    pause_s = min(PAIR_MAX_S, float(2 ** min(past[-1].attempt - 1, 10)))
    return max(0.0, pause_s - (now - past[-1].updated_at).total_seconds())


def _is_refusal(order: PastOrder) -> bool:
    """An exit that was taken and ended without a fill is as good as refused."""
    if order.status is OrderStatus.REJECTED:
        return order.reject_reason not in _COSTS_NOTHING
    ended = order.role is Role.EXIT and order.status is OrderStatus.CANCELLED
    return ended and order.filled_quantity == 0


def wait_s(past: Sequence[PastOrder], now: datetime) -> float:
    """Seconds until the next attempt may go: 0.5, 1, 2, 4, then 5 after each reject."""
    count = rejects(past)
    if count == 0:
        return 0.0
    delay = min(MAX_S, FIRST_S * float(2 ** min(count - 1, 10)))
    waited = (now - past[-1].updated_at).total_seconds()
    return max(0.0, delay - waited)
