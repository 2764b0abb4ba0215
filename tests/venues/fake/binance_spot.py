"""Binance spot over HTTP: a triggered order keeps its number, pairs are order lists."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from guardian_core.domain.errors import RejectReason
from guardian_core.domain.money import ZERO, MarketKind, plain
from guardian_core.domain.orders import OrderType
from guardian_gateway.venues.paper.records import PaperOrder
from guardian_gateway.venues.paper.rules import Rules
from tests.venues.fake.binance import BinanceWire, no_order, status, unknown_order
from tests.venues.fake.binance_streams import SpotStreams
from tests.venues.fake.core import Refusals, ms
from tests.venues.fake.server import Handler, Problem

_ABOVE = {"TAKE_PROFIT": OrderType.TAKE_PROFIT, "LIMIT_MAKER": OrderType.LIMIT}


@dataclass
class FakeSpot(BinanceWire):
    rules: Rules = field(default_factory=lambda: Rules(market=MarketKind.SPOT))

    def make_sockets(self) -> SpotStreams:
        return SpotStreams(self)

    def public(self) -> Mapping[str, Handler]:
        return {
            "GET /api/v3/time": lambda _: {"serverTime": self.now_ms()},
            "GET /api/v3/exchangeInfo": self._info,
            "GET /api/v3/ticker/price": lambda pairs: {
                "symbol": pairs["symbol"],
                "price": self.last(pairs["symbol"]),
            },
        }

    def signed(self) -> Mapping[str, Handler]:
        return {
            "POST /api/v3/order": self._create,
            "GET /api/v3/order": self._get,
            "DELETE /api/v3/order": self._cancel,
            "GET /api/v3/openOrders": self._open,
            "POST /api/v3/orderList/oco": self._create_pair,
            "GET /api/v3/account": self._account,
            "GET /api/v3/myTrades": self._trades,
            "GET /sapi/v1/account/apiRestrictions": lambda _: {
                "enableSpotAndMarginTrading": self.can_trade,
                "enableWithdrawals": self.can_withdraw,
                "enableReading": True,
            },
        }

    def _create(self, pairs: Mapping[str, str]) -> Any:
        kind = OrderType(pairs["type"].lower())
        return self.shown(self.create(pairs, kind, pairs["newClientOrderId"]))

    def _create_pair(self, pairs: Mapping[str, str]) -> Any:
        if pairs.get("belowType") != "STOP_LOSS" or pairs.get("aboveType") not in _ABOVE:
            raise Problem(400, -1106, "Parameter sent when not required.")
        names = (pairs["belowClientOrderId"], pairs["aboveClientOrderId"])
        for name in names:
            self.check_name(name, pairs)
        level = pairs.get("aboveStopPrice") or pairs["abovePrice"]
        below = self.body_of(pairs, OrderType.STOP_LOSS, pairs["belowStopPrice"])
        above = self.body_of(pairs, _ABOVE[pairs["aboveType"]], level)
        made = self.place_pair(below, above, names)
        reports = [self.shown(one) for one in made]
        return {
            "orderListId": int(made[0].pair_id or 0),
            "contingencyType": "OCO",
            "listStatusType": "EXEC_STARTED",
            "listOrderStatus": "EXECUTING",
            "symbol": pairs["symbol"],
            "orderReports": reports[::-1],
        }

    def check_name(self, name: str, pairs: Mapping[str, str]) -> None:
        if self.is_named(name):
            raise Problem(400, -2010, "Duplicate order sent.")

    def _find(self, pairs: Mapping[str, str]) -> PaperOrder | None:
        number, name = pairs.get("orderId"), pairs.get("origClientOrderId")
        for order in reversed(self.orders(pairs["symbol"])):
            if order.parent_id is None and (
                order.order_id == number or (name and self.names.get(order.order_id) == name)
            ):
                return order
        return None

    def _get(self, pairs: Mapping[str, str]) -> Any:
        order = self._find(pairs)
        if order is None:
            raise no_order()
        return self.shown(order)

    def _cancel(self, pairs: Mapping[str, str]) -> Any:
        order = self._find(pairs)
        if order is None:
            raise unknown_order()
        self.cancel(order.order_id)
        return self.shown(self.order(order.order_id))

    def _open(self, pairs: Mapping[str, str]) -> Any:
        return [
            self.shown(order)
            for order in self.orders(pairs.get("symbol"))
            if order.working and order.parent_id is None
        ]

    def shown(self, order: PaperOrder) -> dict[str, Any]:
        limit_of_pair = order.pair_id is not None and order.type is OrderType.LIMIT
        return {
            "orderId": order.number,
            "orderListId": int(order.pair_id) if order.pair_id else -1,
            "clientOrderId": self.names.get(order.order_id, ""),
            "symbol": order.symbol,
            "status": status(order),
            "type": "LIMIT_MAKER" if limit_of_pair else order.type.value.upper(),
            "side": order.side.value.upper(),
            "price": plain(order.price or ZERO),
            "stopPrice": plain(order.trigger_price or ZERO),
            "origQty": plain(order.quantity),
            "executedQty": plain(order.filled),
            "cummulativeQuoteQty": plain(order.value),
            "timeInForce": "GTC",
            "time": ms(order.created_at),
            "updateTime": ms(order.updated_at),
        }

    def _account(self, _: Mapping[str, str]) -> Any:
        balances = [
            {"asset": b.currency, "free": plain(b.free), "locked": plain(b.total - b.free)}
            for b in self.exchange.balances()
        ]
        return {"canTrade": self.can_trade, "canWithdraw": True, "balances": balances}

    def _trades(self, pairs: Mapping[str, str]) -> Any:
        return [
            {
                "id": int(fill.fill_id),
                "orderId": int(self.order(fill.order_id).parent_id or fill.order_id),
                "symbol": fill.symbol,
                "isBuyer": fill.side.value == "buy",
                "isMaker": False,
                "price": plain(fill.price),
                "qty": plain(fill.quantity),
                "quoteQty": plain(fill.price * fill.quantity),
                "commission": plain(fill.fee),
                "commissionAsset": fill.fee_currency,
                "time": ms(fill.at),
            }
            for fill in self.fills(pairs)
        ]

    def _info(self, pairs: Mapping[str, str]) -> Any:
        found = [one for one in self.instruments() if pairs.get("symbol") in (None, one["symbol"])]
        if not found:
            raise Problem(400, -1121, "Invalid symbol.")
        return {"symbols": found}

    def listed(self, one: Any) -> dict[str, Any]:
        return {
            "symbol": one.symbol,
            "status": "TRADING",
            "baseAsset": one.base,
            "quoteAsset": one.quote,
            "isSpotTradingAllowed": True,
            "permissions": [],
            "filters": [
                {"filterType": "PRICE_FILTER", "tickSize": f"{one.tick:f}00"},
                {
                    "filterType": "LOT_SIZE",
                    "stepSize": f"{one.step:f}",
                    "minQty": f"{one.min_quantity:f}",
                },
                {"filterType": "MARKET_LOT_SIZE", "stepSize": "0.00", "minQty": "0.00"},
                {"filterType": "NOTIONAL", "minNotional": f"{one.min_notional:f}"},
            ],
        }

    refusals: ClassVar[Refusals] = (
        (RejectReason.UNKNOWN_SYMBOL, "", -1121, "Invalid symbol."),
        (
            RejectReason.INSUFFICIENT_FUNDS,
            "",
            -2010,
            "Account has insufficient balance for requested action.",
        ),
        (RejectReason.CROSSED, "", -2010, "Stop price would trigger immediately."),
        (RejectReason.BELOW_MINIMUM, "notional", -1013, "Filter failure: NOTIONAL"),
        (RejectReason.BELOW_MINIMUM, "", -1013, "Filter failure: LOT_SIZE"),
        (RejectReason.INVALID_ORDER, "tick", -1013, "Filter failure: PRICE_FILTER"),
        (RejectReason.INVALID_ORDER, "step", -1013, "Filter failure: LOT_SIZE"),
    )
