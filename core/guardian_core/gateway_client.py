"""The gateway over HTTP, as engine, operator and cli call it.

1. It dials the holder: the address that answered last, else the configured one; a gateway that is
   not the holder names it (421), and when nothing accepts a connection, the lease's row does.
2. A decision goes to another address only where it surely was not carried out: nothing accepted
   the connection, or the answer was 421.
3. Once a decision may have been read, an error or silence is Ambiguous.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from guardian_core.domain.errors import Ambiguous, ConfigurationError, NotSent, Unavailable
from guardian_core.domain.snapshot import AccountSnapshot
from guardian_core.gateway_codec import (
    CHECK_DEADLINE_S,
    GATEWAY_LEASE,
    READ_DEADLINE_S,
    SUBMIT_DEADLINE_S,
    dump_paper_command,
    error_of,
    load_snapshot,
    no_answer,
    read_report,
)
from guardian_core.ports import Clock, Database, Tx
from guardian_core.protocol import (
    BalanceReport,
    CheckReport,
    DecisionRequest,
    DecisionResult,
    FillReport,
    InstrumentReport,
    PaperCommand,
    PaperReport,
)
from guardian_core.settings import Settings
from guardian_core.storage import leases

T = TypeVar("T")

CONNECT_WITHIN_S = 0.3
IDLE_FOR_S = 5.0
"""We close an idle connection before the gateway does (after 15 s): of a request that meets a
connection just being closed nobody can say whether it was read."""
HOPS_MAX = 3
"""Addresses tried for one call."""
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_UNTRACED = "0" * 32

FindHolder = Callable[[], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class _Call:
    """One request. `writing`: whether silence would leave something unknown. `within_s`: its own
    time limit, where the usual one does not fit."""

    method: str
    path: str
    content: bytes | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    writing: bool = False
    within_s: float | None = None

    @property
    def limit_s(self) -> float:
        usual_s = SUBMIT_DEADLINE_S if self.writing else READ_DEADLINE_S
        return usual_s if self.within_s is None else self.within_s


class HttpGatewayClient:
    """`guardian_core.ports.GatewayClient` over HTTP.

    `find_holder` tells where the lease's holder answers, where nobody at the known addresses
    does. Raises ConfigurationError for an address that is none.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        find_holder: FindHolder | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._configured = _checked(url)
        self._known: str | None = None
        self._find_holder = find_holder
        self._http = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(SUBMIT_DEADLINE_S, connect=CONNECT_WITHIN_S),
            limits=httpx.Limits(keepalive_expiry=IDLE_FOR_S),
            transport=transport,
            trust_env=False,
        )

    @classmethod
    def of(cls, settings: Settings, database: Database, clock: Clock) -> "HttpGatewayClient":
        """As the settings have it. Raises ConfigurationError where they name no gateway."""
        if settings.gateway_url is None:
            raise ConfigurationError("GUARDIAN_GATEWAY_URL is not set: where does the gateway run?")
        if settings.gateway_token is None:
            raise ConfigurationError("GUARDIAN_GATEWAY_TOKEN is not set: give the gateway's own")
        return cls(
            settings.gateway_url,
            settings.gateway_token.get_secret_value(),
            find_holder=holder_finder(database),
        )

    async def snapshot(self, account: str, symbol: str | None = None) -> AccountSnapshot:
        params = {"symbol": symbol} if symbol is not None else {}
        return await self._ask(
            _Call("GET", _path(account, "snapshot"), params=params), load_snapshot
        )

    async def submit(self, account: str, symbol: str, request: DecisionRequest) -> DecisionResult:
        call = _Call(
            "POST",
            _path(account, "lanes", symbol, "decisions"),
            content=request.model_dump_json().encode(),
            headers=_traceparent(request.trace_id),
            writing=True,
        )
        return await self._ask(call, DecisionResult.model_validate_json)

    async def balances(self, account: str) -> BalanceReport:
        call = _Call("GET", _path(account, "balances"))
        return await self._ask(call, BalanceReport.model_validate_json)

    async def check(self, account: str) -> CheckReport:
        call = _Call("GET", _path(account, "check"), within_s=CHECK_DEADLINE_S)
        return await self._ask(call, CheckReport.model_validate_json)

    async def instrument(self, account: str, symbol: str) -> InstrumentReport:
        call = _Call("GET", _path(account, "instruments", symbol))
        return await self._ask(call, InstrumentReport.model_validate_json)

    async def fills(self, account: str, symbol: str, since: datetime | None = None) -> FillReport:
        params = {"symbol": symbol}
        if since is not None:
            params["since"] = since.isoformat()
        call = _Call("GET", _path(account, "fills"), params=params)
        return await self._ask(call, FillReport.model_validate_json)

    async def paper(self, account: str, command: PaperCommand) -> PaperReport:
        """What it does is harmless to do twice, so an unknown outcome is Unavailable."""
        call = _Call("POST", _path(account, "paper"), content=dump_paper_command(command))
        return await self._ask(call, PaperReport.model_validate_json)

    async def close(self) -> None:
        await self._http.aclose()

    async def _ask(self, call: _Call, parse: Callable[[bytes], T]) -> T:
        try:
            async with asyncio.timeout(call.limit_s):
                body = await self._reach(call)
        except TimeoutError as error:
            raise no_answer(call.limit_s, writing=call.writing) from error
        try:
            return parse(body)
        except ValidationError as error:
            # Without the text: it would repeat the answer.
            raise _unclear(call, f"an answer that is none ({error.error_count()} errors)") from None

    async def _reach(self, call: _Call) -> bytes:
        """The body of the holder's answer."""
        tried: list[str] = []
        url: str | None = self._known or self._configured
        problem = "no address to try"
        while url is not None and len(tried) < HOPS_MAX:
            tried.append(url)
            try:
                response = await self._send(url, call)
            except _NEVER_LEFT as error:
                problem = f"nothing answers at {url} ({type(error).__name__})"
                url = await self._elsewhere(tried)
                continue
            if response.is_success:
                self._known = url
                return response.content
            report = read_report(response.status_code, response.content)
            if response.status_code != 421:
                raise error_of(response.status_code, report, writing=call.writing)
            problem = report.message
            named = report.holder_url
            url = named if named and named not in tried else await self._elsewhere(tried)
        self._known = None
        raise NotSent(problem) if call.writing else Unavailable(problem)

    async def _send(self, url: str, call: _Call) -> httpx.Response:
        headers = dict(call.headers)
        if call.content is not None:
            headers["Content-Type"] = "application/json"
        try:
            return await self._http.request(
                call.method,
                url + call.path,
                content=call.content,
                params=call.params,
                headers=headers,
            )
        except _NEVER_LEFT:
            raise
        except httpx.HTTPError as error:
            self._known = None
            raise _unclear(call, f"{type(error).__name__} at {url}") from error

    async def _elsewhere(self, tried: list[str]) -> str | None:
        """Another address that may be the holder's."""
        found = await self._find_holder() if self._find_holder is not None else None
        places = (found, self._configured)
        return next((url for url in places if url and url not in tried), None)


def holder_finder(database: Database) -> FindHolder:
    """Reads the lease's row: where its holder answers, None when nobody is known to hold it."""

    def read(tx: Tx) -> str | None:
        view = leases.read(tx, GATEWAY_LEASE)
        return view.url or None if view is not None and view.until > tx.now() else None

    async def find() -> str | None:
        try:
            return await database.run(read)
        except Unavailable:
            return None

    return find


def _unclear(call: _Call, what: str) -> Ambiguous | Unavailable:
    message = f"the gateway gave no usable answer: {what}"
    return Ambiguous(message) if call.writing else Unavailable(message)


def _path(account: str, *parts: str) -> str:
    return "/v1/accounts/" + "/".join(quote(part, safe="") for part in (account, *parts))


def _traceparent(trace_id: str) -> dict[str, str]:
    """W3C trace-context, which knows no trace id of zeros alone."""
    if trace_id == _UNTRACED:
        return {}
    return {"traceparent": f"00-{trace_id}-{trace_id[16:]}-01"}


def _checked(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigurationError(f"the gateway's address {url!r} is none: http://host:port")
    return url.rstrip("/")
