"""A TradingPosition is being deleted while its position lives. Deleting must never silently mean
"stop protecting": a pruning tool, `delete --all` and a deleted CRD all look alike.
"""

from dataclasses import replace

from loguru import logger

from guardian_core.cluster.api import NotFound
from guardian_core.cluster.mirroring import next_step
from guardian_core.cluster.objects import Seen, release_patch
from guardian_core.cluster.resources import FINALIZER, POSITIONS, DeletionPolicy
from guardian_core.cluster.three_way import Merge
from guardian_core.domain.decision import Cancel
from guardian_core.domain.errors import Unavailable
from guardian_core.domain.money import ZERO
from guardian_core.domain.orders import Role
from guardian_core.domain.plan import StateStatus
from guardian_core.ports import Tx
from guardian_core.protocol import DecisionRequest, Source
from guardian_core.storage import mirrors
from guardian_core.storage.desires import Desire, revise
from guardian_core.storage.mirrors import ShownState
from guardian_operator.edits import difference, told
from guardian_operator.events import Reason
from guardian_operator.tools import Tools, note

TARGET_REASON = "Deleted"


async def delete(tools: Tools, state: ShownState, seen: Seen) -> None:
    """Takes the next step that the object's policy asks for.

    Keep lets the object go, and it is made again. Release ends the guarding first. Close sells
    first, and holds the object until the position is gone. Raises Conflict when it comes late,
    Unavailable while an entry that is not wanted any more may still fill.
    """
    match seen.spec.deletion_policy:
        case DeletionPolicy.KEEP:
            await _keep(tools, state, seen)
        case DeletionPolicy.RELEASE:
            await _release(tools, state, seen)
        case DeletionPolicy.CLOSE:
            await _close(tools, state, seen)


def is_due(state: ShownState, seen: Seen) -> bool:
    """Whether there is a step to take now. Else the position's end is waited for, or, under Keep,
    that others let the object go too."""
    match seen.spec.deletion_policy:
        case DeletionPolicy.KEEP:
            return FINALIZER in seen.finalizers
        case DeletionPolicy.RELEASE:
            return True
        case DeletionPolicy.CLOSE:
            return state.target_quantity != ZERO or state.status is StateStatus.PENDING


async def let_go(tools: Tools, seen: Seen) -> None:
    """Takes our finalizer off, so that the API server removes the object."""
    if FINALIZER not in seen.finalizers:
        return
    try:
        await tools.api.merge(POSITIONS, seen.name, release_patch(seen))
    except NotFound:
        return


async def _keep(tools: Tools, state: ShownState, seen: Seen) -> None:
    if FINALIZER not in seen.finalizers:
        return  # Told already; it waits for somebody else's finalizer.
    text = "deleted under deletionPolicy Keep: the position is guarded on, the object made again"
    edit = next_step(state, replace(seen, shown=replace(seen.shown, deleting=False)))
    if isinstance(edit, Merge):
        fields = difference(state.levels, edit.levels)
        text += f"; its last edit is lost ({told(state.levels, edit.levels, fields)})"
    await tools.database.run(lambda tx: note(tx, state, "kept", text))
    tools.events.tell(seen.body, Reason.KEPT, text)
    await let_go(tools, seen)


async def _release(tools: Tools, state: ShownState, seen: Seen) -> None:
    text = "deleted under deletionPolicy Release: its orders stay, guarding has ended"

    def write(tx: Tx) -> None:
        mirrors.release(tx, state)
        note(tx, state, "released", text)

    await tools.database.run(write)
    logger.bind(trace_id=state.trace_id, account=state.account, symbol=state.symbol).warning(text)
    tools.events.tell(seen.body, Reason.RELEASED, text)
    await let_go(tools, seen)


async def _close(tools: Tools, state: ShownState, seen: Seen) -> None:
    waits = state.status is StateStatus.PENDING
    if waits:
        await _cancel_entry(tools, state)
    if state.target_quantity == ZERO:
        if waits:
            # Tried again later and later: each time costs the venue a look.
            raise Unavailable(f"the entry of {state.symbol} is not over yet")
        return
    text = "deleted under deletionPolicy Close: the position is sold first"
    trace_id = tools.ids.trace_id()

    def write(tx: Tx) -> None:
        wish = Desire(state.levels.stop_loss, state.levels.take_profit, ZERO)
        revise(tx, state.id, state.revision, wish, trace_id=trace_id, target_reason=TARGET_REASON)
        note(tx, state, "target_set", text, trace_id)

    await tools.database.run(write)
    tools.events.tell(seen.body, Reason.CLOSING, text)
    tools.wake(state.account)


async def _cancel_entry(tools: Tools, state: ShownState) -> None:
    """A limit that still waits would open what nobody wants any more."""
    snapshot = await tools.gateway.snapshot(state.account, state.symbol)
    cancels = tuple(
        Cancel(order.ref, TARGET_REASON)
        for order in snapshot.orders
        if order.ours and order.role is Role.ENTRY and not order.in_flight
    )
    if not cancels:
        return
    request = DecisionRequest(
        state_id=state.id,
        revision=state.revision,
        source=Source.GUARDIAN,
        trace_id=state.trace_id,
        actions=cancels,
    )
    await tools.gateway.submit(state.account, state.symbol, request)
