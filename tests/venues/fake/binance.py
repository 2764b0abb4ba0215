"""Binance over HTTP: what its USD-M futures and its spot market have in common."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from guardian_core.domain.money import plain
from guardian_core.domain.orders import OrderBody, OrderStatus, OrderType
from guardian_gateway.venues.paper.records import PaperFill, PaperOrder
from tests.venues.fake.core import CoreWire, ms
from tests.venues.fake.server import Asked, Handler, Problem

DAY_MS = 24 * 3600 * 1000


@dataclass
class BinanceWire(CoreWire):
    """One account. `window_ms`: the longest time that a question for fills may span."""

    window_ms: ClassVar[int] = DAY_MS

    def answer(self, asked: Asked, pairs: Mapping[str, str]) -> Any:
        open_to_all = self.public()
        if asked.call in open_to_all:
            return open_to_all[asked.call](pairs)
        self._check_signature(asked, pairs)
        handler = self.signed().get(asked.call)
        if handler is None:
            raise Problem(404, -5000, f"Path {asked.path}, Method {asked.method} is invalid")
        return handler(pairs)

    def public(self) -> Mapping[str, Handler]:
        raise NotImplementedError

    def signed(self) -> Mapping[str, Handler]:
        raise NotImplementedError

    def _check_signature(self, asked: Asked, pairs: Mapping[str, str]) -> None:
        if asked.headers.get("X-MBX-APIKEY") != self.key:
            raise Problem(401, -2015, "Invalid API-key, IP, or permissions for action.")
        signed, _, signature = asked.raw.rpartition("&signature=")
        expected = hmac.new(self.secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, signature):
            raise Problem(400, -1022, "Signature for this request is not valid.")
        sent_ms, window_ms = int(pairs["timestamp"]), int(pairs.get("recvWindow", "5000"))
        if sent_ms > self.now_ms() + 1000 or self.now_ms() - sent_ms > window_ms:
            raise Problem(400, -1021, "Timestamp for this request is outside of the recvWindow.")

    # Orders

    def create(self, pairs: Mapping[str, str], kind: OrderType, name: str) -> PaperOrder:
        body = self.body_of(pairs, kind)
        self.check_name(name, pairs)
        return self.place(body, name)

    def body_of(self, pairs: Mapping[str, str], kind: OrderType, level: str = "") -> OrderBody:
        given: dict[str, Any] = dict(pairs)
        if "side" in given:
            given["side"] = given["side"].lower()
        trigger = level or pairs.get("triggerPrice") or pairs.get("stopPrice")
        given |= {"trigger": trigger, "price": level or pairs.get("price")}
        given["reduce_only"] = pairs.get("reduceOnly") == "true"
        return self.body(kind, given)

    def wrong(self, message: str) -> Problem:
        return Problem(400, -1106, message)

    def gone(self) -> Problem:
        return unknown_order()

    def check_name(self, name: str, pairs: Mapping[str, str]) -> None:
        raise NotImplementedError

    def fills(self, pairs: Mapping[str, str]) -> list[PaperFill]:
        """By time or by number, oldest first."""
        wanted = self.fills_of(pairs["symbol"])
        if "fromId" in pairs:
            wanted = [fill for fill in wanted if int(fill.fill_id) >= int(pairs["fromId"])]
        if "startTime" in pairs:
            start = int(pairs["startTime"])
            end = int(pairs.get("endTime", start + self.window_ms))
            if end - start > self.window_ms:
                raise Problem(400, -1127, "Lookup interval is too big.")
            wanted = [fill for fill in wanted if start <= ms(fill.at) <= end]
        limit = int(pairs.get("limit", "500"))
        from_the_start = "fromId" in pairs or "startTime" in pairs
        return wanted[:limit] if from_the_start else wanted[-limit:]

    def last(self, symbol: str) -> str:
        price = self.exchange.price(symbol)
        if price is None:
            raise Problem(400, -1121, "Invalid symbol.")
        return plain(price.last)


def unknown_order() -> Problem:
    return Problem(400, -2011, "Unknown order sent.")


def no_order() -> Problem:
    return Problem(400, -2013, "Order does not exist.")


def status(order: PaperOrder) -> str:
    if order.status is OrderStatus.OPEN:
        return "PARTIALLY_FILLED" if order.filled > 0 else "NEW"
    return {OrderStatus.CLOSED: "FILLED", OrderStatus.CANCELLED: "CANCELED"}[order.status]
