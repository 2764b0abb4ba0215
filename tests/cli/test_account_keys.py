"""Exchange keys on the command line: asked for at a terminal, hidden, kept for their owner only."""

import os
import pty
import select
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Guardian
from tests.support.up import environment

KEY, SECRET = "MARKER-key-8151", "MARKER-secret-8152"
PROMPTED = b"): "
ADD = ("accounts", "add", "real", "--venue", "binanceusdm", "--environment", "Demo")


@pytest.fixture
def guardian(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Guardian:
    """A home with a database, and nothing that runs on it."""
    made = Guardian(capsys, tmp_path / "home")
    made("db", "upgrade")
    return made


def at_a_terminal(home: Path, arguments: tuple[str, ...], answers: list[str]) -> tuple[int, str]:
    """Types an answer at each prompt; the exit status, and all that the terminal showed."""
    process, terminal = pty.fork()
    if process == 0:
        command = [sys.executable, "-m", "guardian_cli", *arguments, "--home", str(home)]
        os.execve(command[0], command, environment())  # noqa: S606 - the test's own command
    shown = b""
    given = 0
    while select.select([terminal], [], [], 60)[0]:
        try:
            read = os.read(terminal, 4096)
        except OSError:  # the other side is closed
            break
        shown += read
        if given < min(shown.count(PROMPTED), len(answers)):
            os.write(terminal, f"{answers[given]}\n".encode())
            given += 1
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), shown.decode()


def stored(home: Path) -> dict[str, str]:
    folder = home / "accounts" / "real"
    return {file.name: file.read_text().strip() for file in folder.iterdir()}


def test_keys_are_asked_for_hidden_and_stored_for_their_owner(guardian: Guardian) -> None:
    status, shown = at_a_terminal(guardian.home, ADD, [KEY, SECRET])
    assert status == 0, shown
    assert "Binance USD-M futures, Demo" in shown
    assert "MARKER" not in shown
    assert stored(guardian.home) == {"api-key": KEY, "api-secret": SECRET}
    files = [*(guardian.home / "accounts").rglob("*")]
    assert {file.stat().st_mode & 0o077 for file in files} == {0}
    assert b"MARKER" not in (guardian.home / "guardian.db").read_bytes()
    assert guardian("accounts", "list", "--json").json[0]["name"] == "real"


def test_stored_keys_are_not_asked_for_again_and_can_be_changed(guardian: Guardian) -> None:
    at_a_terminal(guardian.home, ADD, [KEY, SECRET])
    guardian(*ADD, "--replace", "--paused")
    status, shown = at_a_terminal(guardian.home, ("accounts", "keys", "real"), ["new", "other"])
    assert status == 0, shown
    assert stored(guardian.home) == {"api-key": "new", "api-secret": "other"}


def test_nothing_is_asked_for_an_account_that_cannot_be(guardian: Guardian) -> None:
    for wrong in (
        ("accounts", "add", "real", "--venue", "mexc"),
        ("accounts", "add", "real", "--venue", "binance"),
        ("accounts", "keys", "nobody"),
    ):
        status, shown = at_a_terminal(guardian.home, wrong, [])
        assert status == 2
        assert "API key" not in shown
    assert not (guardian.home / "accounts").exists()


def test_a_passphrase_is_asked_for_where_keys_come_with_one(guardian: Guardian) -> None:
    add = tuple("okxswap" if word == "binanceusdm" else word for word in ADD)
    status, shown = at_a_terminal(guardian.home, add, [KEY, SECRET, ""])
    assert status == 2, shown
    assert not (guardian.home / "accounts").exists()
    status, shown = at_a_terminal(guardian.home, add, [KEY, SECRET, "MARKER-phrase"])
    assert status == 0, shown
    assert "MARKER" not in shown
    expected = {"api-key": KEY, "api-secret": SECRET, "passphrase": "MARKER-phrase"}
    assert stored(guardian.home) == expected


def test_an_empty_key_adds_nothing(guardian: Guardian) -> None:
    status, shown = at_a_terminal(guardian.home, ADD, ["", ""])
    assert status == 2, shown
    assert guardian("accounts", "list", "--json").json == []


def test_mounted_keys_are_neither_asked_for_nor_written(
    guardian: Guardian, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GUARDIAN_KEYS_FOLDER", str(tmp_path / "mounted"))
    guardian(*ADD)
    assert not (tmp_path / "mounted").exists()
