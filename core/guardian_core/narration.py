"""Tells what a pass did: the same lines go to the log and to the journal.

Operator's passes speak in points T7.2 to T7.4, the engine's in T3.2 to T3.5; transitions of a
state have names of their own. A step that found all well has no line.
"""

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime

from loguru import logger

from guardian_core.domain.decision import (
    Amend,
    Cancel,
    Change,
    ClearTarget,
    Close,
    Decision,
    FlatSeen,
    NakedSince,
    Observed,
    Reduce,
    Reopen,
    SetTarget,
    Submit,
)
from guardian_core.domain.money import plain
from guardian_core.domain.orders import OrderBody, Role
from guardian_core.domain.plan import Plan, StateStatus
from guardian_core.logs import Point
from guardian_core.ports import Tx
from guardian_core.protocol import (
    DecisionRequest,
    DecisionResult,
    Enter,
    OrderOutcome,
    OutcomeKind,
    Source,
)
from guardian_core.storage import journal
from guardian_core.storage.desires import Guarded


@dataclass(frozen=True, slots=True)
class Line:
    """`point`: a named point, or a transition's own word."""

    point: str
    level: str
    text: str


def change_lines(plan: Plan, decision: Decision, source: Source, now: datetime) -> list[Line]:
    """What the decision changes of the state itself."""
    lines = [_change_line(plan, change, decision, source, now) for change in decision.changes]
    return [line for line in lines if line is not None]


def _change_line(  # noqa: C901, PLR0911 - one case for each kind of change
    plan: Plan, change: Change, decision: Decision, source: Source, now: datetime
) -> Line | None:
    what = f"{plan.side.value} {plan.symbol}"
    match change:
        case Observed(quantity, entry_price):
            if plan.status is not StateStatus.PENDING:
                return None
            at = f" at {plain(entry_price)}" if entry_price is not None else ""
            return Line("opened", "INFO", f"position opened: {what} {plain(quantity)}{at}")
        case NakedSince(None):
            if source is not Source.GUARDIAN or plan.naked_since is None:
                return None
            return Line("protected", "INFO", f"{what} protected again{_after(plan, now)}")
        case NakedSince():
            # Right after an entry or a MAJ the engine is about to place the legs itself.
            if source is not Source.GUARDIAN or plan.status is StateStatus.PENDING:
                return None
            legs = " and ".join(role.value for role in decision.missing)
            return Line(Point.LEG_MISSING, "WARNING", f"{what}: {legs} missing")
        case FlatSeen(None):
            return None
        case FlatSeen():
            return Line("flat_seen", "WARNING", f"{what}: {decision.reasons[0].message}")
        case SetTarget(quantity, reason):
            return Line("target_set", "WARNING", f"{what}: reduce to {plain(quantity)} ({reason})")
        case ClearTarget():
            return Line("target_reached", "INFO", f"{what}: target reached")
        case Close(reason):
            return Line("closed", "INFO", f"{what} closed ({reason})")
        case Reopen():
            return Line("reopened", "WARNING", f"{what} is back on the venue, guarded again")


def result_lines(
    plan: Plan | None,
    request: DecisionRequest,
    result: DecisionResult,
    repaired: Container[Role],
    now: datetime,
) -> list[Line]:
    """What became of each order of a request."""
    tell = _guardian_line if request.source is Source.GUARDIAN else _engine_line
    lines = []
    for outcome in result.outcomes:
        action = request.actions[outcome.action]
        body = _body(action, outcome)
        if isinstance(action, Cancel) and outcome.outcome is OutcomeKind.ACCEPTED:
            text = f"order {action.order.venue_order_id} cancelled ({action.reason})"
            lines.append(Line("cancelled", "INFO", text))
        else:
            after = _after(plan, now) if plan else ""
            lines.append(tell(outcome, body, outcome.role in repaired, after))
    return lines


def failure_line(source: Source, error: str, *, lost_race: bool) -> Line:
    """A submit that nobody answered, or that came too late. `lost_race`: somebody else was first,
    as engine and guardian often are for one another when something moved."""
    if lost_race:
        return Line("outrun", "DEBUG", error)
    point = Point.REPAIR_FAILED if source is Source.GUARDIAN else "submit_failed"
    return Line(point, "WARNING", error)


def log(line: Line, trace_id: str | None, account: str, symbol: str) -> None:
    bound = logger.bind(point=str(line.point), trace_id=trace_id, account=account, symbol=symbol)
    bound.log(line.level, "{}", line.text)


def record(tx: Tx, line: Line, component: str, trace_id: str | None, guarded: Guarded) -> None:
    journal.record(
        tx,
        component,
        str(line.point),
        line.text,
        trace_id=trace_id,
        webhook_state_id=guarded.plan.state_id,
        account=guarded.account,
        symbol=guarded.plan.symbol,
    )


def _body(action: object, outcome: OrderOutcome) -> OrderBody | None:
    match action:
        case Submit(bodies=bodies):
            return next((b for b in bodies if b.role is outcome.role), None)
        case Amend(body=body) | Reduce(body=body) | Enter(body=body):
            return body
        case _:
            return None


def _guardian_line(
    outcome: OrderOutcome, body: OrderBody | None, repaired: bool, after: str
) -> Line:
    text = _outcome_text(outcome, body)
    if outcome.operation == "cancel":
        bad = outcome.outcome is not OutcomeKind.ACCEPTED
        return Line("replaced", "WARNING" if bad else "INFO", text)
    if outcome.outcome is not OutcomeKind.ACCEPTED:
        return Line(Point.REPAIR_FAILED, "ERROR", text)
    if repaired:
        return Line(Point.LEG_REPAIRED, "INFO", text + after)
    return Line("adjusted", "INFO", text)


_CREATED = {
    Role.STOP_LOSS: Point.NEW_STOP_LOSS.value,
    Role.TAKE_PROFIT: Point.NEW_TAKE_PROFIT.value,
    Role.ENTRY: "entry",
    Role.EXIT: "exit",
}
_REPLACED = {
    Role.STOP_LOSS: Point.OLD_STOP_LOSS.value,
    Role.TAKE_PROFIT: Point.OLD_TAKE_PROFIT.value,
}


def _engine_line(outcome: OrderOutcome, body: OrderBody | None, repaired: bool, after: str) -> Line:
    bad = outcome.outcome is not OutcomeKind.ACCEPTED
    text = _outcome_text(outcome, body)
    if outcome.operation == "cancel":
        point = _REPLACED.get(outcome.role, "cancelled") if outcome.role else "cancelled"
        return Line(point, "WARNING" if bad else "INFO", text)
    point = _CREATED[outcome.role] if outcome.role else "created"
    return Line(point, "ERROR" if bad else "INFO", text)


def _outcome_text(outcome: OrderOutcome, body: OrderBody | None) -> str:
    role = outcome.role.value if outcome.role else "order"
    if outcome.outcome is not OutcomeKind.ACCEPTED:
        why = outcome.reason.value if outcome.reason else outcome.outcome.value
        return f"{role} {outcome.operation} {why}: {outcome.message}".rstrip(": ")
    if outcome.operation == "cancel":
        return f"{role} order {outcome.venue_order_id} cancelled"
    where = ""
    if body is not None:
        level = body.trigger_price or body.price
        where = f" {body.side.value} {plain(body.quantity)}"
        where += f" at {plain(level)}" if level is not None else " at market"
    return f"{role} order {outcome.venue_order_id}{where}"


def _after(plan: Plan, now: datetime) -> str:
    if plan.naked_since is None:
        return ""
    return f" after {(now - plan.naked_since).total_seconds():.1f} s"
