"""The mirror's rows: what was agreed, and edits that become the desire."""

from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest

from guardian_core.domain.errors import Conflict
from guardian_core.ports import Database, Tx
from guardian_core.storage import journal, mirrors
from guardian_core.storage.mirrors import Agreed, LevelPair, MirrorRow, ShownState
from guardian_core.storage.schema import WebhookState
from tests.support import rows
from tests.support.ids import SeededIds
from tests.support.rows import call

OLD = LevelPair(Decimal(42_000), Decimal(45_000))
NEW = LevelPair(Decimal(43_000), None)
ROW = MirrorRow("trading", "main-btcusdt-1", "uid-1", Agreed(OLD, 1), pinned=False)

EDITED = replace(ROW, agreed=Agreed(NEW, 1))


@pytest.fixture
def ids() -> SeededIds:
    return SeededIds()


def add(tx: Tx, ids: SeededIds, symbol: str = "BTCUSDT", **columns: object) -> UUID:
    return rows.state(tx, ids, rows.lane(tx, symbol), **columns)


async def mirrored(db: Database, ids: SeededIds, row: MirrorRow = ROW) -> UUID:
    state_id: UUID = await db.run(call(add, ids))
    assert await db.run(call(mirrors.agree, state_id, row))
    return state_id


async def shown(db: Database, state_id: UUID) -> ShownState:
    state: ShownState | None = await db.run(call(mirrors.shown_state, state_id))
    assert state is not None
    return state


async def test_a_state_shows_what_was_agreed(each_database: Database, ids: SeededIds):
    state = await shown(each_database, await mirrored(each_database, ids))
    assert state.mirror == ROW
    assert state.mirror.base == Agreed(OLD, 1)
    assert (state.account, state.symbol, state.levels) == ("main", "BTCUSDT", OLD)


async def test_nothing_is_agreed_before_the_object_is_known(
    each_database: Database, ids: SeededIds
):
    state = await shown(each_database, await mirrored(each_database, ids, replace(ROW, uid=None)))
    assert state.mirror is not None
    assert state.mirror.base is None


async def test_what_comes_late_does_not_replace_what_was_agreed_since(
    each_database: Database, ids: SeededIds
):
    later = replace(ROW, agreed=Agreed(NEW, 5), uid="uid-2")
    state_id = await mirrored(each_database, ids, later)
    assert not await each_database.run(call(mirrors.agree, state_id, ROW))
    assert (await shown(each_database, state_id)).mirror == later


async def test_states_are_shown_while_they_live_or_are_mirrored(
    each_database: Database, ids: SeededIds
):
    open_id = await each_database.run(call(add, ids, "A"))
    pending_id = await each_database.run(call(add, ids, "B", status="pending"))
    over_id = await each_database.run(call(add, ids, "C", status="closed"))
    await each_database.run(call(add, ids, "D", status="closed"))
    await each_database.run(call(mirrors.agree, over_id, ROW))
    found = await each_database.run(mirrors.shown_states)
    assert {state.id for state in found} == {open_id, pending_id, over_id}
    assert await each_database.run(call(mirrors.shown_states, "another")) == []
    await each_database.run(call(mirrors.forget, over_id))
    left = await each_database.run(call(mirrors.shown_states, "main"))
    assert {state.id for state in left} == {open_id, pending_id}


async def test_a_state_is_found_by_its_lane_and_by_its_mirrors_name(
    each_database: Database, ids: SeededIds
):
    state_id = await mirrored(each_database, ids)
    by_lane = await each_database.run(call(mirrors.live_state_of, "main", "BTCUSDT"))
    by_name = await each_database.run(call(mirrors.state_named, "trading", ROW.name))
    assert by_lane == by_name
    assert by_lane is not None
    assert by_lane.id == state_id
    assert await each_database.run(call(mirrors.state_named, "elsewhere", ROW.name)) is None


async def test_an_edit_becomes_the_desire_and_the_base_at_once(
    each_database: Database, ids: SeededIds
):
    state = await shown(each_database, await mirrored(each_database, ids))
    both = LevelPair(NEW.stop_loss, OLD.take_profit)
    revision = await each_database.run(call(mirrors.merge_edit, state, both, EDITED, "t"))
    after = await shown(each_database, state.id)
    assert (after.levels, after.revision, after.trace_id) == (both, 2, "t")
    assert after.mirror is not None
    assert after.mirror.base == Agreed(NEW, revision)


async def test_an_object_may_be_edited_before_it_was_ever_agreed_on(
    each_database: Database, ids: SeededIds
):
    state = await shown(each_database, await each_database.run(call(add, ids)))
    await each_database.run(call(mirrors.merge_edit, state, NEW, EDITED, "t"))
    after = await shown(each_database, state.id)
    assert after.levels == NEW
    assert after.mirror == replace(ROW, agreed=Agreed(NEW, 2))


async def test_an_edit_that_comes_late_changes_nothing(each_database: Database, ids: SeededIds):
    state = await shown(each_database, await mirrored(each_database, ids))
    late = replace(state, revision=state.revision - 1)
    with pytest.raises(Conflict):
        await each_database.run(call(mirrors.merge_edit, late, NEW, EDITED, "t"))
    assert await shown(each_database, state.id) == state


async def test_an_edit_keeps_the_exit_that_is_under_way(each_database: Database, ids: SeededIds):
    state_id = await mirrored(each_database, ids)

    def leave(tx: Tx) -> None:
        row = tx.get_one(WebhookState, state_id)
        row.target_quantity, row.target_reason = Decimal(0), "Close"

    await each_database.run(leave)
    state = await shown(each_database, state_id)
    await each_database.run(call(mirrors.merge_edit, state, NEW, EDITED, "t"))
    after = await shown(each_database, state_id)
    assert (after.target_quantity, after.target_reason) == (Decimal(0), "Close")


async def test_pinning(each_database: Database, ids: SeededIds):
    state_id = await each_database.run(call(add, ids))
    assert not await each_database.run(call(mirrors.is_pinned, state_id))
    await each_database.run(call(mirrors.agree, state_id, ROW))
    await each_database.run(call(mirrors.pin, state_id, pinned=True))
    assert await each_database.run(call(mirrors.is_pinned, state_id))
    assert (await shown(each_database, state_id)).pinned


async def test_what_is_agreed_late_does_not_undo_a_pin(each_database: Database, ids: SeededIds):
    state_id = await mirrored(each_database, ids)
    await each_database.run(call(mirrors.pin, state_id, pinned=True))
    await each_database.run(call(mirrors.agree, state_id, replace(ROW, agreed=Agreed(NEW, 2))))
    after = await shown(each_database, state_id)
    assert (after.pinned, after.mirror and after.mirror.base) == (True, Agreed(NEW, 2))


async def test_a_release_ends_the_guarding_once(each_database: Database, ids: SeededIds):
    state = await shown(each_database, await mirrored(each_database, ids))
    await each_database.run(call(mirrors.release, state))
    after = await shown(each_database, state.id)
    assert (after.status.value, after.is_live, after.levels) == ("released", False, OLD)
    with pytest.raises(Conflict):
        await each_database.run(call(mirrors.release, state))


async def test_the_last_repair_is_the_newest_in_the_journal(
    each_database: Database, ids: SeededIds
):
    state_id = await each_database.run(call(add, ids))
    assert await each_database.run(call(mirrors.last_repair_at, state_id)) is None

    def repair(tx: Tx) -> None:
        journal.record(tx, "guardian", "T7.3", "repaired", webhook_state_id=state_id)

    await each_database.run(repair)
    now = await each_database.run(lambda tx: tx.now())
    found = await each_database.run(call(mirrors.last_repair_at, state_id))
    assert found is not None
    assert found <= now
