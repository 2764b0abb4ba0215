"""A real PostgreSQL server for the tests, in a folder and on a port of its own."""

import itertools
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from tests.support.server_process import (
    ServerProcess,
    as_user,
    find_program,
    free_port,
    unprivileged_user,
)
from tests.support.wait import eventually

_USER = "guardian"
_START_WITHIN_S = 30.0

_ALWAYS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
}
# Tests that never pull the plug have nothing to gain from waiting for the disk.
_FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
_DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}


class PostgresServer:
    """A PostgreSQL server that can be stopped, killed and started again on the same data."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self._data = folder / "data"
        self._user = unprivileged_user()
        self._settings = _ALWAYS | (_DURABLE if durable else _FAST)
        self._numbers = itertools.count(1)
        self.port = free_port()
        if self._user is not None:
            shutil.chown(folder, self._user)
        initdb(self._data, self._user)
        self.process = self._make_process(folder)

    def start(self) -> None:
        """Starts the server and returns once it takes connections."""
        eventually(self._try_to_start, within_s=_START_WITHIN_S, what="PostgreSQL to take calls")

    def stop(self) -> None:
        # SIGINT is PostgreSQL's fast shutdown: it ends sessions instead of waiting for them.
        self.process.stop(signal.SIGINT)

    def kill(self) -> None:
        self.process.kill()

    def url(self, database: str = "postgres") -> str:
        url = URL.create("postgresql+psycopg2", _USER, None, "127.0.0.1", self.port, database)
        return url.render_as_string(hide_password=False)

    def fresh_database(self, template: str = "template1") -> str:
        """Makes a new database, a copy of `template`, and returns its name."""
        name = f"test_{next(self._numbers)}"
        with self.administer() as connection:
            connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
        return name

    def drop_database(self, name: str) -> None:
        with self.administer() as connection:
            connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))

    @contextmanager
    def administer(self) -> Iterator[Connection]:
        """A connection outside any transaction, as CREATE DATABASE and its like want."""
        engine = create_engine(self.url(), poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            yield connection

    def _make_process(self, folder: Path) -> ServerProcess:
        command = [str(server_program("postgres")), "-D", str(self._data), "-p", str(self.port)]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        return ServerProcess(command, folder / "postgres.log", user=self._user)

    def _try_to_start(self) -> bool:
        # After a kill, the old server's children may hold its memory for a moment: try again then.
        if not self.process.running:
            self.process.start()
        try:
            with self.administer() as connection:
                return bool(connection.scalar(text("SELECT 1")))
        except OperationalError as error:
            raise AssertionError(f"{error}\n{self.process.log_tail()}") from error


@contextmanager
def running_postgres(*, durable: bool = False) -> Iterator[PostgresServer]:
    """A started server, stopped and removed at the end; a `durable` one keeps its commits."""
    # Not pytest's tmp_path: only its owner may enter that, and PostgreSQL refuses to run as root.
    with tempfile.TemporaryDirectory(prefix="guardian-postgres-") as folder:
        server = PostgresServer(Path(folder), durable=durable)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def initdb(data: Path, user: str | None) -> None:
    command = [str(server_program("initdb")), "--pgdata", str(data), "--username", _USER]
    command += ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
    done = subprocess.run(
        [*as_user(user), *command], cwd="/", capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")


def server_program(name: str) -> Path:
    """Debian keeps the server's programs off the PATH; of several versions the newest is taken."""
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    newest_first = sorted(versions, key=lambda folder: float(folder.parent.name), reverse=True)
    return find_program(name, *newest_first, Path("/usr/local/pgsql/bin"))
