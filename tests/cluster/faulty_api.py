"""A door before the API server that answers some requests itself, as a broken cluster would."""

import asyncio
import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
from kubernetes import client

from tests.cluster.cluster_house import configuration_of
from tests.support.kube import KubeServer

Refusal = Callable[[str, str], int | None]
"""Method and path of a request; the status it is answered with, None to let it through."""


@dataclass
class Door:
    """`refuse` may be changed any time; `refused` and `writes` count what came."""

    url: str
    refuse: Refusal = lambda _method, _path: None
    refused: int = 0
    writes: list[str] = field(default_factory=list)

    def configuration(self, server: KubeServer) -> client.Configuration:
        """The administrator's way to the server, through the door."""
        found = configuration_of(server)
        found.refresh_api_key_hook = None  # It would read the host again too.
        found.host = self.url
        return found


@contextmanager
def door_before(server: KubeServer) -> Iterator[Door]:
    """Plain HTTP; watches are let through as they come."""
    trusted = ssl.create_default_context(cafile=str(server.ca))
    with httpx.Client(verify=trusted, timeout=60, trust_env=False) as through:
        handler = type("Handler", (_Handler,), {"server_url": server.url, "through": through})
        listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        listening.daemon_threads = True
        door = Door(f"http://127.0.0.1:{listening.server_address[1]}")
        handler.door = door  # type: ignore[attr-defined]
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        try:
            yield door
        finally:
            listening.shutdown()
            listening.server_close()
            thread.join(5)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    door: Door
    server_url: str
    through: httpx.Client

    def log_message(self, *_: object) -> None:
        return None

    def _pass(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if self.command != "GET":
            self.door.writes.append(f"{self.command} {self.path}")
        status = self.door.refuse(self.command, self.path)
        if status is not None:
            self.door.refused += 1
            self._answer(status, b'{"kind":"Status","status":"Failure","message":"not today"}')
            return
        kept = ("authorization", "content-type", "accept")
        headers = {name: value for name, value in self.headers.items() if name.lower() in kept}
        request = self.through.build_request(
            self.command, self.server_url + self.path, headers=headers, content=body
        )
        if "watch=true" in self.path:
            self._stream(request)
            return
        answer = self.through.send(request)
        self._answer(answer.status_code, answer.content)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, request: httpx.Request) -> None:
        self.close_connection = True
        answer = self.through.send(request, stream=True)
        try:
            self.send_response(answer.status_code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Connection", "close")
            self.end_headers()
            for chunk in answer.iter_raw():
                self.wfile.write(chunk)
                self.wfile.flush()
        except (OSError, httpx.HTTPError):
            pass  # Either side has gone.
        finally:
            answer.close()

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _pass


async def until_refused(door: Door, times: int, within_s: float = 20.0) -> None:
    """Until so many requests were refused."""
    async with asyncio.timeout(within_s):
        while door.refused < times:
            await asyncio.sleep(0.05)
