"""Binance USD-M futures over HTTP: plain orders and conditional ones are two services."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar

from guardian_core.domain.errors import RejectReason
from guardian_core.domain.money import ZERO, plain
from guardian_core.domain.orders import OrderRef, OrderStatus, OrderType
from guardian_gateway.venues.paper.records import PaperOrder, ratio
from tests.venues.fake.binance import DAY_MS, BinanceWire, no_order, status, unknown_order
from tests.venues.fake.binance_streams import LISTEN_KEY, UsdmStreams
from tests.venues.fake.core import Refusals, ms
from tests.venues.fake.server import Asked, Handler, Problem

ALGO_NUMBERS_FROM = 2_000_000_000
_TYPES = {"STOP_MARKET": OrderType.STOP_LOSS, "TAKE_PROFIT_MARKET": OrderType.TAKE_PROFIT}
_NAMES = {kind: name for name, kind in _TYPES.items()}


@dataclass
class FakeUsdm(BinanceWire):
    """`hedge`: the account's position mode. `hides_ended`: a conditional order that has ended is
    in its history only. `child_name`: what the child of a triggered order is called."""

    hedge: bool = False
    hides_ended: bool = False
    child_name: str = "autoclose"
    bases: dict[str, str] = field(default_factory=dict)
    margin_types: dict[str, str] = field(default_factory=dict)

    def make_sockets(self) -> UsdmStreams:
        return UsdmStreams(self)

    def answer(self, asked: Asked, pairs: Mapping[str, str]) -> Any:
        if asked.path == LISTEN_KEY:
            assert isinstance(self.sockets, UsdmStreams)
            return self.sockets.listen_key(asked)
        return super().answer(asked, pairs)

    def public(self) -> Mapping[str, Handler]:
        return {
            "GET /fapi/v1/time": lambda _: {"serverTime": self.now_ms()},
            "GET /fapi/v1/exchangeInfo": lambda _: {"symbols": self.instruments()},
            "GET /fapi/v2/ticker/price": self._ticker,
            "GET /fapi/v1/premiumIndex": self._premium,
        }

    def signed(self) -> Mapping[str, Handler]:
        return {
            "POST /fapi/v1/order": self._create_plain,
            "GET /fapi/v1/order": self._get_plain,
            "DELETE /fapi/v1/order": self._cancel_plain,
            "GET /fapi/v1/openOrders": self._open_plain,
            "POST /fapi/v1/algoOrder": self._create_algo,
            "GET /fapi/v1/algoOrder": self._get_algo,
            "DELETE /fapi/v1/algoOrder": self._cancel_algo,
            "GET /fapi/v1/openAlgoOrders": self._open_algo,
            "GET /fapi/v1/allAlgoOrders": self._all_algo,
            "GET /fapi/v3/positionRisk": self._positions,
            "GET /fapi/v3/balance": self._balances,
            "GET /fapi/v1/userTrades": self._trades,
            "POST /fapi/v1/leverage": self._set_leverage,
            "POST /fapi/v1/marginType": self._set_margin_type,
            "GET /fapi/v1/symbolConfig": self._symbol_config,
            "GET /fapi/v1/positionSide/dual": lambda _: {"dualSidePosition": self.hedge},
            "GET /fapi/v2/account": lambda _: {"canTrade": self.can_trade, "assets": []},
            "GET /sapi/v1/account/apiRestrictions": lambda _: {
                "enableFutures": self.can_trade,
                "enableWithdrawals": self.can_withdraw,
                "enableReading": True,
            },
        }

    # Plain orders

    def _create_plain(self, pairs: Mapping[str, str]) -> Any:
        if self.hedge and "positionSide" not in pairs:
            raise Problem(400, -4061, "Order's position side does not match user's setting.")
        if pairs.get("type") in _TYPES:
            raise Problem(400, -4120, "Order type not supported for this endpoint.")
        kind = OrderType(pairs["type"].lower())
        return self.shown(self.create(pairs, kind, pairs["newClientOrderId"]))

    def check_name(self, name: str, pairs: Mapping[str, str]) -> None:
        if self.is_named(name):
            code = -20132 if "clientAlgoId" in pairs else -4116
            raise Problem(400, code, "ClientOrderId is duplicated.")

    def _find_plain(self, pairs: Mapping[str, str]) -> PaperOrder | None:
        for order in reversed(self.orders(pairs["symbol"])):
            if order.type.is_conditional:
                continue
            number, name = pairs.get("orderId"), pairs.get("origClientOrderId")
            if order.order_id == number or (name and self._name(order) == name):
                return order
        return None

    def _get_plain(self, pairs: Mapping[str, str]) -> Any:
        order = self._find_plain(pairs)
        if order is None:
            raise no_order()
        return self.shown(order)

    def _cancel_plain(self, pairs: Mapping[str, str]) -> Any:
        order = self._find_plain(pairs)
        if order is None:
            raise unknown_order()
        self.cancel(order.order_id)
        return self.shown(self.order(order.order_id))

    def _open_plain(self, pairs: Mapping[str, str]) -> Any:
        return [
            self.shown(order)
            for order in self.orders(pairs.get("symbol"))
            if order.working and not order.type.is_conditional
        ]

    def _name(self, order: PaperOrder) -> str:
        if order.parent_id is not None:
            same = self.child_name == "same"
            return self.names[order.parent_id] if same else f"{self.child_name}-{order.order_id}"
        return self.names.get(order.order_id, "")

    def shown(self, order: PaperOrder) -> dict[str, Any]:
        average = ratio(order.value, order.filled) if order.filled else ZERO
        return {
            "orderId": order.number,
            "clientOrderId": self._name(order),
            "symbol": order.symbol,
            "status": status(order),
            "type": order.type.value.upper(),
            "side": order.side.value.upper(),
            "price": plain(order.price or ZERO),
            "avgPrice": plain(average),
            "origQty": plain(order.quantity),
            "executedQty": plain(order.filled),
            "cumQuote": plain(order.value),
            "stopPrice": "0",
            "reduceOnly": order.reduce_only,
            "closePosition": False,
            "positionSide": "BOTH",
            "timeInForce": "GTC",
            "time": ms(order.created_at),
            "updateTime": ms(order.updated_at),
        }

    # Conditional orders

    def _create_algo(self, pairs: Mapping[str, str]) -> Any:
        if pairs.get("algoType") != "CONDITIONAL" or pairs.get("type") not in _TYPES:
            raise Problem(400, -1102, "Mandatory parameter 'algoType' was not sent.")
        if self.hedge and "positionSide" not in pairs:
            raise Problem(400, -4061, "Order's position side does not match user's setting.")
        order = self.create(pairs, _TYPES[pairs["type"]], pairs["clientAlgoId"])
        self.bases[order.order_id] = pairs.get("workingType", "CONTRACT_PRICE")
        return self.shown_algo(order)

    def _find_algo(self, pairs: Mapping[str, str]) -> PaperOrder | None:
        for order in reversed(self.orders()):
            if not order.type.is_conditional:
                continue
            number, name = pairs.get("algoId"), pairs.get("clientAlgoId")
            if number == str(_algo_number(order)) or (name and self._name(order) == name):
                return order
        return None

    def _get_algo(self, pairs: Mapping[str, str]) -> Any:
        order = self._find_algo(pairs)
        if order is None or (self.hides_ended and (order.triggered or not order.working)):
            raise no_order()
        return self.shown_algo(order)

    def _cancel_algo(self, pairs: Mapping[str, str]) -> Any:
        order = self._find_algo(pairs)
        if order is None:
            raise unknown_order()
        self.cancel(order.order_id)
        return {
            "algoId": _algo_number(order),
            "clientAlgoId": self._name(order),
            "code": "200",
            "msg": "success",
        }

    def _open_algo(self, pairs: Mapping[str, str]) -> Any:
        return [
            self.shown_algo(order)
            for order in self.orders(pairs.get("symbol"))
            if order.type.is_conditional and order.working and not order.triggered
        ]

    def _all_algo(self, pairs: Mapping[str, str]) -> Any:
        found = [order for order in self.orders(pairs["symbol"]) if order.type.is_conditional]
        return [self.shown_algo(order) for order in found][-int(pairs.get("limit", "500")) :]

    def shown_algo(self, order: PaperOrder) -> dict[str, Any]:
        return {
            "algoId": _algo_number(order),
            "clientAlgoId": self._name(order),
            "algoType": "CONDITIONAL",
            "orderType": _NAMES[order.type],
            "symbol": order.symbol,
            "side": order.side.value.upper(),
            "positionSide": "BOTH",
            "quantity": plain(order.quantity),
            "algoStatus": _algo_status(order),
            "actualOrderId": order.child_id or "",
            "actualPrice": "0.00000",
            "triggerPrice": plain(order.trigger_price or ZERO),
            "price": "0.00000",
            "workingType": self.bases.get(order.order_id, "CONTRACT_PRICE"),
            "reduceOnly": order.reduce_only,
            "closePosition": False,
            "priceProtect": False,
            "createTime": ms(order.created_at),
            "updateTime": ms(order.updated_at),
        }

    def number_of(self, ref: OrderRef) -> str:
        number = int(ref.venue_order_id)
        return str(ALGO_NUMBERS_FROM + number if ref.conditional else number)

    # The account

    def _positions(self, _: Mapping[str, str]) -> Any:
        return [
            {
                "symbol": held.symbol,
                "positionSide": "LONG" if self.hedge else "BOTH",
                "positionAmt": plain(held.quantity * held.side.sign),
                "entryPrice": plain(held.entry_price or ZERO),
                "markPrice": self.last(held.symbol),
                "unRealizedProfit": "0",
                "notional": "0",
            }
            for held in self.exchange.positions()
        ]

    def _balances(self, _: Mapping[str, str]) -> Any:
        return [
            {
                "asset": one.currency,
                "balance": plain(one.total),
                "availableBalance": plain(one.free),
            }
            for one in self.exchange.balances()
        ]

    def _trades(self, pairs: Mapping[str, str]) -> Any:
        return [
            {
                "id": int(fill.fill_id),
                "orderId": int(fill.order_id),
                "symbol": fill.symbol,
                "side": fill.side.value.upper(),
                "price": plain(fill.price),
                "qty": plain(fill.quantity),
                "quoteQty": plain(fill.price * fill.quantity),
                "commission": plain(fill.fee),
                "commissionAsset": fill.fee_currency,
                "positionSide": "BOTH",
                "maker": False,
                "time": ms(fill.at),
            }
            for fill in self.fills(pairs)
        ]

    def _set_leverage(self, pairs: Mapping[str, str]) -> Any:
        leverage = Decimal(pairs["leverage"])
        self.refusable(
            lambda: self.exchange.set_leverage(pairs["symbol"], leverage, self.clock.now())
        )
        return {"symbol": pairs["symbol"], "leverage": int(leverage), "maxNotionalValue": "1000000"}

    def _symbol_config(self, pairs: Mapping[str, str]) -> Any:
        stands = self.exchange._book.leverage(pairs["symbol"]) or self.rules.leverage
        margin_type = self.margin_types.get(pairs["symbol"], "CROSSED")
        return [{"symbol": pairs["symbol"], "leverage": int(stands), "marginType": margin_type}]

    def _set_margin_type(self, pairs: Mapping[str, str]) -> Any:
        if self.margin_types.get(pairs["symbol"], "CROSSED") == pairs["marginType"]:
            raise Problem(400, -4046, "No need to change margin type.")
        if any(held.symbol == pairs["symbol"] for held in self.exchange.positions()):
            raise Problem(400, -4048, "Margin type cannot be changed if there exists position.")
        self.margin_types[pairs["symbol"]] = pairs["marginType"]
        return {"code": 200, "msg": "success"}

    def _ticker(self, pairs: Mapping[str, str]) -> Any:
        return {
            "symbol": pairs["symbol"],
            "price": self.last(pairs["symbol"]),
            "time": self.now_ms(),
        }

    def _premium(self, pairs: Mapping[str, str]) -> Any:
        return {
            "symbol": pairs["symbol"],
            "markPrice": self.last(pairs["symbol"]),
            "time": self.now_ms(),
        }

    def listed(self, one: Any) -> dict[str, Any]:
        return {
            "symbol": one.symbol,
            "contractType": "PERPETUAL",
            "status": "TRADING",
            "baseAsset": one.base,
            "quoteAsset": one.quote,
            "marginAsset": one.quote,
            "filters": [
                {"filterType": "PRICE_FILTER", "tickSize": f"{one.tick:f}00"},
                {
                    "filterType": "LOT_SIZE",
                    "stepSize": f"{one.step:f}",
                    "minQty": f"{one.min_quantity:f}",
                },
                {
                    "filterType": "MARKET_LOT_SIZE",
                    "stepSize": f"{one.step:f}",
                    "minQty": f"{one.min_quantity:f}",
                },
                {"filterType": "MIN_NOTIONAL", "notional": f"{one.min_notional:f}"},
            ],
        }

    window_ms: ClassVar[int] = 7 * DAY_MS
    refusals: ClassVar[Refusals] = (
        (RejectReason.UNKNOWN_SYMBOL, "", -1121, "Invalid symbol."),
        (RejectReason.INSUFFICIENT_FUNDS, "", -2019, "Margin is insufficient."),
        (RejectReason.CROSSED, "", -2021, "Order would immediately trigger."),
        (RejectReason.REDUCE_ONLY, "", -2022, "ReduceOnly Order is rejected."),
        (RejectReason.BELOW_MINIMUM, "notional", -4164, "Order's notional must be no smaller."),
        (RejectReason.BELOW_MINIMUM, "", -4003, "Quantity less than or equal to zero."),
        (RejectReason.INVALID_ORDER, "tick", -4014, "Price not increased by tick size."),
        (RejectReason.INVALID_ORDER, "step", -1111, "Precision is over the maximum defined."),
        (RejectReason.INVALID_ORDER, "leverage", -4028, "Leverage is not valid"),
    )


def _algo_number(order: PaperOrder) -> int:
    return ALGO_NUMBERS_FROM + order.number


def _algo_status(order: PaperOrder) -> str:
    if order.triggered:
        return "TRIGGERED" if order.working else "FINISHED"
    return {OrderStatus.OPEN: "NEW", OrderStatus.CANCELLED: "CANCELED"}[order.status]
