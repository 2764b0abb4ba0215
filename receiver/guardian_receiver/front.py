"""The thin ASGI front: the one hot path by hand, everything else to the app behind it.

A body is read up to BODY_MAX_BYTES; the server bounds how long it may take. A request whose body
was not read to its end gets its connection closed, so nobody can keep one open with it.
"""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from loguru import logger

from guardian_receiver.body import BODY_MAX_BYTES
from guardian_receiver.metrics import ReceiverMetrics
from guardian_receiver.reception import Answer, Reception, failure
from guardian_receiver.sources import Sources

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PATH = "/webhook"
_CLOSE = ((b"connection", b"close"),)
_JSON = (b"content-type", b"application/json")


class _NotRead(Exception):
    """The body was not read to its end; `answer` is None when nobody is there to hear one."""

    def __init__(self, answer: Answer | None) -> None:
        self.answer = answer


class Front:
    """`sources`: None where nobody looks where a request came from."""

    def __init__(
        self,
        behind: App,
        reception: Reception,
        metrics: ReceiverMetrics,
        sources: Sources | None = None,
    ) -> None:
        self._behind = behind
        self._reception = reception
        self._metrics = metrics
        self._sources = sources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._behind(scope, receive, send)
            return
        path, method = scope["path"], scope["method"]
        if path == PATH or path.startswith(PATH + "/"):
            if method == "POST":
                await self._webhook(scope, receive, send)
            else:
                await _send(send, _WRONG_METHOD)
        elif method in ("GET", "HEAD"):
            await self._behind(scope, receive, send)
        else:
            await _send(send, _NOT_HERE)

    async def _webhook(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._sources is not None and self._sources.refuses(scope):
            self._metrics.webhooks["foreign"].inc()
            await _send(send, _FOREIGN)
            return
        try:
            raw = await _body(scope, receive)
            answer = await self._reception.accept(raw, token_in(scope))
        except _NotRead as error:
            self._metrics.webhooks["not_read"].inc()
            if error.answer is not None:
                await _send(send, error.answer)
            return
        except Exception as error:
            logger.opt(exception=error).error("an alert could not be answered")
            answer = failure(error)
        self._metrics.webhooks[answer.outcome].inc()
        await _send(send, answer)


def token_in(scope: Scope) -> str | None:
    """The token in the path, the query or the header, in this order."""
    path: str = scope["path"]
    if len(path) > len(PATH) + 1:
        return path[len(PATH) + 1 :]
    if scope["query_string"]:
        query: str = scope["query_string"].decode("latin-1")
        for field, given in parse_qsl(query):
            if field.lower() == "token":
                return given
    for name, value in scope["headers"]:
        if name == b"x-webhook-token":
            token: bytes = value.strip()
            return token.decode("latin-1")
    return None


async def _body(scope: Scope, receive: Receive) -> bytes:
    for name, value in scope["headers"]:
        if name == b"content-length" and int(value) > BODY_MAX_BYTES:
            raise _NotRead(_TOO_LARGE)
    parts = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _NotRead(None)
        parts += message["body"]
        if len(parts) > BODY_MAX_BYTES:
            raise _NotRead(_TOO_LARGE)
        if not message.get("more_body"):
            return bytes(parts)


async def _send(send: Send, answer: Answer) -> None:
    length = str(len(answer.body)).encode()
    headers = [_JSON, (b"content-length", length), *answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _fixed(
    status: int, problem: str, fix: str, *headers: tuple[bytes, bytes], field: str = "request"
) -> Answer:
    body = json.dumps({"error": {"field": field, "problem": problem, "fix": fix}}).encode()
    return Answer(status, body, "not_read", (*headers, *_CLOSE))


_WRONG_METHOD = _fixed(
    405, "the method is not allowed", "send the alert with POST", (b"allow", b"POST")
)
_NOT_HERE = _fixed(404, "nothing takes this here", "alerts go to POST /webhook")
_FOREIGN = _fixed(
    403,
    "does not come from one of TradingView's addresses",
    "see GUARDIAN_RECEIVER_SOURCES and GUARDIAN_RECEIVER_TRUSTED_HOPS",
    field="source",
)
_TOO_LARGE = _fixed(
    413, "is too large", f"an alert has at most {BODY_MAX_BYTES} bytes", field="body"
)
