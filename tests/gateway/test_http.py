"""What is HTTP's own: tokens, finding the holder, silence on the line, health."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from guardian_core.domain.errors import Ambiguous, ConfigurationError, NotSent, Unavailable
from guardian_core.gateway_client import HttpGatewayClient, holder_finder
from guardian_core.ports import Database
from guardian_core.protocol import DecisionRequest, ErrorReport
from guardian_core.web import WebServer
from guardian_gateway.api import build_app
from guardian_gateway.service import Gateway
from tests.gateway.world import ACCOUNT, SYMBOL, World, entry, request
from tests.support.clock import FakeClock

TOKEN = "a-token-of-this-test"


@pytest.fixture
async def world(inline_database: Database, clock: FakeClock) -> AsyncIterator[World]:
    world = await World(inline_database, clock).open()
    yield world
    await world.close()


@asynccontextmanager
async def served(gateway: Gateway) -> AsyncIterator[str]:
    app = build_app(gateway, TOKEN, CollectorRegistry())
    async with WebServer(app, "127.0.0.1", 0) as web:
        yield web.url


@asynccontextmanager
async def client_of(url: str, **options: Any) -> AsyncIterator[HttpGatewayClient]:
    client = HttpGatewayClient(url, options.pop("token", TOKEN), **options)
    try:
        yield client
    finally:
        await client.close()


async def a_decision(world: World) -> DecisionRequest:
    return request(await world.state(status="pending"), entry(await world.webhook()))


def nobody() -> str:
    """An address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


# Tokens


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer wrong", TOKEN, f"Basic {TOKEN}"])
async def test_without_the_token_nothing_is_told(world: World, given: str | None) -> None:
    headers = {} if given is None else {"Authorization": given}
    async with served(world.gateway) as url, httpx.AsyncClient(base_url=url) as http:
        answer = await http.get(f"/v1/accounts/{ACCOUNT}/snapshot", headers=headers)
    assert answer.status_code == 401
    assert ErrorReport.model_validate_json(answer.content).code == "unauthorized"
    assert TOKEN not in answer.text


async def test_a_client_with_a_wrong_token_says_what_to_set(world: World) -> None:
    async with served(world.gateway) as url, client_of(url, token="wrong") as client:
        with pytest.raises(ConfigurationError, match="GUARDIAN_GATEWAY_TOKEN"):
            await client.snapshot(ACCOUNT)


@pytest.mark.parametrize("url", ["", "gateway:8889", "ftp://gateway", "http://"])
async def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ConfigurationError, match="address"):
        HttpGatewayClient(url, TOKEN)


async def test_an_address_of_something_else_is_a_configuration_error(world: World) -> None:
    async with served(world.gateway) as url, client_of(f"{url}/elsewhere") as client:
        with pytest.raises(ConfigurationError, match="not a gateway"):
            await client.snapshot(ACCOUNT)


# Malformed requests


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "1"),
        (b"[]", "body"),
        (b'{"revision": 1}', "state_id"),
        (b'{"state_id": null, "revision": 1, "source": "x", "trace_id": "y", "actions": []}',
         "source"),
    ],
)  # fmt: skip
async def test_a_malformed_decision_is_400_and_names_the_field(
    world: World, body: bytes, field: str
) -> None:
    path = f"/v1/accounts/{ACCOUNT}/lanes/{SYMBOL}/decisions"
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    async with served(world.gateway) as url, httpx.AsyncClient(base_url=url) as http:
        answer = await http.post(path, content=body, headers=headers)
    report = ErrorReport.model_validate_json(answer.content)
    assert (answer.status_code, report.code, report.field) == (400, "invalid", field)


# Finding the holder


async def test_a_standby_names_the_holder_and_the_client_goes_there(world: World) -> None:
    standby = world.gateway
    holder = await world.start_gateway()
    async with served(standby) as standby_url, served(holder) as holder_url:
        await world.rename_holder(holder_url)
        await standby.holder.look()
        async with client_of(standby_url) as client:
            assert not (await client.submit(ACCOUNT, SYMBOL, await a_decision(world))).failed()
            assert client._known == holder_url, "and remembers"


async def test_when_nothing_answers_the_lease_tells_where_the_holder_is(world: World) -> None:
    async with served(world.gateway) as url:
        await world.rename_holder(url)
        find = holder_finder(world.database)
        async with client_of(nobody(), find_holder=find) as client:
            assert not (await client.submit(ACCOUNT, SYMBOL, await a_decision(world))).failed()


async def test_a_lease_that_ran_out_names_nobody(world: World, clock: FakeClock) -> None:
    await world.rename_holder("http://gone:8889")
    clock.advance(10)
    assert await holder_finder(world.database)() is None


async def test_a_connection_refused_is_not_sent(world: World) -> None:
    async with client_of(nobody()) as client:
        with pytest.raises(NotSent):
            await client.submit(ACCOUNT, SYMBOL, await a_decision(world))
        with pytest.raises(Unavailable):
            await client.snapshot(ACCOUNT)


async def test_two_standbys_that_name_each_other_are_not_asked_for_ever(world: World) -> None:
    calls: list[str] = []

    def answer(asked: httpx.Request) -> httpx.Response:
        calls.append(asked.url.host)
        other = "http://b" if asked.url.host == "a" else "http://a"
        report = ErrorReport(code="not_holder", message="not me", holder_url=other)
        return httpx.Response(421, content=report.model_dump_json())

    async with client_of("http://a", transport=httpx.MockTransport(answer)) as client:
        with pytest.raises(NotSent, match="not me"):
            await client.submit(ACCOUNT, SYMBOL, await a_decision(world))
    assert calls == ["a", "b"]


# Silence on the line


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_server(serve: Serve) -> AsyncIterator[str]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def answer_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    await writer.drain()
    writer.close()


async def answer_a_proxys_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>")
    await writer.drain()
    writer.close()


@pytest.mark.parametrize("serve", [hang_up, answer_nonsense, answer_a_proxys_page])
async def test_a_decision_that_may_have_been_read_is_ambiguous(world: World, serve: Serve) -> None:
    async with raw_server(serve) as url, client_of(url) as client:
        with pytest.raises(Ambiguous):
            await client.submit(ACCOUNT, SYMBOL, await a_decision(world))
        with pytest.raises(Unavailable):
            await client.snapshot(ACCOUNT)


async def test_a_gateway_that_hangs_is_given_up_at_the_deadline(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    monkeypatch.setattr("guardian_core.gateway_client.SUBMIT_DEADLINE_S", 0.05)
    monkeypatch.setattr("guardian_core.gateway_client.READ_DEADLINE_S", 0.05)
    async with raw_server(hang) as url, client_of(url) as client:
        with pytest.raises(Ambiguous, match=r"0\.05 s"):
            await client.submit(ACCOUNT, SYMBOL, await a_decision(world))
        with pytest.raises(Unavailable, match=r"0\.05 s"):
            await client.snapshot(ACCOUNT)
        ended.set()


async def test_the_trace_travels_in_the_header(world: World) -> None:
    seen: list[str | None] = []

    def answer(asked: httpx.Request) -> httpx.Response:
        seen.append(asked.headers.get("traceparent"))
        return httpx.Response(200, content='{"outcomes": []}')

    async with client_of("http://a", transport=httpx.MockTransport(answer)) as client:
        traced = await a_decision(world)
        await client.submit(ACCOUNT, SYMBOL, traced)
        untraced = traced.model_copy(update={"trace_id": "0" * 32})
        await client.submit(ACCOUNT, SYMBOL, untraced)
    assert seen == [f"00-{'ab' * 16}-{'ab' * 8}-01", None]


# Health


async def test_health_needs_no_token_and_both_gateways_are_ready(world: World) -> None:
    standby = world.gateway
    await world.start_gateway()
    for gateway in (standby, world.gateway):
        async with served(gateway) as url, httpx.AsyncClient(base_url=url) as http:
            assert (await http.get("/healthz")).text == "ok"
            assert (await http.get("/readyz")).status_code == 200
            assert (await http.get("/metrics")).status_code == 200


async def test_without_its_database_a_gateway_is_not_ready(world: World) -> None:
    await world.database.close()
    async with served(world.gateway) as url, httpx.AsyncClient(base_url=url) as http:
        assert (await http.get("/readyz")).status_code == 503
        assert (await http.get("/healthz")).status_code == 200


async def test_the_schema_documents_every_call(world: World) -> None:
    async with served(world.gateway) as url, httpx.AsyncClient(base_url=url) as http:
        schema = (await http.get("/openapi.json")).json()
    base = "/v1/accounts/{account}"
    assert set(schema["paths"]) == {
        f"{base}/snapshot",
        f"{base}/lanes/{{symbol}}/decisions",
        f"{base}/balances",
        f"{base}/check",
        f"{base}/instruments/{{symbol}}",
        f"{base}/fills",
        f"{base}/paper",
    }
    post = schema["paths"][f"{base}/lanes/{{symbol}}/decisions"]["post"]
    assert set(post["responses"]) >= {"200", "400", "401", "404", "409", "421", "503"}
    assert schema["components"]["schemas"]["AccountSnapshot"]
