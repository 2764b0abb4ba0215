"""Takes the next step about one object: looks afresh at it and at its state, and carries out what
the three-way rule says. Every write is refused where either has changed meanwhile, and then the
next look decides.
"""

from loguru import logger

from guardian_core.cluster.api import NotFound
from guardian_core.cluster.mirroring import next_step
from guardian_core.cluster.objects import Seen, name_of
from guardian_core.cluster.resources import POSITIONS
from guardian_core.cluster.three_way import (
    Adopt,
    Agree,
    Apply,
    Create,
    Delete,
    Forget,
    LaneTaken,
    LetGo,
    Merge,
    Pin,
    three_way,
)
from guardian_core.domain.errors import CallerError, Conflict
from guardian_core.ports import Tx
from guardian_core.storage import mirrors
from guardian_core.storage.mirrors import ShownState
from guardian_operator import adoption, deletion, merge
from guardian_operator.events import Reason
from guardian_operator.positions import Positions, is_expired
from guardian_operator.shelf import Shelf
from guardian_operator.status import Said, no
from guardian_operator.story import Story
from guardian_operator.tools import Tools, note


class Reconciler:
    """Works for as long as this process leads. After each step the object is looked at again, and
    asked for again while it needs more."""

    def __init__(self, tools: Tools, positions: Positions, shelf: Shelf, story: Story) -> None:
        self._tools = tools
        self._positions = positions
        self._shelf = shelf
        self._story = story

    async def reconcile(self, name: str) -> None:
        """One step. Raises Unavailable when somebody who is needed does not answer."""
        try:
            seen = await self._tools.syncer.see(name)
        except CallerError:
            return  # Its status says so; it is looked at again when it changes.
        if seen is None:
            self._shelf.forget(name)
        state = await self._state_of(name, seen)
        try:
            if state is not None:
                await self._step(state, seen)
            elif seen is not None:
                await self._stray(seen)
        except Conflict as conflict:
            logger.debug("{}: {}", name, conflict)  # Looked at again below.
        account = state.account if state is not None else seen.spec.account_ref if seen else None
        if account is not None:
            await self._positions.refresh(account)

    async def _state_of(self, name: str, seen: Seen | None) -> ShownState | None:
        """By its mirror's name; before there is a mirror, and after it is forgotten, by the name
        that its object gets."""
        known, namespace = self._positions.state_of(name), self._tools.api.namespace
        labelled = seen.state_id if seen is not None else None

        def read(tx: Tx) -> ShownState | None:
            found = mirrors.state_named(tx, namespace, name)
            for state_id in (known.id if known is not None else None, labelled):
                if found is None and state_id is not None:
                    found = mirrors.shown_state(tx, state_id)
            return found

        state = await self._tools.database.run(read)
        return state if state is not None and name_of(state) == name else None

    async def _step(self, state: ShownState, seen: Seen | None) -> None:
        tools, outcome = self._tools, next_step(state, seen)
        match outcome:
            case Create() | Agree():
                await tools.syncer.sync(state.id)
            case Apply(_, restored):
                assert seen is not None
                await tools.syncer.sync(state.id)
                if restored:
                    text = "another object of this name was there before: the database wins"
                    await tools.database.run(lambda tx: note(tx, state, "restored", text))
                    tools.events.tell(seen.body, Reason.RESTORED, text)
            case Merge():
                assert seen is not None
                await self._merge(state, seen, outcome)
            case Pin():
                assert seen is not None
                await merge.pin(tools, state, seen, outcome)
            case Delete():
                assert seen is not None
                await deletion.delete(tools, state, seen)
            case LetGo():
                assert seen is not None
                await deletion.let_go(tools, seen)
            case Forget():
                await tools.database.run(lambda tx: mirrors.forget(tx, state.id))
            case _:
                if seen is not None and is_expired(state, tools.clock.now()):
                    await self._delete(seen)

    async def _merge(self, state: ShownState, seen: Seen, edit: Merge) -> None:
        if self._positions.is_refused(seen):
            return
        revision = state.revision + 1
        self._story.merged(state.id, revision)
        try:
            refusal = await merge.merge(self._tools, state, seen, edit)
        except Conflict:
            self._story.not_merged(state.id, revision)
            raise
        if refusal is None:
            return
        self._story.not_merged(state.id, revision)
        if self._positions.judge(seen, refusal):
            text = refusal.message
            await self._tools.database.run(lambda tx: note(tx, state, "edit_refused", text))
            self._tools.events.tell(seen.body, Reason.EDIT_REFUSED, text)

    async def _stray(self, seen: Seen) -> None:
        """An object that belongs to no state of ours."""
        spec = seen.spec
        owner = await self._tools.database.run(
            lambda tx: mirrors.live_state_of(tx, spec.account_ref, spec.symbol)
        )
        match three_way(None, seen.shown, lane_taken=owner is not None):
            case LetGo():
                await deletion.let_go(self._tools, seen)
            case Adopt():
                self._refuse(seen, await adoption.try_to_adopt(self._tools, seen))
            case LaneTaken():
                assert owner is not None
                text = f"{spec.symbol} of {spec.account_ref} is shown by {name_of(owner)} already"
                if self._refuse(seen, no("Conflict", text)):
                    lost = f"{seen.name}: {text}"
                    await self._tools.database.run(lambda tx: note(tx, owner, "conflict", lost))

    def _refuse(self, seen: Seen, why: Said | None) -> bool:
        """Whether that is news, and was told."""
        if why is None or not self._positions.judge(seen, why):
            return False
        reason = Reason.CONFLICT if why.reason == "Conflict" else Reason.NOT_ADOPTED
        self._tools.events.tell(seen.body, reason, why.message)
        return True

    async def _delete(self, seen: Seen) -> None:
        try:
            await self._tools.api.delete(POSITIONS, seen.name, seen.uid)
        except NotFound:
            self._shelf.forget(seen.name)
