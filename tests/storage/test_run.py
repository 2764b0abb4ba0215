"""What `Database.run` promises, on SQLite, PostgreSQL and the simulator's database."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from guardian_core.domain.errors import Conflict, Unavailable
from guardian_core.ports import Database, Tx
from guardian_core.storage import journal
from guardian_core.storage.schema import Account
from tests.support import rows
from tests.support.clock import FakeClock
from tests.support.rows import call

TRACE = "0" * 32


def note(tx: Tx, detail: str) -> str:
    journal.record(tx, "test", "noted", detail, trace_id=TRACE)
    return detail


async def noted(database: Database) -> list[str]:
    return [row.detail for row in await database.run(call(journal.story, TRACE))]


async def test_what_a_function_wrote_is_there_for_the_next(each_database: Database):
    assert await each_database.run(call(note, "a")) == "a"
    assert await noted(each_database) == ["a"]


async def test_an_error_passes_through_and_leaves_nothing_behind(each_database: Database):
    refusal = Conflict("stale", "look again")

    def write_then_refuse(tx: Tx) -> None:
        note(tx, "a")
        tx.flush()
        raise refusal

    with pytest.raises(Conflict) as caught:
        await each_database.run(write_then_refuse)
    assert caught.value is refusal
    assert await noted(each_database) == []


async def test_an_error_of_the_commit_itself_passes_through(each_database: Database):
    # The flush is part of the commit: the function has returned by then.
    await each_database.run(rows.account)
    with pytest.raises(IntegrityError):
        await each_database.run(lambda tx: tx.add(_duplicate_account(tx)))
    assert await each_database.run(call(note, "still alive")) == "still alive"


def _duplicate_account(tx: Tx) -> object:
    stored = tx.execute(text("SELECT name, account_id FROM account")).one()
    return Account(
        name="other",
        account_id=stored.account_id,
        venue="paper",
        environment="Paper",
        spec={},
        created_at=tx.now(),
    )


async def test_an_inner_savepoint_can_fail_alone(each_database: Database):
    def write_both(tx: Tx) -> None:
        note(tx, "kept")
        with suppress(Conflict), tx.begin_nested():
            note(tx, "undone")
            tx.flush()
            raise Conflict("stale", "look again")

    await each_database.run(write_both)
    assert await noted(each_database) == ["kept"]


async def test_functions_that_run_together_do_not_share_each_others_fate(
    each_database: Database,
):
    def write(tx: Tx, number: int) -> int:
        note(tx, str(number))
        tx.flush()
        if number % 3 == 0:
            raise Conflict("stale", str(number))
        return number

    results = await asyncio.gather(
        *(each_database.run(call(write, n)) for n in range(60)), return_exceptions=True
    )
    assert [isinstance(r, Conflict) for r in results] == [n % 3 == 0 for n in range(60)]
    kept = [str(n) for n in range(60) if n % 3]
    assert sorted(await noted(each_database), key=int) == kept


async def test_values_can_be_read_after_the_transaction(each_database: Database):
    def load(tx: Tx) -> Account | None:
        rows.account(tx)
        return tx.get(Account, rows.ACCOUNT)

    stored = await each_database.run(load)
    assert stored is not None
    assert stored.name == rows.ACCOUNT


async def test_time_inside_is_utc_and_goes_on(each_database: Database, clock: FakeClock):
    def twice(tx: Tx) -> tuple[datetime, datetime]:
        first = tx.now()
        clock.advance(0.25)
        return first, tx.now()

    first, second = await each_database.run(twice)
    assert first.utcoffset() == timedelta(0)
    assert second - first == timedelta(seconds=0.25)


async def test_a_caller_cancelled_at_any_moment_leaves_the_database_usable(
    each_database: Database,
):
    for yields in range(6):
        waiting = asyncio.ensure_future(each_database.run(call(note, f"cancelled {yields}")))
        for _ in range(yields):
            await asyncio.sleep(0)
        waiting.cancel()
        # It may be over already.
        with suppress(asyncio.CancelledError):
            await waiting
        await each_database.run(call(note, f"after {yields}"))
    seen = await noted(each_database)
    assert [d for d in seen if d.startswith("after")] == [f"after {n}" for n in range(6)]
    assert len(seen) == len(set(seen))


async def test_a_closed_database_is_unavailable(each_database: Database):
    await each_database.run(call(note, "a"))
    await each_database.close()
    with pytest.raises(Unavailable, match="closed"):
        await each_database.run(call(note, "b"))


async def test_closing_first_runs_what_was_asked_for(database: Database):
    asked = [asyncio.ensure_future(database.run(call(note, str(n)))) for n in range(50)]
    await asyncio.sleep(0)
    await database.close()
    assert await asyncio.gather(*asked) == [str(n) for n in range(50)]


async def test_a_stop_iteration_reaches_its_caller_as_an_error(each_database: Database):
    with pytest.raises(RuntimeError):
        await each_database.run(lambda tx: next(iter(())))
