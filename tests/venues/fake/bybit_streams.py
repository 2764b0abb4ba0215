"""Bybit's private stream: a login, and one topic for all orders."""

import hashlib
import hmac
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from guardian_gateway.venues.paper.records import LedgerEvent
from tests.venues.fake.sockets import Connection, Frame, Sockets


class BybitStreams(Sockets):
    def greet(self, connection: Connection, request: web.Request) -> Iterable[Frame] | None:
        return [] if request.path == "/v5/private" else None

    def answer(self, connection: Connection, frame: Any) -> Iterable[Frame]:
        match frame["op"]:
            case "ping":
                return [
                    {"req_id": frame["req_id"], "op": "pong", "args": [str(self.wire.now_ms())]}
                ]
            case "auth":
                connection.logged_in = not self.refuses and self._is_good(*frame["args"])
                return [_answered(frame, connection.logged_in, "Params Error")]
            case _:
                good = connection.logged_in and frame["args"] == ["order"]
                connection.channels |= {"order"} if good else set()
                return [_answered(frame, good, "error:handler not found")]

    def _is_good(self, key: str, expires: str, signature: str) -> bool:
        made = hmac.new(
            self.wire.secret.encode(), f"GET/realtime{expires}".encode(), hashlib.sha256
        )
        fresh = int(expires) > self.wire.now_ms()
        return key == self.wire.key and fresh and hmac.compare_digest(made.hexdigest(), signature)

    def news(self, connection: Connection, event: LedgerEvent) -> Iterable[Frame]:
        told = {"category": self.wire.category, "orderId": event.order_id}
        told |= {"symbol": self.wire.name_of(event.symbol), "orderStatus": event.kind.value}
        return [{"topic": "order", "creationTime": self.wire.now_ms(), "data": [told]}]


def _answered(frame: Any, good: bool, message: str) -> Frame:
    asked = {"op": frame["op"], "args": frame["args"]}
    told = {"success": good, "ret_msg": "" if good else message, "op": frame["op"], "conn_id": "c1"}
    return told if good else told | {"request": asked}
