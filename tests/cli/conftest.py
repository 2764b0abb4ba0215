"""Every command is run for real, against a real `guardian up` in a home of its own."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from guardian_cli.main import run
from tests.support.up import RunningUp, environment, running_up


@dataclass(frozen=True)
class Result:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Guardian:
    """Runs commands in this process: the same code as the console script, without its start."""

    def __init__(self, capture: pytest.CaptureFixture[str], home: Path) -> None:
        self._capture = capture
        self.home = home

    def __call__(self, *arguments: str, status: int | None = 0) -> Result:
        """Runs a command on the home; `status`: what it must end with, None for anything."""
        return self.bare(*arguments, "--home", str(self.home), status=status)

    def bare(self, *arguments: str, status: int | None = 0) -> Result:
        """Runs a command as it is."""
        self._capture.readouterr()
        ended = run(arguments)
        printed = self._capture.readouterr()
        result = Result(ended, printed.out, printed.err)
        assert status in (None, ended), f"{arguments} ended with {ended}:\n{result}"
        return result


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", environment())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUp]:
    """One `guardian up` for a module's tests."""
    with running_up(tmp_path_factory.mktemp("cli") / "home") as started:
        yield started


@pytest.fixture
def guardian(capsys: pytest.CaptureFixture[str], running: RunningUp) -> Guardian:
    """Commands on the running home."""
    return Guardian(capsys, running.home)


@pytest.fixture
def offline(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Guardian:
    """Commands on a home that nothing runs on, and that is not made yet."""
    return Guardian(capsys, tmp_path / "home")
