"""A lane has one live state at most; the database itself sees to it."""

import asyncio
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from guardian_core.ports import Database, Tx
from guardian_core.storage.database import open_database
from guardian_core.storage.schema import WebhookState
from tests.support import rows
from tests.support.clock import FakeClock
from tests.support.ids import SeededIds
from tests.support.rows import call


def add(tx: Tx, ids: SeededIds, status: str, symbol: str = rows.SYMBOL) -> UUID:
    return rows.state(tx, ids, rows.lane(tx, symbol), status=status)


@pytest.mark.parametrize("second", ["pending", "open"])
@pytest.mark.parametrize("first", ["pending", "open"])
async def test_a_second_live_state_is_refused(each_database: Database, first: str, second: str):
    ids = SeededIds()
    await each_database.run(call(add, ids, first))
    with pytest.raises(IntegrityError):
        await each_database.run(call(add, ids, second))


@pytest.mark.parametrize("past", ["closed", "released"])
async def test_states_that_are_over_do_not_count(each_database: Database, past: str):
    ids = SeededIds()
    for status in (past, past, "open", past):
        await each_database.run(call(add, ids, status))


async def test_lanes_do_not_share_it(each_database: Database):
    ids = SeededIds()
    for symbol in ("A", "B"):
        await each_database.run(call(add, ids, "open", symbol))


async def test_a_state_does_not_come_back_to_life_beside_another(each_database: Database):
    ids = SeededIds()
    old = await each_database.run(call(add, ids, "closed"))
    await each_database.run(call(add, ids, "open"))

    def reopen(tx: Tx) -> None:
        tx.get_one(WebhookState, old).status = "open"

    with pytest.raises(IntegrityError):
        await each_database.run(reopen)


async def test_of_many_who_open_at_once_one_does(database_url: str, clock: FakeClock):
    ids = SeededIds()
    engines = [open_database(database_url, clock=clock) for _ in range(3)]
    await engines[0].run(rows.lane)
    results = await asyncio.gather(
        *(engine.run(call(add, ids, "pending")) for _ in range(4) for engine in engines),
        return_exceptions=True,
    )
    opened = [result for result in results if isinstance(result, UUID)]
    assert len(opened) == 1
    assert all(isinstance(result, UUID | IntegrityError) for result in results)

    def stored(tx: Tx) -> list[UUID]:
        return list(tx.scalars(select(WebhookState.id)))

    assert await engines[0].run(stored) == opened
    for engine in engines:
        await engine.close()
