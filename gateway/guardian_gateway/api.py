"""The gateway over HTTP: JSON in, JSON out, a bearer token on everything that concerns accounts.

Every answer that is not 2xx is an ErrorReport: 400 the request is wrong, 401 the token is, 404 no
such account, 409 gather anew, 421 another gateway holds the lease, 503 nothing was done.
"""

import hmac
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from loguru import logger
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from guardian_core.domain.errors import GuardianError, Unavailable
from guardian_core.domain.snapshot import AccountSnapshot
from guardian_core.gateway_codec import dump_snapshot, report_of
from guardian_core.metrics import render
from guardian_core.protocol import (
    BalanceReport,
    CheckReport,
    DecisionRequest,
    DecisionResult,
    ErrorReport,
    FillReport,
    InstrumentReport,
    Message,
    PaperCommand,
    PaperReport,
)
from guardian_gateway.service import Gateway

JSON = "application/json"
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorReport} for status in (400, 401, 404, 409, 421, 500, 503, 504)
}


def build_app(gateway: Gateway, token: str, registry: CollectorRegistry) -> FastAPI:
    """The ASGI app. `token`: what callers must bear."""
    app = FastAPI(title="Position Guardian gateway", version="1", responses=_ERRORS)
    app.add_exception_handler(GuardianError, _tell_error)
    app.add_exception_handler(RequestValidationError, _tell_invalid)
    app.add_exception_handler(HTTPException, _tell_http)
    app.add_exception_handler(Exception, _tell_bug)
    app.add_middleware(_BearerOnly, token=token)
    # For the schema alone: the token is asked for before.
    documented = Depends(HTTPBearer(auto_error=False))
    app.include_router(_accounts(gateway), dependencies=[documented])
    app.include_router(_health(gateway, registry))
    return app


def _accounts(gateway: Gateway) -> APIRouter:
    router = APIRouter(prefix="/v1/accounts/{account}", tags=["accounts"])

    @router.get("/snapshot", response_model=AccountSnapshot)
    async def snapshot(account: str, symbol: str | None = None) -> Response:
        """Positions, working orders and prices; each section is `ok` or says why not."""
        return Response(dump_snapshot(await gateway.snapshot(account, symbol)), media_type=JSON)

    @router.post("/lanes/{symbol:path}/decisions", response_model=DecisionResult)
    async def submit(account: str, symbol: str, request: DecisionRequest) -> Response:
        """Carries out one decision; 409 when it was made on an old view."""
        return _json(await gateway.submit(account, symbol, request))

    @router.get("/balances", response_model=BalanceReport)
    async def balances(account: str) -> Response:
        return _json(await gateway.balances(account))

    @router.get("/check", response_model=CheckReport)
    async def check(account: str) -> Response:
        """Keys, rights, clock, position mode, symbols and other installations, asked anew."""
        return _json(await gateway.check(account))

    @router.get("/instruments/{symbol:path}", response_model=InstrumentReport)
    async def instrument(account: str, symbol: str) -> Response:
        """Steps and minimums of a symbol, with its last price."""
        return _json(await gateway.instrument(account, symbol))

    @router.get("/fills", response_model=FillReport)
    async def fills(
        account: str, symbol: str, since: Annotated[datetime | None, Query()] = None
    ) -> Response:
        """Executions as the venue lists them, oldest first."""
        return _json(await gateway.fills(account, symbol, since))

    @router.post("/paper", response_model=PaperReport)
    async def paper(account: str, command: PaperCommand) -> Response:
        """Moves the paper venue: bars, prices, cancels by hand, faults."""
        return _json(await gateway.paper(account, command))

    return router


def _health(gateway: Gateway, registry: CollectorRegistry) -> APIRouter:
    router = APIRouter(tags=["health"], include_in_schema=False)

    @router.get("/healthz")
    async def healthz() -> Response:
        return Response("ok", media_type="text/plain")

    @router.get("/readyz")
    async def readyz() -> Response:
        """A standby is ready too: it answers at once that it is one."""
        try:
            await gateway.check_database()
        except Unavailable as error:
            return Response(str(error), status_code=503, media_type="text/plain")
        return Response("ok", media_type="text/plain")

    @router.get("/metrics")
    async def metrics() -> Response:
        body, content_type = render(registry)
        return Response(body, media_type=content_type)

    return router


class _BearerOnly:
    """Asks for the token before anything of a request to an account is read."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        guarded = scope["type"] == "http" and scope["path"].startswith("/v1/")
        if guarded and not hmac.compare_digest(_authorization(scope), self._expected):
            message = "a bearer token is needed: set GUARDIAN_GATEWAY_TOKEN"
            refusal = _answer(401, ErrorReport(code="unauthorized", message=message))
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _authorization(scope: Scope) -> bytes:
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    return next((value for name, value in headers if name == b"authorization"), b"")


def _json(message: Message) -> Response:
    return Response(message.model_dump_json(), media_type=JSON)


def _answer(status: int, report: ErrorReport) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return Response(report.model_dump_json(), status, headers=headers, media_type=JSON)


async def _tell_error(request: Request, error: Exception) -> Response:
    status, report = report_of(error)
    if status >= 500:
        _trace(request).warning("{} {}: {}", request.method, request.url.path, error)
    return _answer(status, report)


async def _tell_bug(request: Request, error: Exception) -> Response:
    _trace(request).opt(exception=error).error("{} {}", request.method, request.url.path)
    return _answer(*report_of(error))


async def _tell_invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:]) or "body"
    return _answer(400, ErrorReport(code="invalid", message=first["msg"], field=field))


async def _tell_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {401: "unauthorized", 404: "no_such_path", 405: "wrong_method"}.get(
        error.status_code, "http"
    )
    return _answer(error.status_code, ErrorReport(code=code, message=str(error.detail)))


def _trace(request: Request) -> Any:
    """The log, under the caller's trace where `traceparent` names one (W3C trace-context)."""
    parts = request.headers.get("traceparent", "").split("-")
    valid = len(parts) == 4 and len(parts[1]) == 32
    return logger.bind(trace_id=parts[1] if valid else None)
