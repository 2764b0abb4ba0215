"""MAJ: a position's stop-loss and take-profit are moved. Fire and forget.

The desire is committed before anything is sent, so whatever is refused or lost afterwards is the
guardian's to repair. The engine rolls nothing back: the old levels are history once the new ones
are committed, though the old orders stand until the new ones work.
"""

from decimal import Decimal

from guardian_core.domain.flatness import working_entries
from guardian_core.domain.money import plain
from guardian_core.domain.plan import check_levels
from guardian_core.logs import Point
from guardian_core.ports import Tx
from guardian_core.storage.desires import Desire, Guarded, revise
from guardian_core.storage.mirrors import is_pinned
from guardian_engine.job import Job, Sight, failures
from guardian_engine.levels import Levels, check_against_price, moved
from guardian_engine.verdict import Later, Verdict, failed, processed

SOON_S = 0.5
PINNED = "the levels are pinned (levels: Pinned in the TradingPosition)"


async def update_sl_tp(job: Job) -> Verdict:
    """Carries out MAJ. Raises CallerError on levels that cannot be right."""
    if job.webhook.revision is not None:
        return await _carry_out(job)
    sight = await job.look()
    job.say(Point.POSITION_LOOKED_UP, sight.told)
    live = sight.live
    if live is None:
        unguarded = "; the open one is not ours" if sight.position else ""
        return processed(f"no guarded position here{unguarded}")
    if sight.is_unknown:
        return Later(SOON_S, sight.why)
    bar_time, newest = job.webhook.bar_time, live.desire_bar_time
    if bar_time is not None and newest is not None and bar_time < newest:
        return processed("superseded: a later bar has already set the levels")
    levels = moved(job.webhook, Desire.of(live.plan), job.policy)
    if levels == Levels(live.plan.stop_loss, live.plan.take_profit):
        return processed("the levels are already so")
    if await job.tools.database.run(lambda tx: is_pinned(tx, live.plan.state_id)):
        return processed(PINNED)
    verdict = _check(job, sight, live, levels)
    if verdict is None and not await _commit(job, live, levels):
        verdict = processed(PINNED)
    return verdict or await _carry_out(job)


def _check(job: Job, sight: Sight, live: Guarded, levels: Levels) -> Verdict | None:
    """Raises CallerError; a Verdict when the price to check against is not known now."""
    side = live.plan.side
    check_levels(side, levels.stop_loss, levels.take_profit)
    changed = Levels(
        levels.stop_loss if levels.stop_loss != live.plan.stop_loss else None,
        levels.take_profit if levels.take_profit != live.plan.take_profit else None,
    )
    if sight.position is None:
        # The entry still waits: its own price is the reference, not the market's.
        for entry in working_entries(sight.step.lane):
            if entry.price is not None:
                check_against_price(side, changed, entry.price, Decimal(0))
        return None
    if sight.price is None:
        return Later(SOON_S, "no recent price to check the levels against")
    check_against_price(side, changed, sight.price, job.policy.max_crossed_percent)
    return None


async def _commit(job: Job, live: Guarded, levels: Levels) -> bool:
    """False, and nothing is changed, where they were pinned since it was looked at."""
    told = f"SL {_told(levels.stop_loss)}, TP {_told(levels.take_profit)}"

    def commit(tx: Tx) -> bool:
        if is_pinned(tx, live.plan.state_id):
            return False
        revision = revise(
            tx,
            live.plan.state_id,
            live.plan.revision,
            Desire(levels.stop_loss, levels.take_profit, live.plan.target_quantity),
            trace_id=job.webhook.trace_id,
            bar_time=job.webhook.bar_time,
            target_reason=live.target_reason,
        )
        job.mark(tx, revision=revision, webhook_state_id=live.plan.state_id)
        job.note(tx, Point.STATE_UPDATED, told, live)
        return True

    if not await job.commit(commit):
        return False
    await job.tools.mirror.desire_changed(live.plan.state_id)
    job.say(Point.STATE_UPDATED, told)
    return True


async def _carry_out(job: Job) -> Verdict:
    steps = await job.settle(tries=2)
    problem = failures(steps)
    if problem:
        return failed(f"levels committed, but {problem}; the guardian goes on")
    return processed(f"levels moved, {steps[-1].decision.coverage.value}")


def _told(level: Decimal | None) -> str:
    return "none" if level is None else plain(level)
