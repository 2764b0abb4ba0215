"""All TradingPositions beside all states: which of them need work, and what each should show.

Nothing is written from here. What is found to differ is handed to the reconciler, which looks
afresh; what is to be shown, to the status writer. At rest neither has anything to do.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from guardian_core.cluster.mirroring import next_step
from guardian_core.cluster.objects import Seen, name_of, read_position
from guardian_core.cluster.resources import FINALIZER, POSITIONS, ConditionStatus, ConditionType
from guardian_core.cluster.three_way import (
    Adopt,
    Delete,
    LaneTaken,
    LetGo,
    Merge,
    Nothing,
    Outcome,
    three_way,
)
from guardian_core.domain.errors import CallerError
from guardian_core.guarding import LaneReport, PassReport
from guardian_core.ports import Clock, Database, Tx
from guardian_core.storage import mirrors
from guardian_core.storage.mirrors import ShownState
from guardian_operator import deletion
from guardian_operator.shelf import Shelf
from guardian_operator.status import IN_STEP, Said, Sight, no, position_status, stray_status, told
from guardian_operator.status_writer import StatusWriter
from guardian_operator.story import Story

Body = dict[str, Any]

SHOWN_AFTER_CLOSING: Final = timedelta(days=1)
ADOPT_AGAIN_S: Final = 10.0
PASS_AGE_MAX_S: Final = 10.0
"""What an older pass saw is not shown as what is."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why an object's spec is not followed; it stands until that spec changes."""

    uid: str
    generation: int
    said: Said
    spoken_at_s: float

    def is_of(self, seen: Seen) -> bool:
        return (self.uid, self.generation) == (seen.uid, seen.generation)


class Positions:
    """What is known of every position. `ask`: hands a name to the reconciler."""

    def __init__(
        self,
        database: Database,
        shelf: Shelf,
        writer: StatusWriter,
        story: Story,
        clock: Clock,
        ask: Callable[[str], None],
    ) -> None:
        self._database = database
        self._shelf = shelf
        self._writer = writer
        self._story = story
        self._clock = clock
        self._ask = ask
        self._states: dict[str, ShownState] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._reports: dict[str, tuple[PassReport, float]] = {}
        self._repairs: dict[UUID, tuple[int, datetime | None]] = {}
        self._parsed: dict[str, Seen] = {}
        self._has_read_all = False

    def state_of(self, name: str) -> ShownState | None:
        """As it was read last."""
        return self._states.get(name)

    def passed(self, report: PassReport) -> None:
        """A pass has ended; `refresh` then shows what it saw."""
        self._reports[report.account] = (report, self._clock.monotonic())
        by_id = {state.id: name for name, state in self._states.items()}
        for lane in report.lanes.values():
            self._story.of_lane(lane, by_id)

    def pass_age_s(self, account: str) -> float | None:
        """How long ago the account's latest pass succeeded; None: none since this one leads."""
        found = self._reports.get(account)
        return None if found is None else self._clock.monotonic() - found[1]

    def report_of(self, account: str) -> PassReport | None:
        """What the account's latest pass saw, if that was lately."""
        age_s = self.pass_age_s(account)
        if age_s is None or age_s > PASS_AGE_MAX_S:
            return None
        return self._reports[account][0]

    def judge(self, seen: Seen, said: Said) -> bool:
        """Notes why the object's spec is not followed; whether that is news."""
        before = self._verdict(seen)
        is_news = before is None or _gist(before.said) != _gist(said)
        if before is not None and not is_news:
            said = before.said  # The price has moved, and nothing else.
        self._verdicts[seen.name] = Verdict(
            seen.uid, seen.generation, said, self._clock.monotonic()
        )
        return is_news

    def is_refused(self, seen: Seen) -> bool:
        """Whether this very spec was judged before; it is not judged twice."""
        return self._verdict(seen) is not None

    async def refresh(self, account: str | None = None) -> None:
        """Reads the states of an account, or of all, and looks at each and at every object of
        theirs."""
        if account is not None and not self._has_read_all:
            return  # Nothing is told before it is known what the objects show already.
        known = dict(self._repairs)

        def read(tx: Tx) -> tuple[list[ShownState], dict[UUID, datetime | None]]:
            states = mirrors.shown_states(tx, account)
            unknown = [s for s in states if s.repairs and known.get(s.id, (0,))[0] != s.repairs]
            return states, {s.id: mirrors.last_repair_at(tx, s.id) for s in unknown}

        states, repaired_at = await self._database.run(read)
        for state in states:
            if state.id in repaired_at:
                self._repairs[state.id] = (state.repairs, repaired_at[state.id])
        fresh = {name_of(state): state for state in states}
        known_names = {n for n, s in self._states.items() if account in (None, s.account)}
        gone = known_names - fresh.keys()
        for name, state in fresh.items():
            self._story.of_row(name, self._states.get(name), state)
            self._states[name] = state
        for name in gone:
            self._repairs.pop(self._states.pop(name).id, None)
        self._has_read_all |= account is None
        self.look_at(fresh.keys() | gone | set(self._objects_of(account)))

    def look_at(self, names: Iterable[str]) -> None:
        for name in names:
            self.look(name)

    def look(self, name: str) -> None:
        """Compares one object with its state, as both were seen last."""
        if not self._has_read_all:
            return  # An object whose state is not read yet is nobody's stranger.
        body, state = self._shelf[name], self._states.get(name)
        if body is None:
            self._verdicts.pop(name, None)
            self._parsed.pop(name, None)
            if state is not None and not isinstance(next_step(state, None), Nothing):
                self._ask(name)
            return
        self._story.flush(name, body)
        try:
            seen = self._read(name, body)
        except CallerError as error:
            self._show_stray(body, no("Invalid", str(error)))
            return
        outcome = self._outcome(seen, state)
        if self._needs_work(seen, state, outcome):
            self._ask(name)
        if state is None:
            self._show_verdict(seen)
        else:
            self._show(seen, state, outcome)

    def _outcome(self, seen: Seen, state: ShownState | None) -> Outcome:
        if state is not None:
            return next_step(state, seen)
        return three_way(None, seen.shown, lane_taken=self._owner_of_lane(seen) is not None)

    def _needs_work(self, seen: Seen, state: ShownState | None, outcome: Outcome) -> bool:
        """Whether there is something to do now, and not only to wait for."""
        ours = FINALIZER in seen.finalizers
        match outcome:
            case Nothing():
                return state is not None and is_expired(state, self._clock.now())
            case Merge():
                return self._verdict(seen) is None
            case LaneTaken():
                verdict = self._verdict(seen)
                return verdict is None or verdict.said.reason != "Conflict"
            case Adopt():
                # Its position may be opened any time.
                verdict = self._verdict(seen)
                tried_s = verdict.spoken_at_s if verdict is not None else -math.inf
                return self._clock.monotonic() - tried_s >= ADOPT_AGAIN_S
            case LetGo():
                return ours
            case Delete():
                return state is not None and deletion.is_due(state, seen)
            case _:
                return True

    def _verdict(self, seen: Seen) -> Verdict | None:
        """The one that stands, also one that was spoken before this process began."""
        verdict = self._verdicts.get(seen.name)
        if verdict is not None and verdict.is_of(seen):
            return verdict
        shown = told(seen.body.get("status") or {}, ConditionType.SYNCED)
        spoken = shown.get("status") == ConditionStatus.FALSE.value
        if not spoken or shown.get("observedGeneration") != seen.generation:
            self._verdicts.pop(seen.name, None)
            return None
        said = no(shown["reason"], shown["message"])
        verdict = Verdict(seen.uid, seen.generation, said, -math.inf)
        self._verdicts[seen.name] = verdict
        return verdict

    def _show(self, seen: Seen, state: ShownState, outcome: Outcome) -> None:
        verdict = self._verdict(seen) if isinstance(outcome, Merge) else None
        if verdict is None:
            self._verdicts.pop(seen.name, None)
        sight = Sight(state, self._lane(state), self._repairs.get(state.id, (0, None))[1])
        if sight.lane is None and state.is_live and self._just_began(state):
            return
        old = seen.body.get("status") or {}
        synced = verdict.said if verdict is not None else IN_STEP
        new = position_status(sight, synced, seen.generation, old, self._clock.now())
        self._writer.show(POSITIONS, seen.name, new)

    def _just_began(self, state: ShownState) -> bool:
        """Whether no pass of this leader can have seen the state yet: what the one before showed
        stays, rather than Unknown for a moment."""
        age_s = self.pass_age_s(state.account)
        return age_s is None or age_s <= PASS_AGE_MAX_S

    def _lane(self, state: ShownState) -> LaneReport | None:
        report = self.report_of(state.account)
        lane = report.lanes.get(state.symbol) if report is not None else None
        if lane is None or lane.last.guarded is None:
            return None
        return lane if lane.last.guarded.plan.state_id == state.id else None

    def _show_verdict(self, seen: Seen) -> None:
        verdict = self._verdict(seen)
        if verdict is not None:
            self._show_stray(seen.body, verdict.said)

    def _show_stray(self, body: Body, why: Said) -> None:
        metadata, old = body["metadata"], body.get("status") or {}
        new = stray_status(why, metadata.get("generation", 0), old, self._clock.now())
        self._writer.show(POSITIONS, metadata["name"], new)

    def _owner_of_lane(self, seen: Seen) -> ShownState | None:
        spec = seen.spec
        return next(
            (
                state
                for state in self._states.values()
                if state.is_live
                and (state.account, state.symbol) == (spec.account_ref, spec.symbol)
            ),
            None,
        )

    def _objects_of(self, account: str | None) -> Iterable[str]:
        for name in self._shelf:
            spec = (self._shelf[name] or {}).get("spec", {})
            if account in (None, spec.get("accountRef")):
                yield name

    def _read(self, name: str, body: Body) -> Seen:
        known = self._parsed.get(name)
        if known is None or known.body is not body:
            known = self._parsed[name] = read_position(body)
        return known


def _gist(said: Said) -> str:
    """Apart from the numbers in it."""
    return f"{said.reason}: {re.sub(r'[0-9.]+', '', said.message)}"


def is_expired(state: ShownState, now: datetime) -> bool:
    """Whether a state that is over has been shown for long enough; one that never opened, at
    once."""
    if state.is_live or state.closed_at is None:
        return False
    return state.opened_at is None or now - state.closed_at > SHOWN_AFTER_CLOSING
