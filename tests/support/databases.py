"""Databases for tests: `database` runs a test on SQLite and on PostgreSQL, `inline_database` on
the simulator's, `each_database` on all three. `clock` is their time, on each of them.

PostgreSQL tells its own time. In these databases, and only here, that is the fake clock's.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, NullPool, create_engine, text

from guardian_core.ports import Database
from guardian_core.storage import migrations
from guardian_core.storage.database import open_database
from guardian_core.storage.inline import InlineDatabase
from tests.support.clock import FakeClock
from tests.support.postgres import PostgresServer

_SETTABLE_CLOCK = (
    "CREATE SCHEMA test_time",
    "CREATE TABLE test_time.clock (now timestamptz NOT NULL)",
    "INSERT INTO test_time.clock VALUES ('2000-01-01T00:00:00Z')",
    """CREATE FUNCTION test_time.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
       'SELECT now FROM test_time.clock'""",
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """The name of a database to copy: migrated, empty, with a settable clock."""
    name = postgres_server.fresh_database()
    url = postgres_server.url(name)
    migrations.upgrade(url)
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        for statement in _SETTABLE_CLOCK:
            connection.execute(text(statement))
    return name


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to copy: migrated and empty."""
    path = tmp_path_factory.mktemp("template") / "guardian.db"
    migrations.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def migrated_sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    path = tmp_path / "guardian.db"
    path.write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{path}"


@pytest.fixture
def migrated_postgres_url(
    postgres_server: PostgresServer, postgres_template: str, clock: FakeClock
) -> Iterator[str]:
    name = postgres_server.fresh_database(postgres_template)
    url = postgres_server.url(name)
    with postgres_server.administer() as administrator:
        # Before pg_catalog, where the real one is.
        path = f'ALTER DATABASE "{name}" SET search_path = test_time, pg_catalog, public'
        administrator.execute(text(path))
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        clock.lead(lambda now: _set_time(connection, now))
        yield url
    engine.dispose()
    postgres_server.drop_database(name)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database with the present schema, of each kind."""
    url: str = request.getfixturevalue(f"migrated_{request.param}_url")
    return url


@pytest.fixture
async def database(database_url: str, clock: FakeClock) -> AsyncIterator[Database]:
    opened = open_database(database_url, clock=clock)
    yield opened
    await opened.close()


@pytest.fixture
async def inline_database(clock: FakeClock) -> AsyncIterator[InlineDatabase]:
    opened = InlineDatabase(clock=clock)
    yield opened
    await opened.close()


@pytest.fixture(params=["sqlite", "postgres", "inline"])
async def each_database(
    request: pytest.FixtureRequest, clock: FakeClock
) -> AsyncIterator[Database]:
    opened: Database
    if request.param == "inline":
        opened = InlineDatabase(clock=clock)
    else:
        url = request.getfixturevalue(f"migrated_{request.param}_url")
        opened = open_database(url, clock=clock)
    yield opened
    await opened.close()


def _set_time(connection: Connection, now: datetime) -> None:
    connection.execute(text("UPDATE test_time.clock SET now = :now"), {"now": now})
