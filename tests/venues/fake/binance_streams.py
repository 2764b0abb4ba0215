"""Binance's user data streams: by listen key on USD-M, by signature on the spot WebSocket API."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from guardian_gateway.venues.paper.records import EventKind, LedgerEvent
from tests.venues.fake.server import Asked, Problem
from tests.venues.fake.sockets import Connection, Frame, Sockets

KEY_LIVES_S = 3600.0
LISTEN_KEY = "/fapi/v1/listenKey"
_STATUS = {
    EventKind.ACCEPTED: "NEW",
    EventKind.AMENDED: "NEW",
    EventKind.TRIGGERED: "TRIGGERED",
    EventKind.FILLED: "FILLED",
    EventKind.CANCELLED: "CANCELED",
}


class UsdmStreams(Sockets):
    """`key`: the one listen key that is good, until `key_until_s`."""

    def __init__(self, wire: Any) -> None:
        super().__init__(wire)
        self.key = ""
        self.key_until_s = 0.0
        self._made = 0

    def listen_key(self, asked: Asked) -> Any:
        """Unsigned: the API key alone is looked at."""
        if self.refuses or asked.headers.get("X-MBX-APIKEY") != self.wire.key:
            raise Problem(401, -2015, "Invalid API-key, IP, or permissions for action.")
        now_s = self.wire.clock.monotonic()
        good = bool(self.key) and now_s < self.key_until_s
        if asked.method == "PUT" and not good:
            raise Problem(400, -1125, "This listenKey does not exist.")
        if not good:
            self._made += 1
            self.key = f"listen-{self._made:060d}"
        self.key_until_s = now_s + KEY_LIVES_S
        return {"listenKey": self.key}

    def expire_key(self) -> None:
        """What is connected hears that, and nothing after it."""
        self.say({"e": "listenKeyExpired", "E": self.wire.now_ms(), "listenKey": self.key})
        self.key = ""
        for one in self.connections:
            one.channels.clear()

    def greet(self, connection: Connection, request: web.Request) -> Iterable[Frame] | None:
        named = request.query.get("listenKey")
        if request.path != "/private/ws" or not self.key or named != self.key:
            return None
        connection.channels.add("user")
        return []

    def answer(self, connection: Connection, frame: Any) -> Iterable[Frame]:
        return []

    def news(self, connection: Connection, event: LedgerEvent) -> Iterable[Frame]:
        order = self.wire.order(event.order_id)
        at = {"T": self.wire.now_ms(), "E": self.wire.now_ms()}
        if order.type.is_conditional and event.kind is not EventKind.FILLED:
            told = {
                "caid": self.wire.names.get(event.order_id, ""),
                "aid": order.number,
                "at": "CONDITIONAL",
                "s": event.symbol,
                "X": _STATUS[event.kind],
            }
            return [{"e": "ALGO_UPDATE", **at, "o": told}]
        told = {"s": event.symbol, "i": order.number, "X": _STATUS[event.kind]}
        frames: list[Frame] = [{"e": "ORDER_TRADE_UPDATE", **at, "o": told}]
        if event.kind is EventKind.FILLED:
            frames.append({"e": "ACCOUNT_UPDATE", **at, "a": {"m": "ORDER", "B": [], "P": []}})
        return frames


class SpotStreams(Sockets):
    def greet(self, connection: Connection, request: web.Request) -> Iterable[Frame] | None:
        return [] if request.path == "/ws-api/v3" else None

    def answer(self, connection: Connection, frame: Any) -> Iterable[Frame]:
        if frame["method"] != "userDataStream.subscribe.signature":
            return [_refusal(frame, 400, -1099, "Not found, authenticated, or authorized.")]
        params = frame["params"]
        if self.refuses or params["apiKey"] != self.wire.key or not self._is_signed(params):
            return [_refusal(frame, 401, -2015, "Invalid API-key, IP, or permissions for action.")]
        if abs(self.wire.now_ms() - int(params["timestamp"])) > int(params["recvWindow"]):
            return [_refusal(frame, 400, -1021, "Timestamp is outside of the recvWindow.")]
        connection.channels.add("user")
        return [{"id": frame["id"], "status": 200, "result": {"subscriptionId": 0}}]

    def _is_signed(self, params: Mapping[str, Any]) -> bool:
        text = urlencode(sorted((k, v) for k, v in params.items() if k != "signature"))
        expected = hmac.new(self.wire.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected, params["signature"])

    def news(self, connection: Connection, event: LedgerEvent) -> Iterable[Frame]:
        told = {
            "e": "executionReport",
            "E": self.wire.now_ms(),
            "s": event.symbol,
            "c": self.wire.names.get(event.order_id, ""),
            "X": _STATUS[event.kind],
        }
        return [{"subscriptionId": 0, "event": told}]


def _refusal(frame: Any, status: int, code: int, message: str) -> Frame:
    return {"id": frame["id"], "status": status, "error": {"code": code, "msg": message}}
