"""`guardian up` as a child process: started, killed with signal 9, started again."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from guardian_cli.home import Home, RunInfo
from guardian_core.domain.errors import Unavailable
from guardian_core.ports import Clock

READY_WITHIN_S = 60.0
STOPPED_WITHIN_S = 20.0
LOOK_EVERY_S = 0.02
LOG_LINES_TOLD = 15


class Child:
    """One home, and the process that works on it. Its ports are free ones, and stay the same."""

    def __init__(self, home: Home, clock: Clock) -> None:
        self._home = home
        self._clock = clock
        self._process: asyncio.subprocess.Process | None = None
        self._ports: tuple[str, str] = ("0", "0")

    @property
    def log(self) -> Path:
        return self._home.path / "up.log"

    async def start(self) -> float:
        """Returns once it serves, with how many seconds that took. Raises Unavailable."""
        started_s = self._clock.monotonic()
        command = [sys.executable, "-m", "guardian_cli", "up", "--home", str(self._home.path)]
        command += ["--port", self._ports[0], "--gateway-port", self._ports[1]]
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=_clean()
            )
        run = await self._ready()
        self._ports = (_port(run.receiver_url), _port(run.gateway_url))
        return self._clock.monotonic() - started_s

    async def kill(self) -> None:
        """As the kernel does when memory is out: nothing of it runs any more."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    async def stop(self) -> int | None:
        """Asks it to end; its exit status. A process that is gone already is left alone."""
        if self._process is None or self._process.returncode is not None:
            return self._process.returncode if self._process else None
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOPPED_WITHIN_S):
                return await self._process.wait()
        except TimeoutError:
            await self.kill()
            return None

    async def _ready(self) -> RunInfo:
        assert self._process is not None
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                while True:
                    run = self._home.running()
                    if run is not None and run.pid == self._process.pid:
                        return run
                    if self._process.returncode is not None:
                        raise Unavailable(f"`guardian up` ended by itself:\n{self._log_tail()}")
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            raise Unavailable(
                f"`guardian up` was not ready within {READY_WITHIN_S:.0f} s:\n{self._log_tail()}"
            ) from None

    def _log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_LINES_TOLD:])


def _clean() -> dict[str, str]:
    """The environment without settings: the demo's are its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GUARDIAN_")}


def _port(url: str) -> str:
    return url.rpartition(":")[2]
