"""Private channels as OKX and Bitget have them: a login, then what is subscribed to by name."""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from aiohttp import web

from guardian_gateway.venues.paper.records import EventKind, LedgerEvent
from tests.venues.fake.sockets import Connection, Frame, Sockets

LOGIN_GOOD_FOR_S = 30


class ChannelStreams(Sockets):
    """`channels`: by an address's path; `verify`: what a login signs; `codes`: of refusals."""

    channels: ClassVar[Mapping[str, tuple[str, ...]]]
    verify: ClassVar[str]
    codes: ClassVar[Mapping[str, Any]]

    def kind(self) -> str:
        """The venue's word for the instruments."""
        raise NotImplementedError

    def told(self, event: LedgerEvent, *, is_algo: bool) -> Any:
        """An order as the channel shows it."""
        raise NotImplementedError

    def greet(self, connection: Connection, request: web.Request) -> Iterable[Frame] | None:
        connection.path = request.path
        return [] if request.path in self.channels else None

    def answer(self, connection: Connection, frame: Any) -> Iterable[Frame]:
        if frame == "ping":
            return ["pong"]
        if frame["op"] == "login":
            (arg,) = frame["args"]
            refusal = self._refusal(arg)
            connection.logged_in = refusal is None
            return [refusal or {"event": "login", "code": 0}]
        if not connection.logged_in:
            return [self._error("login", "Please log in")]
        return [self._subscribed(connection, arg) for arg in frame["args"]]

    def _subscribed(self, connection: Connection, arg: Mapping[str, str]) -> Frame:
        known = arg["channel"] in self.channels[connection.path]
        if not known or arg["instType"] != self.kind():
            return self._error("channel", "Channel doesn't exist")
        connection.channels.add(arg["channel"])
        return {"event": "subscribe", "arg": arg}

    def _refusal(self, arg: Mapping[str, str]) -> Frame | None:
        if self.refuses or arg["apiKey"] != self.wire.key:
            return self._error("key", "Invalid apiKey")
        if arg["passphrase"] != self.wire.passphrase:
            return self._error("passphrase", "Wrong passphrase")
        if abs(self.wire.now_ms() / 1000 - int(arg["timestamp"])) > LOGIN_GOOD_FOR_S:
            return self._error("time", "Timestamp request expired")
        text = f"{arg['timestamp']}GET{self.verify}"
        made = hmac.new(self.wire.secret.encode(), text.encode(), hashlib.sha256).digest()
        if arg["sign"] != base64.b64encode(made).decode():
            return self._error("sign", "Invalid sign")
        return None

    def _error(self, what: str, message: str) -> Frame:
        return {"event": "error", "code": self.codes[what], "msg": message}

    def news(self, connection: Connection, event: LedgerEvent) -> Iterable[Frame]:
        order = self.wire.order(event.order_id)
        is_algo = order.type.is_conditional and event.kind is not EventKind.FILLED
        channel = "orders-algo" if is_algo else "orders"
        if channel not in connection.channels:
            return []
        arg = {"channel": channel, "instType": self.kind()}
        return [{"action": "snapshot", "arg": arg, "data": [self.told(event, is_algo=is_algo)]}]
