"""End-to-end tests live in real time: these databases tell it, unlike those of the other tests."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from guardian_core.clock import SystemClock
from guardian_core.ports import Database
from guardian_core.storage import migrations
from guardian_core.storage.database import open_database
from guardian_core.storage.inline import InlineDatabase
from tests.support.breadth import played
from tests.support.postgres import PostgresServer

if TYPE_CHECKING:
    from tests.e2e.exchange_house import ExchangeHouse


@pytest.fixture(scope="session")
def real_time_template(postgres_server: PostgresServer) -> str:
    """The name of a PostgreSQL database to copy: migrated and empty."""
    name = postgres_server.fresh_database()
    migrations.upgrade(postgres_server.url(name))
    return name


@pytest.fixture
def real_time_postgres_url(
    postgres_server: PostgresServer, real_time_template: str
) -> Iterator[str]:
    name = postgres_server.fresh_database(real_time_template)
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture
def real_time_sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    path = tmp_path / "guardian.db"
    path.write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"real_time_{request.param}_url")
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = open_database(database_url, clock=SystemClock())
    yield opened
    await opened.close()


VENUES = played(("binance", "binanceusdm", "bitget", "bitgetswap", "okx", "okxswap"))
"""Exchanges that the main scenarios are played on."""


@pytest.fixture(
    scope="session",
    params=[pytest.param(v, marks=pytest.mark.xdist_group(f"exchange {v}")) for v in VENUES],
)
def started_exchange_house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[ExchangeHouse]":
    from tests.e2e.exchange_house import exchange_house  # noqa: PLC0415 - ccxt loads slowly

    with exchange_house(request.param, tmp_path_factory.mktemp(request.param)) as house:
        yield house


@pytest.fixture
def exchange(
    started_exchange_house: "ExchangeHouse",
) -> "Iterator[ExchangeHouse]":
    """A `guardian up` that runs, whatever the test before did to it."""
    started_exchange_house.installation.ensure_running()
    yield started_exchange_house
    print(started_exchange_house.installation.logs())


@pytest.fixture
async def inline_database() -> AsyncIterator[InlineDatabase]:
    opened = InlineDatabase(clock=SystemClock())
    yield opened
    await opened.close()
