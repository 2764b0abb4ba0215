"""SQLAlchemy engines, set up so that a commit is durable and no call waits for ever.

Parameters never appear in an error's text (`hide_parameters`): a payload may hold anything.
"""

from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, Pool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from guardian_core.domain.errors import ConfigurationError

SQLITE_BUSY_TIMEOUT_MS = 5_000

CONNECT_TIMEOUT_S = 2
"""libpq's own minimum."""
TCP_USER_TIMEOUT_MS = 3_000
SERVER_LIMITS = {
    "statement_timeout": "3000",
    "lock_timeout": "2000",
    "idle_in_transaction_session_timeout": "5000",
    "timezone": "UTC",
}
"""Enforced by PostgreSQL itself, in milliseconds: a dead client's transaction ends too."""


def parse_url(url: str) -> URL:
    """Raises ConfigurationError, without repeating the URL: it may hold a password."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError(
            "the database URL is not one: use sqlite:////path/to/file.db"
            " or postgresql://user:password@host/name"
        ) from error
    match parsed.drivername:
        case "postgres" | "postgresql" | "postgresql+psycopg2":
            return parsed.set(drivername="postgresql+psycopg2")
        case "sqlite" | "sqlite+pysqlite":
            return parsed.set(drivername="sqlite+pysqlite")
        case other:
            raise ConfigurationError(
                f"the database URL begins with {other}: use sqlite:// or postgresql://"
            )


def is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def sqlite_engine(url: URL, *, poolclass: type[Pool] | None = None) -> Engine:
    """Each transaction begins with BEGIN IMMEDIATE, so it never has to upgrade a read lock."""
    # A connection may be closed by another thread than its own; only one at a time uses it.
    options: dict[str, Any] = {"hide_parameters": True}
    if poolclass is not None:
        options["poolclass"] = poolclass
    engine = create_engine(url, connect_args={"check_same_thread": False}, **options)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver's own implicit BEGIN would come too late for savepoints and DDL.
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout={SQLITE_BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def postgres_engine(url: URL, *, size: int) -> Engine:
    """`size` connections at most, opened as they are needed."""
    return create_engine(
        url,
        hide_parameters=True,
        pool_size=size,
        max_overflow=0,
        pool_timeout=CONNECT_TIMEOUT_S,
        connect_args=_postgres_connect_args(url, SERVER_LIMITS),
    )


def migration_engine(url: URL) -> Engine:
    """One connection and, on PostgreSQL, no time limit on a statement: a migration may be long."""
    if is_sqlite(url):
        return sqlite_engine(url, poolclass=NullPool)
    arguments = _postgres_connect_args(url, {"timezone": "UTC"})
    return create_engine(url, hide_parameters=True, poolclass=NullPool, connect_args=arguments)


def _postgres_connect_args(url: URL, server_settings: dict[str, str]) -> dict[str, Any]:
    ours = " ".join(f"-c {name}={value}" for name, value in server_settings.items())
    theirs = url.query.get("options", "")
    return {
        "application_name": "position-guardian",
        "connect_timeout": CONNECT_TIMEOUT_S,
        "keepalives": 1,
        "keepalives_idle": 5,
        "keepalives_interval": 1,
        "keepalives_count": 3,
        "tcp_user_timeout": TCP_USER_TIMEOUT_MS,
        # PostgreSQL takes the last of two: what the URL says wins.
        "options": f"{ours} {theirs if isinstance(theirs, str) else ' '.join(theirs)}".strip(),
    }
