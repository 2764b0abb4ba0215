"""Bitget spot over HTTP: plain orders and plans are two services; a plan knows no direction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar

from guardian_core.domain.errors import RejectReason
from guardian_core.domain.money import ZERO, MarketKind, plain
from guardian_core.domain.orders import OrderRef, OrderStatus, OrderType
from guardian_gateway.venues.paper.records import PaperOrder, ratio
from guardian_gateway.venues.paper.rules import Rules
from tests.venues.fake.bitget import BitgetWire, cut
from tests.venues.fake.core import Refusals, ms
from tests.venues.fake.server import Handler, Problem

PLAN_NUMBERS_FROM = 1_000_000_000


@dataclass
class FakeBitgetSpot(BitgetWire):
    """`depth`: how many coins the book offers to the next order that takes them. `falls_to`: the
    price to which the market falls just before the next plan arrives, or just after it has
    (`falls_late`). `child_fails`: what a triggered plan becomes is refused."""

    rules: Rules = field(default_factory=lambda: Rules(market=MarketKind.SPOT))
    depth: str = ""
    falls_to: str = ""
    falls_late: bool = False
    child_fails: bool = False
    at_once: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """What was asked for, of each order that is filled at once or cancelled."""
    triggers: dict[str, str] = field(default_factory=dict)

    def public(self) -> Mapping[str, Handler]:
        return {
            **super().public(),
            "GET /api/v2/spot/public/symbols": self._symbols,
            "GET /api/v2/spot/market/tickers": self._ticker,
        }

    def signed(self) -> Mapping[str, Handler]:
        return {
            **super().signed(),
            "POST /api/v2/spot/trade/place-order": self._create_plain,
            "GET /api/v2/spot/trade/orderInfo": self._get_plain,
            "POST /api/v2/spot/trade/cancel-order": self._cancel_plain,
            "GET /api/v2/spot/trade/unfilled-orders": self._open_plain,
            "POST /api/v2/spot/trade/place-plan-order": self._create_plan,
            "POST /api/v2/spot/trade/cancel-plan-order": self._cancel_plan,
            "GET /api/v2/spot/trade/current-plan-order": self._open_plans,
            "GET /api/v2/spot/trade/history-plan-order": self._past_plans,
            "GET /api/v2/spot/trade/plan-sub-order": self._children,
            "GET /api/v2/spot/account/assets": self._balances,
            "GET /api/v2/spot/trade/fills": self._trades,
        }

    # Plain orders

    def _create_plain(self, pairs: Mapping[str, Any]) -> Any:
        made_ms, window_ms = int(pairs["requestTime"]), int(pairs["receiveWindow"])
        if abs(self.now_ms() - made_ms) > window_ms:
            raise Problem(400, 40911, "The request is out of its receiveWindow")
        if self.is_named(pairs["clientOid"]):
            raise Problem(400, 43118, "clientOrderId duplicate")
        if pairs["orderType"] == "market" and pairs["side"] == "buy":
            raise self.wrong("the size would be money")
        taking = pairs["orderType"] == "limit" and pairs["force"] == "ioc"
        order = self._take(pairs) if taking else self._place(pairs)
        return {"orderId": str(order.number), "clientOid": pairs["clientOid"]}

    def _place(self, pairs: Mapping[str, Any], quantity: str = "") -> PaperOrder:
        kind = OrderType.MARKET if quantity else OrderType(pairs["orderType"])
        of = {**pairs, "quantity": quantity or pairs["size"]}
        return self.place(self.body(kind, of), pairs["clientOid"])

    def _take(self, pairs: Mapping[str, Any]) -> PaperOrder:
        """A limit order that is filled at once as far as it can be."""
        last, size = Decimal(self.last(pairs["symbol"])), Decimal(pairs["size"])
        if Decimal(pairs["price"]) < last:
            order = self._place({**pairs, "orderType": "limit"})
            self.cancel(order.order_id)
        else:
            order = self._place(pairs, plain(min(size, Decimal(self.depth or pairs["size"]))))
        self.at_once[order.order_id] = pairs
        return order

    def _find_plain(self, pairs: Mapping[str, Any]) -> PaperOrder | None:
        for order in reversed(self.orders(pairs.get("symbol"))):
            if not order.type.is_conditional and self.is_meant(order, str(order.number), pairs):
                return order
        return None

    def _get_plain(self, pairs: Mapping[str, str]) -> Any:
        order = self._find_plain(pairs)
        return [self.shown(order)] if order is not None else []

    def _cancel_plain(self, pairs: Mapping[str, Any]) -> Any:
        order = self._find_plain(pairs)
        if order is None:
            raise Problem(400, 43001, "The order does not exist")
        self.cancel(order.order_id)
        return {"orderId": str(order.number), "clientOid": self.name_of(order)}

    def _open_plain(self, pairs: Mapping[str, str]) -> Any:
        found = [
            self.shown(order)
            for order in reversed(self.orders(pairs.get("symbol")))
            if order.working and not order.type.is_conditional
        ]
        for shown in found:
            shown |= {"basePrice": shown["priceAvg"], "priceAvg": shown.pop("price")}
        return cut(found, lambda row: str(row["orderId"]), pairs)

    def shown(self, order: PaperOrder) -> dict[str, Any]:
        asked = self.at_once.get(order.order_id)
        size = Decimal(asked["size"]) if asked else order.quantity
        state = "cancelled" if order.filled < size and not order.working else self.state(order)
        average = ratio(order.value, order.filled) if order.filled else ZERO
        return {
            "symbol": order.symbol,
            "orderId": str(order.number),
            "clientOid": self.name_of(order),
            "price": asked["price"] if asked else plain(order.price or ZERO),
            "size": plain(size),
            "orderType": "limit" if asked else order.type.value,
            "side": order.side.value,
            "status": state,
            "priceAvg": plain(average),
            "baseVolume": plain(order.filled),
            "quoteVolume": plain(order.value),
            "enterPointSource": "API",
            "orderSource": "normal" if order.parent_id is None else "plan",
            "cTime": str(ms(order.created_at)),
            "uTime": str(ms(order.updated_at)),
        }

    # Plans

    def _create_plan(self, pairs: Mapping[str, Any]) -> Any:
        if pairs.get("planType") != "amount" or pairs.get("orderType") != "market":
            raise self.wrong("planType")
        if self.is_named(pairs["clientOid"]):
            raise Problem(400, 43118, "clientOrderId duplicate")
        self._fall(late=False)
        of = {**pairs, "quantity": pairs["size"], "trigger": pairs["triggerPrice"]}
        falls = Decimal(pairs["triggerPrice"]) < Decimal(self.last(pairs["symbol"]))
        kind = OrderType.STOP_LOSS
        if falls is (pairs["side"] == "buy"):
            kind = OrderType.TAKE_PROFIT
        order = self.place(self.body(kind, of), pairs["clientOid"])
        self.triggers[order.order_id] = pairs["triggerType"]
        self._fall(late=True)
        return {"orderId": _plan_number(order), "clientOid": pairs["clientOid"]}

    def _fall(self, *, late: bool) -> None:
        if self.falls_to and late is self.falls_late:
            self.set_price(self.falls_to)
            self.falls_to = ""

    def _cancel_plan(self, pairs: Mapping[str, Any]) -> Any:
        for order in self._plans(None):
            waits = order.working and not order.triggered
            if waits and self.is_meant(order, _plan_number(order), pairs):
                self.cancel(order.order_id)
                return {"result": "success"}
        raise Problem(400, 43025, "The plan order does not exist")

    def _plans(self, symbol: str | None) -> list[PaperOrder]:
        return [order for order in reversed(self.orders(symbol)) if order.type.is_conditional]

    def _open_plans(self, pairs: Mapping[str, str]) -> Any:
        return self._listed_plans(pairs, ended=False)

    def _past_plans(self, pairs: Mapping[str, str]) -> Any:
        start, end = int(pairs["startTime"]), int(pairs["endTime"])
        if not 0 < end - start <= 90 * 24 * 3_600_000:
            raise self.wrong("the span is more than 90 days")
        return self._listed_plans(pairs, ended=True)

    def _listed_plans(self, pairs: Mapping[str, str], *, ended: bool) -> Any:
        found = [
            self.shown_plan(order)
            for order in self._plans(pairs["symbol"])
            if (order.triggered or not order.working) is ended
        ]
        rows = cut(found, lambda row: str(row["orderId"]), pairs)
        more = len(rows) < len(found)
        return {
            "nextFlag": more,
            "idLessThan": rows[-1]["orderId"] if rows else None,
            "orderList": rows,
        }

    def shown_plan(self, order: PaperOrder) -> dict[str, Any]:
        status = "executed" if order.triggered else "live"
        if order.status is OrderStatus.CANCELLED and not order.triggered:
            status = "cancelled"
        return {
            "orderId": _plan_number(order),
            "clientOid": self.names[order.order_id],
            "symbol": order.symbol,
            "triggerPrice": plain(order.trigger_price or ZERO),
            "orderType": "market",
            "executePrice": "",
            "planType": "amount",
            "size": plain(order.quantity),
            "status": status,
            "side": order.side.value,
            "triggerType": self.triggers.get(order.order_id, "fill_price"),
            "enterPointSource": "API",
            "cTime": str(ms(order.created_at)),
            "uTime": str(ms(order.updated_at)),
        }

    def _children(self, pairs: Mapping[str, str]) -> Any:
        for order in self._plans(None):
            if order.triggered and _plan_number(order) == pairs["planOrderId"]:
                status = "fail" if self.child_fails else "success"
                return [{"orderId": order.child_id, "type": "spot", "status": status}]
        return []

    def number_of(self, ref: OrderRef) -> str:
        number = int(ref.venue_order_id)
        return str(PLAN_NUMBERS_FROM + number if ref.conditional else number)

    # The account and the market

    def _balances(self, _: Mapping[str, str]) -> Any:
        return [
            {
                "coin": one.currency,
                "available": plain(one.free),
                "frozen": plain(one.total - one.free),
                "locked": "0",
                "limitAvailable": "0",
            }
            for one in self.exchange.balances()
        ]

    def _trades(self, pairs: Mapping[str, str]) -> Any:
        found = [
            {
                "symbol": fill.symbol,
                "orderId": fill.order_id,
                "tradeId": fill.fill_id,
                "orderType": "market",
                "side": fill.side.value,
                "priceAvg": plain(fill.price),
                "size": plain(fill.quantity),
                "amount": plain(fill.price * fill.quantity),
                "feeDetail": self.fee(fill),
                "tradeScope": "taker",
                "cTime": str(ms(fill.at)),
            }
            for fill in self.fills(pairs)
        ]
        return cut(found, lambda row: str(row["tradeId"]), pairs)

    def _ticker(self, pairs: Mapping[str, str]) -> Any:
        last = self.last(pairs["symbol"])
        return [{"symbol": pairs["symbol"], "lastPr": last, "askPr": last, "bidPr": last}]

    def _symbols(self, pairs: Mapping[str, str]) -> Any:
        found = [one for one in self.instruments() if pairs.get("symbol") in (None, one["symbol"])]
        if not found:
            raise Problem(400, 40034, "Parameter symbol does not exist")
        return found

    def listed(self, one: Any) -> dict[str, Any]:
        return {
            "symbol": one.symbol,
            "baseCoin": one.base,
            "quoteCoin": one.quote,
            "minTradeAmount": f"{one.min_quantity:f}",
            "maxTradeAmount": "900000",
            "pricePrecision": str(_places(one.tick)),
            "quantityPrecision": str(_places(one.step)),
            "quotePrecision": "8",
            "status": "online",
            "minTradeUSDT": f"{one.min_notional:f}",
            "buyLimitPriceRatio": "0.05",
            "sellLimitPriceRatio": "0.05",
        }

    refusals: ClassVar[Refusals] = (
        (RejectReason.UNKNOWN_SYMBOL, "", 40034, "Parameter symbol does not exist"),
        (RejectReason.INSUFFICIENT_FUNDS, "", 43012, "Insufficient balance"),
        (RejectReason.BELOW_MINIMUM, "notional", 45110, "less than the minimum amount 1 USDT"),
        (RejectReason.BELOW_MINIMUM, "", 43006, "less than the minimum order quantity"),
        (RejectReason.INVALID_ORDER, "tick", 40808, "Parameter verification exception price"),
        (RejectReason.INVALID_ORDER, "step", 40808, "Parameter verification exception size"),
    )


def _places(step: Any) -> int:
    return max(0, -int(Decimal(step).normalize().as_tuple().exponent))


def _plan_number(order: PaperOrder) -> str:
    return str(PLAN_NUMBERS_FROM + order.number)
