"""What a cluster's Jobs and initContainers run: waiting for the schema, importing the token."""

import asyncio
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from guardian_core.clock import SystemClock
from guardian_core.storage import migrations
from guardian_core.storage.database import open_database
from guardian_core.storage.tokens import TokenRow, list_tokens, token_sha256
from tests.cli.conftest import Guardian
from tests.support.up import command, environment

SECRET = "kept-by-the-cluster-0001"


@contextmanager
def started(*arguments: str, url: str) -> Iterator["subprocess.Popen[str]"]:
    """A command that runs beside the test, on a database of several processes."""
    process = subprocess.Popen(
        command(*arguments),
        env=environment(GUARDIAN_DATABASE_URL=url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_services_wait_until_the_schema_is_there(postgres_url: str) -> None:
    with started("db", "wait", "--timeout", "60", url=postgres_url) as waiting:
        assert waiting.stderr is not None
        assert "schema" in waiting.stderr.readline()
        assert waiting.poll() is None
        migrations.upgrade(postgres_url)
        out, _ = waiting.communicate(timeout=60)
        assert (waiting.returncode, "ready" in out) == (0, True)


def test_waiting_gives_up_and_says_on_what(
    postgres_url: str, offline: Guardian, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUARDIAN_DATABASE_URL", postgres_url)
    assert "schema" in offline("db", "wait", "--timeout", "0", status=1).err


def test_a_newer_schema_is_not_waited_for(offline: Guardian) -> None:
    offline("db", "upgrade")
    with sqlite3.connect(offline.home / "guardian.db") as database:
        database.execute("UPDATE alembic_version SET version_num = 'from-the-future'")
    database.close()
    refused = offline("db", "wait", "--timeout", "3600", status=2)
    assert "from-the-future" in refused.err


def test_the_upgrade_waits_for_a_server_that_is_not_there_yet(tmp_path: Path) -> None:
    """Its port is taken by nobody at first, and by one that breaks each connection after."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"postgresql://nobody@127.0.0.1:{listener.getsockname()[1]}/none"
        with started("db", "upgrade", "--wait", "60", url=url) as waiting:
            assert waiting.stderr is not None
            assert "waiting: the database is away" in waiting.stderr.readline()
            listener.listen()
            connection, _ = listener.accept()
            connection.close()
            assert waiting.poll() is None


def test_without_waiting_an_upgrade_fails_at_once(
    offline: Guardian, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        monkeypatch.setenv("GUARDIAN_DATABASE_URL", f"postgresql://x@127.0.0.1:{port}/none")
        assert "away" in offline("db", "upgrade", status=1).err


@pytest.fixture
def importing(offline: Guardian, monkeypatch: pytest.MonkeyPatch) -> Guardian:
    """A migrated home, with the secret where the Job has it."""
    offline("db", "upgrade")
    monkeypatch.setenv("GUARDIAN_WEBHOOK_TOKEN", SECRET)
    return offline


def imported(guardian: Guardian) -> list[TokenRow]:
    guardian("token", "import", "--from-env", "GUARDIAN_WEBHOOK_TOKEN")

    async def rows() -> list[TokenRow]:
        url = f"sqlite:///{guardian.home / 'guardian.db'}"
        database = open_database(url, clock=SystemClock())
        try:
            return await database.run(list_tokens)
        finally:
            await database.close()

    return asyncio.run(rows())


def test_an_imported_secret_is_a_token_for_all_accounts(importing: Guardian) -> None:
    [token] = imported(importing)
    assert token.sha256 == token_sha256(SECRET)
    assert token.accounts == ()
    assert token.is_live


def test_importing_again_changes_nothing(importing: Guardian) -> None:
    assert imported(importing) == imported(importing)


def test_another_secret_leaves_the_one_before_alive(
    importing: Guardian, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported(importing)
    monkeypatch.setenv("GUARDIAN_WEBHOOK_TOKEN", "kept-by-the-cluster-0002")
    first, second = imported(importing)
    assert first.is_live
    assert second.is_live
    assert first.name != second.name


def test_a_revoked_secret_is_not_brought_back(importing: Guardian) -> None:
    [token] = imported(importing)
    importing("token", "revoke", token.name)
    [again] = imported(importing)
    assert not again.is_live


@pytest.mark.parametrize(("secret", "told"), [("", "is not set"), ("short", "too short")])
def test_a_secret_that_is_none_is_refused(
    importing: Guardian, monkeypatch: pytest.MonkeyPatch, secret: str, told: str
) -> None:
    monkeypatch.setenv("GUARDIAN_WEBHOOK_TOKEN", secret)
    words = ("token", "import", "--from-env", "GUARDIAN_WEBHOOK_TOKEN")
    assert told in importing(*words, status=2).err


def test_the_secret_is_in_nothing_that_the_import_prints(importing: Guardian) -> None:
    printed = importing("token", "import", "--from-env", "GUARDIAN_WEBHOOK_TOKEN")
    assert SECRET not in printed.out + printed.err
