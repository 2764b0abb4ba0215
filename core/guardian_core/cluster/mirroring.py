"""Carries desires to TradingPositions: the Mirror port on a cluster.

A trade never waits for it and never hears of its failures. What is forgotten here (a crash, an API
server that is away for long) is found again by the operator, which compares all of them.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from guardian_core.cluster.api import Body, ClusterApi, NotFound
from guardian_core.cluster.objects import (
    Seen,
    desired,
    levels_patch,
    name_of,
    new_object,
    read_position,
)
from guardian_core.cluster.resources import POSITIONS
from guardian_core.cluster.three_way import (
    Agree,
    Apply,
    Create,
    Nothing,
    Outcome,
    three_way,
)
from guardian_core.cluster.worker import Worker
from guardian_core.domain.errors import Conflict, Unavailable
from guardian_core.ports import Clock, Database
from guardian_core.storage import mirrors
from guardian_core.storage.mirrors import Agreed, MirrorRow, ShownState

ROUNDS_MAX = 5


class Syncer:
    """Brings one state's object to its desire, as far as nobody else has a say in it. `on_seen`:
    is given every body that comes from the API server."""

    def __init__(
        self, database: Database, api: ClusterApi, on_seen: Callable[[Body], object] | None = None
    ) -> None:
        self._database = database
        self._api = api
        self._on_seen = on_seen

    async def sync(self, state_id: UUID) -> Outcome:
        """Returns what is left to do, for the operator: an edit, a deletion, Nothing.

        Raises Unavailable when the API server or the database does not answer.
        """
        for _ in range(ROUNDS_MAX):
            state = await self._database.run(lambda tx: mirrors.shown_state(tx, state_id))
            if state is None:
                return Nothing()
            seen = await self.see(name_of(state))
            outcome = next_step(state, seen)
            try:
                if not await self._carry_out(state, seen, outcome):
                    return outcome
            except (Conflict, NotFound):
                continue  # Somebody else was first: look again.
        raise Unavailable(f"the object of state {state_id} keeps changing")

    async def see(self, name: str) -> Seen | None:
        """The object as it is now. Raises CallerError when it makes no sense."""
        try:
            return self._read(await self._api.get(POSITIONS, name))
        except NotFound:
            return None

    def _read(self, body: Body) -> Seen:
        if self._on_seen is not None:
            self._on_seen(body)
        return read_position(body)

    async def _carry_out(self, state: ShownState, seen: Seen | None, outcome: Outcome) -> bool:
        """Whether it was ours to do, and worth another look."""
        match outcome:
            case Create():
                made = self._read(await self._api.create(POSITIONS, new_object(state)))
                await self._agree(state, made, pinned=state.pinned)
                return True
            case Apply(_, restored):
                assert seen is not None
                patch = levels_patch(state, seen, with_mode=restored)
                given = self._read(await self._api.merge(POSITIONS, seen.name, patch))
                await self._agree(state, given, pinned=given.shown.pinned)
                return True
            case Agree():
                assert seen is not None
                await self._agree(state, seen, pinned=seen.shown.pinned)
                return True
            case _:
                return False

    async def _agree(self, state: ShownState, seen: Seen, *, pinned: bool) -> None:
        agreed = Agreed(state.levels, state.revision)
        row = MirrorRow(self._api.namespace, seen.name, seen.uid, agreed, pinned)
        await self._database.run(lambda tx: mirrors.agree(tx, state.id, row))


def next_step(state: ShownState, seen: Seen | None) -> Outcome:
    """The three-way rule, and an object of ours that lacks its marks gets them. Marks of another
    state (a manifest that was saved with them) say nothing of what this one agreed on."""
    shown = seen.shown if seen is not None else None
    if seen is not None and seen.state_id != state.id:
        shown = replace(seen.shown, applied=None)
    outcome = three_way(desired(state), shown)
    plain = isinstance(outcome, Nothing | Agree)
    if state.is_live and seen is not None and plain and not seen.is_dressed:
        return Apply(state.levels)
    return outcome


class ClusterMirror:
    """The engine's mirror. Await `run()` in a task of its own."""

    def __init__(self, database: Database, api: ClusterApi, clock: Clock) -> None:
        self._api = api
        self._syncer = Syncer(database, api)
        self._worker: Worker[UUID] = Worker("mirroring", self._sync, clock)

    async def desire_changed(self, state_id: UUID) -> None:
        self._worker.add(state_id)

    async def run(self) -> None:
        """Until cancelled. Nothing that goes wrong ends it."""
        try:
            await self._worker.run()
        finally:
            await asyncio.shield(self._api.close())

    async def _sync(self, state_id: UUID) -> None:
        await self._syncer.sync(state_id)
