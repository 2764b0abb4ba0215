"""OKX's private channels: plain orders at one address, algos at another, each after a login."""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from aiohttp import web

from guardian_gateway.venues.paper.records import EventKind, LedgerEvent
from tests.venues.fake.sockets import Connection, Frame, Sockets

_CHANNELS = {"/ws/v5/private": "orders", "/ws/v5/business": "orders-algo"}
_LOGIN_GOOD_FOR_S = 30


class OkxStreams(Sockets):
    each_has: ClassVar[int] = 2

    def greet(self, connection: Connection, request: web.Request) -> Iterable[Frame] | None:
        connection.path = request.path
        return [] if request.path in _CHANNELS else None

    def answer(self, connection: Connection, frame: Any) -> Iterable[Frame]:
        if frame == "ping":
            return ["pong"]
        (arg,) = frame["args"]
        if frame["op"] == "login":
            refusal = self._refusal(arg)
            connection.logged_in = refusal is None
            return [refusal or {"event": "login", "code": "0", "msg": "", "connId": "a1"}]
        if not connection.logged_in:
            return [_error("60011", "Please log in")]
        if arg["channel"] != _CHANNELS[connection.path] or arg["instType"] != self.wire.kind:
            return [_error("60018", "Wrong URL or channel doesn't exist.")]
        connection.channels.add(arg["channel"])
        return [{"event": "subscribe", "arg": arg, "connId": "a1"}]

    def _refusal(self, arg: Mapping[str, str]) -> Frame | None:
        if self.refuses or arg["apiKey"] != self.wire.key:
            return _error("60005", "Invalid apiKey")
        if arg["passphrase"] != self.wire.passphrase:
            return _error("60024", "Wrong passphrase")
        if abs(self.wire.now_ms() / 1000 - int(arg["timestamp"])) > _LOGIN_GOOD_FOR_S:
            return _error("60006", "Timestamp request expired")
        text = f"{arg['timestamp']}GET/users/self/verify"
        made = hmac.new(self.wire.secret.encode(), text.encode(), hashlib.sha256).digest()
        if arg["sign"] != base64.b64encode(made).decode():
            return _error("60007", "Invalid sign")
        return None

    def news(self, connection: Connection, event: LedgerEvent) -> Iterable[Frame]:
        order = self.wire.order(event.order_id)
        is_algo = order.type.is_conditional and event.kind is not EventKind.FILLED
        channel = "orders-algo" if is_algo else "orders"
        if channel not in connection.channels:
            return []
        told = {"instType": self.wire.kind, "instId": self.wire.name(event.symbol)}
        told |= {"algoId": "1", "state": event.kind.value} if is_algo else {"ordId": order.order_id}
        return [{"arg": {"channel": channel, "instType": self.wire.kind}, "data": [told]}]


def _error(code: str, message: str) -> Frame:
    return {"event": "error", "code": code, "msg": message, "connId": "a1"}
