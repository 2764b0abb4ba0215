"""Exits: a durable target first, then a pass that sells down to it.

Whoever passes next carries the target out, so an engine that dies after the commit loses nothing.
"""

from dataclasses import replace
from decimal import Decimal

from guardian_core.domain.decision import Coverage
from guardian_core.domain.money import plain
from guardian_core.domain.sizing import exit_target
from guardian_core.guarding import Step
from guardian_core.logs import Point
from guardian_core.ports import Tx
from guardian_core.storage.desires import Desire, Guarded, revise
from guardian_engine.job import Job, Sight, failures
from guardian_engine.verdict import Later, Verdict, failed, processed
from guardian_engine.waiting import cancel_waiting

SOON_S = 0.5


async def close(job: Job) -> Verdict:
    """Carries out Close: PourCent % of whatever is open; never opens."""
    if job.webhook.revision is not None:
        return await _carry_out(job)
    sight = await job.look()
    job.say(Point.POSITION_LOOKED_UP, sight.told)
    if sight.is_unknown:
        return Later(SOON_S, sight.why)
    if sight.is_unguarded:
        return failed("a position is open that no alert of ours opened: adopt it first")
    live = sight.live
    if live is None:
        return processed("nothing is open")
    return await close_part(job, sight, live)


async def close_part(job: Job, sight: Sight, live: Guarded) -> Verdict:
    """Commits the target that PourCent leaves of an open position, and carries it out.

    Raises CallerError on a part too small to sell.
    """
    if job.webhook.revision is not None:
        return await _carry_out(job)
    position, instrument = sight.position, sight.step.lane.instrument
    if position is None:
        return await cancel_waiting(job, sight, live, "Close")
    if instrument is None:
        return Later(SOON_S, "the venue's answer is not complete")
    already = live.plan.target_quantity
    base = position.quantity if already is None else min(position.quantity, already)
    if base <= 0:
        return processed("an exit of all of it is already under way")
    percent = job.webhook.pour_cent if job.webhook.pour_cent is not None else Decimal(100)
    price = sight.step.lane.notional_price(live.plan.entry_price)
    target = exit_target(base, percent, instrument, price)

    def commit(tx: Tx) -> None:
        wish = replace(Desire.of(live.plan), target_quantity=target)
        revision = revise(
            tx,
            live.plan.state_id,
            live.plan.revision,
            wish,
            trace_id=job.webhook.trace_id,
            target_reason=job.webhook.action or "",
        )
        job.mark(tx, revision=revision, webhook_state_id=live.plan.state_id)
        job.note(tx, Point.STATE_UPDATED, f"target {plain(target)}", live)

    await job.commit(commit)
    await job.tools.mirror.desire_changed(live.plan.state_id)
    job.say(Point.STATE_UPDATED, f"target {plain(target)} of {plain(position.quantity)}")
    return await _carry_out(job)


async def _carry_out(job: Job) -> Verdict:
    """Passes until the target is reached; what is refused now, the guardian goes on with."""
    steps = await job.settle(until=_is_carried_out)
    problem = failures(steps)
    if problem:
        return failed(f"exit committed, but {problem}; the guardian goes on")
    coverage = steps[-1].decision.coverage
    if coverage is Coverage.FLAT:
        return processed("closed")
    return processed(f"reduced, {coverage.value}")


def _is_carried_out(step: Step) -> bool:
    flat = step.decision.coverage is Coverage.FLAT
    return flat or step.guarded is None or step.guarded.plan.target_quantity is None
