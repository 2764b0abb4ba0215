"""The migrations make exactly what schema.py says, on both databases, and guard its version."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from guardian_core.domain.errors import ConfigurationError, Unavailable
from guardian_core.storage import migrations
from guardian_core.storage.engines import migration_engine, parse_url
from guardian_core.storage.schema import Base
from tests.support.postgres import PostgresServer
from tests.support.server_process import free_port


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/empty.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


def execute(url: str, statement: str) -> list[Any]:
    engine = migration_engine(parse_url(url))
    with engine.begin() as connection:
        result = connection.execute(text(statement))
        found = list(result) if result.returns_rows else []
    engine.dispose()
    return found


def test_an_upgrade_leaves_nothing_that_alembic_would_change(empty_url: str):
    migrations.upgrade(empty_url)
    engine = migration_engine(parse_url(empty_url))
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_an_upgraded_database_is_the_one_that_the_models_would_make(
    empty_url: str, postgres_server: PostgresServer, tmp_path: Path
):
    """Finer than the comparison above, which does not look at partial indexes or sequences."""
    migrations.upgrade(empty_url)
    if empty_url.startswith("sqlite"):
        twin = f"sqlite:///{tmp_path}/twin.db"
    else:
        twin = postgres_server.url(postgres_server.fresh_database())
    engine = migration_engine(parse_url(twin))
    with engine.begin() as connection:
        Base.metadata.create_all(connection)
        expected = description(connection)
    engine.dispose()
    engine = migration_engine(parse_url(empty_url))
    with engine.begin() as connection:
        assert description(connection) == expected
    engine.dispose()


def description(connection: Connection) -> list[tuple[Any, ...]]:
    """Everything that the database itself knows about the tables, apart from Alembic's own."""
    if connection.dialect.name == "sqlite":
        query = "SELECT type, name, tbl_name, sql FROM sqlite_master"
        found = [(*row[:3], words(row[3])) for row in connection.execute(text(query))]
    else:
        queries = (
            "SELECT table_name, column_name, data_type, is_nullable, column_default"
            " FROM information_schema.columns WHERE table_schema = 'public'",
            "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)"
            " FROM pg_constraint WHERE connamespace = 'public'::regnamespace",
            "SELECT sequencename, data_type::text, start_value, increment_by, cache_size"
            " FROM pg_sequences WHERE schemaname = 'public'",
        )
        found = [tuple(row) for query in queries for row in connection.execute(text(query))]
    return sorted((row for row in found if "alembic_version" not in repr(row)), key=repr)


def words(sql: str | None) -> list[str]:
    """A statement without regard to white space, and a table's clauses in any order."""
    parts = (sql or "").replace("(", " ( ").replace(")", " ) ").replace(",", " , ").split()
    return sorted(part for part in parts if part != ",")


def test_an_upgrade_tells_the_revision_and_a_second_one_changes_nothing(empty_url: str):
    assert migrations.current_revision(empty_url) is None
    assert migrations.upgrade(empty_url) == migrations.head_revision()
    assert migrations.current_revision(empty_url) == migrations.head_revision()
    migrations.require_current(empty_url)
    execute(
        empty_url,
        "INSERT INTO lease (name, holder, url, epoch, until) VALUES"
        " ('a', 'b', '', 1, '2025-01-01T00:00:00.000000Z')",
    )
    migrations.upgrade(empty_url)
    assert execute(empty_url, "SELECT name FROM lease") == [("a",)]


def test_a_database_without_tables_is_refused_with_the_command_that_helps(empty_url: str):
    with pytest.raises(ConfigurationError, match=r"no tables yet.*guardian db upgrade"):
        migrations.require_current(empty_url)


def test_a_database_that_a_newer_version_upgraded_is_refused(empty_url: str):
    migrations.upgrade(empty_url)
    execute(empty_url, "UPDATE alembic_version SET version_num = '9999'")
    for refused in (migrations.require_current, migrations.upgrade):
        with pytest.raises(ConfigurationError, match=r"9999.*newer"):
            refused(empty_url)


async def test_many_processes_may_upgrade_at_once(empty_url: str):
    upgrades = (asyncio.to_thread(migrations.upgrade, empty_url) for _ in range(6))
    assert set(await asyncio.gather(*upgrades)) == {migrations.head_revision()}


def test_an_upgrade_that_fails_half_way_leaves_nothing(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
):
    # The last thing that an upgrade writes is its revision.
    def fail(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr("alembic.runtime.migration.HeadMaintainer.update_to_step", fail)
        with pytest.raises(RuntimeError, match="killed"):
            migrations.upgrade(empty_url)
    assert migrations.current_revision(empty_url) is None
    assert migrations.upgrade(empty_url) == migrations.head_revision()


def test_a_server_that_is_away_is_unavailable():
    with pytest.raises(Unavailable):
        migrations.upgrade(f"postgresql://nobody@127.0.0.1:{free_port()}/none")


def test_a_folder_that_does_not_exist_is_unavailable(tmp_path: Path):
    with pytest.raises(Unavailable, match="unable to open"):
        migrations.upgrade(f"sqlite:///{tmp_path}/missing/guardian.db")


def test_an_upgraded_file_outlives_its_connection(tmp_path: Path):
    migrations.upgrade(f"sqlite:///{tmp_path}/guardian.db")
    with closing(sqlite3.connect(tmp_path / "guardian.db")) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    assert set(Base.metadata.tables) <= names
