"""The database is away, slow or frozen: 503 so that TradingView sends again, then recovery."""

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import httpx
import pytest
from sqlalchemy import text

from guardian_core.clock import SystemClock
from guardian_core.ports import Database, Tx
from guardian_core.storage import migrations
from guardian_core.storage.database import open_database
from guardian_receiver.reception import RETRY_AFTER_S
from tests.support.postgres import PostgresServer, running_postgres
from tests.support.receiver import Service, alert, serving
from tests.support.wait import eventually_async


@pytest.fixture(scope="module")
def mortal_postgres() -> Iterator[PostgresServer]:
    with running_postgres(durable=True) as server:
        migrations.upgrade(server.url())
        yield server


@pytest.fixture
async def mortal_database(mortal_postgres: PostgresServer) -> AsyncIterator[Database]:
    database = open_database(mortal_postgres.url(), clock=SystemClock())

    def forget(tx: Tx) -> None:
        for table in ("webhook", "token", "lane", "account"):
            tx.execute(text(f"DELETE FROM {table}"))

    await database.run(forget)
    yield database
    await database.close()


@pytest.fixture
async def on_postgres(mortal_database: Database) -> AsyncIterator[Service]:
    async with serving(mortal_database, SystemClock()) as service:
        yield service


def unavailable(answer: httpx.Response) -> bool:
    return answer.status_code == 503 and answer.headers["retry-after"] == str(RETRY_AFTER_S)


async def test_alerts_are_503_while_postgres_is_dead_and_200_after(
    on_postgres: Service, mortal_postgres: PostgresServer
) -> None:
    service = on_postgres
    assert (await service.post(alert(note="before"))).status_code == 200
    mortal_postgres.kill()
    assert unavailable(await service.post(alert(note="meanwhile")))
    assert (await service.client.get("/healthz")).status_code == 200
    assert (await service.client.get("/readyz")).status_code == 503
    mortal_postgres.start()

    async def taken() -> bool:
        return (await service.post(alert(note="meanwhile"))).status_code == 200

    await eventually_async(taken, within_s=20)
    assert (await service.client.get("/readyz")).status_code == 200
    assert len(await service.rows()) == 2
    assert service.metric("guardian_webhooks_total", outcome="unavailable") >= 1


async def test_a_frozen_postgres_is_503_before_tradingview_hangs_up(
    on_postgres: Service, mortal_postgres: PostgresServer
) -> None:
    service = on_postgres
    assert (await service.post(alert(note="before"))).status_code == 200
    pids = await service.database.run(backend_pids)
    for pid in pids:
        os_signal(pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(3):
            assert unavailable(await service.post(alert(note="meanwhile")))
    finally:
        for pid in pids:
            os_signal(pid, signal.SIGCONT)

    async def taken() -> bool:
        return (await service.post(alert(note="after"))).status_code == 200

    await eventually_async(taken, within_s=20)


async def test_a_full_queue_is_503_and_heals(mortal_database: Database) -> None:
    async with serving(mortal_database, SystemClock(), queue_size=5) as service:
        assert (await service.post(alert(note="full 0"))).status_code == 200
        pids = await mortal_database.run(backend_pids)
        for pid in pids:
            os_signal(pid, signal.SIGSTOP)
        try:
            posts = [service.post(alert(note=f"full {n}")) for n in range(1, 40)]
            answers = await asyncio.gather(*posts)
        finally:
            for pid in pids:
                os_signal(pid, signal.SIGCONT)
        assert all(unavailable(answer) for answer in answers)

        async def taken() -> bool:
            return (await service.post(alert(note="full 40"))).status_code == 200

        await eventually_async(taken, within_s=20)


async def test_a_locked_sqlite_file_is_503_and_heals(migrated_sqlite_url: str) -> None:
    path = migrated_sqlite_url.removeprefix("sqlite:///")
    clock = SystemClock()
    database = open_database(migrated_sqlite_url, clock=clock)
    async with serving(database, clock) as service:
        assert (await service.post(alert(note=1))).status_code == 200
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        async with asyncio.timeout(3):
            assert unavailable(await service.post(alert(note=2)))
        other.execute("ROLLBACK")
        other.close()

        async def taken() -> bool:
            return (await service.post(alert(note=2))).status_code == 200

        await eventually_async(taken, within_s=20)
        assert len(await service.rows()) == 2
    await database.close()


def backend_pids(tx: Tx) -> list[int]:
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'position-guardian'"
    return [int(pid) for pid in tx.execute(text(query)).scalars()]


def os_signal(pid: int, number: signal.Signals) -> None:
    # A connection may have been given up meanwhile.
    with suppress(ProcessLookupError):
        os.kill(pid, number)
