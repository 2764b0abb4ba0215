"""The way to one account on one exchange: ccxt signs and sends, this decides what that meant.

1. No order is sent twice: ccxt's own repeats are off, and a write's error says what is known.
   (A cancel or a read that meets a broken connection may be repeated once, by aiohttp.)
2. A request is valid for 3 s after the venue's clock says that it was made, so a write that was
   not answered is over then (see outcomes.EFFECT_WITHIN_S).
3. Asked to wait (429, 418), nothing is read and no position entered until the time is over; what
   protects a position is still tried.
4. Keys are read when they change, handed to ccxt alone, and cut out of whatever is said.
"""

import json
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from guardian_core.accounts import Environment
from guardian_core.domain.errors import (
    Ambiguous,
    ConfigurationError,
    GuardianError,
    NotSent,
    Unavailable,
)
from guardian_core.ports import Clock
from guardian_gateway.venues.exchange.errors import (
    Answer,
    ErrorTable,
    Strange,
    answer_of,
    of_read,
    of_write,
)
from guardian_gateway.venues.exchange.reading import Row, row
from guardian_gateway.venues.exchange.surroundings import Surroundings

T = TypeVar("T")
Params = Mapping[str, str]

TIMEOUT_MS = 3_000
VALID_FOR_MS = 3_000
CLOCK_GOOD_FOR_S = 600.0
WAIT_AFTER_429_S = 5.0
WAIT_AFTER_418_S = 120.0
LONGEST_WAIT_S = 600.0


@dataclass(frozen=True, slots=True)
class Wiring:
    """How one venue is called. `time_call`: its clock, whose answer `read_time_ms` reads;
    `read_code`: its code and message in an error's JSON. `demo_is_sandbox`: whether ccxt's
    sandbox switch is what leads to the venue's demo world."""

    ccxt_id: str
    table: ErrorTable
    time_call: str
    read_time_ms: Callable[[Row], int]
    read_code: Callable[[Row], tuple[str, str]]
    options: Mapping[str, Any] = field(default_factory=dict)
    demo_is_sandbox: bool = False


class Client:
    """One account's connection. Made without I/O; the first call opens it."""

    def __init__(self, wiring: Wiring, around: Surroundings) -> None:
        self._wiring = wiring
        self._around = around
        self._keys = around.keys
        self._clock = around.clock
        self._exchange: Any = None
        self._synced_at_s: float | None = None
        self._clock_is_off = False
        self._wait_until_s = 0.0
        self.skew_ms = 0
        """How far this machine's clock is ahead of the venue's, as last measured."""

    def __repr__(self) -> str:
        return f"Client({self._wiring.ccxt_id}, {self._keys.account})"

    @property
    def is_live(self) -> bool:
        """Whether real money is traded."""
        return self._around.environment is Environment.LIVE

    async def read(
        self, call: str, params: Params, parse: Callable[[Any], T], *, signed: bool = True
    ) -> T:
        """What the endpoint answers, parsed. Raises Unavailable, OrderGone for what the venue
        does not know, ConfigurationError without keys."""
        self._check_wait(Unavailable)
        if signed:
            await self._prepare(fresh_clock=True)
        try:
            return parse(await self._call(call, params))
        except Strange as error:
            raise Unavailable(f"{call}: {error}") from None
        except GuardianError:
            raise
        except Exception as error:
            raise self._noted(error, of_read(error, self._wiring.table, call)) from None

    async def write(
        self, call: str, params: Params, parse: Callable[[Any], T], *, entering: bool = False
    ) -> T:
        """The same for what changes something; raises what a venue's write raises."""
        if entering:
            self._check_wait(NotSent)
        try:
            await self._prepare(fresh_clock=False)
        except Unavailable as error:
            raise NotSent(str(error)) from None
        try:
            return parse(await self._call(call, params))
        except Strange as error:
            raise Ambiguous(f"{call}: {error}") from None
        except GuardianError:
            raise
        except Exception as error:
            raise self._noted(error, of_write(error, self._wiring.table, call)) from None

    async def close(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            await exchange.close()

    async def _call(self, call: str, params: Params) -> Any:
        return await getattr(self._opened(), call)(dict(params))

    def _opened(self) -> Any:
        if self._exchange is None:
            self._exchange = _make(self._wiring, self._around)
        return self._exchange

    async def _prepare(self, *, fresh_clock: bool) -> None:
        """Keys and clock. A write does not wait for a clock that is only old."""
        keys = self._keys.current()
        exchange = self._opened()
        exchange.apiKey, exchange.secret = keys.key, keys.secret
        exchange.password = keys.passphrase
        now_s = self._clock.monotonic()
        old = self._synced_at_s is not None and now_s - self._synced_at_s > CLOCK_GOOD_FOR_S
        if self._synced_at_s is None or self._clock_is_off or (old and fresh_clock):
            await self._sync_clock()

    async def _sync_clock(self) -> None:
        """Raises Unavailable."""
        wiring = self._wiring
        began_s, began_ms = self._clock.monotonic(), self._now_ms()
        theirs_ms = await self.read(
            wiring.time_call, {}, lambda found: wiring.read_time_ms(row(found)), signed=False
        )
        took_s = self._clock.monotonic() - began_s
        self.skew_ms = round(began_ms + took_s * 500 - theirs_ms)
        self._opened().options["timeDifference"] = self.skew_ms
        self._synced_at_s, self._clock_is_off = self._clock.monotonic(), False

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)

    def _check_wait(self, kind: type[Unavailable]) -> None:
        left_s = self._wait_until_s - self._clock.monotonic()
        if left_s > 0:
            raise kind(f"{self._wiring.ccxt_id} asked to wait: {left_s:.0f} s are left")

    def _noted(self, error: Exception, seen: GuardianError) -> GuardianError:
        """Remembers what the error tells about later calls; returns it without any key."""
        answer = answer_of(error)
        if answer is not None:
            self._clock_is_off |= answer.code in self._wiring.table.unclocked
            if answer.status in (418, 429):
                usual_s = WAIT_AFTER_418_S if answer.status == 418 else WAIT_AFTER_429_S
                wait_s = answer.retry_after_s or usual_s
                until_s = self._clock.monotonic() + min(wait_s, LONGEST_WAIT_S)
                self._wait_until_s = max(self._wait_until_s, until_s)
        try:
            keys = self._keys.current()
        except ConfigurationError:
            return seen
        seen.args = tuple(keys.scrub(a) if isinstance(a, str) else a for a in seen.args)
        return seen


def _make(wiring: Wiring, around: Surroundings) -> Any:
    """A ccxt exchange that tells each error's answer and takes its time from our clock."""
    import ccxt.async_support as ccxt  # type: ignore[import-untyped] # noqa: PLC0415 - slow

    told = type("Told", (_Telling, getattr(ccxt, wiring.ccxt_id)), {})
    exchange = told(
        {
            "timeout": TIMEOUT_MS,
            # Rate tokens are the gateway's, which lets writes go first.
            "enableRateLimit": False,
            "number": str,
            "options": {
                "maxRetriesOnFailure": 0,
                "recvWindow": VALID_FOR_MS,
                "timeDifference": 0,
                **wiring.options,
            },
        }
    )
    exchange.clock, exchange.wiring = around.clock, wiring
    # ccxt writes whole requests there, headers and keys included.
    exchange.logger = _SILENT
    exchange.timeout_on_exit = 0
    exchange.enableLastHttpResponse = exchange.enableLastJsonResponse = False
    exchange.enableLastResponseHeaders = False
    match around.environment:
        case Environment.DEMO if not wiring.demo_is_sandbox:
            exchange.enable_demo_trading(True)
        case Environment.DEMO | Environment.TESTNET:
            exchange.set_sandbox_mode(True)
        case _:
            pass
    if around.elsewhere is not None:
        exchange.urls["api"] = _moved(exchange.urls["api"], around.elsewhere)
    return exchange


class _Telling:
    """Mixed into a ccxt class: the same behaviour, with the answer attached to each error."""

    clock: Clock
    wiring: Wiring

    def milliseconds(self) -> int:
        return int(self.clock.now().timestamp() * 1000)

    @staticmethod
    def on_json_response(body: str) -> Any:
        return json.loads(body, parse_float=str)

    def handle_errors(self, status: int, reason: str, url: str, method: str, *rest: Any) -> Any:
        headers, body = rest[0], rest[1]
        try:
            return super().handle_errors(  # type: ignore[misc]
                status, reason, url, method, *rest
            )
        except Exception as error:
            error.answer = self._answer(status, headers, body)  # type: ignore[attr-defined]
            raise

    def handle_http_status_code(
        self, status: int, reason: str, url: str, method: str, body: str
    ) -> Any:
        try:
            return super().handle_http_status_code(  # type: ignore[misc]
                status, reason, url, method, body
            )
        except Exception as error:
            error.answer = self._answer(status, {}, body)  # type: ignore[attr-defined]
            raise

    def _answer(self, status: int, headers: Mapping[str, str], body: str) -> Answer:
        code, message = "", ""
        with suppress(ValueError):  # no JSON, or none with a code
            code, message = self.wiring.read_code(row(json.loads(body)))
        waits = {name.lower(): value for name, value in headers.items()}.get("retry-after", "")
        retry_after_s = float(waits) if waits.isdecimal() else None
        return Answer(status, code, message, retry_after_s)


_SILENT = logging.getLogger("guardian_gateway.venues.silent")
_SILENT.disabled = True


def _moved(urls: Any, elsewhere: str) -> Any:
    """Every address with another scheme and host, and its own path."""
    if isinstance(urls, dict):
        return {name: _moved(value, elsewhere) for name, value in urls.items()}
    path = urls.split("://", 1)[1].partition("/")[2]
    return f"{elsewhere}/{path}"
