"""kill -9 under load: what was acknowledged is in the database exactly once.

The receiver is the console script in a process of its own. Senders do as TradingView does: an
alert that got no answer, or 503, is sent again.
"""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import create_engine, text

from guardian_core.clock import SystemClock
from guardian_core.ids import SystemIds
from guardian_core.ports import Tx
from guardian_core.storage import migrations
from guardian_core.storage.database import open_database
from guardian_core.storage.tokens import create_token
from tests.support import rows
from tests.support.postgres import PostgresServer, running_postgres
from tests.support.receiver import alert
from tests.support.server_process import free_port
from tests.support.wait import eventually_async

SENDERS = 8
KILLS = 5
ALERTS_BETWEEN_KILLS = 40

pytestmark = pytest.mark.timeout(300)


class Process:
    """`guardian-receiver`, started and killed by its pid."""

    def __init__(self, database_url: str, log: Path) -> None:
        self.port = free_port()
        self._log = log
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("GUARDIAN_")
        } | {"GUARDIAN_DATABASE_URL": database_url, "GUARDIAN_RECEIVER_PORT": str(self.port)}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [str(Path(sys.executable).parent / "guardian-receiver")]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self._environment, stdout=log, stderr=subprocess.STDOUT
            )

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> int:
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(20)


class Senders:
    """Send numbered alerts, each until it is acknowledged."""

    def __init__(self, port: int, token: str) -> None:
        self._url = f"http://127.0.0.1:{port}/webhook/{token}"
        self._next = 0
        self._stopping = False
        self.acknowledged: dict[int, str] = {}

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(SENDERS):
                group.create_task(self._send())

    def stop(self) -> None:
        self._stopping = True

    async def reach(self, count: int) -> None:
        await eventually_async(lambda: len(self.acknowledged) >= count, within_s=60)

    async def _send(self) -> None:
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            while not self._stopping:
                number, self._next = self._next, self._next + 1
                while number not in self.acknowledged:
                    try:
                        answer = await client.post(self._url, content=alert(note=number))
                    except httpx.TransportError:
                        await asyncio.sleep(0.02)
                        continue
                    if answer.status_code == 200:
                        self.acknowledged[number] = answer.json()["trace_id"]
                    else:
                        assert answer.status_code == 503, answer.text
                        await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def durable_postgres() -> Iterator[PostgresServer]:
    with running_postgres(durable=True) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def durable_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'guardian.db'}"
    server: PostgresServer = request.getfixturevalue("durable_postgres")
    return server.url(server.fresh_database())


async def prepare(url: str) -> str:
    """Migrates, and returns a token."""
    migrations.upgrade(url)
    database = open_database(url, clock=SystemClock())

    def make(tx: Tx) -> str:
        rows.account(tx, "main")
        return create_token(tx, SystemIds(), "crash")[0]

    try:
        return await database.run(make)
    finally:
        await database.close()


def check(url: str, acknowledged: dict[int, str]) -> None:
    engine = create_engine(url)
    with engine.connect() as connection:
        stored = connection.execute(text("SELECT trace_id, raw_payload FROM webhook")).all()
    engine.dispose()
    traces = {trace_id for trace_id, _ in stored}
    assert set(acknowledged.values()) <= traces
    assert max(Counter(payload for _, payload in stored).values()) == 1
    assert len(stored) == len(acknowledged)


async def test_a_receiver_killed_under_load_loses_and_doubles_nothing(
    durable_url: str, tmp_path: Path
) -> None:
    process = Process(durable_url, tmp_path / "receiver.log")
    senders = Senders(process.port, await prepare(durable_url))
    process.start()
    sending = asyncio.create_task(senders.run())
    for _ in range(KILLS):
        await senders.reach(len(senders.acknowledged) + ALERTS_BETWEEN_KILLS)
        process.kill()
        process.start()
    await senders.reach(len(senders.acknowledged) + ALERTS_BETWEEN_KILLS)
    senders.stop()
    await sending
    assert process.stop() == 0
    check(durable_url, senders.acknowledged)


async def test_postgres_killed_under_load_loses_and_doubles_nothing(
    durable_postgres: PostgresServer, tmp_path: Path
) -> None:
    url = durable_postgres.url(durable_postgres.fresh_database())
    process = Process(url, tmp_path / "receiver.log")
    senders = Senders(process.port, await prepare(url))
    process.start()
    sending = asyncio.create_task(senders.run())
    for _ in range(3):
        await senders.reach(len(senders.acknowledged) + ALERTS_BETWEEN_KILLS)
        durable_postgres.kill()
        durable_postgres.start()
    await senders.reach(len(senders.acknowledged) + ALERTS_BETWEEN_KILLS)
    senders.stop()
    await sending
    assert process.stop() == 0
    check(url, senders.acknowledged)


async def test_a_receiver_asked_to_stop_answers_what_it_took(
    durable_url: str, tmp_path: Path
) -> None:
    process = Process(durable_url, tmp_path / "receiver.log")
    token = await prepare(durable_url)
    process.start()
    senders = Senders(process.port, token)
    sending = asyncio.create_task(senders.run())
    await senders.reach(ALERTS_BETWEEN_KILLS)
    assert await asyncio.to_thread(process.stop) == 0
    process.start()
    senders.stop()
    await sending
    process.stop()
    check(durable_url, senders.acknowledged)
    log = (tmp_path / "receiver.log").read_text()
    assert token not in log
    assert "Traceback" not in log
