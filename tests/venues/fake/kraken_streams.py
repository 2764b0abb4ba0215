"""Kraken futures' private feeds: each subscription answers a challenge."""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web

from guardian_gateway.venues.paper.records import EventKind, LedgerEvent
from tests.venues.fake.sockets import Connection, Frame, Sockets

CHALLENGE = "226aee50-88fc-4618-a42a-34f7709570b2"


class KrakenFuturesStreams(Sockets):
    def greet(self, connection: Connection, request: web.Request) -> Iterable[Frame] | None:
        return [{"event": "info", "version": 1}] if request.path == "/ws/v1" else None

    def answer(self, connection: Connection, frame: Any) -> Iterable[Frame]:
        if self.refuses or frame["api_key"] != self.wire.key:
            return [{"event": "error", "message": "Invalid API key"}]
        if frame["event"] == "challenge":
            return [{"event": "challenge", "message": CHALLENGE}]
        if not self._is_signed(frame):
            return [{"event": "alert", "message": "Failed to subscribe to authenticated feed"}]
        connection.channels.add(frame["feed"])
        return [
            {"event": "subscribed", "feed": frame["feed"]},
            {"feed": f"{frame['feed']}_snapshot", "account": "a", "orders": []},
        ]

    def _is_signed(self, frame: Mapping[str, str]) -> bool:
        if frame["original_challenge"] != CHALLENGE:
            return False
        digest = hashlib.sha256(CHALLENGE.encode()).digest()
        made = hmac.new(base64.b64decode(self.wire.secret), digest, hashlib.sha512).digest()
        return base64.b64encode(made).decode() == frame["signed_challenge"]

    def news(self, connection: Connection, event: LedgerEvent) -> Iterable[Frame]:
        feed = "fills" if event.kind is EventKind.FILLED else "open_orders"
        if feed not in connection.channels:
            return []
        return [{"feed": feed, "order_id": event.order_id, "reason": event.kind.value}]
