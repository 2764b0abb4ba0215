"""SQLite's writer thread: one commit for many, and what happens when the file is in the way."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import URL, event, text

from guardian_core.domain.errors import Conflict, Unavailable
from guardian_core.ports import Tx
from guardian_core.storage import journal
from guardian_core.storage.engines import parse_url
from guardian_core.storage.sqlite import BATCH_MAX, SqliteDatabase
from tests.support.clock import FakeClock
from tests.support.rows import call

TRACE = "0" * 32


@pytest.fixture
def url(migrated_sqlite_url: str) -> URL:
    return parse_url(migrated_sqlite_url)


@pytest.fixture
async def sqlite(url: URL, clock: FakeClock) -> AsyncIterator[SqliteDatabase]:
    opened = SqliteDatabase(url, clock=clock)
    yield opened
    await opened.close()


class Writer:
    """Holds the writer thread inside a function until it is let go."""

    def __init__(self, database: SqliteDatabase) -> None:
        self._inside, self._go = threading.Event(), threading.Event()
        self._held = asyncio.ensure_future(database.run(self._wait))

    async def held(self) -> "Writer":
        await asyncio.to_thread(self._inside.wait)
        return self

    async def let_go(self) -> None:
        self._go.set()
        await self._held

    def _wait(self, _tx: Tx) -> None:
        self._inside.set()
        self._go.wait(10)


def note(tx: Tx, detail: str) -> None:
    journal.record(tx, "test", "noted", detail, trace_id=TRACE)


def count(url: URL) -> int:
    """As another process sees it."""
    with closing(sqlite3.connect(str(url.database))) as connection:
        found: int = connection.execute("SELECT count(*) FROM journal").fetchone()[0]
    return found


def driver(tx: Tx) -> Any:
    return tx.connection().connection.dbapi_connection


def count_commits(database: SqliteDatabase) -> list[object]:
    commits: list[object] = []
    event.listen(database._engine, "commit", commits.append)
    return commits


async def test_two_hundred_functions_at_once_take_a_few_commits(sqlite: SqliteDatabase):
    await sqlite.run(call(note, "first"))
    commits = count_commits(sqlite)
    await asyncio.gather(*(sqlite.run(call(note, str(n))) for n in range(200)))
    assert 1 <= len(commits) <= 10
    assert len(await sqlite.run(call(journal.story, TRACE))) == 201


async def test_a_batch_is_bounded(sqlite: SqliteDatabase):
    writer = await Writer(sqlite).held()
    commits = count_commits(sqlite)
    asked = [asyncio.ensure_future(sqlite.run(call(note, str(n)))) for n in range(BATCH_MAX * 3)]
    await asyncio.sleep(0)
    await writer.let_go()
    await asyncio.gather(*asked)
    assert len(commits) == 1 + 3


async def test_what_was_answered_is_in_the_file(sqlite: SqliteDatabase, url: URL):
    seen: list[int] = []

    async def ask(number: int) -> None:
        await sqlite.run(call(note, str(number)))
        seen.append(count(url))

    await asyncio.gather(*(ask(n) for n in range(30)))
    assert all(in_file >= answered for answered, in_file in enumerate(seen, start=1))


async def test_functions_run_in_the_order_in_which_they_were_asked(sqlite: SqliteDatabase):
    writer = await Writer(sqlite).held()
    asked = [asyncio.ensure_future(sqlite.run(call(note, str(n)))) for n in range(300)]
    await asyncio.sleep(0)
    await writer.let_go()
    await asyncio.gather(*asked)
    story = await sqlite.run(call(journal.story, TRACE))
    assert [row.detail for row in story] == [str(n) for n in range(300)]


async def test_a_commit_that_fails_fails_its_whole_batch_and_stores_nothing(
    sqlite: SqliteDatabase, url: URL
):
    def break_the_commit(tx: Tx) -> None:
        tx.execute(text("PRAGMA defer_foreign_keys = ON"))
        tx.execute(
            text("INSERT INTO lane (account_name, symbol, claim_epoch) VALUES ('?', '?', 0)")
        )

    writer = await Writer(sqlite).held()
    functions = [call(note, "before"), break_the_commit, call(note, "behind")]
    asked = [asyncio.ensure_future(sqlite.run(fn)) for fn in functions]
    await asyncio.sleep(0)
    await writer.let_go()
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 3
    await sqlite.run(call(note, "after"))
    assert count(url) == 1


async def test_a_transaction_that_sqlite_itself_undid_fails_the_whole_batch(
    sqlite: SqliteDatabase, url: URL
):
    def lose_the_transaction(tx: Tx) -> None:
        # What SQLite does by itself when the disk is full.
        driver(tx).execute("ROLLBACK")
        raise Conflict("stale", "the function's own reaction")

    writer = await Writer(sqlite).held()
    functions = [call(note, "before"), lose_the_transaction, call(note, "behind")]
    asked = [asyncio.ensure_future(sqlite.run(fn)) for fn in functions]
    await asyncio.sleep(0)
    await writer.let_go()
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 3
    await sqlite.run(call(note, "after"))
    assert count(url) == 1


async def test_a_file_locked_by_another_process_is_unavailable_and_then_works_again(
    url: URL, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("guardian_core.storage.engines.SQLITE_BUSY_TIMEOUT_MS", 50)
    database = SqliteDatabase(url, clock=clock)
    other = sqlite3.connect(str(url.database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked"):
        await database.run(call(note, "a"))
    other.execute("ROLLBACK")
    other.close()
    await database.run(call(note, "b"))
    await database.close()
    assert count(url) == 1


async def test_a_full_disk_is_unavailable(sqlite: SqliteDatabase):
    def write_much(tx: Tx) -> None:
        pages = tx.execute(text("PRAGMA page_count")).scalar_one()
        tx.execute(text(f"PRAGMA max_page_count = {pages}"))
        try:
            for _ in range(50):
                note(tx, "x" * 4096)
                tx.flush()
        finally:
            driver(tx).execute("PRAGMA max_page_count = 1073741823")

    with pytest.raises(Unavailable, match="full"):
        await sqlite.run(write_much)
    await sqlite.run(call(note, "after"))


async def test_a_full_queue_is_refused_at_once(url: URL, clock: FakeClock):
    database = SqliteDatabase(url, clock=clock, queue_max=5)
    writer = await Writer(database).held()
    asked = [asyncio.ensure_future(database.run(call(note, str(n)))) for n in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="busy"):
        await database.run(call(note, "one too many"))
    await writer.let_go()
    await asyncio.gather(*asked)
    await database.close()


async def test_a_caller_cancelled_in_the_queue_has_changed_nothing(sqlite: SqliteDatabase):
    writer = await Writer(sqlite).held()
    waiting = asyncio.ensure_future(sqlite.run(call(note, "cancelled")))
    await asyncio.sleep(0)
    waiting.cancel()
    await writer.let_go()
    assert await sqlite.run(call(journal.story, TRACE)) == []


def test_a_loop_that_ended_does_not_disturb_the_next(url: URL, clock: FakeClock):
    database = SqliteDatabase(url, clock=clock)
    go = threading.Event()

    def wait_then_note(tx: Tx) -> None:
        go.wait(10)
        note(tx, "nobody listens")

    async def ask_and_leave() -> None:
        asyncio.ensure_future(database.run(wait_then_note))  # noqa: RUF006 - left behind on purpose
        await asyncio.sleep(0.01)

    asyncio.run(ask_and_leave())
    go.set()

    async def go_on() -> list[str]:
        await database.run(call(note, "next"))
        story = await database.run(call(journal.story, TRACE))
        await database.close()
        return [row.detail for row in story]

    assert asyncio.run(go_on()) == ["nobody listens", "next"]


def test_a_database_used_in_a_forked_child_is_refused_instead_of_waiting_for_ever(
    url: URL, clock: FakeClock
):
    database = SqliteDatabase(url, clock=clock)
    asyncio.run(database.run(call(note, "parent")))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            asyncio.run(asyncio.wait_for(database.run(call(note, "child")), 5))
        except Exception as error:
            status = 0 if "fork" in str(error) else 1
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    asyncio.run(database.close())


async def test_the_file_is_in_wal_mode_with_full_syncs_and_foreign_keys(sqlite: SqliteDatabase):
    def settings(tx: Tx) -> dict[str, object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        return {name: tx.execute(text(f"PRAGMA {name}")).scalar_one() for name in names}

    assert await sqlite.run(settings) == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 5000,
    }
