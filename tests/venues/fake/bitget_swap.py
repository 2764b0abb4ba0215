"""Bitget USDT futures over HTTP: plain orders and TP/SL plans are two services."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar

from guardian_core.domain.errors import RejectReason
from guardian_core.domain.money import ZERO, plain
from guardian_core.domain.orders import OrderRef, OrderStatus, OrderType, PositionSide
from guardian_gateway.venues.paper.records import PaperOrder, ratio
from tests.venues.fake.bitget import BitgetWire, cut, page
from tests.venues.fake.core import Refusals, ms
from tests.venues.fake.server import Handler, Problem

PLAN_NUMBERS_FROM = 1_000_000_000
_KINDS = {"loss_plan": OrderType.STOP_LOSS, "profit_plan": OrderType.TAKE_PROFIT}
_PLANS = {kind: name for name, kind in _KINDS.items()}


@dataclass
class FakeSwap(BitgetWire):
    """`hedge`: the account's position mode. `side_is_held`: whether a plan's `side` names the side
    of the position that it closes, else its own."""

    hedge: bool = False
    side_is_held: bool = True
    triggers: dict[str, str] = field(default_factory=dict)
    margin_modes: dict[str, str] = field(default_factory=dict)

    def public(self) -> Mapping[str, Handler]:
        return {
            **super().public(),
            "GET /api/v2/mix/market/contracts": lambda _: self.instruments(),
            "GET /api/v2/mix/market/symbol-price": self._price,
        }

    def signed(self) -> Mapping[str, Handler]:
        return {
            **super().signed(),
            "POST /api/v2/mix/order/place-order": self._create_plain,
            "GET /api/v2/mix/order/detail": self._get_plain,
            "POST /api/v2/mix/order/cancel-order": self._cancel_plain,
            "GET /api/v2/mix/order/orders-pending": self._open_plain,
            "POST /api/v2/mix/order/place-tpsl-order": self._create_plan,
            "POST /api/v2/mix/order/cancel-plan-order": self._cancel_plan,
            "GET /api/v2/mix/order/orders-plan-pending": self._open_plans,
            "GET /api/v2/mix/order/orders-plan-history": self._past_plans,
            "GET /api/v2/mix/position/all-position": self._positions,
            "GET /api/v2/mix/account/accounts": self._balances,
            "GET /api/v2/mix/account/account": self._account,
            "POST /api/v2/mix/account/set-leverage": self._set_leverage,
            "POST /api/v2/mix/account/set-margin-mode": self._set_margin_mode,
            "GET /api/v2/mix/order/fills": self._trades,
        }

    # Plain orders

    def _create_plain(self, pairs: Mapping[str, Any]) -> Any:
        self._check_order(pairs)
        if self.is_named(pairs["clientOid"]):
            raise Problem(400, 40786, "Duplicate clientOid")
        of = {
            "symbol": pairs["symbol"],
            "side": pairs["side"],
            "quantity": pairs["size"],
            "price": pairs.get("price"),
            "reduce_only": pairs["reduceOnly"] == "YES",
        }
        order = self.place(self.body(OrderType(pairs["orderType"]), of), pairs["clientOid"])
        return {"orderId": str(order.number), "clientOid": pairs["clientOid"]}

    def _check_order(self, pairs: Mapping[str, Any]) -> None:
        if pairs.get("productType") != "USDT-FUTURES" or pairs.get("marginCoin") != "USDT":
            raise self.wrong("productType")
        if self.hedge and pairs.get("holdSide") not in ("long", "short"):
            raise Problem(
                400,
                40774,
                "The order type for unilateral position must also be the unilateral type",
            )

    def _find_plain(self, pairs: Mapping[str, Any]) -> PaperOrder:
        for order in reversed(self.orders(pairs["symbol"])):
            if not order.type.is_conditional and self.is_meant(order, str(order.number), pairs):
                return order
        raise self.no_order()

    def _get_plain(self, pairs: Mapping[str, str]) -> Any:
        return self.shown(self._find_plain(pairs))

    def _cancel_plain(self, pairs: Mapping[str, Any]) -> Any:
        order = self._find_plain(pairs)
        self.cancel(order.order_id)
        return {"orderId": str(order.number), "clientOid": self.name_of(order)}

    def _open_plain(self, pairs: Mapping[str, str]) -> Any:
        open_ones = [
            self.shown(order)
            for order in reversed(self.orders(pairs.get("symbol")))
            if order.working and not order.type.is_conditional
        ]
        for shown in open_ones:
            shown["status"] = shown.pop("state")
        return _page("entrustedList", open_ones, "orderId", pairs)

    def shown(self, order: PaperOrder) -> dict[str, Any]:
        average = ratio(order.value, order.filled) if order.filled else ZERO
        return {
            "symbol": order.symbol,
            "size": plain(order.quantity),
            "orderId": str(order.number),
            "clientOid": self.name_of(order),
            "baseVolume": plain(order.filled),
            "priceAvg": plain(average),
            "price": plain(order.price) if order.price else "",
            "state": self.state(order).replace("cancelled", "canceled"),
            "side": order.side.value,
            "force": "gtc",
            "posSide": "net",
            "posMode": "one_way_mode",
            "marginCoin": "USDT",
            "marginMode": "crossed",
            "reduceOnly": "YES" if order.reduce_only else "NO",
            "orderType": order.type.value,
            "orderSource": "normal" if order.parent_id is None else "loss_market",
            "cTime": str(ms(order.created_at)),
            "uTime": str(ms(order.updated_at)),
        }

    # Plans

    def _create_plan(self, pairs: Mapping[str, Any]) -> Any:
        self._check_order(pairs)
        kind = _KINDS.get(pairs.get("planType", ""))
        closes = {"buy": "sell", "sell": "buy"}.get(pairs.get("holdSide", ""))
        if kind is None or closes is None or pairs.get("executePrice") != "0":
            raise self.wrong("planType")
        if self.is_named(pairs["clientOid"]):
            raise Problem(400, 43118, "clientOrderId duplicate")
        of = {
            "symbol": pairs["symbol"],
            "side": closes,
            "quantity": pairs["size"],
            "trigger": pairs["triggerPrice"],
            "reduce_only": True,
        }
        order = self.place(self.body(kind, of), pairs["clientOid"])
        self.triggers[order.order_id] = pairs["triggerType"]
        return {"orderId": _plan_number(order), "clientOid": pairs["clientOid"]}

    def _cancel_plan(self, pairs: Mapping[str, Any]) -> Any:
        done, failed = [], []
        for which in pairs["orderIdList"]:
            order = self._working_plan(pairs, which)
            if order is None:
                failed.append({**which, "errorMsg": "notExistend"})
                continue
            self.cancel(order.order_id)
            done.append({"orderId": _plan_number(order), "clientOid": self.name_of(order)})
        return {"successList": done, "failureList": failed}

    def _working_plan(
        self, pairs: Mapping[str, Any], which: Mapping[str, str]
    ) -> PaperOrder | None:
        kind = _KINDS.get(pairs.get("planType", "normal_plan"))
        for order in self._plans(pairs["symbol"]):
            waits = order.working and not order.triggered and order.type is kind
            if waits and self.is_meant(order, _plan_number(order), which):
                return order
        return None

    def _plans(self, symbol: str | None) -> list[PaperOrder]:
        return [order for order in reversed(self.orders(symbol)) if order.type.is_conditional]

    def _open_plans(self, pairs: Mapping[str, str]) -> Any:
        return self._listed_plans(pairs, ended=False)

    def _past_plans(self, pairs: Mapping[str, str]) -> Any:
        return self._listed_plans(pairs, ended=True)

    def _listed_plans(self, pairs: Mapping[str, str], *, ended: bool) -> Any:
        if pairs.get("planType") != "profit_loss":
            raise Problem(400, 40812, "The condition planType is not met")
        by_name = {"clientOid", "orderId"} & pairs.keys()
        found = [
            self.shown_plan(order)
            for order in self._plans(pairs.get("symbol"))
            if (order.triggered or not order.working) is ended
            and (not by_name or self.is_meant(order, _plan_number(order), pairs))
        ]
        return _page("entrustedList", found, "orderId", pairs)

    def shown_plan(self, order: PaperOrder) -> dict[str, Any]:
        held = PositionSide.LONG if order.side.value == "sell" else PositionSide.SHORT
        side = held.entry_side if self.side_is_held else order.side
        return {
            "planType": _PLANS[order.type],
            "symbol": order.symbol,
            "size": plain(order.quantity),
            "orderId": _plan_number(order),
            "executeOrderId": order.child_id or "",
            "clientOid": self.name_of(order),
            "planStatus": _plan_status(order),
            "price": "0",
            "executePrice": "0",
            "callbackRatio": "",
            "triggerPrice": plain(order.trigger_price or ZERO),
            "triggerType": self.triggers.get(order.order_id, "fill_price"),
            "side": side.value,
            "posSide": "net",
            "posMode": "one_way_mode",
            "marginCoin": "USDT",
            "orderType": "market",
            "cTime": str(ms(order.created_at)),
            "uTime": str(ms(order.updated_at)),
        }

    def number_of(self, ref: OrderRef) -> str:
        number = int(ref.venue_order_id)
        return str(PLAN_NUMBERS_FROM + number if ref.conditional else number)

    # The account

    def _mode(self) -> str:
        return "hedge_mode" if self.hedge else "one_way_mode"

    def _positions(self, _: Mapping[str, str]) -> Any:
        return [
            {
                "marginCoin": "USDT",
                "symbol": held.symbol,
                "holdSide": held.side.value,
                "total": plain(held.quantity),
                "available": plain(held.quantity),
                "openPriceAvg": plain(held.entry_price or ZERO),
                "marginMode": self.margin_modes.get(held.symbol, "crossed"),
                "posMode": self._mode(),
                "markPrice": self.last(held.symbol),
            }
            for held in self.exchange.positions()
        ]

    def _balances(self, _: Mapping[str, str]) -> Any:
        return [
            {
                "marginCoin": one.currency,
                "locked": plain(one.total - one.free),
                "available": plain(one.free),
                "crossedMaxAvailable": plain(one.free),
                "isolatedMaxAvailable": plain(one.free),
                "accountEquity": plain(one.total),
                "unrealizedPL": "",
            }
            for one in self.exchange.balances()
        ]

    def _account(self, pairs: Mapping[str, Any]) -> Any:
        leverage = self.exchange._book.leverage(pairs["symbol"]) or self.rules.leverage
        return {
            "marginCoin": "USDT",
            "crossedMarginLeverage": plain(leverage),
            "isolatedLongLever": plain(leverage),
            "isolatedShortLever": plain(leverage),
            "marginMode": self.margin_modes.get(pairs["symbol"], "crossed"),
            "posMode": self._mode(),
        }

    def _set_leverage(self, pairs: Mapping[str, Any]) -> Any:
        symbol, leverage = pairs["symbol"], Decimal(pairs["leverage"])
        self.refusable(lambda: self.exchange.set_leverage(symbol, leverage, self.clock.now()))
        return {"symbol": symbol, "crossMarginLeverage": pairs["leverage"]}

    def _set_margin_mode(self, pairs: Mapping[str, Any]) -> Any:
        if any(held.symbol == pairs["symbol"] for held in self.exchange.positions()):
            raise Problem(
                400, 45117, "Currently holding positions or orders, the margin mode cannot be set"
            )
        self.margin_modes[pairs["symbol"]] = pairs["marginMode"]
        return {"symbol": pairs["symbol"], "marginMode": pairs["marginMode"]}

    def _trades(self, pairs: Mapping[str, str]) -> Any:
        found = [
            {
                "tradeId": fill.fill_id,
                "symbol": fill.symbol,
                "orderId": fill.order_id,
                "price": plain(fill.price),
                "baseVolume": plain(fill.quantity),
                "feeDetail": [self.fee(fill)],
                "side": fill.side.value,
                "posMode": "one_way_mode",
                "tradeScope": "taker",
                "cTime": str(ms(fill.at)),
            }
            for fill in self.fills(pairs)
        ]
        return _page("fillList", found, "tradeId", pairs)

    def _price(self, pairs: Mapping[str, str]) -> Any:
        last = self.last(pairs["symbol"])
        return [{"symbol": pairs["symbol"], "price": last, "indexPrice": last, "markPrice": last}]

    def listed(self, one: Any) -> dict[str, Any]:
        tick = Decimal(one.tick).normalize()
        return {
            "symbol": one.symbol,
            "baseCoin": one.base,
            "quoteCoin": one.quote,
            "supportMarginCoins": ["USDT"],
            "minTradeNum": f"{one.min_quantity:f}",
            "priceEndStep": str(tick.as_tuple().digits[0]),
            "pricePlace": str(max(0, -int(tick.as_tuple().exponent))),
            "sizeMultiplier": f"{one.step:f}0",
            "symbolType": "perpetual",
            "symbolStatus": "normal",
            "minTradeUSDT": f"{one.min_notional:f}",
        }

    refusals: ClassVar[Refusals] = (
        (RejectReason.UNKNOWN_SYMBOL, "", 40034, "Parameter symbol does not exist"),
        (RejectReason.INSUFFICIENT_FUNDS, "", 40762, "The order amount exceeds the balance"),
        (RejectReason.CROSSED, "", 40917, "Stop price for long positions please < mark price"),
        (RejectReason.REDUCE_ONLY, "", 22002, "No position to close"),
        (RejectReason.BELOW_MINIMUM, "notional", 45110, "less than the minimum amount 5 USDT"),
        (RejectReason.BELOW_MINIMUM, "", 45111, "less than the minimum order quantity"),
        (RejectReason.INVALID_ORDER, "tick", 45115, "The price is not a multiple of its step"),
        (RejectReason.INVALID_ORDER, "step", 40808, "Parameter verification exception size"),
    )


def _page(name: str, found: list[dict[str, Any]], number: str, pairs: Mapping[str, str]) -> Any:
    rows = cut(found, lambda row: str(row[number]), pairs)
    return page(name, rows, str(rows[-1][number]) if rows else "")


def _plan_number(order: PaperOrder) -> str:
    return str(PLAN_NUMBERS_FROM + order.number)


def _plan_status(order: PaperOrder) -> str:
    if order.triggered:
        return "executed"
    return {OrderStatus.OPEN: "live", OrderStatus.CANCELLED: "cancelled"}[order.status]
