"""The pass: gather what is, decide what should change, submit it. For engine and operator alike.

A pass is repeated while it acts, so that it ends by reading back what it did; what it could not
finish is the next pass's work. Everything it does is fenced by the gateway and by the desire's
revision: two passes at once, or an old one finishing late, do no harm.

Lanes do not share their misfortunes: what goes wrong on one is that lane's step, and the others
go on.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import compress

from loguru import logger

from guardian_core import narration
from guardian_core.domain.decide import decide
from guardian_core.domain.decision import ClearTarget, Coverage, Decision, Reason, SetTarget
from guardian_core.domain.errors import Conflict, GuardianError, Unavailable
from guardian_core.domain.orders import OrderStatus, Role
from guardian_core.domain.plan import Plan, Policy, StateStatus
from guardian_core.domain.snapshot import AccountSnapshot, LaneSnapshot, lane_of
from guardian_core.ports import Clock, Database, GatewayClient, Mirror, Tx
from guardian_core.protocol import (
    DecisionRequest,
    DecisionResult,
    OrderOutcome,
    OutcomeKind,
    Source,
)
from guardian_core.repeats import Repeats
from guardian_core.storage.desires import (
    Guarded,
    apply_changes,
    latest_states,
    live_states,
    note_repair,
)

ROUNDS_MAX = 5
"""Enough for: set a target, sell, read back, place what is left, read back."""

RETRY_S = 0.5
"""How soon at most a lane is looked at again on which something did not go through."""

ACTIONS_MAX = 32
"""Of one request; the rest follows in the next round."""

UNTRACED = "0" * 32

_IN_FLIGHT = frozenset({"in_flight", "resolving"})
"""Conflicts that only time ends."""


@dataclass(frozen=True, slots=True)
class Step:
    """One round on one lane: what was seen, decided, and answered."""

    guarded: Guarded | None
    lane: LaneSnapshot
    decision: Decision
    result: DecisionResult | None = None
    error: str = ""
    lost_race: bool = False

    @property
    def acted(self) -> bool:
        return bool(self.decision.actions or self.decision.changes)

    @property
    def repaired(self) -> tuple[Role, ...]:
        """Legs that were missing, or refused when last tried, before this step and work after
        it; an opening position's first legs are no repair."""
        if self.guarded is None or self.guarded.plan.status is StateStatus.PENDING:
            return ()
        plan = self.guarded.plan
        outcomes = self.result.outcomes if self.result else ()
        return tuple(
            o.role
            for o in outcomes
            if o.role is not None
            and (o.role in self.decision.missing or _was_refused(plan, o.role))
            and o.operation == "create"
            and o.outcome is OutcomeKind.ACCEPTED
            and not o.replayed
        )

    @property
    def failed(self) -> tuple[OrderOutcome, ...]:
        """Creates and amends that are not surely accepted."""
        return self.result.failed() if self.result else ()

    @property
    def went_through(self) -> bool:
        """Whether all that was asked for was done."""
        outcomes = self.result.outcomes if self.result else ()
        return not self.error and all(o.outcome is OutcomeKind.ACCEPTED for o in outcomes)

    @property
    def wants_another_round(self) -> bool:
        """Whether looking again at once can get further."""
        if self.lost_race or not self.went_through:
            return self.lost_race
        return bool(self.decision.actions) or self.decision.requeue_after_s == 0

    @property
    def requeue_after_s(self) -> float | None:
        """When to look again. What did not go through is never tried again without a pause."""
        wish_s = self.decision.requeue_after_s
        if self.went_through:
            return wish_s
        # A refused create has a back-off of its own, which the next decision tells.
        refused = any(o.operation == "create" for o in self.failed)
        return max(wish_s or 0, RETRY_S) if wish_s is not None or refused else None


@dataclass(frozen=True, slots=True)
class LaneReport:
    """What a pass did on one lane, oldest step first."""

    symbol: str
    steps: tuple[Step, ...]

    @property
    def last(self) -> Step:
        return self.steps[-1]

    @property
    def coverage(self) -> Coverage:
        return self.last.decision.coverage


@dataclass(frozen=True, slots=True)
class PassReport:
    """What a pass did on one account."""

    account: str
    lanes: Mapping[str, LaneReport] = field(default_factory=dict)

    @property
    def requeue_after_s(self) -> float | None:
        """The soonest that any lane wants to be looked at again."""
        wishes = [report.last.requeue_after_s for report in self.lanes.values()]
        return min((wish for wish in wishes if wish is not None), default=None)


class Guarding:
    """Runs passes for one service. `source` marks the orders it causes."""

    def __init__(
        self,
        database: Database,
        gateway: GatewayClient,
        clock: Clock,
        *,
        installation: str,
        source: Source,
        mirror: Mirror,
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._clock = clock
        self._installation = installation
        self._source = source
        self._mirror = mirror
        self._repeats = Repeats(clock)

    async def run_pass(
        self, account: str, policy: Policy, symbol: str | None = None, trace_id: str | None = None
    ) -> PassReport:
        """One pass over an account, or over one of its lanes.

        Raises Unavailable when the gateway or the database does not answer.
        """
        steps: dict[str, list[Step]] = {}
        symbols: frozenset[str] | None = None
        for _ in range(ROUNDS_MAX):
            round_steps = await self._round(account, policy, symbol, symbols, trace_id)
            for name, step in round_steps.items():
                steps.setdefault(name, []).append(step)
            symbols = frozenset(n for n, step in round_steps.items() if step.wants_another_round)
            if not symbols:
                break
        reports = {name: LaneReport(name, tuple(done)) for name, done in steps.items()}
        return PassReport(account, reports)

    async def _round(
        self,
        account: str,
        policy: Policy,
        symbol: str | None,
        only: frozenset[str] | None,
        trace_id: str | None,
    ) -> dict[str, Step]:
        started_s = self._clock.monotonic()
        snapshot = await self._gateway.snapshot(account, symbol)
        states, now = await self._database.run(
            lambda tx: (self._states(tx, account, symbol, snapshot), tx.now())
        )
        elapsed_s = self._clock.monotonic() - started_s
        decided = {
            name: _decided(guarded, lane_of(snapshot, name, elapsed_s), policy, now)
            for name, guarded in states.items()
            if only is None or name in only
        }
        done = await asyncio.gather(
            *(self._carry_out(account, step, trace_id) for step in decided.values())
        )
        return dict(zip(decided, done, strict=True))

    def _states(
        self, tx: Tx, account: str, symbol: str | None, snapshot: AccountSnapshot
    ) -> dict[str, Guarded | None]:
        """The state of every lane concerned: live ones, and what the venue shows besides."""
        live = live_states(tx, account, self._installation)
        shown = {p.symbol for p in snapshot.positions}
        shown |= {o.ref.symbol for o in snapshot.orders if o.ours}
        others = sorted((shown | {symbol} if symbol else shown) - live.keys())
        latest = latest_states(tx, account, others, self._installation)
        found: dict[str, Guarded | None] = {**live, **{name: latest.get(name) for name in others}}
        return {n: g for n, g in sorted(found.items()) if symbol is None or n == symbol}

    async def _carry_out(self, account: str, step: Step, trace_id: str | None) -> Step:
        """Never raises for what goes wrong on this lane."""
        trace = trace_id or (step.guarded.trace_id if step.guarded else UNTRACED)
        try:
            if step.decision.changes and step.guarded is not None:
                await self._apply(step.guarded, step.decision, trace)
            if not step.decision.actions:
                return step
            return await self._submit(account, step, trace)
        except Conflict as conflict:
            error, lost_race = str(conflict), conflict.code not in _IN_FLIGHT
        except GuardianError as failure:
            error, lost_race = str(failure), False
        except Exception as mistake:
            logger.bind(trace_id=trace).exception("a mistake on lane {}", step.lane.symbol)
            error, lost_race = f"internal error: {type(mistake).__name__}", False
        line = narration.failure_line(self._source, error, lost_race=lost_race)
        narration.log(line, trace, account, step.lane.symbol)
        return replace(step, error=error, lost_race=lost_race)

    async def _apply(self, guarded: Guarded, decision: Decision, trace: str) -> None:
        """Writes the decision's changes of the state. Raises Conflict when the desire moved on."""

        def write(tx: Tx) -> list[narration.Line]:
            apply_changes(tx, guarded, decision.changes)
            lines = narration.change_lines(guarded.plan, decision, self._source, tx.now())
            for line in lines:
                narration.record(tx, line, self._source, trace, guarded)
            return lines

        for line in await self._database.run(write):
            narration.log(line, trace, guarded.account, guarded.plan.symbol)
        if any(isinstance(change, SetTarget | ClearTarget) for change in decision.changes):
            await self._mirror.desire_changed(guarded.plan.state_id)

    async def _submit(self, account: str, step: Step, trace: str) -> Step:
        guarded, symbol = step.guarded, step.lane.symbol
        request = DecisionRequest(
            state_id=guarded.plan.state_id if guarded and guarded.plan.status.is_live else None,
            revision=guarded.plan.revision if guarded else 0,
            source=self._source,
            trace_id=trace,
            actions=step.decision.actions[:ACTIONS_MAX],
        )
        step = replace(step, result=await self._gateway.submit(account, symbol, request))
        try:
            await self._tell(account, step, request, trace)
        except Unavailable as error:
            logger.bind(trace_id=trace).warning("what became of orders is not told: {}", error)
        return step

    async def _tell(
        self,
        account: str,
        step: Step,
        request: DecisionRequest,
        trace: str,
    ) -> None:
        """Logs what became of each order, journals it where it is news, and counts a repair."""
        guarded, result = step.guarded, step.result
        assert result is not None
        plan = guarded.plan if guarded else None
        news = [
            self._repeats.is_news((trace, step.lane.symbol), outcome) for outcome in result.outcomes
        ]

        def write(tx: Tx) -> list[narration.Line]:
            lines = narration.result_lines(plan, request, result, step.repaired, tx.now())
            if guarded is not None:
                for line in compress(lines, news):
                    narration.record(tx, line, self._source, trace, guarded)
                if self._source is Source.GUARDIAN and step.repaired:
                    note_repair(tx, guarded.plan.state_id)
            return lines

        for line in await self._database.run(write):
            narration.log(line, trace, account, step.lane.symbol)


def _was_refused(plan: Plan, role: Role) -> bool:
    """Whether the leg's last attempt under this desire failed; an older order may still stand."""
    attempts = plan.attempts(role)
    return bool(attempts) and attempts[-1].status is OrderStatus.REJECTED


def _decided(guarded: Guarded | None, lane: LaneSnapshot, policy: Policy, now: datetime) -> Step:
    plan = guarded.plan if guarded else None
    try:
        return Step(guarded, lane, decide(plan, lane, policy, now))
    except Exception as error:
        # One lane that our rules cannot cope with must not leave all the others unguarded.
        logger.exception("a mistake on lane {}", lane.symbol)
        reason = Reason("InternalError", f"{type(error).__name__}: {error}")
        return Step(guarded, lane, Decision(Coverage.UNKNOWN, reasons=(reason,)))
