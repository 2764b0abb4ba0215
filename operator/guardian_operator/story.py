"""The Events of a position, from what a pass did and from how its row changed.

An object may be made a moment after the thing that there is to tell of it: that waits for it.
"""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from guardian_core.cluster.resources import ConditionType
from guardian_core.domain.decision import NakedSince
from guardian_core.domain.money import plain
from guardian_core.domain.plan import StateStatus
from guardian_core.guarding import LaneReport, Step
from guardian_core.storage.mirrors import ShownState
from guardian_operator.edits import difference, told
from guardian_operator.events import Reason, Recorder
from guardian_operator.shelf import Shelf
from guardian_operator.status import told as condition

Body = dict[str, Any]

WAITING_MAX: Final = 20
_OVER: Final = frozenset({"Closed", "Released"})


class Story:
    """Tells each transition once."""

    def __init__(self, recorder: Recorder, shelf: Shelf) -> None:
        self._recorder = recorder
        self._shelf = shelf
        self._waiting: dict[str, list[tuple[Reason, str]]] = {}
        self._merged: set[tuple[UUID, int]] = set()
        self._failing: set[UUID] = set()

    def merged(self, state_id: UUID, revision: int) -> None:
        """This revision's levels are an edit's, of which was told already."""
        self._merged.add((state_id, revision))

    def not_merged(self, state_id: UUID, revision: int) -> None:
        self._merged.discard((state_id, revision))

    def of_lane(self, lane: LaneReport, names: Mapping[UUID, str]) -> None:
        """What a pass found missing and put back."""
        for step in lane.steps:
            if step.guarded is None:
                continue
            state_id = step.guarded.plan.state_id
            name = names.get(state_id)
            if name is not None:
                self._of_step(name, state_id, step)

    def _of_step(self, name: str, state_id: UUID, step: Step) -> None:
        plan = step.guarded.plan if step.guarded is not None else None
        naked = any(isinstance(c, NakedSince) and c.at is not None for c in step.decision.changes)
        if naked and plan is not None and plan.status is not StateStatus.PENDING:
            legs = " and ".join(role.value for role in step.decision.missing)
            self._tell(name, Reason.LEG_MISSING, f"{legs} missing")
        if step.repaired:
            legs = " and ".join(role.value for role in step.repaired)
            self._tell(name, Reason.REPAIRED, f"{legs} put back")
        if step.failed and state_id not in self._failing:
            self._failing.add(state_id)
            texts = [f"{o.role.value if o.role else 'order'}: {o.message}" for o in step.failed]
            self._tell(name, Reason.REPAIR_FAILED, "; ".join(texts))
        elif not step.failed and not step.decision.missing:
            self._failing.discard(state_id)

    def of_row(self, name: str, old: ShownState | None, new: ShownState) -> None:
        """How a state's row changed since it was read last. Seen for the first time, it is
        compared with what its object shows."""
        was_open = old.opened_at is not None if old is not None else self._shows(name, "quantity")
        was_over = not old.is_live if old is not None else self._shows_over(name)
        if new.opened_at is not None and not was_open and new.is_live:
            self._tell(name, Reason.OPENED, _opened(new))
        if old is not None and new.levels != old.levels and new.is_live:
            self._levels_changed(name, old, new)
        if not new.is_live and not was_over and new.status is StateStatus.CLOSED:
            self._merged = {key for key in self._merged if key[0] != new.id}
            self._tell(name, Reason.CLOSED, _closed(new))

    def _levels_changed(self, name: str, old: ShownState, new: ShownState) -> None:
        if (new.id, new.revision) in self._merged:
            return
        text = told(old.levels, new.levels, difference(old.levels, new.levels))
        self._tell(name, Reason.LEVELS_CHANGED, f"by an alert: {text}")

    def flush(self, name: str, body: Body) -> None:
        """The object is there by now."""
        for reason, text in self._waiting.pop(name, ()):
            self._recorder.tell(body, reason, text)

    def _tell(self, name: str, reason: Reason, text: str) -> None:
        body = self._shelf[name]
        if body is not None:
            self._recorder.tell(body, reason, text)
        else:
            self._waiting.setdefault(name, []).append((reason, text))
            del self._waiting[name][:-WAITING_MAX]

    def _status(self, name: str) -> Body:
        body = self._shelf[name]
        status: Body = (body or {}).get("status") or {}
        return status

    def _shows(self, name: str, field: str) -> bool:
        return str(self._status(name).get(field, "0")) != "0"

    def _shows_over(self, name: str) -> bool:
        return str(condition(self._status(name), ConditionType.READY).get("reason")) in _OVER


def _opened(state: ShownState) -> str:
    at = f" at {plain(state.entry_price)}" if state.entry_price is not None else ""
    return f"{state.side.value} {plain(state.quantity)} {state.symbol}{at}"


def _closed(state: ShownState) -> str:
    pnl = f", realized {plain(state.realized_pnl)}" if state.realized_pnl is not None else ""
    return f"{state.side.value} {state.symbol} closed ({state.close_reason}){pnl}"
