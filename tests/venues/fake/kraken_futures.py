"""Kraken futures over HTTP: everything in the query, refusals inside of answers, a slow history."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from aiohttp import web

from guardian_core.domain.errors import RejectReason
from guardian_core.domain.money import ZERO, plain
from guardian_core.domain.orders import OrderRef, OrderStatus, OrderType
from guardian_gateway.venues.paper.records import PaperFill, PaperOrder
from guardian_gateway.venues.paper.rules import Rules
from tests.venues.fake.core import Refusals, ms
from tests.venues.fake.kraken_history import KrakenHistory
from tests.venues.fake.kraken_streams import KrakenFuturesStreams
from tests.venues.fake.server import Asked, Handler, Problem

_TYPES = {
    "mkt": OrderType.MARKET,
    "lmt": OrderType.LIMIT,
    "stp": OrderType.STOP_LOSS,
    "take_profit": OrderType.TAKE_PROFIT,
}
_SHOWN_TYPES = {
    OrderType.MARKET: "lmt",
    OrderType.LIMIT: "lmt",
    OrderType.STOP_LOSS: "stop",
    OrderType.TAKE_PROFIT: "take_profit",
}
CROSS_LEVERAGE = Decimal(50)
JUST_ENDED_S = 5.0


@dataclass
class FakeKrakenFutures(KrakenHistory):
    """`preferences`: the leverage of isolated symbols. `signals`: each trigger's price."""

    secret: str = "c2VjcmV0"
    rules: Rules = field(default_factory=lambda: Rules(leverage=CROSS_LEVERAGE))
    preferences: dict[str, str] = field(default_factory=dict)
    signals: dict[str, str] = field(default_factory=dict)

    def make_sockets(self) -> KrakenFuturesStreams:
        return KrakenFuturesStreams(self)

    def read(self, request: web.Request, body: str) -> tuple[str, dict[str, str]]:
        raw = request.rel_url.raw_query_string
        return raw, dict(parse_qsl(raw, keep_blank_values=True))

    def told(self, problem: Problem) -> Any:
        if problem.status == 200:
            told: Any = {"status": problem.code, "receivedTime": self.iso_now(), "orderEvents": []}
            return self.success(sendStatus=told, cancelStatus=told)
        shown = {"result": "error", "error": problem.code, "serverTime": self.iso_now()}
        return shown | ({"errors": [problem.message]} if problem.message else {})

    def success(self, **parts: Any) -> dict[str, Any]:
        return {"result": "success", "serverTime": self.iso_now(), **parts}

    def iso_now(self) -> str:
        return iso(datetime.fromtimestamp(self.now_ms() / 1000, UTC))

    def answer(self, asked: Asked, pairs: Mapping[str, str]) -> Any:
        open_to_all = self.public()
        if asked.call in open_to_all:
            return open_to_all[asked.call](pairs)
        if asked.path.startswith("/derivatives/api/v3/tickers/"):
            return self._ticker(asked.path.rpartition("/")[2])
        self._check_signature(asked)
        handler = self.signed().get(asked.call)
        if handler is None:
            raise Problem(404, "notFound", "")
        return handler(pairs)

    def public(self) -> Mapping[str, Handler]:
        return {
            "GET /derivatives/api/v3/instruments": lambda _: self.success(
                instruments=self.instruments()
            ),
            "GET /derivatives/api/v3/instruments/status": lambda _: self.success(
                instrumentStatus=[]
            ),
        }

    def signed(self) -> Mapping[str, Handler]:
        return {
            "POST /derivatives/api/v3/sendorder": self._send,
            "POST /derivatives/api/v3/cancelorder": self._cancel,
            "GET /derivatives/api/v3/openorders": self._open,
            "GET /derivatives/api/v3/orders/status": self._statuses,
            "GET /derivatives/api/v3/fills": self._fills,
            "GET /derivatives/api/v3/openpositions": self._positions,
            "GET /derivatives/api/v3/accounts": self._accounts,
            "GET /derivatives/api/v3/leveragepreferences": self._preferences,
            "PUT /derivatives/api/v3/leveragepreferences": self._set_preference,
            "GET /api/history/v3/orders": self.order_events,
            "GET /api/history/v3/triggers": self.trigger_events,
            "GET /api/history/v3/executions": self.execution_events,
            "GET /api/auth/v1/api-keys/v3/check": self._rights,
        }

    def _check_signature(self, asked: Asked) -> None:
        signed = asked.raw + asked.path.removeprefix("/derivatives")
        digest = hashlib.sha256(signed.encode()).digest()
        try:
            secret = base64.b64decode(self.secret)
        except binascii.Error:
            secret = self.secret.encode()
        expected = base64.b64encode(hmac.new(secret, digest, hashlib.sha512).digest()).decode()
        right = hmac.compare_digest(expected, asked.headers.get("Authent", ""))
        if asked.headers.get("APIKey") != self.key or not right:
            raise Problem(401, "authenticationError", "")

    def _check_in_time(self, pairs: Mapping[str, str]) -> None:
        until = pairs.get("processBefore")
        if until is not None and ms(datetime.fromisoformat(until)) < self.now_ms():
            raise Problem(200, "wouldProcessAfterSpecifiedTime", "")

    def wrong(self, message: str) -> Problem:
        return Problem(200, "invalidPrice", message)

    def gone(self) -> Problem:
        return Problem(200, "notFound", "")

    def refused(self, code: int | str, message: str) -> Problem:
        return Problem(200, code, message)

    # Orders

    def _send(self, pairs: Mapping[str, str]) -> Any:
        self._check_in_time(pairs)
        name = pairs["cliOrdId"]
        if name in self.names.values():
            raise Problem(200, "clientOrderIdAlreadyExist", "")
        kind = _TYPES[pairs["orderType"]]
        body = self.body(
            kind,
            {
                "symbol": self.symbol_of(pairs["symbol"]),
                "side": pairs["side"],
                "quantity": pairs["size"],
                "price": pairs.get("limitPrice"),
                "trigger": pairs.get("stopPrice"),
                "reduce_only": pairs.get("reduceOnly") == "true",
            },
        )
        order = self.place(body, name)
        if kind.is_conditional:
            self.signals[order.order_id] = pairs.get("triggerSignal", "mark")
        return self.success(sendStatus=self._sent(order))

    def _sent(self, order: PaperOrder) -> dict[str, Any]:
        shown = self.shown(order)
        known = shown["status"] in ("untouched", "partiallyFilled", "filled")
        events = [
            {
                "type": "EXECUTION",
                "executionId": self.fill_id(fill),
                "price": float(fill.price),
                "amount": float(fill.quantity),
                "orderPriorEdit": None,
                "orderPriorExecution": self._event_order(order),
            }
            for fill in self.fills_of(order.symbol)
            if fill.order_id == order.order_id
        ]
        if order.type.is_conditional:
            events.append({"type": "PLACE", "orderTrigger": self._event_trigger(order)})
        elif order.working:
            events.append({"type": "PLACE", "order": self._event_order(order)})
        return {
            "status": "placed" if known else shown["status"],
            "order_id": shown["order_id"],
            "cliOrdId": shown["cliOrdId"],
            "receivedTime": shown["receivedTime"],
            "orderEvents": events,
        }

    def _event_order(self, order: PaperOrder) -> dict[str, Any]:
        return {
            "orderId": self.uid(order),
            "cliOrdId": self.name_of(order),
            "type": "ioc" if order.type is OrderType.MARKET else "lmt",
            "symbol": self.listed_name(order.symbol),
            "side": order.side.value,
            "quantity": float(order.quantity),
            "filled": float(order.filled),
            "limitPrice": float(order.price or ZERO),
            "reduceOnly": order.reduce_only,
            "timestamp": iso(order.created_at),
            "lastUpdateTimestamp": iso(order.updated_at),
        }

    def _event_trigger(self, order: PaperOrder) -> dict[str, Any]:
        return {
            "uid": self.uid(order),
            "clientId": self.name_of(order),
            "type": "ioc",
            "symbol": self.listed_name(order.symbol),
            "side": order.side.value,
            "quantity": float(order.quantity),
            "limitPrice": None,
            "triggerPrice": float(order.trigger_price or ZERO),
            "triggerSide": "trigger_below" if order.acts_when_falling else "trigger_above",
            "triggerSignal": f"{self.signals.get(order.order_id, 'last')}_price",
            "reduceOnly": order.reduce_only,
            "timestamp": iso(order.created_at),
            "lastUpdateTimestamp": iso(order.updated_at),
        }

    def _cancel(self, pairs: Mapping[str, str]) -> Any:
        self._check_in_time(pairs)
        number, name = pairs.get("order_id"), pairs.get("cliOrdId")
        for order in reversed(self.orders()):
            mine = number == self.uid(order) or (name and self.name_of(order) == name)
            if mine and order.working and not order.triggered:
                self.cancel(order.order_id)
                told = {"status": "cancelled", "order_id": self.uid(order), "orderEvents": []}
                return self.success(cancelStatus=told)
            if mine and order.filled > 0:
                return self.success(cancelStatus={"status": "filled", "orderEvents": []})
        raise self.gone()

    def _open(self, _: Mapping[str, str]) -> Any:
        shown = [self.shown(order) for order in self.orders() if self._is_listed(order)]
        return self.success(openOrders=shown)

    def _is_listed(self, order: PaperOrder) -> bool:
        return order.working and not order.triggered and order.parent_id is None

    def shown(self, order: PaperOrder) -> dict[str, Any]:
        status = "partiallyFilled" if order.filled > 0 else "untouched"
        shown = {
            "order_id": self.uid(order),
            "cliOrdId": self.name_of(order),
            "symbol": self.listed_name(order.symbol).lower(),
            "side": order.side.value,
            "orderType": _SHOWN_TYPES[order.type],
            "unfilledSize": float(order.remaining),
            "filledSize": float(order.filled),
            "receivedTime": iso(order.created_at),
            "lastUpdateTime": iso(order.updated_at),
            "status": status if order.working else "filled",
            "reduceOnly": order.reduce_only,
        }
        if order.price is not None:
            shown["limitPrice"] = float(order.price)
        if order.trigger_price is not None:
            shown["stopPrice"] = float(order.trigger_price)
            shown["triggerSignal"] = self.signals.get(order.order_id, "last")
        return shown

    def _statuses(self, pairs: Mapping[str, str]) -> Any:
        """Orders that are open, or ended just now; an unknown id is an element without status."""
        names = pairs["cliOrdIds"].split(",")
        now = self.clock.now()
        seen = [order for order in self.orders() if self.name_of(order) in names]
        seen = [
            order
            for order in seen
            if order.working or (now - order.updated_at).total_seconds() <= JUST_ENDED_S
        ]
        if self.keeps_uid:
            seen = [order for order in seen if order.parent_id is None]
        found = [self._status(order) for order in seen]
        return self.success(orders=found or [{"order": None, "status": None, "error": "notFound"}])

    def _status(self, order: PaperOrder) -> dict[str, Any]:
        conditional = order.type.is_conditional
        became = order.triggered and not self.keeps_uid
        shown: dict[str, Any] = {
            "type": "TRIGGER_ORDER" if conditional and not order.triggered else "ORDER",
            "orderId": self.uid(order),
            "cliOrdId": self.name_of(order),
            "symbol": self.listed_name(order.symbol),
            "side": order.side.value,
            "quantity": plain(order.quantity),
            "filled": plain(ZERO if became else order.filled),
            "limitPrice": plain(order.price) if order.price else None,
            "reduceOnly": order.reduce_only,
            "timestamp": iso(order.created_at),
            "lastUpdateTimestamp": iso(order.updated_at),
        }
        if conditional:
            shown["priceTriggerOptions"] = {
                "triggerPrice": plain(order.trigger_price or ZERO),
                "triggerSide": "TRIGGER_BELOW" if order.acts_when_falling else "TRIGGER_ABOVE",
                "triggerSignal": f"{self.signals.get(order.order_id, 'last')}_price".upper(),
            }
        reason = "STOP_ORDER_TRIGGERED" if became else None
        return {
            "order": shown,
            "status": _status_word(order),
            "updateReason": reason,
            "error": None,
        }

    def _fills(self, _: Mapping[str, str]) -> Any:
        everything = sorted(self.exchange._book.fills.values(), key=lambda f: int(f.fill_id))
        return self.success(fills=[self._fill(fill) for fill in everything[::-1][:100]])

    def _fill(self, fill: PaperFill) -> dict[str, Any]:
        order = self.order(fill.order_id)
        return {
            "fill_id": self.fill_id(fill),
            "order_id": self.uid(order),
            "cliOrdId": self.name_of(order),
            "symbol": self.listed_name(fill.symbol),
            "side": fill.side.value,
            "size": float(fill.quantity),
            "price": float(fill.price),
            "fillTime": iso(fill.at),
            "fillType": "taker",
        }

    # The account

    def _positions(self, _: Mapping[str, str]) -> Any:
        held = [
            {
                "side": one.side.value,
                "symbol": self.listed_name(one.symbol),
                "price": float(one.entry_price or ZERO),
                "fillTime": self.iso_now(),
                "size": float(one.quantity),
                "unrealizedFunding": 0,
            }
            for one in self.exchange.positions()
        ]
        return self.success(openPositions=held)

    def _accounts(self, _: Mapping[str, str]) -> Any:
        money = {one.currency: one for one in self.exchange.balances()}
        worth = sum((one.total for one in money.values()), ZERO)
        free = sum((one.free for one in money.values()), ZERO)
        flex = {
            "type": "multiCollateralMarginAccount",
            "currencies": {
                name: {"quantity": float(one.total), "available": float(one.free)}
                for name, one in money.items()
            },
            "availableMargin": float(free),
            "marginEquity": float(worth),
        }
        cash = {"type": "cashAccount", "balances": {"xbt": "0.0"}}
        return self.success(accounts={"cash": cash, "flex": flex})

    def _preferences(self, _: Mapping[str, str]) -> Any:
        found = [
            {"symbol": name, "maxLeverage": float(leverage)}
            for name, leverage in self.preferences.items()
        ]
        return self.success(leveragePreferences=found)

    def _set_preference(self, pairs: Mapping[str, str]) -> Any:
        name, wanted = pairs["symbol"], pairs.get("maxLeverage")
        leverage = Decimal(wanted) if wanted is not None else CROSS_LEVERAGE
        self.exchange.set_leverage(self.symbol_of(name), leverage, self.clock.now())
        self.preferences.pop(name, None)
        if wanted is not None:
            self.preferences[name] = wanted
        return self.success()

    def _rights(self, _: Mapping[str, str]) -> Any:
        return {
            "apiKey": self.key,
            "permissions": {
                "general": "FULL_ACCESS" if self.can_trade else "READ_ONLY",
                "transfer": "FULL_ACCESS" if self.can_withdraw else "NO_ACCESS",
            },
        }

    def _ticker(self, name: str) -> Any:
        price = self.exchange.price(self.symbol_of(name))
        if price is None:
            raise Problem(404, "contractNotFound", "")
        last = float(price.last)
        return self.success(ticker={"symbol": name, "last": last, "markPrice": last})

    def listed(self, one: Any) -> dict[str, Any]:
        base = "XBT" if one.base == "BTC" else one.base
        return {
            "symbol": f"PF_{base}{one.quote}",
            "pair": f"{base}:{one.quote}",
            "base": base,
            "quote": one.quote,
            "type": "flexible_futures",
            "tradeable": True,
            "tickSize": float(one.tick),
            "contractSize": 1,
            "contractValueTradePrecision": -one.step.adjusted(),
        }

    def number_of(self, ref: OrderRef) -> str:
        return self.uid(self.order(ref.venue_order_id))

    refusals: ClassVar[Refusals] = (
        (RejectReason.INSUFFICIENT_FUNDS, "", "insufficientAvailableFunds", ""),
        (RejectReason.REDUCE_ONLY, "", "wouldNotReducePosition", ""),
        (RejectReason.BELOW_MINIMUM, "", "invalidSize", ""),
        (RejectReason.INVALID_ORDER, "step", "invalidSize", ""),
        (RejectReason.INVALID_ORDER, "", "invalidPrice", ""),
    )


def _status_word(order: PaperOrder) -> str:
    if order.status is OrderStatus.OPEN:
        conditional = order.type.is_conditional and not order.triggered
        return "TRIGGER_PLACED" if conditional else "ENTERED_BOOK"
    return {OrderStatus.CLOSED: "FULLY_EXECUTED", OrderStatus.CANCELLED: "CANCELLED"}[order.status]


def iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
