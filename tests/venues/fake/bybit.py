"""Bybit v5 over HTTP: what its linear contracts and its spot market have in common."""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote

from aiohttp import web

from guardian_core.domain.money import ZERO, plain
from guardian_core.domain.orders import OrderRef, OrderStatus, OrderType
from guardian_gateway.venues.paper.records import PaperOrder, ratio
from tests.venues.fake.bybit_streams import BybitStreams
from tests.venues.fake.core import CoreWire, ms
from tests.venues.fake.server import Asked, Handler, Problem

WINDOW_MS = 7 * 24 * 3600 * 1000


@dataclass
class BybitWire(CoreWire):
    """One account. `hides_ended`: ended orders are in the history only, as after a restart.
    `cancels` False: a cancel is taken up, and nothing comes of it. `refuses_late`: orders are
    taken up, and then refused by the matching engine. `is_unified`: the account's kind."""

    hides_ended: bool = False
    cancels: bool = True
    refuses_late: bool = False
    is_unified: bool = True
    late: dict[str, dict[str, Any]] = field(default_factory=dict)
    bases: dict[str, str] = field(default_factory=dict)

    category: ClassVar[str] = ""

    def make_sockets(self) -> BybitStreams:
        return BybitStreams(self)

    def read(self, request: web.Request, body: str) -> tuple[str, dict[str, Any]]:
        if request.method == "POST":
            return body, json.loads(body)
        raw = request.rel_url.raw_query_string
        return raw, dict(parse_qsl(raw, keep_blank_values=True))

    def answer(self, asked: Asked, pairs: Mapping[str, Any]) -> Any:
        handler = self.public().get(asked.call)
        if handler is None:
            self._check_signature(asked)
            handler = self.signed().get(asked.call)
        if handler is None:
            raise Problem(404, 10017, "Route not found.")
        return self._envelope(0, "OK", handler(pairs))

    def told(self, problem: Problem) -> Any:
        return self._envelope(int(problem.code), problem.message, {})

    def _envelope(self, code: int, message: str, result: Any) -> Any:
        return {
            "retCode": code,
            "retMsg": message,
            "result": result,
            "retExtInfo": {},
            "time": self.now_ms(),
        }

    def refused(self, code: int | str, message: str) -> Problem:
        return Problem(200, int(code), message)

    def wrong(self, message: str) -> Problem:
        return Problem(200, 10001, f"params error: {message}")

    def _check_signature(self, asked: Asked) -> None:
        headers = asked.headers
        if headers.get("X-BAPI-API-KEY") != self.key:
            raise Problem(200, 10003, "API key is invalid.")
        sent, window = headers["X-BAPI-TIMESTAMP"], headers["X-BAPI-RECV-WINDOW"]
        signed = f"{sent}{self.key}{window}{asked.raw}"
        expected = hmac.new(self.secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, headers.get("X-BAPI-SIGN", "")):
            raise Problem(200, 10004, f"error sign! origin_string[{signed}]")
        if not self.now_ms() - int(window) <= int(sent) < self.now_ms() + 1000:
            raise Problem(200, 10002, "invalid request, please check your server timestamp")

    def public(self) -> Mapping[str, Handler]:
        return {
            "GET /v5/market/time": lambda _: {"timeSecond": str(self.now_ms() // 1000)},
            "GET /v5/market/instruments-info": lambda pairs: self.paged(self.instruments(), pairs),
            "GET /v5/market/tickers": self._tickers,
        }

    def signed(self) -> Mapping[str, Handler]:
        return {
            "POST /v5/order/create": self._create,
            "POST /v5/order/cancel": self._cancel,
            "GET /v5/order/realtime": self._realtime,
            "GET /v5/order/history": self._history,
            "GET /v5/execution/list": self._executions,
            "GET /v5/account/wallet-balance": self._wallet,
            "GET /v5/user/query-api": self._key_info,
        }

    # Names

    def name_of(self, symbol: str) -> str:
        return symbol

    def symbol_of(self, name: str) -> str:
        return name

    def number_of(self, ref: OrderRef) -> str:
        return number(ref.venue_order_id)

    # Orders

    def _create(self, pairs: Mapping[str, Any]) -> Any:
        self.check_category(pairs)
        name = pairs["orderLinkId"]
        if name in self.names.values() or name in self.late:
            raise self.duplicate()
        kind = self.kind_of(pairs)
        given = {
            "symbol": self.symbol_of(pairs["symbol"]),
            "side": pairs["side"].lower(),
            "quantity": pairs["qty"],
            "price": pairs.get("price"),
            "trigger": pairs.get("triggerPrice"),
            "reduce_only": pairs.get("reduceOnly", False),
        }
        body = self.body(kind, given)
        if self.refuses_late:
            return self._refused_late(pairs)
        order = self.place(body, name)
        self.bases[order.order_id] = pairs.get("triggerBy", "")
        return {"orderId": number(order.order_id), "orderLinkId": name}

    def _refused_late(self, pairs: Mapping[str, Any]) -> Any:
        name = pairs["orderLinkId"]
        self.late[name] = {
            "orderId": f"late-{name}",
            "orderLinkId": name,
            "symbol": pairs["symbol"],
            "side": pairs["side"],
            "orderType": pairs["orderType"],
            "orderStatus": "Rejected",
            "rejectReason": "EC_NoEnoughQtyToFill",
            "qty": pairs["qty"],
            "cumExecQty": "0",
            "createdTime": str(self.now_ms()),
        }
        return {"orderId": f"late-{name}", "orderLinkId": name}

    def check_category(self, pairs: Mapping[str, Any]) -> None:
        if pairs.get("category") != self.category:
            raise self.wrong("Illegal category")

    def kind_of(self, pairs: Mapping[str, Any]) -> OrderType:
        raise NotImplementedError

    def duplicate(self) -> Problem:
        raise NotImplementedError

    def _cancel(self, pairs: Mapping[str, Any]) -> Any:
        self.check_category(pairs)
        order = self._find(pairs)
        if order is None or not self.is_cancelled_by(order, pairs):
            raise self.gone()
        if self.cancels:
            self.cancel(order.order_id)
        return {"orderId": number(order.order_id), "orderLinkId": self.given_name(order)}

    def is_cancelled_by(self, order: PaperOrder, pairs: Mapping[str, Any]) -> bool:
        return True

    def _find(self, pairs: Mapping[str, Any]) -> PaperOrder | None:
        wanted, name = pairs.get("orderId"), pairs.get("orderLinkId")
        for order in self._parents():
            if wanted is not None:
                if number(order.order_id) == wanted:
                    return order
            elif self.given_name(order) == name:
                return order
        return None

    def _parents(self) -> list[PaperOrder]:
        """Newest first. What a triggered order becomes goes by the same number here."""
        return [order for order in reversed(self.orders()) if order.parent_id is None]

    def _realtime(self, pairs: Mapping[str, Any]) -> Any:
        self.check_category(pairs)
        if "orderId" in pairs or "orderLinkId" in pairs:
            order = self._find(pairs)
            hidden = order is None or (self.hides_ended and not order.working)
            late = self.late.get(pairs.get("orderLinkId", ""))
            shown = [late] if late else [] if hidden else [self.shown(order)]
            return self.paged(shown, pairs)
        self.check_where(pairs)
        found = [
            order
            for order in self._parents()
            if order.working
            and self.is_asked_for(order, pairs)
            and self.is_of_kind(order, pairs.get("orderFilter"))
        ]
        return self.paged([self.shown(order) for order in found], pairs)

    def check_where(self, pairs: Mapping[str, Any]) -> None:
        """Raises Problem where a question is too wide."""

    def is_asked_for(self, order: PaperOrder, pairs: Mapping[str, Any]) -> bool:
        return "symbol" not in pairs or self.name_of(order.symbol) == pairs["symbol"]

    def is_of_kind(self, order: PaperOrder, kind: str | None) -> bool:
        raise NotImplementedError

    def _history(self, pairs: Mapping[str, Any]) -> Any:
        self.check_category(pairs)
        order = self._find(pairs)
        ended = order is not None and not order.working
        return self.paged([self.shown(order)] if ended else [], pairs)

    def given_name(self, order: PaperOrder) -> str:
        return self.names.get(order.parent_id or order.order_id, "")

    def shown(self, order: Any) -> dict[str, Any]:
        average = plain(ratio(order.value, order.filled)) if order.filled else ""
        limit = order.type is OrderType.LIMIT
        return {
            "orderId": number(order.order_id),
            "orderLinkId": self.given_name(order),
            "symbol": self.name_of(order.symbol),
            "side": order.side.value.capitalize(),
            "orderType": "Limit" if limit else "Market",
            "timeInForce": "GTC" if limit else "IOC",
            "orderStatus": self.status_of(order),
            "rejectReason": "EC_NoError",
            "price": plain(order.price or ZERO) if limit else "0",
            "avgPrice": average,
            "qty": plain(order.quantity),
            "cumExecQty": plain(order.filled),
            "cumExecValue": plain(order.value),
            "leavesQty": plain(order.remaining),
            "triggerPrice": plain(order.trigger_price or ZERO) if order.trigger_price else "",
            "reduceOnly": order.reduce_only,
            "closeOnTrigger": False,
            "createdTime": str(ms(order.created_at)),
            "updatedTime": str(ms(order.updated_at)),
        }

    def status_of(self, order: PaperOrder) -> str:
        match order.status:
            case OrderStatus.CLOSED:
                return "Filled"
            case OrderStatus.CANCELLED:
                return self.cancelled_status(order)
            case _:
                if order.type.is_conditional and not order.triggered:
                    return "Untriggered"
                return "PartiallyFilled" if order.filled > 0 else "New"

    def cancelled_status(self, order: PaperOrder) -> str:
        return "Cancelled"

    # The account

    def _executions(self, pairs: Mapping[str, Any]) -> Any:
        self.check_category(pairs)
        start, end = int(pairs["startTime"]), int(pairs["endTime"])
        if end - start > WINDOW_MS:
            raise self.wrong("the time range must be within 7 days")
        wanted = [f for f in self.fills_of(self.symbol_of(pairs["symbol"]))]
        wanted = [fill for fill in wanted if start <= ms(fill.at) <= end]
        return self.paged([self.execution(fill) for fill in reversed(wanted)], pairs)

    def execution(self, fill: Any) -> dict[str, Any]:
        order = self.order(fill.order_id)
        return {
            "symbol": self.name_of(fill.symbol),
            "orderId": number(order.parent_id or order.order_id),
            "orderLinkId": self.given_name(order),
            "side": fill.side.value.capitalize(),
            "execId": f"exec-{fill.fill_id}",
            "execType": "Trade",
            "execPrice": plain(fill.price),
            "execQty": plain(fill.quantity),
            "execFee": plain(fill.fee),
            "feeCurrency": fill.fee_currency,
            "isMaker": False,
            "execTime": str(ms(fill.at)),
        }

    def _wallet(self, pairs: Mapping[str, Any]) -> Any:
        if pairs.get("accountType") != "UNIFIED":
            raise self.wrong("accountType only support UNIFIED.")
        coins = [self.coin(one) for one in self.exchange.balances()]
        return {"list": [{"accountType": "UNIFIED", "coin": coins}]}

    def coin(self, one: Any) -> dict[str, Any]:
        return {
            "coin": one.currency,
            "walletBalance": plain(one.total),
            "locked": "0",
            "totalOrderIM": "0",
            "totalPositionIM": "0",
            "unrealisedPnl": "0",
            "spotBorrow": "0",
        }

    def _key_info(self, _: Mapping[str, Any]) -> Any:
        trades = {
            "ContractTrade": ["Order", "Position"],
            "Spot": ["SpotTrade"],
            "Derivatives": ["DerivativesTrade"],
        }
        nothing: dict[str, list[str]] = {group: [] for group in trades}
        wallet = ["AccountTransfer", *(["Withdraw"] if self.can_withdraw else [])]
        return {
            "readOnly": 0,
            "uta": int(self.is_unified),
            "permissions": {**(trades if self.can_trade else nothing), "Wallet": wallet},
        }

    def _tickers(self, pairs: Mapping[str, Any]) -> Any:
        self.check_category(pairs)
        price = self.exchange.price(self.symbol_of(pairs["symbol"]))
        if price is None:
            raise self.wrong("symbol invalid")
        last = plain(price.last)
        return {"list": [{"symbol": pairs["symbol"], "lastPrice": last, **self.marks(last)}]}

    def marks(self, last: str) -> dict[str, str]:
        return {}

    def paged(self, found: Sequence[Any], pairs: Mapping[str, Any]) -> Any:
        """A page, with a cursor as long as the page was not empty, escaped as Bybit's are."""
        limit = int(pairs.get("limit", "20"))
        cursor = dict(parse_qsl(pairs.get("cursor", "")))
        start = int(cursor.get("from", "0"))
        page = list(found[start : start + limit])
        following = quote(f"from={start + limit}&", safe="") if page else ""
        return {"category": self.category, "list": page, "nextPageCursor": following}


def number(order_id: str) -> str:
    """Bybit's are texts."""
    return f"{int(order_id):08x}-7847-404e-b947-b46980a4d140"
