"""Serves an ASGI app inside a running loop: several of them live side by side in one process.

What uvicorn leaves open is bounded here, for every app: a connection that has not sent a complete
request head in HEAD_WITHIN_S, or its body in another BODY_WITHIN_S, is cut off, and so is a head
longer than HEAD_MAX_BYTES. How long a body may be is the app's to say.
There is no access log, since a path or query may hold a token.
"""

import asyncio
import errno
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from guardian_core.domain.errors import ConfigurationError

HEAD_WITHIN_S = 10.0
BODY_WITHIN_S = 5.0
HEAD_MAX_BYTES = 32 * 1024
KEEP_ALIVE_S = 15
"""How long an idle connection between two requests is kept."""
STOP_WITHIN_S = 5
BACKLOG = 2048
OPEN_FILES_MAX = 65_536


class _Phase(Enum):
    """What a connection is about to send."""

    NOTHING = 0
    HEAD = 1
    BODY = 2


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a deadline for each part of a request, and a size for its head.

    A request that comes whole, as nearly all do, costs no timer.
    """

    head_within_s = HEAD_WITHIN_S
    body_within_s = BODY_WITHIN_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._phase = _Phase.HEAD
        self._timed = _Phase.NOTHING
        self._timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._phase = _Phase.NOTHING
        self._set_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._phase is not self._timed:
            self._set_timer()
        if self._phase is _Phase.HEAD:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_MAX_BYTES:
                self._cut_off()

    def on_message_begin(self) -> None:
        self._phase = _Phase.HEAD
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._phase = _Phase.BODY
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._phase = _Phase.NOTHING
        super().on_message_complete()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timed = self._phase
        if self._phase is not _Phase.NOTHING:
            within_s = self.head_within_s if self._phase is _Phase.HEAD else self.body_within_s
            self._timer = self.loop.call_later(within_s, self._cut_off)

    def _cut_off(self) -> None:
        if self._phase is _Phase.BODY and not self.cycle.response_started:
            self.transport.write(_TOO_SLOW)
        self._phase = _Phase.NOTHING
        self._set_timer()
        self.transport.close()


_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def _allow_many_connections() -> None:
    """Up to what the system allows: the usual 1,024 is soon used up by silent connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, OPEN_FILES_MAX), hard))


class _Server(uvicorn.Server):
    """Leaves the signals to whoever runs the loop, and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


class WebServer:
    """One app on one port: `start`, then `stop`; or `async with`. Port 0 takes a free one."""

    def __init__(self, app: Any, host: str, port: int) -> None:
        self._host = host
        self._asked_port = port
        self._server = _Server(
            uvicorn.Config(
                app,
                http=BoundedProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=STOP_WITHIN_S,
                backlog=BACKLOG,
            )
        )
        self._task: asyncio.Task[None] | None = None
        self._port = port

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        """Where a client on this machine reaches it."""
        host = "127.0.0.1" if self._host in ("0.0.0.0", "::", "") else self._host  # noqa: S104
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    async def start(self) -> None:
        """Returns once it listens. Raises ConfigurationError when the address cannot be had."""
        _allow_many_connections()
        listener = self._bind()
        self._port = listener.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve([listener]), name=f"web:{self._port}")
        listening = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait((self._task, listening), return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        if self._task.done():
            self._task.result()

    async def wait_closed(self) -> None:
        """Until it has stopped; raises what stopped it."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def stop(self) -> None:
        """Finishes the requests under way, for STOP_WITHIN_S at most."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task

    async def __aenter__(self) -> "WebServer":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        address = (self._host, self._asked_port)
        try:
            listener = socket.create_server(address, family=family, backlog=BACKLOG)
        except OSError as error:
            why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be had: {error}"
            raise ConfigurationError(
                f"{self._host}:{self._asked_port} {why}; choose another host or port"
            ) from error
        # Accepted sockets inherit it. asyncio's own loop would leave it off here, and an answer's
        # second segment then waits 40 ms for the client's delayed acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
