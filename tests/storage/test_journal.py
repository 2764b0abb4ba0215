"""The journal tells a trace's story in order, on every database."""

from typing import Any
from uuid import UUID

import pytest

from guardian_core.domain.errors import Conflict
from guardian_core.ports import Database, Tx
from guardian_core.storage import journal
from guardian_core.storage.journal import JournalRow
from tests.support.clock import FakeClock
from tests.support.rows import call

TRACE, OTHER = "a" * 32, "b" * 32


async def test_a_row_carries_everything_that_it_concerns(each_database: Database, clock: FakeClock):
    whole: dict[str, Any] = {
        "trace_id": TRACE,
        "webhook_id": UUID(int=1),
        "webhook_state_id": UUID(int=2),
        "trade_id": UUID(int=3),
        "account": "main",
        "symbol": "BTCUSDT",
    }
    await each_database.run(call(journal.record, "engine", "T3.1", "found long", **whole))
    assert await each_database.run(call(journal.story, TRACE)) == [
        JournalRow(clock.now(), "engine", "T3.1", "found long", **whole)
    ]


async def test_a_story_is_its_own_trace_in_order(each_database: Database, clock: FakeClock):
    def tell(tx: Tx, *points: str) -> None:
        for point in points:
            journal.record(tx, "engine", point, "", trace_id=TRACE)
            journal.record(tx, "engine", "elsewhere", "", trace_id=OTHER)
        journal.record(tx, "engine", "untraced", "")

    # Rows of one instant stand in the order in which they were recorded.
    await each_database.run(call(tell, "1", "2", "3"))
    clock.advance(1)
    await each_database.run(call(tell, "4", "5"))
    story = await each_database.run(call(journal.story, TRACE))
    assert [row.point for row in story] == ["1", "2", "3", "4", "5"]


async def test_what_was_rolled_back_was_not_told(each_database: Database):
    def tell_and_fail(tx: Tx) -> None:
        journal.record(tx, "engine", "T3.1", "", trace_id=TRACE)
        raise Conflict("stale", "look again")

    with pytest.raises(Conflict):
        await each_database.run(tell_and_fail)
    assert await each_database.run(call(journal.story, TRACE)) == []
