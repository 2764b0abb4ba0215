"""A real Redis server for the tests, on a port of its own and with nothing kept on disk."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.support.server_process import ServerProcess, find_program, free_port
from tests.support.wait import eventually

_START_WITHIN_S = 15.0


class RedisServer:
    """A Redis server that can be stopped, killed and started again; it forgets everything then."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        command = [str(find_program("redis-server")), "--bind", "127.0.0.1"]
        command += ["--port", str(self.port), "--dir", str(folder)]
        command += ["--save", "", "--appendonly", "no", "--daemonize", "no"]
        self.process = ServerProcess(command, folder / "redis.log")

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Starts the server and returns once it answers."""
        eventually(self._try_to_start, within_s=_START_WITHIN_S, what="Redis to answer")

    def stop(self) -> None:
        self.process.stop()

    def kill(self) -> None:
        self.process.kill()

    def forget_everything(self) -> None:
        with redis.Redis(port=self.port) as client:
            client.flushall()

    def _try_to_start(self) -> bool:
        if not self.process.running:
            self.process.start()
        try:
            with redis.Redis(port=self.port) as client:
                return bool(client.ping())
        except redis.ConnectionError as error:
            raise AssertionError(f"{error}\n{self.process.log_tail()}") from error


@contextmanager
def running_redis() -> Iterator[RedisServer]:
    """A started server, stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="guardian-redis-") as folder:
        server = RedisServer(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.stop()
