"""The servers that other tests lean on: real, private to the test process, and gone afterwards."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import redis
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from tests.support.postgres import PostgresServer, running_postgres
from tests.support.redis_server import RedisServer, running_redis
from tests.support.wait import eventually, eventually_async

ROOT = Path(__file__).parents[2]


def test_a_fresh_database_is_empty_and_its_own(postgres_server: PostgresServer) -> None:
    first, second = postgres_server.fresh_database(), postgres_server.fresh_database()
    write(postgres_server.url(first), "CREATE TABLE mark (id int)")
    assert tables(postgres_server.url(first)) == ["mark"]
    assert tables(postgres_server.url(second)) == []


def test_a_database_can_be_copied_from_a_template(postgres_server: PostgresServer) -> None:
    template = postgres_server.fresh_database()
    write(postgres_server.url(template), "CREATE TABLE migrated (id int)")
    copy = postgres_server.fresh_database(template)
    assert tables(postgres_server.url(copy)) == ["migrated"]


def test_the_url_fixture_names_an_empty_database(postgres_url: str) -> None:
    assert postgres_url.startswith("postgresql+psycopg2://")
    assert tables(postgres_url) == []


def test_a_durable_server_keeps_a_commit_through_a_kill() -> None:
    with running_postgres(durable=True) as server:
        write(server.url(), "CREATE TABLE kept (id int)")
        server.kill()
        assert not server.process.running
        server.start()
        assert tables(server.url()) == ["kept"]


def test_redis_starts_empty_for_each_test(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_redis_starts_empty_for_the_next_test_too(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0


def test_redis_comes_back_on_the_same_port_after_a_kill() -> None:
    with running_redis() as server:
        server.kill()
        server.start()
        assert ping(server)


def test_stop_ends_both_servers() -> None:
    with running_postgres() as postgres, running_redis() as redis_server:
        pids = [postgres.process.pid, redis_server.process.pid]
    assert not any(is_alive(pid) for pid in pids)


@pytest.mark.parametrize("module", ["postgres", "redis_server"])
def test_a_server_dies_with_a_killed_test_process(module: str) -> None:
    name = {"postgres": "running_postgres", "redis_server": "running_redis"}[module]
    program = (
        f"from tests.support.{module} import {name}\n"
        f"with {name}() as server:\n"
        "    print(server.process.pid, flush=True)\n"
        "    input()\n"
    )
    # What a killed process leaves behind goes with this folder, which any server's user may enter.
    with (
        tempfile.TemporaryDirectory() as left_behind,
        subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": left_behind},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as holder,
    ):
        Path(left_behind).chmod(0o755)
        assert holder.stdout is not None
        pid = int(holder.stdout.readline())
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        eventually(lambda: not is_alive(pid), within_s=20, what=f"process {pid} to end")


def test_eventually_returns_the_first_true_value() -> None:
    answers = iter([None, 0, "", "there"])
    assert eventually(lambda: next(answers)) == "there"


def test_eventually_tells_what_it_saw_last() -> None:
    rows = ["one", "two"]

    def three_rows() -> bool:
        assert len(rows) == 3, f"only {rows}"
        return True

    with pytest.raises(AssertionError, match=r"not within 0\.05 s: .*three_rows.*'one', 'two'"):
        eventually(three_rows, within_s=0.05)


def test_eventually_does_not_swallow_other_errors() -> None:
    with pytest.raises(ZeroDivisionError):
        eventually(lambda: 1 / 0)


async def test_eventually_async_takes_plain_and_awaitable_conditions() -> None:
    answers = iter([False, True])

    async def answer() -> bool:
        return next(answers)

    assert await eventually_async(answer) is True
    assert await eventually_async(lambda: "plain") == "plain"


def write(url: str, statement: str) -> None:
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text(statement))


def tables(url: str) -> list[str]:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
    with create_engine(url, poolclass=NullPool).connect() as connection:
        return list(connection.scalars(text(query)))


def ping(server: RedisServer) -> bool:
    with redis.Redis.from_url(server.url) as client:
        return bool(client.ping())


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    # A dead child of a killed parent waits as a zombie until somebody collects it.
    return state != "Z"
