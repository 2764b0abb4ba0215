"""A server program as a child of the test process: started, stopped and killed by its own pid."""

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_STOP_WITHIN_S = 20.0
_FIRST_PORT, _LAST_PORT = 15_000, 32_000
_PORT_TRIES = 100


class ServerProcess:
    """One server program that writes to a log file and dies with the test process.

    `environment`: all that it gets of one; by default, this process's. On Linux it dies with the
    very thread that started it.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        user: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = [*_dies_with_its_parent(user), *command]
        self._log = log
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self._command[-1]} was not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        if self.running:
            raise RuntimeError(f"already running as {self.pid}")
        with self._log.open("ab") as log:
            # A session of its own keeps a Ctrl-C at the terminal from reaching the server.
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=self._environment,
            )

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """Asks the server to end, and kills it when it does not."""
        if self._process is None:
            return
        if self.running:
            self._process.send_signal(with_signal)
        try:
            self._process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Ends the server as a power cut would: SIGKILL, nothing written any more."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_WITHIN_S)

    def log_tail(self, lines: int = 20) -> str:
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on; another process may still take it first.

    Below those that the kernel gives to outgoing connections (from 32768 on Linux): while a
    server is down, a client that keeps dialling such a port would in the end be given that very
    port as its own, be connected to itself, and keep the server from coming back.
    """
    for _ in range(_PORT_TRIES):
        port = random.randrange(_FIRST_PORT, _LAST_PORT)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port found between {_FIRST_PORT} and {_LAST_PORT}")


def unprivileged_user() -> str | None:
    """Whom to run a server as that refuses to run as root; None when this process is not root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def find_program(name: str, *folders: Path) -> Path:
    """The program in one of the folders, or else on the PATH."""
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} was not found: run scripts/ensure-test-servers")
    return Path(found)


def as_user(user: str | None) -> list[str]:
    """The words before a command that run it as another user; it keeps the pid."""
    if user is None:
        return []
    entry = pwd.getpwnam(user)
    return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]


def _dies_with_its_parent(user: str | None) -> list[str]:
    """A killed pytest cannot stop its servers, so the kernel is asked to (Linux only)."""
    if shutil.which("setpriv") is None:
        return []
    return [*(as_user(user) or ["setpriv"]), "--pdeathsig=INT"]
