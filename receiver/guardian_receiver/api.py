"""The app behind the front: health, readiness, metrics, documentation, the alert's schema."""

import asyncio
import json
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CollectorRegistry
from sqlalchemy import select

from guardian_core.domain.errors import Unavailable
from guardian_core.metrics import render
from guardian_core.ports import Database, Tx
from guardian_core.storage.schema import Token

READY_WITHIN_S = 1.0


def alert_schema() -> dict[str, Any]:
    """The JSON schema of an alert, as it is shipped."""
    text = files("guardian_receiver").joinpath("alert.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def behind_app(database: Database, registry: CollectorRegistry) -> FastAPI:
    """`/readyz` fails while the database is away: only then can no alert be taken."""
    app = FastAPI(title="Position Guardian: receiver", redoc_url=None)

    @app.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> str:
        return "ok"

    @app.get("/readyz", response_class=PlainTextResponse)
    async def readyz() -> Response:
        problem = await _problem(database)
        return PlainTextResponse(problem or "ok", status_code=503 if problem else 200)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        body, content_type = render(registry)
        return Response(body, media_type=content_type)

    @app.get("/schema/alert.json")
    async def schema() -> JSONResponse:
        return JSONResponse(alert_schema(), media_type="application/schema+json")

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            described = get_openapi(title=app.title, version="1", routes=app.routes)
            described["paths"] = WEBHOOK_PATHS | described["paths"]
            app.openapi_schema = described
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app


async def _problem(database: Database) -> str:
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            await database.run(_touch)
    except (Unavailable, TimeoutError) as error:
        return f"the database does not answer: {str(error) or 'too slow'}"
    except Exception as error:
        return f"the database cannot be used: {type(error).__name__}"
    return ""


def _touch(tx: Tx) -> None:
    tx.execute(select(Token.id).limit(1)).first()


def _answer(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {}}}


_POST: dict[str, Any] = {
    "summary": "Takes one alert",
    "description": "The body is read as JSON whatever its content type. See /schema/alert.json.",
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "/schema/alert.json"}},
            "text/plain": {"schema": {"type": "string"}},
        },
    },
    "responses": {
        "200": _answer("Stored and committed (received), or stored before (duplicate)"),
        "400": _answer("Not a usable alert; stored with status error, never carried out"),
        "401": _answer("No token, or a wrong one; nothing was stored"),
        "403": _answer("The token may not command this account"),
        "413": _answer("Larger than 64 KiB"),
        "503": _answer("Not stored: send it again"),
    },
}


def _parameter(name: str, where: str) -> dict[str, Any]:
    needed = where == "path"
    return {"name": name, "in": where, "required": needed, "schema": {"type": "string"}}


WEBHOOK_PATHS: dict[str, Any] = {
    "/webhook": {
        "post": _POST
        | {"parameters": [_parameter("token", "query"), _parameter("X-Webhook-Token", "header")]}
    },
    "/webhook/{token}": {"post": _POST | {"parameters": [_parameter("token", "path")]}},
}
"""The front answers these; here they are described."""
