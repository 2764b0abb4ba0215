"""An exchange as it looks over HTTP: requests in, answers out, and faults by request.

What a request does is a subclass's; behind it stands the paper venue's matching core. A fault
says what becomes of a request and of its answer; which one, `matches` tells.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from guardian_core.ports import Clock
from guardian_gateway.venues.paper import PaperExchange, Rules
from tests.venues.fake.sockets import Sockets

HOUR_S = 3600.0


class Problem(Exception):
    """An error as the venue tells it."""

    def __init__(self, status: int, code: int | str, message: str) -> None:
        self.status, self.code, self.message = status, code, message
        super().__init__(f"{status} {code} {message}")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that arrived. `params` from address and body, without time and signature."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    raw: str

    @property
    def call(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(slots=True)
class Fault:
    """What happens to the next `times` requests that fit. `call`: how theirs begins, or all of it
    with a `$` at its end. `executes`: they take effect; `answer`: what is sent back, by (status,
    body, headers), or how the connection ends."""

    call: str
    executes: bool
    answer: tuple[int, str, Mapping[str, str]] | str
    times: int = 1
    after: int = 0

    def fits(self, asked: Asked) -> bool:
        if not f"{asked.call}$".startswith(self.call):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        return self.times > 0


HANGS, RESETS, BREAKS_OFF = "hangs", "resets", "breaks off"
HTML = "<html><body>Something went wrong</body></html>"

UNSIGNED = ("timestamp", "recvWindow", "signature")


@dataclass
class Wire:
    """One account on a fake venue. `lag_s`: how long an accepted order stays out of sight."""

    clock: Clock
    rules: Rules = field(default_factory=Rules)
    key: str = "the-key"
    secret: str = "the-secret"
    passphrase: str = ""
    lag_s: float = 0.0
    ahead_s: float = 0.0
    asked: list[Asked] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        self.exchange = PaperExchange(self.rules, keep_events=True)
        self.sockets = self.make_sockets()

    def fault(self, call: str, answer: Any, *, executes: bool, times: int = 1) -> None:
        self.faults.append(Fault(call, executes, answer, times))

    def set_price(self, price: str, symbol: str = "BTCUSDT") -> None:
        self.exchange.set_price(symbol, Decimal(price), self.clock.now())

    def now_ms(self) -> int:
        return int((self.clock.now().timestamp() + self.ahead_s) * 1000)

    async def start(self, port: int = 0) -> "Wire":
        """Serves, on a port of its own or a given one; again after a `stop`."""
        self._released = asyncio.Event()
        if self.sockets is not None:
            self.sockets.watch()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def stop(self) -> None:
        self._released.set()
        if self.sockets is not None:
            await self.sockets.close()
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if self.sockets is not None and request.headers.get("Upgrade", "").lower() == "websocket":
            return await self.sockets.serve(request)
        raw, pairs = self.read(request, await request.text())
        shown = {name: value for name, value in pairs.items() if name not in UNSIGNED}
        asked = Asked(request.method, request.path, shown, dict(request.headers), raw)
        self.asked.append(asked)
        fault = next((f for f in self.faults if f.fits(asked)), None)
        if fault is None:
            return _as_response(self._answered(asked, pairs))
        fault.times -= 1
        done = self._answered(asked, pairs) if fault.executes else (200, "", {})
        if isinstance(fault.answer, str):
            return await self._spoilt(request, fault.answer, done)
        return _as_response(fault.answer)

    def _answered(
        self, asked: Asked, pairs: Mapping[str, str]
    ) -> tuple[int, str, Mapping[str, str]]:
        headers = {"Content-Type": "application/json"}
        try:
            return 200, json.dumps(self.answer(asked, pairs)), headers
        except Problem as problem:
            return problem.status, json.dumps(self.told(problem)), headers

    def read(self, request: web.Request, body: str) -> tuple[str, dict[str, str]]:
        """What is signed of a request, and its parameters."""
        raw = body if request.method in ("POST", "PUT") else request.query_string
        return raw, dict(parse_qsl(raw, keep_blank_values=True))

    def make_sockets(self) -> Sockets | None:
        """The venue's streams; None where its adapter listens to none."""
        return None

    def told(self, problem: Problem) -> Any:
        """An error's JSON."""
        return {"code": problem.code, "msg": problem.message}

    def answer(self, asked: Asked, pairs: Mapping[str, str]) -> Any:
        """What the venue answers to a request; raises Problem."""
        raise NotImplementedError

    async def _spoilt(
        self, request: web.Request, how: str, done: tuple[int, str, Mapping[str, str]]
    ) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        if how == HANGS:
            await self._released.wait()
        elif how == BREAKS_OFF:
            text = done[1].encode()
            response = web.StreamResponse(headers={"Content-Length": str(len(text) + 10)})
            await response.prepare(request)
            await response.write(text[: len(text) // 2])
            transport.close()
            return response
        transport.abort()
        return web.Response()


def _as_response(answer: tuple[int, str, Mapping[str, str]]) -> web.Response:
    status, body, headers = answer
    return web.Response(status=status, body=body.encode(), headers=dict(headers))


Handler = Callable[[Mapping[str, str]], Any]
