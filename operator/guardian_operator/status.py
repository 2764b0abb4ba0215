"""What a TradingPosition and an ExchangeAccount show: pure, from rows and the latest pass.

`lastTransitionTime` moves only when a condition's status flips, and nothing tells when it was
looked at last, so that a status is the same for as long as nothing happens.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from guardian_core.cluster.resources import (
    Condition,
    ConditionStatus,
    ConditionType,
    ExchangeAccountStatus,
    TakeProfit,
    TradingPositionStatus,
)
from guardian_core.domain.decision import Coverage
from guardian_core.domain.money import ZERO
from guardian_core.domain.orders import Role
from guardian_core.domain.plan import StateStatus
from guardian_core.guarding import LaneReport
from guardian_core.storage.mirrors import ShownState

Body = dict[str, Any]

MESSAGE_MAX: Final = 500

_WITHOUT_POSITION: Final = frozenset({Coverage.FLAT, Coverage.DUST})


@dataclass(frozen=True, slots=True)
class Said:
    """One condition before it is known since when it holds."""

    status: ConditionStatus
    reason: str
    message: str = ""

    @property
    def holds(self) -> bool:
        return self.status is ConditionStatus.TRUE


def yes(reason: str, message: str = "") -> Said:
    return Said(ConditionStatus.TRUE, reason, message)


def no(reason: str, message: str = "") -> Said:
    return Said(ConditionStatus.FALSE, reason, message)


def unknown(reason: str, message: str = "") -> Said:
    return Said(ConditionStatus.UNKNOWN, reason, message)


IN_STEP: Final = yes("Synced", "the database says the same")


@dataclass(frozen=True, slots=True)
class Sight:
    """A state, and what the account's latest pass saw of it; `lane` is None when no recent pass
    did."""

    state: ShownState
    lane: LaneReport | None
    last_repair: datetime | None = None

    @property
    def coverage(self) -> Coverage:
        if not self.state.is_live:
            return Coverage.FLAT
        return self.lane.coverage if self.lane is not None else Coverage.UNKNOWN


def position_status(sight: Sight, synced: Said, generation: int, old: Body, now: datetime) -> Body:
    """The status of an object that shows a state."""
    state = sight.state
    protected = _protected(sight)
    said = {
        ConditionType.READY: _ready(sight, protected, synced),
        ConditionType.PROTECTED: protected,
        ConditionType.SYNCED: synced,
    }
    live = state.is_live
    shown = TradingPositionStatus(
        observed_generation=generation,
        conditions=conditions(said, generation, old, now),
        coverage=sight.coverage,
        quantity=state.quantity if live else ZERO,
        entry_price=state.entry_price,
        revision=state.revision,
        stop_loss_order=state.stop_loss_order_id if live else None,
        take_profit_order=state.take_profit_order_id if live else None,
        take_profit=_take_profit(sight) if live else None,
        realized_pnl=state.realized_pnl,
        repairs=state.repairs,
        last_repair=sight.last_repair.replace(microsecond=0) if sight.last_repair else None,
    )
    return _dumped(shown)


def stray_status(why: Said, generation: int, old: Body, now: datetime) -> Body:
    """The status of an object that shows no state: the reason, and nothing else."""
    said = {
        ConditionType.READY: why,
        ConditionType.PROTECTED: unknown(why.reason, why.message),
        ConditionType.SYNCED: why,
    }
    shown = TradingPositionStatus(
        observed_generation=generation, conditions=conditions(said, generation, old, now)
    )
    return _dumped(shown)


def account_status(
    ready: Said,
    reachable: Said,
    checked: Said,
    counts: tuple[int, int] | None,
    generation: int,
    old: Body,
    now: datetime,
) -> Body:
    """`counts`: open and naked positions; None where no recent pass tells, and what was told
    stays."""
    said = {
        ConditionType.READY: ready,
        ConditionType.REACHABLE: reachable,
        ConditionType.CHECKED: checked,
    }
    kept = (old.get("openPositions"), old.get("nakedPositions"))
    positions, naked = counts if counts is not None else kept
    shown = ExchangeAccountStatus(
        observed_generation=generation,
        conditions=conditions(said, generation, old, now),
        open_positions=positions,
        naked_positions=naked,
    )
    return _dumped(shown)


def conditions(
    said: Mapping[ConditionType, Said], generation: int, old: Body, now: datetime
) -> tuple[Condition, ...]:
    """One for each; since when it holds is taken over from the old status while it does."""
    before = {one.get("type"): one for one in old.get("conditions") or ()}
    return tuple(_condition(kind, s, before.get(kind), generation, now) for kind, s in said.items())


def changed(new: Body, old: Mapping[str, Any]) -> Body | None:
    """What to patch so that the old status becomes the new; None: nothing. A field that goes is
    sent as null."""
    if new == {name: value for name, value in old.items() if value is not None}:
        return None
    return new | {name: None for name in old if name not in new}


def told(old: Mapping[str, Any], kind: ConditionType) -> Mapping[str, Any]:
    """A condition as the object shows it; empty when it does not."""
    found: Iterable[Mapping[str, Any]] = old.get("conditions") or ()
    return next((one for one in found if one.get("type") == kind), {})


def _take_profit(sight: Sight) -> TakeProfit | None:
    """Of a live state: None where the latest pass did not see that somebody would sell."""
    if sight.lane is None or sight.coverage is Coverage.UNKNOWN:
        return None
    decision = sight.lane.last.decision
    if Role.TAKE_PROFIT in decision.watched:
        return TakeProfit.WATCHED
    wanted = sight.state.levels.take_profit is not None
    works = wanted and sight.state.take_profit_order_id is not None
    return TakeProfit.WORKING if works and Role.TAKE_PROFIT not in decision.missing else None


def _protected(sight: Sight) -> Said:
    coverage = sight.coverage
    why = _why(sight)
    if not sight.state.is_live:
        return no(_end(sight.state), "the position is over")
    if coverage is Coverage.UNKNOWN:
        return unknown("Unknown", why or "no recent pass has seen it")
    if coverage is Coverage.PROTECTED:
        return yes(coverage.value, "every desired leg works")
    if coverage in _WITHOUT_POSITION and sight.state.status is StateStatus.PENDING:
        return no("Waiting", "the entry is not filled yet")
    return no(coverage.value, why)


def _ready(sight: Sight, protected: Said, synced: Said) -> Said:
    """One word for those who ask for one: `helm --wait`, Argo CD, kstatus."""
    if not sight.state.is_live:
        return yes(_end(sight.state), "the position is over")
    if synced.status is ConditionStatus.FALSE:
        return synced
    return protected


def _end(state: ShownState) -> str:
    return "Released" if state.status is StateStatus.RELEASED else "Closed"


def _why(sight: Sight) -> str:
    if sight.lane is None:
        return ""
    decision = sight.lane.last.decision
    texts = [reason.message for reason in decision.reasons]
    texts += [f"{role.value} is missing" for role in decision.missing]
    return "; ".join(texts) or sight.lane.last.error


def _condition(
    kind: ConditionType, said: Said, old: Mapping[str, Any] | None, generation: int, now: datetime
) -> Condition:
    same = old is not None and old.get("status") == said.status.value
    since = old["lastTransitionTime"] if same and old is not None else now.replace(microsecond=0)
    return Condition(
        type=kind,
        status=said.status,
        reason=said.reason,
        message=said.message[:MESSAGE_MAX],
        last_transition_time=since,
        observed_generation=generation,
    )


def _dumped(shown: TradingPositionStatus | ExchangeAccountStatus) -> Body:
    return shown.model_dump(mode="json", by_alias=True, exclude_none=True)
