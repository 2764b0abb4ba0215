"""The folder of everything kept on one machine, and who runs on it.

    guardian.db      the database
    installation     six letters and digits, in every client order id: outlives the database
    gateway-token    bearer token of the gateway on this machine
    cli-token        webhook token of `guardian webhook send`, listed as "cli"
    accounts/        exchange keys, a folder per account: see `guardian accounts keys`
    lock             held by the one `guardian up` of this folder
    run.json         where that one listens

Only its owner may enter. A file is written once, whole: a crash leaves it out or complete.
"""

import asyncio
import base64
import fcntl
import json
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from guardian_core.domain.errors import ConfigurationError
from guardian_core.domain.orders import INSTALLATION_LENGTH, check_installation
from guardian_core.ports import Ids

OWNER_ONLY_FOLDER = 0o700
OWNER_ONLY_FILE = 0o600


@dataclass(frozen=True, slots=True)
class RunInfo:
    """Where the running `guardian up` of a home listens; without a path, `http://host:port`."""

    pid: int
    receiver_url: str
    gateway_url: str


class Home:
    """A home folder. Nothing is made before `create`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def database_path(self) -> Path:
        return self.path / "guardian.db"

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.database_path}"

    def create(self) -> None:
        """Makes the folder. Raises ConfigurationError when it cannot be one."""
        try:
            self.path.mkdir(mode=OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"the data folder {self.path} cannot be made: {error.strerror};"
                " name another with --home or GUARDIAN_HOME"
            ) from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise ConfigurationError(
                f"the data folder {self.path} cannot be written to:"
                " change its owner, or name another with --home or GUARDIAN_HOME"
            )

    def warning(self) -> str:
        """What is wrong with the folder's permissions; empty when nothing is."""
        mode = stat.S_IMODE(self.path.stat().st_mode)
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            return (
                f"others may enter the data folder {self.path} (mode {mode:03o}):"
                f" chmod 700 {self.path}"
            )
        return ""

    def installation(self, ids: Ids) -> str:
        """The installation's id, made at its first use. Raises CallerError for a broken file."""
        drawn = base64.b32encode(ids.uuid().bytes).decode()[:INSTALLATION_LENGTH].lower()
        return check_installation(self._once("installation", drawn))

    def gateway_token(self, ids: Ids) -> str:
        """The token of the gateway on this machine, made at its first use."""
        return self._once("gateway-token", ids.token())

    def read_gateway_token(self) -> str | None:
        return self._read("gateway-token")

    def read_cli_token(self) -> str | None:
        return self._read("cli-token")

    def keep_cli_token(self, secret: str) -> None:
        """Replaces the cli's own webhook token."""
        self._replace("cli-token", secret)

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Keeps every other `guardian up` off this home. Raises ConfigurationError with its pid.

        The kernel drops the lock with the process, however that ends.
        """
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, OWNER_ONLY_FILE)
        try:
            if not await _lock(descriptor):
                other = os.read(descriptor, 32).decode(errors="replace").strip()
                who = f"pid {other}" if other.isdigit() else "another process"
                raise ConfigurationError(
                    f"`guardian up` already runs on {self.path} ({who}): stop it first,"
                    " or give this one its own folder with --home"
                )
            os.ftruncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
            yield
        finally:
            os.close(descriptor)

    def is_locked(self) -> bool:
        """Whether a `guardian up` runs on this home."""
        try:
            descriptor = os.open(self.path / "lock", os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def publish(self, run: RunInfo) -> None:
        """Tells the other commands where this process listens. Under the lock."""
        self._replace("run.json", json.dumps(asdict(run)))

    def unpublish(self) -> None:
        """Takes back what the run before told: it may have been killed."""
        (self.path / "run.json").unlink(missing_ok=True)

    def running(self) -> RunInfo | None:
        """The `guardian up` that runs on this home and is ready, if one is."""
        text = self._read("run.json")
        if text is None or not self.is_locked():
            return None
        told = json.loads(text)
        return RunInfo(**{field.name: told[field.name] for field in fields(RunInfo)})

    def _read(self, name: str) -> str | None:
        try:
            return (self.path / name).read_text().strip() or None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigurationError(
                f"{self.path / name} cannot be read: {error.strerror}"
            ) from error

    def _once(self, name: str, text: str) -> str:
        """The file's text; `text` becomes it where there is none. Of two writers, one wins."""
        stored = self._read(name)
        if stored is not None:
            return stored
        draft = self._draft(name, text)
        try:
            os.link(draft, self.path / name)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        stored = self._read(name)
        if stored is None:
            raise ConfigurationError(f"{self.path / name} is empty: delete it, or restore it")
        return stored

    def _replace(self, name: str, text: str) -> None:
        self._draft(name, text).replace(self.path / name)

    def _draft(self, name: str, text: str) -> Path:
        draft = self.path / f".{name}.{os.getpid()}"
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY_FILE)
        with os.fdopen(descriptor, "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        return draft


async def _lock(descriptor: int) -> bool:
    """A command that looks whether the lock is held holds it itself for an instant: try again."""
    for _ in range(10):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(0.05)
        else:
            return True
    return False
