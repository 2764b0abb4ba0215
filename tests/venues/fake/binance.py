"""Binance over HTTP: what its USD-M futures and its spot market have in common."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar

from guardian_core.domain.errors import CallerError, OrderGone, Rejected, RejectReason
from guardian_core.domain.money import plain
from guardian_core.domain.orders import OrderBody, OrderRef, OrderSide, OrderStatus, OrderType, Role
from guardian_gateway.venues.paper.instruments import instruments
from guardian_gateway.venues.paper.records import PaperFill, PaperOrder
from tests.venues.fake.server import Asked, Handler, Problem, Wire

D = Decimal
Refusals = tuple[tuple[RejectReason, str, int, str], ...]
DAY_MS = 24 * 3600 * 1000


@dataclass
class BinanceWire(Wire):
    """`names`: the client order id of each of the core's orders: here an id may be used again
    once its order works no more, in the core never."""

    names: dict[str, str] = field(default_factory=dict)
    can_trade: bool = True
    can_withdraw: bool = False

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
        body = self.body(pairs, kind)
        self.check_name(name, pairs)
        told = self.refusable(lambda: self.exchange.create(body, self.clock.now()))
        self.names[told.ref.venue_order_id] = name
        return self.order(told.ref.venue_order_id)

    def body(self, pairs: Mapping[str, str], kind: OrderType, level: str = "") -> OrderBody:
        trigger = level or pairs.get("triggerPrice") or pairs.get("stopPrice")
        price = pairs.get("price")
        try:
            return OrderBody(
                client_order_id=f"core-{len(self.asked)}-{level}-{kind}",
                role=Role(kind.value) if kind.is_conditional else Role.ENTRY,
                symbol=pairs["symbol"],
                side=OrderSide(pairs["side"].lower()),
                type=kind,
                quantity=D(pairs["quantity"]),
                revision=1,
                attempt=1,
                price=D(level or price or 0) if kind is OrderType.LIMIT else None,
                trigger_price=D(trigger) if trigger and kind.is_conditional else None,
                reduce_only=pairs.get("reduceOnly") == "true",
            )
        except KeyError as error:
            raise Problem(400, -1102, f"Mandatory parameter {error} was not sent.") from None
        except CallerError as error:
            raise Problem(400, -1106, str(error)) from None

    def refusable(self, command: Any) -> Any:
        try:
            return command()
        except Rejected as error:
            raise self.refusal(error) from None

    refusals: ClassVar[Refusals] = ()
    window_ms: ClassVar[int] = DAY_MS
    """The longest time that a question for fills may span."""

    def refusal(self, error: Rejected) -> Problem:
        """The first that fits: by reason and by a word of the core's message."""
        for reason, word, code, message in self.refusals:
            if error.reason is reason and word in str(error):
                return Problem(400, code, message)
        return Problem(400, -1106, str(error))

    def check_name(self, name: str, pairs: Mapping[str, str]) -> None:
        raise NotImplementedError

    def is_named(self, name: str) -> bool:
        """Whether a working order carries this id."""
        return any(self.names.get(o.order_id) == name for o in self.exchange._book.working)

    def order(self, order_id: str) -> PaperOrder:
        found = self.exchange._book.order(order_id)
        assert found is not None
        return found

    def orders(self, symbol: str | None = None) -> list[PaperOrder]:
        """All that can be seen by now, oldest first."""
        table = self.exchange._book._table(PaperOrder)
        seen = [order for order in table.values() if not order.forgotten]
        seen = [order for order in seen if symbol in (None, order.symbol)]
        now = self.clock.now()
        seen = [o for o in seen if (now - o.created_at).total_seconds() >= self.lag_s]
        return sorted(seen, key=lambda order: order.number)

    def cancel(self, order_id: str) -> None:
        try:
            self.exchange.cancel(order_id, self.clock.now())
        except OrderGone:
            raise unknown_order() from None

    def fills(self, pairs: Mapping[str, str]) -> list[PaperFill]:
        """By time or by number, oldest first."""
        wanted = [f for f in self.exchange._book.fills.values() if f.symbol == pairs["symbol"]]
        if "fromId" in pairs:
            wanted = [fill for fill in wanted if int(fill.fill_id) >= int(pairs["fromId"])]
        if "startTime" in pairs:
            start = int(pairs["startTime"])
            end = int(pairs.get("endTime", start + self.window_ms))
            if end - start > self.window_ms:
                raise Problem(400, -1127, "Lookup interval is too big.")
            wanted = [fill for fill in wanted if start <= ms(fill.at) <= end]
        limit = int(pairs.get("limit", "500"))
        wanted = sorted(wanted, key=lambda fill: int(fill.fill_id))
        from_the_start = "fromId" in pairs or "startTime" in pairs
        return wanted[:limit] if from_the_start else wanted[-limit:]

    def number_of(self, ref: OrderRef) -> str:
        """The number under which the venue shows one of the core's orders."""
        return ref.venue_order_id

    # Small things

    def last(self, symbol: str) -> str:
        price = self.exchange.price(symbol)
        if price is None:
            raise Problem(400, -1121, "Invalid symbol.")
        return plain(price.last)

    def instruments(self) -> list[dict[str, Any]]:
        return [
            self.listed(one) for one in instruments(self.rules.market, self.rules.quote).values()
        ]

    def listed(self, one: Any) -> dict[str, Any]:
        raise NotImplementedError


def unknown_order() -> Problem:
    return Problem(400, -2011, "Unknown order sent.")


def no_order() -> Problem:
    return Problem(400, -2013, "Order does not exist.")


def ms(at: Any) -> int:
    return int(at.timestamp() * 1000)


def status(order: PaperOrder) -> str:
    if order.status is OrderStatus.OPEN:
        return "PARTIALLY_FILLED" if order.filled > 0 else "NEW"
    return {OrderStatus.CLOSED: "FILLED", OrderStatus.CANCELLED: "CANCELED"}[order.status]
