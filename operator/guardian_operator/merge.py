"""Edits of a TradingPosition, by hand or by a GitOps tool, become the desire.

They are checked like a MAJ. What is refused stays in the object, and its condition says why: an
object that changes itself back would quarrel with the tool that wrote it.
"""

from dataclasses import replace
from decimal import Decimal

from loguru import logger

from guardian_core.cluster.objects import Seen, editor
from guardian_core.cluster.three_way import Merge, Pin
from guardian_core.domain.errors import CallerError
from guardian_core.domain.flatness import working_entries
from guardian_core.domain.money import ZERO
from guardian_core.domain.plan import Policy
from guardian_core.ports import Tx
from guardian_core.storage import mirrors
from guardian_core.storage.accounts_store import get_account
from guardian_core.storage.mirrors import Agreed, MirrorRow, ShownState
from guardian_operator.edits import check_edit, difference, told
from guardian_operator.events import Reason
from guardian_operator.status import Said, no
from guardian_operator.tools import Tools, look_at_lane, note, recent_price


async def merge(tools: Tools, state: ShownState, seen: Seen, edit: Merge) -> Said | None:
    """Makes the edit the desire and asks for a pass; why not, where it is refused.

    Raises Conflict when the desire moved on meanwhile, Unavailable when the price to check it by
    is not known now.
    """
    who = editor(seen.body, edit.edited)
    try:
        await _check(tools, state, edit)
    except CallerError as error:
        return no("EditRefused", f"{who}: {error}")
    fields = difference(state.levels, edit.levels)
    text = f"{who}: {told(state.levels, edit.levels, fields)}"
    if edit.overruled:
        names = " and ".join(edit.overruled)
        text += f" (an alert had moved {names} too: the edit wins)"
    trace_id = tools.ids.trace_id()
    pinned = state.pinned if state.mirror is not None else seen.shown.pinned
    said = Agreed(seen.shown.levels, state.revision)
    shown = MirrorRow(tools.api.namespace, seen.name, seen.uid, said, pinned)

    def write(tx: Tx) -> None:
        mirrors.merge_edit(tx, state, edit.levels, shown, trace_id)
        note(tx, state, "edit_merged", text, trace_id)

    await tools.database.run(write)
    logger.bind(trace_id=trace_id, account=state.account, symbol=state.symbol).info(
        "edit merged: {}", text
    )
    tools.events.tell(seen.body, Reason.EDIT_MERGED, text)
    tools.wake(state.account)
    return None


async def pin(tools: Tools, state: ShownState, seen: Seen, edit: Pin) -> None:
    """Whether alerts move the levels from now on."""
    mode = seen.spec.levels.value

    def write(tx: Tx) -> None:
        mirrors.pin(tx, state.id, pinned=edit.pinned)
        note(tx, state, "pinned" if edit.pinned else "unpinned", f"levels: {mode}")

    await tools.database.run(write)
    text = "alerts leave the levels alone" if edit.pinned else "alerts move the levels"
    tools.events.tell(seen.body, Reason.PINNED if edit.pinned else Reason.UNPINNED, text)


async def _check(tools: Tools, state: ShownState, edit: Merge) -> None:
    account = await tools.database.run(lambda tx: get_account(tx, state.account))
    if account is None:
        raise CallerError("accountRef", f"account {state.account} does not exist")
    policy = account.spec.domain_policy()
    # What lies on a wrong side anyway needs no price to be refused.
    check_edit(state.side, state.levels, edit.levels, edit.edited, policy, None)
    for price, tolerance in await _prices(tools, state, policy):
        judged = replace(policy, max_crossed_percent=tolerance)
        check_edit(state.side, state.levels, edit.levels, edit.edited, judged, price)


async def _prices(
    tools: Tools, state: ShownState, policy: Policy
) -> tuple[tuple[Decimal, Decimal], ...]:
    """What the levels are checked against, and how many percent beyond it they may lie: the
    market's price or, while nothing is open, that of each entry that waits."""
    lane = await look_at_lane(tools, state.account, state.symbol)
    if lane.position is None:
        waiting = [entry.price for entry in working_entries(lane)]
        return tuple((price, ZERO) for price in waiting if price is not None)
    return ((recent_price(lane), policy.max_crossed_percent),)
