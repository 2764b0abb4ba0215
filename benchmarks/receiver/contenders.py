"""The servers that are measured, each a real process on a port of its own."""

import asyncio
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine, text

from guardian_core.accounts import AccountSpec
from guardian_core.clock import SystemClock
from guardian_core.ids import SystemIds
from guardian_core.storage import migrations
from guardian_core.storage.accounts_store import put_account
from guardian_core.storage.database import open_database
from guardian_core.storage.tokens import create_token
from tests.support.server_process import free_port

BIN = Path(sys.executable).parent
READY_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Contender:
    """`table`: where its stored alerts are counted."""

    name: str
    command: list[str]
    environment: dict[str, str]
    port: int
    token: str
    database_url: str
    table: str

    @property
    def path(self) -> str:
        return f"/webhook/{self.token}"

    @contextmanager
    def running(self, log: Path) -> Iterator[int]:
        """The server's process id, once it serves."""
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command,
                env=os.environ | self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                self._wait_until_ready(process, log)
                yield process.pid
            finally:
                process.terminate()
                process.wait(20)

    def stored(self) -> int:
        engine = create_engine(self.database_url)
        with engine.connect() as connection:
            count = connection.scalar(text(f"SELECT count(*) FROM {self.table}"))  # noqa: S608
        engine.dispose()
        return int(count or 0)

    def _wait_until_ready(self, process: subprocess.Popen[bytes], log: Path) -> None:
        until = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < until and process.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=1)
                return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"{self.name} did not start:\n{log.read_text(errors='replace')}")


def ours(name: str, database_url: str) -> Contender:
    """The console script as it is installed, with its logs on."""
    migrations.upgrade(database_url)
    port = free_port()
    return Contender(
        name,
        [str(BIN / "guardian-receiver")],
        {
            "GUARDIAN_DATABASE_URL": database_url,
            "GUARDIAN_RECEIVER_PORT": str(port),
            "GUARDIAN_LOG_FORMAT": "json",
        },
        port,
        asyncio.run(_account_and_token(database_url)),
        database_url,
        "webhook",
    )


async def _account_and_token(database_url: str) -> str:
    database = open_database(database_url, clock=SystemClock())
    try:
        await database.run(lambda tx: put_account(tx, "main", AccountSpec(account_id="main")))
        secret, _ = await database.run(lambda tx: create_token(tx, SystemIds(), "bench"))
        return secret
    finally:
        await database.close()


def fastapi_commit_each(name: str, database_url: str) -> Contender:
    port, token = free_port(), SystemIds().token()
    module = "benchmarks.receiver.fastapi_commit_each"
    command = [sys.executable, "-m", module, str(port), database_url, token]
    return Contender(name, command, {}, port, token, database_url, "plain_webhook")


def flask_sqlite(name: str, file: Path) -> Contender:
    port, token = free_port(), SystemIds().token()
    command = [str(BIN / "gunicorn"), "--bind", f"127.0.0.1:{port}", "--threads", "8"]
    command += ["--keep-alive", "30", "benchmarks.receiver.flask_sqlite:app"]
    environment = {"BENCH_DATABASE": str(file), "BENCH_TOKEN": token}
    return Contender(name, command, environment, port, token, f"sqlite:///{file}", "alerts")
