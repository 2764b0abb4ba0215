"""`guardian-gateway` as a real process: start, take-over after a kill, release on SIGTERM."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from guardian_core.clock import SystemClock
from guardian_core.domain.errors import Unavailable
from guardian_core.gateway_client import HttpGatewayClient, holder_finder
from guardian_core.ports import Database
from guardian_core.protocol import SetPrice
from guardian_core.storage import leases
from guardian_core.storage.database import open_database
from tests.support import rows
from tests.support.server_process import ServerProcess, free_port
from tests.support.wait import eventually, eventually_async

TOKEN = "a-token-of-this-test"


@dataclass(frozen=True)
class Running:
    process: ServerProcess
    url: str


@contextmanager
def gateway(folder: Path, database_url: str, **environment: str) -> Iterator[Running]:
    port = free_port()
    settings = {
        "GUARDIAN_HOME": str(folder),
        "GUARDIAN_DATABASE_URL": database_url,
        "GUARDIAN_GATEWAY_PORT": str(port),
        "GUARDIAN_GATEWAY_TOKEN": TOKEN,
    }
    command = [str(Path(sys.executable).with_name("guardian-gateway"))]
    log = folder / f"gateway-{port}.log"
    process = ServerProcess(command, log, environment=settings | environment)
    process.start()
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: _is_ready(process, url), within_s=30, what=f"{url} to be ready")
        yield Running(process, url)
    finally:
        process.stop()


def _is_ready(process: ServerProcess, url: str) -> bool:
    if not process.running:
        raise RuntimeError(process.log_tail())
    try:
        return httpx.get(f"{url}/readyz", timeout=1).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture
async def database(migrated_sqlite_url: str) -> AsyncIterator[Database]:
    """The same file that the processes open, on this machine's time."""
    opened = open_database(migrated_sqlite_url, clock=SystemClock())
    await opened.run(rows.account)
    yield opened
    await opened.close()


async def test_a_standby_takes_over_and_its_clients_follow(
    tmp_path: Path, migrated_sqlite_url: str, database: Database
) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(gateway(tmp_path, migrated_sqlite_url))
        client = HttpGatewayClient(first.url, TOKEN, find_holder=holder_finder(database))
        await eventually_async(lambda: _serves(client), what="the first gateway to hold the lease")
        second = stack.enter_context(gateway(tmp_path, migrated_sqlite_url))
        assert await _holder_url(database) == first.url

        first.process.kill()
        await eventually_async(lambda: _serves(client), within_s=15, what="the standby to serve")
        assert await _holder_url(database) == second.url
        await client.close()


async def test_a_gateway_that_is_stopped_gives_its_lease_back(
    tmp_path: Path, migrated_sqlite_url: str, database: Database
) -> None:
    with gateway(tmp_path, migrated_sqlite_url) as running:
        client = HttpGatewayClient(running.url, TOKEN)
        await eventually_async(lambda: _serves(client))
        await client.close()
        await asyncio.to_thread(running.process.stop)
        view = await database.run(lambda tx: (leases.read(tx, "gateway"), tx.now()))
        assert view[0] is not None
        assert view[0].until <= view[1], "free at once, not after its four seconds"


async def _serves(client: HttpGatewayClient) -> bool:
    try:
        await client.paper(rows.ACCOUNT, SetPrice(symbol=rows.SYMBOL, price=Decimal(43_000)))
    except Unavailable:
        return False
    return (await client.instrument(rows.ACCOUNT, rows.SYMBOL)).last_price is not None


async def _holder_url(database: Database) -> str:
    view = await database.run(lambda tx: leases.read(tx, "gateway"))
    assert view is not None
    return view.url


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"GUARDIAN_GATEWAY_TOKEN": ""}, "GUARDIAN_GATEWAY_TOKEN"),
        ({"GUARDIAN_GATEWAY_PORT": "0"}, "GUARDIAN_GATEWAY_PORT"),
        ({"GUARDIAN_INSTALLATION": "TOO-LONG"}, "GUARDIAN_INSTALLATION"),
    ],
)
def test_a_wrong_setting_is_named_at_the_start(
    tmp_path: Path, environment: dict[str, str], message: str
) -> None:
    with (
        pytest.raises(RuntimeError, match=message),
        gateway(tmp_path, f"sqlite:///{tmp_path}/guardian.db", **environment),
    ):
        pass
