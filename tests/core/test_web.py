"""The web server inside a loop: what it bounds, and how it starts and stops."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from guardian_core import web
from guardian_core.domain.errors import ConfigurationError
from guardian_core.web import BoundedProtocol, WebServer


async def app(scope: dict, receive: Callable, send: Callable) -> None:
    while scope["path"] == "/slow":
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        if not message["more_body"]:
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WebServer]:
    monkeypatch.setattr(BoundedProtocol, "head_within_s", 0.5)
    monkeypatch.setattr(BoundedProtocol, "body_within_s", 0.5)
    async with WebServer(app, "127.0.0.1", 0) as server:
        yield server


async def closed_by_server(reader: asyncio.StreamReader, within_s: float = 5) -> bool:
    try:
        return await asyncio.wait_for(reader.read(), within_s) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    "sent", [b"", b"POST /webhook HT", b"POST / HTTP/1.1\r\nHost: x\r\n", b"GET / HTTP/1.1\r\nA: "]
)
async def test_a_connection_without_a_complete_head_is_closed(
    server: WebServer, sent: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(sent)
    assert await closed_by_server(reader)
    writer.close()


async def test_a_head_that_trickles_in_is_cut_off_at_its_deadline(server: WebServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\n")

    async def trickle() -> None:
        while not writer.is_closing():
            writer.write(b"a: b\r\n")
            await asyncio.sleep(0.05)

    trickling = asyncio.create_task(trickle())
    assert await closed_by_server(reader)
    trickling.cancel()
    writer.close()


async def test_a_second_half_sent_request_is_closed_too(server: WebServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.wait_for(reader.readuntil(b"here"), 5)
    writer.write(b"GET / HTTP/1.1\r\nHos")
    assert b"here" not in await asyncio.wait_for(reader.read(), 5)
    writer.close()


async def test_an_endless_head_is_cut_off_by_its_size(server: WebServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\na: " + b"x" * (web.HEAD_MAX_BYTES + 1))
    assert await closed_by_server(reader, within_s=0.4)
    writer.close()


async def test_300_silent_connections_do_not_keep_others_waiting(server: WebServer) -> None:
    silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(300)]
    async with httpx.AsyncClient(base_url=server.url) as client:
        answer = await client.get("/", timeout=1)
        assert answer.text == "here"
        assert all(await asyncio.gather(*(closed_by_server(reader) for reader, _ in silent)))
        assert (await client.get("/", timeout=1)).text == "here"
    for _, writer in silent:
        writer.close()


async def test_a_kept_connection_serves_more_than_one_request(server: WebServer) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client:
        for _ in range(3):
            assert (await client.get("/")).text == "here"


async def test_a_taken_port_is_a_clear_error(server: WebServer) -> None:
    with pytest.raises(ConfigurationError, match=f"127.0.0.1:{server.port} is in use"):
        await WebServer(app, "127.0.0.1", server.port).start()


async def test_a_stopped_server_lets_its_port_go() -> None:
    async with WebServer(app, "127.0.0.1", 0) as first:
        port = first.port
    async with WebServer(app, "127.0.0.1", port) as second, httpx.AsyncClient() as client:
        assert (await client.get(second.url)).status_code == 200


async def test_answers_on_a_kept_connection_do_not_wait_for_acknowledgements(
    server: WebServer,
) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client:
        started = time.monotonic()
        for _ in range(20):
            await client.get("/")
        assert time.monotonic() - started < 20 * 0.035


@pytest.mark.parametrize("sent", [b"", b"half of i"])
async def test_a_body_that_does_not_come_is_answered_408_and_cut_off(
    server: WebServer, sent: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n" + sent)
    assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 408 ")
    writer.close()


async def test_a_body_that_comes_in_parts_in_time_is_taken(server: WebServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
    for part in (b"a", b"b", b"cd"):
        writer.write(part)
        await asyncio.sleep(0.05)
    assert (await asyncio.wait_for(reader.readuntil(b"here"), 5)).startswith(b"HTTP/1.1 200 ")
    writer.close()
