"""OKX over HTTP: what its swaps and its spot market have in common.

Plain orders and conditional ones ("algos") are two services. A pair is one algo. Every answer is
an envelope with a code; what becomes of an order is told by an item's own code, with HTTP 200.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from aiohttp import web

from guardian_core.domain.errors import RejectReason
from guardian_core.domain.money import ZERO, Instrument, plain
from guardian_core.domain.orders import OrderBody, OrderRef, OrderStatus, OrderType
from guardian_gateway.venues.okx.pairs import names_of
from guardian_gateway.venues.paper.records import PaperFill, PaperOrder, ratio
from tests.venues.fake.core import CoreWire, Refusals, ms
from tests.venues.fake.okx_streams import OkxStreams
from tests.venues.fake.server import Asked, Handler, Problem

DAY_MS = 24 * 3600 * 1000
STAMP_GOOD_FOR_MS = 30_000
LONGEST_ID = 32
ALGO_NUMBERS_FROM = 3_000_000_000
BILL_NUMBERS_FROM = 7_000_000_000
_LEGS = {"sl": OrderType.STOP_LOSS, "tp": OrderType.TAKE_PROFIT}
_SIDES = {kind: leg for leg, kind in _LEGS.items()}
_WAITING_TYPES = ("conditional", "oco", "trigger", "move_order_stop")


@dataclass
class OkxWire(CoreWire):
    """One account. `kind`: of its instruments; `size`: base units in one of the venue's
    quantities. `level`: the account's mode; `child_id_list`: whether a triggered order tells what
    it became by a list too. `algo_names`: each algo's own id, by its number. `hides_algos`: one
    that is asked for by its id is not known, and shows in its list only."""

    passphrase: str = "the-passphrase"
    level: str = "2"
    one_way: bool = True
    child_id_list: bool = True
    hides_algos: bool = False
    algo_names: dict[str, str] = field(default_factory=dict)
    bases: dict[str, str] = field(default_factory=dict)
    modes: dict[str, str] = field(default_factory=dict)

    kind: ClassVar[str] = ""
    size: ClassVar[Decimal] = Decimal(1)

    def make_sockets(self) -> OkxStreams:
        return OkxStreams(self)

    # Requests

    def read(self, request: web.Request, body: str) -> tuple[str, dict[str, str]]:
        if request.method == "GET":
            raw = request.rel_url.raw_query_string
            return raw, dict(request.query)
        source = json.loads(body) if body else {}
        if request.path.endswith("cancel-algos"):
            (source,) = source
        return body, {name: _as_text(value) for name, value in source.items()}

    def answer(self, asked: Asked, pairs: Mapping[str, str]) -> Any:
        open_to_all = self.public()
        if asked.call in open_to_all:
            return _envelope(open_to_all[asked.call](pairs))
        self._check_signature(asked)
        handler = self.signed().get(asked.call)
        if handler is None:
            raise Problem(404, 404, "Not Found")
        return _envelope(handler(pairs))

    def public(self) -> dict[str, Handler]:
        return {
            "GET /api/v5/public/time": lambda _: [{"ts": str(self.now_ms())}],
            "GET /api/v5/public/instruments": self._instruments,
            "GET /api/v5/public/mark-price": lambda pairs: [
                {"instId": pairs["instId"], "markPx": self.last(pairs["instId"])}
            ],
            "GET /api/v5/market/ticker": lambda pairs: [
                {"instId": pairs["instId"], "last": self.last(pairs["instId"])}
            ],
        }

    def signed(self) -> dict[str, Handler]:
        return {
            "POST /api/v5/trade/order": self._create_plain,
            "GET /api/v5/trade/order": self._get_plain,
            "POST /api/v5/trade/cancel-order": self._cancel_plain,
            "GET /api/v5/trade/orders-pending": self._pending_plain,
            "POST /api/v5/trade/order-algo": self._create_algo,
            "GET /api/v5/trade/order-algo": self._get_algo,
            "POST /api/v5/trade/cancel-algos": self._cancel_algo,
            "GET /api/v5/trade/orders-algo-pending": self._pending_algos,
            "GET /api/v5/trade/orders-algo-history": self._ended_algos,
            "GET /api/v5/trade/fills": self._recent_fills,
            "GET /api/v5/trade/fills-history": self._all_fills,
            "GET /api/v5/account/config": self._config,
            "GET /api/v5/account/balance": self._balance,
        }

    def _check_signature(self, asked: Asked) -> None:
        headers = asked.headers
        if headers.get("OK-ACCESS-KEY") != self.key:
            raise Problem(401, 50111, "Invalid OK-ACCESS-KEY")
        if headers.get("OK-ACCESS-PASSPHRASE") != self.passphrase:
            raise Problem(401, 50105, 'Request header "OK-ACCESS-PASSPHRASE" incorrect.')
        stamp = headers.get("OK-ACCESS-TIMESTAMP", "")
        query = f"?{asked.raw}" if asked.method == "GET" and asked.raw else ""
        text = stamp + asked.method + asked.path + query
        text += asked.raw if asked.method == "POST" else ""
        made = hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).digest()
        if headers.get("OK-ACCESS-SIGN") != base64.b64encode(made).decode():
            raise Problem(401, 50113, "Invalid Sign")
        stamp_ms = ms(datetime.fromisoformat(stamp))
        if abs(self.now_ms() - stamp_ms) > STAMP_GOOD_FOR_MS:
            raise Problem(401, 50102, "Timestamp request expired")
        deadline_ms = int(headers.get("expTime", self.now_ms()))
        if asked.call == "POST /api/v5/trade/order" and self.now_ms() > deadline_ms:
            raise Problem(200, 50036, "The expTime can't be earlier than the current time.")

    def told(self, problem: Problem) -> Any:
        item = {"sCode": str(problem.code), "sMsg": problem.message}
        if problem.status == 200 and 51000 <= int(problem.code) < 60000:
            return {"code": "1", "msg": "All operations failed", "data": [item]}
        return {"code": str(problem.code), "msg": problem.message, "data": []}

    def refused(self, code: int | str, message: str) -> Problem:
        return Problem(200, code, message)

    def wrong(self, message: str) -> Problem:
        return Problem(200, 51000, f"Parameter error: {message}")

    def gone(self) -> Problem:
        return Problem(200, 51400, "Order cancellation failed as the order has been filled.")

    # Names

    def name(self, symbol: str) -> str:
        """The venue's name for one of our symbols."""
        raise NotImplementedError

    def symbol(self, pairs: Mapping[str, str]) -> str | None:
        return pairs["instId"].removesuffix("-SWAP").replace("-", "") if "instId" in pairs else None

    def last(self, name: str) -> str:
        price = self.exchange.price(self.symbol({"instId": name}) or "")
        if price is None:
            raise Problem(200, 51001, "Instrument ID doesn't exist.")
        return plain(price.last)

    def contracts(self, quantity: Decimal) -> str:
        return plain(quantity / self.size)

    def body_of(self, pairs: Mapping[str, str], kind: OrderType, level: str | None) -> OrderBody:
        return self.body(
            kind,
            {
                "symbol": self.symbol(pairs),
                "side": pairs.get("side"),
                "quantity": plain(Decimal(pairs["sz"]) * self.size),
                "price": level,
                "trigger": level,
                "reduce_only": pairs.get("reduceOnly") == "true",
            },
        )

    def check_request(self, pairs: Mapping[str, str]) -> None:
        """Whether an order is asked for as this market takes it."""
        raise NotImplementedError

    def check_id(self, name: str, code: int, taken: Sequence[str]) -> None:
        if not (name.isalnum() and name.isascii() and len(name) <= LONGEST_ID):
            raise Problem(200, 51000, "Parameter clOrdId error")
        if name in taken:
            raise Problem(200, code, "Client order ID already exists.")

    # Plain orders

    def _create_plain(self, pairs: Mapping[str, str]) -> Any:
        self.check_request(pairs)
        names = [self.names.get(o.order_id, "") for o in self._plain_orders() if o.working]
        self.check_id(pairs["clOrdId"], 51016, names)
        body = self.body_of(pairs, OrderType(pairs["ordType"]), pairs.get("px"))
        order = self.place(body, pairs["clOrdId"])
        self.modes[order.order_id] = pairs["tdMode"]
        return [_taken(ordId=order.order_id, clOrdId=pairs["clOrdId"])]

    def _plain_orders(self, symbol: str | None = None) -> list[PaperOrder]:
        return [
            order
            for order in self.orders(symbol)
            if (not order.type.is_conditional and order.pair_id is None) or order.parent_id
        ]

    def _find_plain(self, pairs: Mapping[str, str]) -> PaperOrder | None:
        number, name = pairs.get("ordId"), pairs.get("clOrdId")
        for order in reversed(self._plain_orders(self.symbol(pairs))):
            if order.order_id == number or (name and self.names.get(order.order_id) == name):
                return order
        return None

    def _get_plain(self, pairs: Mapping[str, str]) -> Any:
        order = self._find_plain(pairs)
        if order is None:
            raise Problem(200, 51603, "Order does not exist")
        return [self.shown(order)]

    def _cancel_plain(self, pairs: Mapping[str, str]) -> Any:
        order = self._find_plain(pairs)
        if order is None:
            raise self.gone()
        self.cancel(order.order_id)
        return [_taken(ordId=order.order_id, clOrdId=self.names.get(order.order_id, ""))]

    def _pending_plain(self, pairs: Mapping[str, str]) -> Any:
        self.check_kind(pairs)
        working = [o for o in self._plain_orders(self.symbol(pairs)) if o.working]
        return _page([self.shown(order) for order in working], pairs, "ordId")

    def check_kind(self, pairs: Mapping[str, str]) -> None:
        if pairs.get("instType") != self.kind:
            raise Problem(200, 51000, "Parameter instType error")

    def shown(self, order: PaperOrder) -> dict[str, Any]:
        parent = self.order(order.parent_id) if order.parent_id else None
        states = {OrderStatus.CLOSED: "filled", OrderStatus.CANCELLED: "canceled"}
        working = "partially_filled" if order.filled > 0 else "live"
        return {
            "instType": self.kind,
            "instId": self.name(order.symbol),
            "ordId": order.order_id,
            "clOrdId": "" if parent else self.names.get(order.order_id, ""),
            "algoId": self.algo_number(parent) if parent else "",
            "algoClOrdId": self.algo_names.get(self.algo_number(parent), "") if parent else "",
            "source": "7" if parent else "",
            "px": plain(order.price) if order.price else "",
            "sz": self.contracts(order.quantity),
            "ordType": order.type.value,
            "side": order.side.value,
            "posSide": "net" if self.kind == "SWAP" else "",
            "tdMode": self.modes.get(order.order_id, ""),
            "tgtCcy": "base_ccy" if self.kind == "SPOT" else "",
            "accFillSz": self.contracts(order.filled),
            "avgPx": plain(ratio(order.value, order.filled)) if order.filled else "",
            "state": states.get(order.status, working),
            "reduceOnly": "true" if order.reduce_only else "false",
            "cTime": str(ms(order.created_at)),
            "uTime": str(ms(order.updated_at)),
        }

    # Conditional orders

    def _create_algo(self, pairs: Mapping[str, str]) -> Any:
        self.check_request(pairs)
        name = pairs["algoClOrdId"]
        working = [order for order in self._algo_orders() if order.working]
        self.check_id(name, 51065, [self.algo_names[self.algo_number(o)] for o in working])
        legs = {leg: pairs[f"{leg}TriggerPx"] for leg in _LEGS if f"{leg}TriggerPx" in pairs}
        if any(pairs.get(f"{leg}OrdPx") != "-1" for leg in legs):
            raise Problem(200, 51000, "Parameter slOrdPx error")
        bodies = [self.body_of(pairs, _LEGS[leg], level) for leg, level in legs.items()]
        match pairs["ordType"], len(bodies):
            case "conditional", 1:
                orders = [self.place(bodies[0], name)]
            case "oco", 2:
                orders = self.place_pair(bodies[0], bodies[1], names_of(name) or ("", ""))
            case _:
                raise Problem(200, 51000, "Parameter ordType error")
        number = self.algo_number(orders[0])
        self.algo_names[number] = name
        for leg, order in zip(legs, orders, strict=True):
            self.bases[order.order_id] = pairs.get(f"{leg}TriggerPxType", "last")
            self.modes[order.order_id] = pairs["tdMode"]
        return [_taken(algoId=number, clOrdId="", algoClOrdId=name)]

    def _algo_orders(self, symbol: str | None = None) -> list[PaperOrder]:
        return [order for order in self.orders(symbol) if order.type.is_conditional]

    def algo_number(self, order: PaperOrder) -> str:
        return str(ALGO_NUMBERS_FROM + int(order.pair_id or order.order_id))

    def algos(self, symbol: str | None = None) -> list[dict[str, Any]]:
        """Oldest first, each pair once."""
        by_number: dict[str, list[PaperOrder]] = {}
        for order in self._algo_orders(symbol):
            by_number.setdefault(self.algo_number(order), []).append(order)
        return [self.shown_algo(number, orders) for number, orders in by_number.items()]

    def _find_algo(self, pairs: Mapping[str, str]) -> dict[str, Any] | None:
        number, name = pairs.get("algoId"), pairs.get("algoClOrdId")
        newest_first = reversed(self.algos())
        if number is not None:
            return next((algo for algo in newest_first if algo["algoId"] == number), None)
        return next((algo for algo in newest_first if algo["algoClOrdId"] == name), None)

    def _get_algo(self, pairs: Mapping[str, str]) -> Any:
        found = self._find_algo(pairs)
        if found is None or (self.hides_algos and "algoId" not in pairs):
            raise Problem(200, 51603, "Order does not exist")
        return [found]

    def _cancel_algo(self, pairs: Mapping[str, str]) -> Any:
        found = self._find_algo(pairs)
        if found is None:
            raise self.gone()
        orders = [o for o in self._algo_orders() if self.algo_number(o) == found["algoId"]]
        self.cancel(next((o for o in orders if o.working), orders[0]).order_id)
        return [_taken(algoId=found["algoId"], clOrdId="", algoClOrdId="")]

    def _pending_algos(self, pairs: Mapping[str, str]) -> Any:
        return self._listed(pairs, "live")

    def _ended_algos(self, pairs: Mapping[str, str]) -> Any:
        if "state" not in pairs:
            raise Problem(400, 50015, "Either parameter state or algoId is required")
        return self._listed(pairs, pairs["state"])

    def _listed(self, pairs: Mapping[str, str], state: str) -> Any:
        self.check_kind(pairs)
        wanted = pairs.get("ordType", "").split(",")
        if not set(wanted) <= set(_WAITING_TYPES):
            raise Problem(200, 51000, "Parameter ordType error")
        algos = [a for a in self.algos(self.symbol(pairs)) if a["ordType"] in wanted]
        return _page([a for a in algos if a["state"] == state], pairs, "algoId")

    def shown_algo(self, number: str, orders: Sequence[PaperOrder]) -> dict[str, Any]:
        one = orders[0]
        acted = next((order for order in orders if order.triggered), None)
        waits = any(order.working for order in orders)
        child = acted.child_id if acted else None
        levels = {leg: plain(o.trigger_price or ZERO) for o in orders for leg in (_SIDES[o.type],)}
        bases = {_SIDES[o.type]: self.bases[o.order_id] for o in orders}
        return {
            "instType": self.kind,
            "instId": self.name(one.symbol),
            "algoId": number,
            "algoClOrdId": self.algo_names[number],
            "clOrdId": "",
            "ordType": "oco" if one.pair_id else "conditional",
            "ordId": child or "",
            "ordIdList": [child] if child and self.child_id_list else [],
            "state": "effective" if acted else "live" if waits else "canceled",
            "actualSide": _SIDES[acted.type] if acted else "",
            "sz": self.contracts(one.quantity),
            "closeFraction": "",
            "side": one.side.value,
            "posSide": "net" if self.kind == "SWAP" else "",
            "tdMode": self.modes[one.order_id],
            "tgtCcy": "",
            "reduceOnly": "true" if one.reduce_only else "false",
            **{f"{leg}TriggerPx": levels.get(leg, "") for leg in _LEGS},
            **{f"{leg}TriggerPxType": bases.get(leg, "") for leg in _LEGS},
            **{f"{leg}OrdPx": "-1" if leg in levels else "" for leg in _LEGS},
            "cTime": str(ms(one.created_at)),
            "uTime": str(ms(one.updated_at)),
        }

    def number_of(self, ref: OrderRef) -> str:
        order = self.order(ref.venue_order_id)
        if not order.type.is_conditional:
            return order.order_id
        return self.algo_number(order) + (_SIDES[order.type] if order.pair_id else "")

    # Fills and the account

    def _recent_fills(self, pairs: Mapping[str, str]) -> Any:
        return self._fills(pairs, self.now_ms() - 3 * DAY_MS)

    def _all_fills(self, pairs: Mapping[str, str]) -> Any:
        self.check_kind(pairs)
        return self._fills(pairs, self.now_ms() - 90 * DAY_MS)

    def _fills(self, pairs: Mapping[str, str], oldest_ms: int) -> Any:
        start_ms = max(int(pairs.get("begin", "0")), oldest_ms)
        wanted = [f for f in self.fills_of(self.symbol(pairs) or "") if ms(f.at) >= start_ms]
        return _page([self._shown_fill(fill) for fill in wanted], pairs, "billId")

    def _shown_fill(self, fill: PaperFill) -> dict[str, Any]:
        order = self.order(fill.order_id)
        return {
            "instType": self.kind,
            "instId": self.name(fill.symbol),
            "tradeId": "1",
            "billId": str(BILL_NUMBERS_FROM + int(fill.fill_id)),
            "ordId": order.order_id,
            "clOrdId": "" if order.parent_id else self.names.get(order.order_id, ""),
            "side": fill.side.value,
            "fillPx": plain(fill.price),
            "fillSz": self.contracts(fill.quantity),
            "fee": plain(-fill.fee),
            "feeCcy": fill.fee_currency,
            "ts": str(ms(fill.at)),
        }

    def _config(self, _: Mapping[str, str]) -> Any:
        rights = {"read_only": True, "trade": self.can_trade, "withdraw": self.can_withdraw}
        return [
            {
                "uid": "44",
                "acctLv": self.level,
                "posMode": "net_mode" if self.one_way else "long_short_mode",
                "perm": ",".join(right for right, given in rights.items() if given),
            }
        ]

    def _balance(self, _: Mapping[str, str]) -> Any:
        spot = self.kind == "SPOT"
        details = [
            {
                "ccy": one.currency,
                "eq": plain(one.total),
                "cashBal": plain(one.total),
                "availBal": plain(one.free),
                "availEq": "" if spot else plain(one.free),
                "frozenBal": plain(one.total - one.free),
            }
            for one in self.exchange.balances()
        ]
        return [{"totalEq": "0", "details": details}]

    def _instruments(self, pairs: Mapping[str, str]) -> Any:
        self.check_kind(pairs)
        return self.instruments()

    def listed(self, one: Instrument) -> dict[str, Any]:
        return {
            "instType": self.kind,
            "instId": self.name(one.symbol),
            "tickSz": f"{one.tick:f}0",
            "lotSz": self.contracts(one.step),
            "minSz": self.contracts(one.min_quantity),
            "state": "live",
        }

    refusals: ClassVar[Refusals] = (
        (RejectReason.UNKNOWN_SYMBOL, "", 51001, "Instrument ID doesn't exist."),
        (RejectReason.INSUFFICIENT_FUNDS, "", 51008, "Order failed. Insufficient balance."),
        (RejectReason.CROSSED, "", 51280, "SL trigger price cannot be higher than the last price"),
        (RejectReason.REDUCE_ONLY, "", 51169, "You don't have any positions in this direction."),
        (RejectReason.BELOW_MINIMUM, "", 51020, "Your order should exceed the minimum amount."),
        (RejectReason.INVALID_ORDER, "tick", 51006, "Order price is not within the price limit."),
        (RejectReason.INVALID_ORDER, "step", 51121, "Quantity must be a multiple of the lot size."),
        (RejectReason.INVALID_ORDER, "leverage", 59102, "Leverage exceeds the maximum limit."),
    )


def _envelope(rows: Any) -> dict[str, Any]:
    return {"code": "0", "msg": "", "data": rows}


def _taken(**ids: str) -> dict[str, str]:
    return {**ids, "tag": "", "sCode": "0", "sMsg": ""}


def _page(rows: list[dict[str, Any]], pairs: Mapping[str, str], cursor: str) -> Any:
    """Newest first, of those older than `after`."""
    after = int(pairs["after"]) if "after" in pairs else None
    older = [row for row in reversed(rows) if after is None or int(row[cursor]) < after]
    return older[: min(int(pairs.get("limit", "100")), 100)]


def _as_text(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
