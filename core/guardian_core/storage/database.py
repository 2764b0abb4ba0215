"""Which database a URL means."""

from guardian_core.domain.errors import ConfigurationError
from guardian_core.ports import Clock, Database
from guardian_core.storage.engines import is_sqlite, parse_url
from guardian_core.storage.postgres import PostgresDatabase
from guardian_core.storage.sqlite import SqliteDatabase


def open_database(url: str, *, clock: Clock) -> Database:
    """The database behind a `sqlite:///` or `postgresql://` URL. Connects at the first run.

    Raises ConfigurationError for any other URL.
    """
    parsed = parse_url(url)
    if not is_sqlite(parsed):
        return PostgresDatabase(parsed, clock=clock)
    if parsed.database in (None, "", ":memory:"):
        raise ConfigurationError(
            "the database URL names no file, so nothing would outlive the process:"
            " use sqlite:////path/to/file.db"
        )
    return SqliteDatabase(parsed, clock=clock)
