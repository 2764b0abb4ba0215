"""How a ccxt exchange is made here: for requests, and for streams.

Loaded when an account on an exchange is first used: ccxt takes a second to load.
"""

import json
import logging
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any

from guardian_core.accounts import Environment
from guardian_core.ports import Clock
from guardian_gateway.venues.exchange.errors import Answer, ErrorTable
from guardian_gateway.venues.exchange.reading import Row, row
from guardian_gateway.venues.exchange.surroundings import Surroundings

TIMEOUT_MS = 3_000
VALID_FOR_MS = 3_000


@dataclass(frozen=True, slots=True)
class Wiring:
    """How one venue is called. `time_call`: its clock, whose answer `read_time_ms` reads;
    `read_code`: its code and message in an error's JSON. `demo_is_sandbox`: whether ccxt's
    sandbox switch is what leads to the venue's demo world. `settings` and `members`: what ccxt's
    class lacks, such as an endpoint and its address."""

    ccxt_id: str
    table: ErrorTable
    time_call: str
    read_time_ms: Callable[[Row], int]
    read_code: Callable[[Row], tuple[str, str]]
    options: Mapping[str, Any] = field(default_factory=dict)
    demo_is_sandbox: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    members: Mapping[str, Any] = field(default_factory=dict)


def make(wiring: Wiring, around: Surroundings) -> Any:
    """A ccxt exchange for requests: it tells each error's answer and takes time from our clock."""
    import ccxt.async_support as ccxt  # type: ignore[import-untyped] # noqa: PLC0415 - slow

    return _made(wiring, around, (_Telling, getattr(ccxt, wiring.ccxt_id)))


def make_streaming(wiring: Wiring, around: Surroundings, kind: type) -> Any:
    """The same of ccxt.pro, whose classes can hold a stream besides. `kind` is mixed in first."""
    import ccxt.pro as ccxt  # type: ignore[import-untyped] # noqa: PLC0415 - slow

    return _made(wiring, around, (kind, _Telling, getattr(ccxt, wiring.ccxt_id)))


def _made(wiring: Wiring, around: Surroundings, kinds: tuple[type, ...]) -> Any:
    told = type("Told", kinds, dict(wiring.members))
    exchange = told(
        {
            **wiring.settings,
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
    exchange.ssl_context = _trusted(exchange.cafile)
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


@cache
def _trusted(cafile: str) -> ssl.SSLContext:
    """One for all accounts: reading the list of authorities takes longer than a request."""
    return ssl.create_default_context(cafile=cafile)


class _Telling:
    """Mixed into a ccxt class: the same behaviour, with the answer attached to each error."""

    clock: Clock
    wiring: Wiring
    answered_with: Mapping[str, str] = MappingProxyType({})

    def milliseconds(self) -> int:
        return int(self.clock.now().timestamp() * 1000)

    @staticmethod
    def on_json_response(body: str) -> Any:
        return json.loads(body, parse_float=str)

    def handle_errors(self, status: int, reason: str, url: str, method: str, *rest: Any) -> Any:
        headers, body = rest[0], rest[1]
        # ccxt asks by the status next, and leaves the headers out there.
        self.answered_with = headers
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
            error.answer = self._answer(  # type: ignore[attr-defined]
                status, self.answered_with, body
            )
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
    return f"{elsewhere}/{path}" if path else elsewhere
