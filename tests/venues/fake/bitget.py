"""Bitget over HTTP: what its USDT futures and its spot market have in common."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from guardian_core.domain.money import plain
from guardian_core.domain.orders import OrderStatus
from guardian_gateway.venues.paper.records import PaperFill, PaperOrder
from tests.venues.fake.bitget_streams import BitgetStreams
from tests.venues.fake.core import CoreWire, ms
from tests.venues.fake.server import Asked, Handler, Problem

VALID_FOR_MS = 30_000


@dataclass
class BitgetWire(CoreWire):
    """One account. `child_name`: what the child of a triggered order is called, `own` or as its
    parent (`same`)."""

    passphrase: str = "the-passphrase"
    child_name: str = "own"

    def make_sockets(self) -> BitgetStreams:
        return BitgetStreams(self)

    def read(self, request: web.Request, body: str) -> tuple[str, dict[str, Any]]:
        if request.method != "POST":
            return super().read(request, body)
        return body, json.loads(body)

    def told(self, problem: Problem) -> Any:
        return {
            "code": str(problem.code),
            "msg": problem.message,
            "requestTime": self.now_ms(),
            "data": None,
        }

    def answer(self, asked: Asked, pairs: Mapping[str, Any]) -> Any:
        handler = self.public().get(asked.call)
        if handler is None:
            self._check_headers(asked, pairs)
            handler = self.signed().get(asked.call)
        if handler is None:
            raise Problem(404, 40404, "Request URL NOT FOUND")
        carried = handler(pairs)
        return {"code": "00000", "msg": "success", "requestTime": self.now_ms(), "data": carried}

    def public(self) -> Mapping[str, Handler]:
        return {"GET /api/v2/public/time": lambda _: {"serverTime": str(self.now_ms())}}

    def signed(self) -> Mapping[str, Handler]:
        return {"GET /api/v2/spot/account/info": lambda _: {"authorities": self.rights()}}

    def rights(self) -> list[str]:
        may = {"coow": self.can_trade, "stow": self.can_trade, "wwow": self.can_withdraw}
        return ["coor", "stor", *(name for name, given in may.items() if given)]

    def _check_headers(self, asked: Asked, pairs: Mapping[str, Any]) -> None:
        given = asked.headers
        if given.get("ACCESS-KEY") != self.key:
            raise Problem(400, 40037, "Apikey does not exist")
        if given.get("ACCESS-PASSPHRASE") != self.passphrase:
            raise Problem(400, 40012, "apikey/password is incorrect")
        sent = given.get("ACCESS-TIMESTAMP", "")
        signed = f"{sent}{asked.method}{asked.path}"
        signed += f"?{asked.raw}" if asked.method == "GET" and asked.raw else ""
        signed += asked.raw if asked.method == "POST" else ""
        made = hmac.new(self.secret.encode(), signed.encode(), hashlib.sha256).digest()
        if not hmac.compare_digest(base64.b64encode(made).decode(), given.get("ACCESS-SIGN", "")):
            raise Problem(400, 40009, "sign signature error")
        late_ms = abs(self.now_ms() - int(sent))
        if late_ms > VALID_FOR_MS:
            raise Problem(400, 40008, "Request timestamp expired")
        if late_ms > int(pairs.get("receiveWindow", VALID_FOR_MS)):
            raise Problem(400, 40911, "The request is out of its receiveWindow")

    # Orders

    def name_of(self, order: PaperOrder) -> str:
        if order.parent_id is None:
            return self.names.get(order.order_id, "")
        return self.names[order.parent_id] if self.child_name == "same" else f"77{order.number}"

    def state(self, order: PaperOrder) -> str:
        if order.status is OrderStatus.OPEN:
            return "partially_filled" if order.filled > 0 else "live"
        return {OrderStatus.CLOSED: "filled", OrderStatus.CANCELLED: "cancelled"}[order.status]

    def shown(self, order: PaperOrder) -> dict[str, Any]:
        """A plain order."""
        raise NotImplementedError

    def is_meant(self, order: PaperOrder, number: str, pairs: Mapping[str, Any]) -> bool:
        """Whether a question by `orderId`, or else by `clientOid`, is about this order."""
        if pairs.get("orderId"):
            return bool(pairs["orderId"] == number)
        return bool(pairs["clientOid"] == self.name_of(order))

    def fills(self, pairs: Mapping[str, str]) -> list[PaperFill]:
        """Those of the asked time, newest first."""
        start, end = int(pairs.get("startTime", 0)), int(pairs.get("endTime", 1 << 60))
        found = [f for f in self.fills_of(pairs["symbol"]) if start <= ms(f.at) <= end]
        return found[::-1]

    def fee(self, fill: PaperFill) -> dict[str, str]:
        return {
            "deduction": "no",
            "feeCoin": fill.fee_currency,
            "totalDeductionFee": "0",
            "totalFee": plain(-fill.fee),
        }

    def no_order(self) -> Problem:
        return Problem(400, 40109, "The data of the order cannot be found")

    def gone(self) -> Problem:
        return Problem(400, 22001, "No order to cancel")

    def wrong(self, message: str) -> Problem:
        return Problem(400, 40017, f"Parameter verification failed: {message}")

    def last(self, symbol: str) -> str:
        price = self.exchange.price(symbol)
        if price is None:
            raise Problem(400, 40034, f"Parameter {symbol} does not exist")
        return plain(price.last)


def cut(
    found: Iterable[dict[str, Any]],
    number: Callable[[dict[str, Any]], str],
    pairs: Mapping[str, str],
) -> list[dict[str, Any]]:
    """The page that was asked for, of rows that are newest first."""
    before = pairs.get("idLessThan")
    older = [row for row in found if before is None or int(number(row)) < int(before)]
    return older[: int(pairs.get("limit", "100"))]


def page(field: str, rows: list[dict[str, Any]], end: str) -> dict[str, Any]:
    """Bitget writes null for none."""
    return {field: rows or None, "endId": end if rows else None}
