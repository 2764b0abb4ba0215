"""PostgreSQL stopped, killed, frozen, restarted, and racing against itself."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sqlalchemy import text

from guardian_core.clock import SystemClock
from guardian_core.domain.errors import Conflict, Unavailable
from guardian_core.ports import Tx
from guardian_core.storage import journal, migrations
from guardian_core.storage.engines import parse_url
from guardian_core.storage.postgres import PostgresDatabase
from tests.support.postgres import PostgresServer, running_postgres
from tests.support.rows import call
from tests.support.wait import eventually, eventually_async

TRACE = "0" * 32
SIZE = 4


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One that these tests may ill-treat; it keeps its commits."""
    with running_postgres(durable=True) as server:
        yield server


@pytest.fixture
def url(server: PostgresServer) -> Iterator[str]:
    name = server.fresh_database()
    migrations.upgrade(server.url(name))
    yield server.url(name)
    server.drop_database(name)


@pytest.fixture
async def postgres(url: str) -> AsyncIterator[PostgresDatabase]:
    opened = PostgresDatabase(
        parse_url(url), clock=SystemClock(), size=SIZE, queue_max=20, answer_within_s=2
    )
    yield opened
    await opened.close()


def note(tx: Tx, detail: str) -> str:
    journal.record(tx, "test", "noted", detail, trace_id=TRACE)
    tx.flush()
    return detail


async def noted(database: PostgresDatabase) -> list[str]:
    return [row.detail for row in await database.run(call(journal.story, TRACE))]


class Gate:
    """Holds a function in the middle of its transaction."""

    def __init__(self) -> None:
        self.inside, self.go = threading.Event(), threading.Event()
        self.entries = 0

    def note(self, tx: Tx, detail: str) -> str:
        note(tx, detail)
        self.entries += 1
        self.inside.set()
        self.go.wait(10)
        return note(tx, f"{detail} again")


async def test_a_restart_between_two_calls_costs_no_call(
    postgres: PostgresDatabase, server: PostgresServer
):
    await asyncio.gather(*(postgres.run(call(note, str(n))) for n in range(SIZE)))
    server.stop()
    server.start()
    results = await asyncio.gather(*(postgres.run(call(note, f"{n}")) for n in range(4, 12)))
    assert results == [str(n) for n in range(4, 12)]
    assert sorted(await noted(postgres), key=int) == [str(n) for n in range(12)]


@pytest.mark.parametrize("way", ["stop", "kill"])
async def test_a_server_lost_in_the_middle_of_a_transaction_is_unavailable_until_it_is_back(
    postgres: PostgresDatabase, server: PostgresServer, way: str
):
    await postgres.run(call(note, "before"))
    gate = Gate()
    caught = asyncio.ensure_future(postgres.run(call(gate.note, "lost")))
    await asyncio.to_thread(gate.inside.wait)
    getattr(server, way)()
    gate.go.set()
    with pytest.raises(Unavailable, match="nothing was changed"):
        await caught
    with pytest.raises(Unavailable):
        await postgres.run(call(note, "away"))
    # Not in a thread: the kernel would end the server with the thread that started it.
    server.start()
    await postgres.run(call(note, "after"))
    assert await noted(postgres) == ["before", "after"]


async def test_a_connection_ended_in_the_middle_is_replaced_and_the_function_runs_again(
    postgres: PostgresDatabase, server: PostgresServer
):
    gate = Gate()
    asked = asyncio.ensure_future(postgres.run(call(gate.note, "a")))
    await asyncio.to_thread(gate.inside.wait)
    end_all_connections(server)
    gate.go.set()
    assert await asked == "a again"
    assert gate.entries == 2
    assert await noted(postgres) == ["a", "a again"]


async def test_a_connection_lost_during_the_commit_says_that_the_outcome_is_unknown(
    postgres: PostgresDatabase, server: PostgresServer
):
    calls = 0

    def make_the_commit_wait(tx: Tx) -> None:
        nonlocal calls
        calls += 1
        note(tx, "perhaps")
        tx.execute(text(DEFERRED_WAIT))
        tx.execute(text("INSERT INTO slow_commit VALUES (1)"))

    await postgres.run(lambda tx: [tx.execute(text(s)) for s in SLOW_COMMIT])
    asked = asyncio.ensure_future(postgres.run(make_the_commit_wait))
    await asyncio.to_thread(eventually, lambda: waiting_in_commit(server))
    end_all_connections(server)
    with pytest.raises(Unavailable, match="may have committed or not"):
        await asked
    assert calls == 1
    assert await noted(postgres) == []


DEFERRED_WAIT = "SET LOCAL statement_timeout = 0"
SLOW_COMMIT = (
    "CREATE TABLE slow_commit (n int)",
    """CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN PERFORM pg_sleep(30); RETURN NULL; END $$""",
    """CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON slow_commit
       DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()""",
)


def waiting_in_commit(server: PostgresServer) -> bool:
    query = "SELECT 1 FROM pg_stat_activity WHERE query = 'COMMIT' AND wait_event = 'PgSleep'"
    with server.administer() as connection:
        return connection.scalar(text(query)) is not None


async def test_a_frozen_server_is_unavailable_in_time_and_blocks_no_thread_for_ever(
    postgres: PostgresDatabase, server: PostgresServer
):
    await open_every_connection(postgres)
    frozen = backends(server)
    assert len(frozen) == SIZE
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        lost = [postgres.run(call(note, "frozen")) for _ in range(SIZE)]
        for error in await asyncio.gather(*lost, return_exceptions=True):
            assert isinstance(error, Unavailable)
            assert "did not answer within 2 s, nothing was changed" in str(error)
        assert time.monotonic() - began < 4
        # Every thread is free again, on a connection to a process that is not frozen.
        answers = await asyncio.gather(*(postgres.run(call(note, str(n))) for n in range(SIZE)))
        assert answers == [str(n) for n in range(SIZE)]
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    assert sorted(await noted(postgres)) == [str(n) for n in range(SIZE)]


async def open_every_connection(postgres: PostgresDatabase) -> None:
    together = threading.Barrier(SIZE)

    def meet(_tx: Tx) -> None:
        together.wait(10)

    await asyncio.gather(*(postgres.run(meet) for _ in range(SIZE)))


async def test_a_full_queue_is_refused_at_once(postgres: PostgresDatabase):
    gate = Gate()
    asked = [asyncio.ensure_future(postgres.run(call(gate.note, str(n)))) for n in range(SIZE + 20)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="busy"):
        await postgres.run(call(note, "one too many"))
    gate.go.set()
    assert len(await asyncio.gather(*asked)) == SIZE + 20


async def test_a_deadlock_is_run_again(postgres: PostgresDatabase):
    await postgres.run(call(note, "a"))
    await postgres.run(call(note, "b"))
    both = threading.Barrier(2)
    first_time: set[str] = set()

    def lock_both(tx: Tx, mine: str, other: str) -> str:
        query = text("SELECT 1 FROM journal WHERE detail = :detail FOR UPDATE")
        tx.execute(query, {"detail": mine})
        if mine not in first_time:
            first_time.add(mine)
            both.wait(5)
        tx.execute(query, {"detail": other})
        return mine

    tasks = [postgres.run(call(lock_both, "a", "b")), postgres.run(call(lock_both, "b", "a"))]
    assert await asyncio.gather(*tasks) == ["a", "b"]


async def test_a_serialization_failure_is_run_again_three_times_at_most(
    postgres: PostgresDatabase,
):
    tries = 0

    def lose(tx: Tx, times: int) -> int:
        nonlocal tries
        tries += 1
        note(tx, f"try {tries}")
        if tries <= times:
            tx.execute(text("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$"))
        return tries

    assert await postgres.run(call(lose, 2)) == 3
    assert await noted(postgres) == ["try 3"]
    tries = 0
    with pytest.raises(Unavailable, match="nothing was changed"):
        await postgres.run(call(lose, 5))
    assert tries == 3


async def test_a_lock_that_somebody_keeps_is_unavailable(postgres: PostgresDatabase):
    await postgres.run(call(note, "a"))
    gate = Gate()

    def keep(tx: Tx) -> None:
        tx.execute(text("SELECT 1 FROM journal FOR UPDATE"))
        gate.inside.set()
        gate.go.wait(10)

    def impatient(tx: Tx) -> Any:
        tx.execute(text("SET LOCAL lock_timeout = 50"))
        return tx.execute(text("SELECT 1 FROM journal FOR UPDATE"))

    keeping = asyncio.ensure_future(postgres.run(keep))
    await asyncio.to_thread(gate.inside.wait)
    with pytest.raises(Unavailable, match="LockNotAvailable"):
        await postgres.run(impatient)
    gate.go.set()
    await keeping


async def test_the_server_itself_bounds_statements_locks_and_idle_transactions(
    postgres: PostgresDatabase,
):
    def limits(tx: Tx) -> list[Any]:
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        return [tx.execute(text(f"SHOW {name}")).scalar_one() for name in names]

    assert await postgres.run(limits) == ["3s", "2s", "5s"]


async def test_a_functions_own_error_is_not_run_again(postgres: PostgresDatabase):
    calls = 0

    def refuse(tx: Tx) -> None:
        nonlocal calls
        calls += 1
        note(tx, "undone")
        raise Conflict("stale", "look again")

    with pytest.raises(Conflict):
        await postgres.run(refuse)
    assert calls == 1
    assert await noted(postgres) == []


async def test_a_cancelled_caller_gives_its_connection_back(postgres: PostgresDatabase):
    gate = Gate()
    asked = [asyncio.ensure_future(postgres.run(call(gate.note, str(n)))) for n in range(SIZE)]
    await eventually_async(lambda: gate.entries == SIZE)
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    gate.go.set()
    # They had begun, so they ran to their end; nothing is half done.
    assert len(await noted(postgres)) in range(0, 2 * SIZE + 1, 2)
    await eventually_async(lambda: _all_noted(postgres))


async def _all_noted(postgres: PostgresDatabase) -> bool:
    return len(await noted(postgres)) == 2 * SIZE


async def test_the_database_tells_the_time(postgres: PostgresDatabase):
    def both(tx: Tx) -> tuple[Any, Any]:
        ours = tx.now()
        theirs = tx.execute(text("SELECT clock_timestamp()")).scalar_one()
        return ours, theirs

    ours, theirs = await postgres.run(both)
    assert 0 <= (theirs - ours).total_seconds() < 1


async def test_no_password_appears_in_an_error(server: PostgresServer):
    database = PostgresDatabase(
        parse_url("postgresql://somebody:hunter2@127.0.0.1:1/none"), clock=SystemClock()
    )
    with pytest.raises(Unavailable) as caught:
        await database.run(Tx.now)
    await database.close()
    shown = repr(caught.value) + str(caught.value) + repr(caught.value.__cause__)
    assert "hunter2" not in shown


def end_all_connections(server: PostgresServer) -> None:
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    with server.administer() as connection:
        connection.execute(text(query + " AND backend_type = 'client backend'"))


def backends(server: PostgresServer) -> list[int]:
    query = (
        "SELECT pid FROM pg_stat_activity"
        " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    with server.administer() as connection:
        return list(connection.scalars(text(query)))
