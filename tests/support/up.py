"""`guardian up` as a user starts it: a process of its own, on free ports, in a given home."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.wait import eventually

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 30.0


def environment(**settings: str) -> dict[str, str]:
    """This process's, without the settings that it may happen to have."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GUARDIAN_")}
    return own | settings


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "guardian_cli", *map(str, arguments)]


def run_guardian(*arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """One command as a process of its own."""
    return subprocess.run(
        command(*arguments),
        env=environment(**settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@dataclass(frozen=True)
class RunningUp:
    """A `guardian up` that is ready."""

    home: Path
    process: "subprocess.Popen[bytes]"
    log: Path
    receiver_url: str
    gateway_url: str

    def printed(self) -> str:
        return self.log.read_text()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(STOP_WITHIN_S)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(STOP_WITHIN_S)


def start_up(home: Path, *options: str, **settings: str) -> RunningUp:
    """Starts it, and returns once it serves."""
    log = home.with_name(f"{home.name}.log")
    ports = ("--port", "0", "--gateway-port", "0")
    with log.open("wb") as output:
        process = subprocess.Popen(
            command("up", "--home", home, *ports, *options),
            env=environment(**settings),
            stdout=output,
            stderr=output,
        )

    def run_info() -> dict[str, Any] | None:
        assert process.poll() is None, f"ended with {process.returncode}:\n{log.read_text()}"
        try:
            told: dict[str, Any] = json.loads((home / "run.json").read_text())
        except FileNotFoundError:
            return None
        return told if told["pid"] == process.pid else None

    try:
        told = eventually(run_info, within_s=READY_WITHIN_S, what="guardian up to be ready")
    except BaseException:
        process.kill()
        process.wait(STOP_WITHIN_S)
        raise
    assert told is not None
    return RunningUp(home, process, log, told["receiver_url"], told["gateway_url"])


@contextmanager
def running_up(home: Path, options: Sequence[str] = (), **settings: str) -> Iterator[RunningUp]:
    """A started one, stopped at the end."""
    running = start_up(home, *options, **settings)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.stop()
