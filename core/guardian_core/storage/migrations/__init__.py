"""The schema's history, run by Alembic: one transaction per upgrade, on both databases.

Times are the migration's own: no limit on a statement, so an upgrade is never cut in half.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from guardian_core.domain.errors import ConfigurationError, Unavailable
from guardian_core.storage.engines import migration_engine, parse_url
from guardian_core.storage.sqlite import describe

_ADVISORY_LOCK = 7_265_431_190_224_117
"""Any number that is always the same: PostgreSQL's locks of this kind have no names."""


def upgrade(url: str) -> str:
    """Brings the database to this version's schema and returns its revision.

    Safe when several processes do it at once. Raises ConfigurationError when a newer version
    has been here, Unavailable when the database does not answer.
    """
    with _connect(url) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        current = _revision_of(connection)
        if current == head_revision():
            return current
        _refuse_unknown(current)
        config = configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return head_revision()


def current_revision(url: str) -> str | None:
    """What the database stands at; None before its first upgrade."""
    with _connect(url) as connection:
        return _revision_of(connection)


def is_current(url: str) -> bool:
    """Whether the database has exactly this version's schema, and not yet an older one's.

    Raises ConfigurationError when it has a newer one's, Unavailable when it does not answer.
    """
    current = current_revision(url)
    _refuse_unknown(current)
    return current == head_revision()


def require_current(url: str) -> None:
    """Raises ConfigurationError unless the database has exactly this version's schema."""
    with _connect(url) as connection:
        require_current_on(connection)


def require_current_on(connection: Connection) -> None:
    """`require_current` within a transaction that only reads."""
    current = _revision_of(connection)
    if current == head_revision():
        return
    _refuse_unknown(current)
    standing = "has no tables yet" if current is None else f"is at the older revision {current}"
    raise ConfigurationError(
        f"the database {standing}, this version needs {head_revision()}: run `guardian db upgrade`"
    )


@cache
def head_revision() -> str:
    """The revision that this version of the code is written for."""
    head = ScriptDirectory.from_config(configuration()).get_current_head()
    assert head is not None, "the package holds no migrations"
    return head


@contextmanager
def _connect(url: str) -> Iterator[Connection]:
    """One transaction. A server that is away is Unavailable."""
    engine = migration_engine(parse_url(url))
    try:
        with engine.begin() as connection:
            yield connection
    except OperationalError as error:
        raise Unavailable(f"the database is away: {describe(error)}") from error
    finally:
        engine.dispose()


def _revision_of(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _refuse_unknown(revision: str | None) -> None:
    known = {
        script.revision for script in ScriptDirectory.from_config(configuration()).walk_revisions()
    }
    if revision is not None and revision not in known:
        raise ConfigurationError(
            f"the database is at revision {revision}, which this version does not know:"
            " a newer one has upgraded it, so run that one, or restore a backup"
        )


def configuration() -> Config:
    """Alembic as it runs here, without an alembic.ini."""
    config = Config()
    config.set_main_option("script_location", "guardian_core.storage:migrations")
    config.set_main_option("path_separator", "os")
    return config
