"""End-to-end tests live in real time: these databases tell it, unlike those of the other tests."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from guardian_core.clock import SystemClock
from guardian_core.ports import Database
from guardian_core.storage import migrations
from guardian_core.storage.database import open_database
from guardian_core.storage.inline import InlineDatabase
from tests.support.postgres import PostgresServer


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


@pytest.fixture
async def inline_database() -> AsyncIterator[InlineDatabase]:
    opened = InlineDatabase(clock=SystemClock())
    yield opened
    await opened.close()
