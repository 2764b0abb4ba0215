"""Kraken spot over HTTP: refusals in a 200's list, nonces that must rise, few numbers of pages."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from guardian_core.domain.errors import RejectReason
from guardian_core.domain.money import ZERO, MarketKind, plain
from guardian_core.domain.orders import OrderRef, OrderStatus, OrderType
from guardian_gateway.venues.kraken import spot, spot_trades
from guardian_gateway.venues.paper.records import PaperFill, PaperOrder
from guardian_gateway.venues.paper.rules import Rules
from tests.venues.fake.core import CoreWire, Refusals, ms
from tests.venues.fake.server import Asked, Handler, Problem

_TYPES = {
    "market": OrderType.MARKET,
    "limit": OrderType.LIMIT,
    "stop-loss": OrderType.STOP_LOSS,
    "take-profit": OrderType.TAKE_PROFIT,
}
_NAMES = {kind: name for name, kind in _TYPES.items()}
_STATUSES = {
    OrderStatus.OPEN: "open",
    OrderStatus.CLOSED: "closed",
    OrderStatus.CANCELLED: "canceled",
}
NEAREST_DEADLINE_MS = 2_000
FEE = Decimal("0.0005")
ZERO_FEES = Rules(market=MarketKind.SPOT, taker_fee_percent=ZERO, maker_fee_percent=ZERO)
"""The core would take fees out of the coins; here they are paid in money, and only shown."""


@dataclass
class FakeKrakenSpot(CoreWire):
    """`last_nonce`: the highest one that came."""

    secret: str = "c2VjcmV0"
    rules: Rules = field(default_factory=lambda: ZERO_FEES)
    last_nonce: int = 0

    def told(self, problem: Problem) -> Any:
        return {"error": [problem.code]}

    def answer(self, asked: Asked, pairs: Mapping[str, str]) -> Any:
        handler = self.public().get(asked.call)
        if handler is None:
            self._check_signature(asked, pairs)
            handler = self.signed().get(asked.call)
        if handler is None:
            raise Problem(200, "EGeneral:Unknown method", "")
        return {"error": [], "result": handler(pairs)}

    def public(self) -> Mapping[str, Handler]:
        return {
            "GET /0/public/Time": lambda _: {"unixtime": self.now_ms() // 1000},
            "GET /0/public/AssetPairs": lambda _: {o["altname"]: o for o in self.instruments()},
            "GET /0/public/Ticker": self._ticker,
        }

    def signed(self) -> Mapping[str, Handler]:
        return {
            "POST /0/private/AddOrder": self._add,
            "POST /0/private/CancelOrder": self._cancel,
            "POST /0/private/OpenOrders": self._open,
            "POST /0/private/ClosedOrders": self._closed,
            "POST /0/private/QueryOrders": self._query,
            "POST /0/private/TradesHistory": self._trades,
            "POST /0/private/BalanceEx": self._balances,
            "POST /0/private/GetApiKeyInfo": self._rights,
        }

    def _check_signature(self, asked: Asked, pairs: Mapping[str, str]) -> None:
        if asked.headers.get("API-Key") != self.key:
            raise Problem(200, "EAPI:Invalid key", "")
        try:
            secret = base64.b64decode(self.secret)
        except binascii.Error:
            secret = self.secret.encode()
        digest = hashlib.sha256((pairs["nonce"] + asked.raw).encode()).digest()
        signed = hmac.new(secret, asked.path.encode() + digest, hashlib.sha512).digest()
        if not hmac.compare_digest(base64.b64encode(signed).decode(), asked.headers["API-Sign"]):
            raise Problem(200, "EAPI:Invalid signature", "")
        if int(pairs["nonce"]) <= self.last_nonce:
            raise Problem(200, "EAPI:Invalid nonce", "")
        self.last_nonce = int(pairs["nonce"])

    def wrong(self, message: str) -> Problem:
        return Problem(200, f"EGeneral:Invalid arguments:{message}", "")

    def gone(self) -> Problem:
        return Problem(200, "EOrder:Unknown order", "")

    def refused(self, code: int | str, message: str) -> Problem:
        return Problem(200, code, message)

    # Names

    def uid(self, order: PaperOrder) -> str:
        own = order.parent_id or order.order_id
        return f"O{int(own):05d}-FAKED-ORDERS"

    def number_of(self, ref: OrderRef) -> str:
        return self.uid(self.order(ref.venue_order_id))

    def pair_of(self, symbol: str) -> str:
        return f"XBT{symbol[3:]}" if symbol.startswith("BTC") else symbol

    def symbol_of(self, pair: str) -> str:
        return f"BTC{pair[3:]}" if pair.startswith("XBT") else pair

    # Orders

    def _add(self, pairs: Mapping[str, str]) -> Any:
        if ms(datetime.fromisoformat(pairs["deadline"])) < self.now_ms():
            raise Problem(200, "EService:Deadline elapsed", "")
        if ms(datetime.fromisoformat(pairs["deadline"])) < self.now_ms() + NEAREST_DEADLINE_MS:
            raise self.wrong("deadline")
        if self.is_named(pairs["cl_ord_id"]):
            raise Problem(200, "EOrder:Duplicate order", "")
        kind = _TYPES[pairs["ordertype"]]
        body = self.body(
            kind,
            {
                "symbol": self.symbol_of(pairs["pair"]),
                "side": pairs["type"],
                "quantity": pairs["volume"],
                "price": pairs.get("price"),
                "trigger": pairs.get("price"),
            },
        )
        order = self.place(body, pairs["cl_ord_id"])
        return {"txid": [self.uid(order)], "descr": {"order": "as it was sent"}}

    def _seen(self) -> list[PaperOrder]:
        """Newest first."""
        return [order for order in self.orders() if order.parent_id is None][::-1]

    def _is_meant(self, order: PaperOrder, pairs: Mapping[str, str]) -> bool:
        if "txid" in pairs:
            return self.uid(order) in pairs["txid"].split(",")
        return pairs.get("cl_ord_id") in (None, self.names.get(order.order_id))

    def _cancel(self, pairs: Mapping[str, str]) -> Any:
        for order in self._seen():
            if order.working and self._is_meant(order, pairs):
                self.cancel(order.order_id)
                return {"count": 1}
        raise self.gone()

    def _table(self, found: list[PaperOrder]) -> dict[str, Any]:
        return {self.uid(order): self.shown(order) for order in found}

    def _open(self, pairs: Mapping[str, str]) -> Any:
        seen = [order for order in self._seen() if order.working]
        return {"open": self._table([one for one in seen if self._is_meant(one, pairs)])}

    def _closed(self, pairs: Mapping[str, str]) -> Any:
        seen = [order for order in self._seen() if not order.working]
        found = [one for one in seen if self._is_meant(one, pairs)]
        return {"closed": self._table(found[: spot.PAGE])}

    def _query(self, pairs: Mapping[str, str]) -> Any:
        found = [order for order in self._seen() if self._is_meant(order, pairs)]
        if not found:
            raise self.gone()
        return self._table(found)

    def shown(self, order: PaperOrder) -> dict[str, Any]:
        level = order.trigger_price or order.price or ZERO
        average = order.value / order.filled if order.filled else ZERO
        return {
            "refid": None,
            "userref": 0,
            "cl_ord_id": self.names.get(order.order_id),
            "status": _STATUSES[order.status],
            "opentm": ms(order.created_at) / 1000,
            "descr": {
                "pair": self.pair_of(order.symbol),
                "type": order.side.value,
                "ordertype": _NAMES[order.type],
                "price": plain(level),
                "price2": "0",
                "leverage": "none",
            },
            "vol": f"{order.quantity:.8f}",
            "vol_exec": f"{order.filled:.8f}",
            "cost": f"{order.value:.8f}",
            "price": f"{average:.5f}",
            "stopprice": "0.00000",
            "trigger": "last",
            "oflags": "fciq",
        }

    def _trades(self, pairs: Mapping[str, str]) -> Any:
        everything = sorted(self.exchange._book.fills.values(), key=lambda f: int(f.fill_id))
        start_ms = int(pairs.get("start", "0")) * 1000
        wanted = [fill for fill in everything[::-1] if ms(fill.at) > start_ms]
        end_ms = int(pairs.get("end", "99999999999")) * 1000
        wanted = [fill for fill in wanted if ms(fill.at) <= end_ms]
        offset = int(pairs.get("ofs", "0"))
        page = wanted[offset : offset + spot_trades.PAGE]
        return {"trades": dict(map(self._trade, page)), "count": len(wanted)}

    def _trade(self, fill: PaperFill) -> tuple[str, dict[str, Any]]:
        cost = fill.price * fill.quantity
        told = {
            "ordertxid": self.uid(self.order(fill.order_id)),
            "pair": self.pair_of(fill.symbol),
            "time": ms(fill.at) / 1000,
            "type": fill.side.value,
            "price": f"{fill.price:.5f}",
            "cost": f"{cost:.5f}",
            "fee": f"{cost * FEE:.5f}",
            "vol": f"{fill.quantity:.8f}",
        }
        return f"T{int(fill.fill_id):05d}-FAKED-TRADES", told

    # The account

    def _balances(self, _: Mapping[str, str]) -> Any:
        names = {"BTC": "XXBT"}
        return {
            names.get(one.currency, one.currency): {
                "balance": f"{one.total:.8f}",
                "hold_trade": f"{one.total - one.free:.8f}",
            }
            for one in self.exchange.balances()
        }

    def _rights(self, _: Mapping[str, str]) -> Any:
        rights = ["query-funds", "query-open-trades", "query-closed-trades"]
        rights += ["modify-trades"] if self.can_trade else []
        rights += ["withdraw-funds"] if self.can_withdraw else []
        return {"apiKeyName": "a-key", "nonceWindow": 0, "permissions": rights}

    def _ticker(self, pairs: Mapping[str, str]) -> Any:
        price = self.exchange.price(self.symbol_of(pairs["pair"]))
        if price is None:
            raise Problem(200, "EQuery:Unknown asset pair", "")
        return {pairs["pair"]: {"c": [plain(price.last), "0.1"]}}

    def listed(self, one: Any) -> dict[str, Any]:
        base = "XBT" if one.base == "BTC" else one.base
        return {
            "altname": f"{base}{one.quote}",
            "wsname": f"{base}/{one.quote}",
            "base": f"X{base}",
            "quote": one.quote,
            "pair_decimals": -one.tick.adjusted(),
            "lot_decimals": -one.step.adjusted(),
            "ordermin": plain(one.min_quantity),
            "costmin": plain(one.min_notional),
            "tick_size": plain(one.tick),
            "status": "online",
        }

    refusals: ClassVar[Refusals] = (
        (RejectReason.UNKNOWN_SYMBOL, "", "EQuery:Unknown asset pair", ""),
        (RejectReason.INSUFFICIENT_FUNDS, "", "EOrder:Insufficient funds", ""),
        (RejectReason.BELOW_MINIMUM, "notional", "EOrder:Cost minimum not met", ""),
        (RejectReason.BELOW_MINIMUM, "", "EOrder:Order minimum not met", ""),
        (RejectReason.INVALID_ORDER, "tick", "EOrder:Tick size check failed", ""),
        (RejectReason.INVALID_ORDER, "step", "EGeneral:Invalid arguments:volume", ""),
    )
