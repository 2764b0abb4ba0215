"""The small HTTP face of a service that serves nothing else: health, readiness, metrics."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from guardian_core.metrics import render

Check = Callable[[], str]
"""Returns why the service is not well; empty when it is."""


def health_app(registry: CollectorRegistry, *, alive: Check, ready: Check) -> Starlette:
    """`/healthz` fails when the process should be restarted, `/readyz` when it cannot work now."""

    async def healthz(_: Request) -> Response:
        return _answer(alive())

    async def readyz(_: Request) -> Response:
        return _answer(ready())

    async def metrics(_: Request) -> Response:
        body, content_type = render(registry)
        return Response(body, media_type=content_type)

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
        ]
    )


def _answer(problem: str) -> Response:
    return PlainTextResponse(problem or "ok", status_code=503 if problem else 200)
