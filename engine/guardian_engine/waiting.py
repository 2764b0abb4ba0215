"""Entries that still wait for their first fill, and are not wanted any more."""

from guardian_core.domain.decision import Cancel
from guardian_core.domain.errors import Conflict
from guardian_core.domain.orders import Role
from guardian_core.protocol import DecisionRequest, Source
from guardian_core.storage.desires import Guarded
from guardian_engine.job import Job, Sight
from guardian_engine.verdict import Later

SOON_S = 0.5
AT_ONCE_S = 0.05


async def cancel_waiting(job: Job, sight: Sight, live: Guarded, why: str) -> Later:
    """Cancels them; what the venue made of it (a fill may have won) is looked at next time."""
    cancels = tuple(
        Cancel(order.ref, why)
        for order in sight.step.lane.orders
        if order.ours and order.role is Role.ENTRY and not order.in_flight
    )
    if not cancels:
        return Later(SOON_S, "the waiting entry is being looked up")
    request = DecisionRequest(
        state_id=live.plan.state_id,
        revision=live.plan.revision,
        source=Source.WEBHOOK,
        trace_id=job.webhook.trace_id,
        actions=cancels,
    )
    try:
        await job.tools.gateway.submit(job.account, job.symbol, request)
    except Conflict as conflict:
        return Later(SOON_S, str(conflict))
    return Later(AT_ONCE_S, "the waiting entry is being cancelled")
