"""Bybit linear over HTTP: an order with a trigger is a conditional one, without another kind."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from guardian_core.domain.errors import RejectReason
from guardian_core.domain.money import ZERO, plain
from guardian_core.domain.orders import OrderType
from guardian_gateway.venues.paper.records import PaperOrder
from tests.venues.fake.bybit import BybitWire
from tests.venues.fake.core import Refusals
from tests.venues.fake.server import Handler, Problem

_RISES, _FALLS = 1, 2


@dataclass
class FakeBybitLinear(BybitWire):
    """`hedge`: the account's position mode. `funding`: whether fundings are among executions."""

    hedge: bool = False
    funding: bool = False
    margin_mode: str = "REGULAR_MARGIN"

    category: ClassVar[str] = "linear"

    def signed(self) -> Mapping[str, Handler]:
        return {
            **super().signed(),
            "GET /v5/position/list": self._positions,
            "POST /v5/position/set-leverage": self._set_leverage,
            "GET /v5/account/info": lambda _: {
                "marginMode": self.margin_mode,
                "unifiedMarginStatus": 5,
            },
        }

    def name_of(self, symbol: str) -> str:
        return f"{symbol.removesuffix('USDC')}PERP" if symbol.endswith("USDC") else symbol

    def symbol_of(self, name: str) -> str:
        return f"{name.removesuffix('PERP')}USDC" if name.endswith("PERP") else name

    def kind_of(self, pairs: Mapping[str, Any]) -> OrderType:
        self._check_kinds(pairs)
        if "triggerPrice" not in pairs:
            return OrderType(pairs["orderType"].lower())
        if pairs.get("triggerDirection") not in (_RISES, _FALLS):
            raise self.wrong("TriggerDirection invalid")
        falls = pairs["triggerDirection"] == _FALLS
        return OrderType.STOP_LOSS if falls is (pairs["side"] == "Sell") else OrderType.TAKE_PROFIT

    def _check_kinds(self, pairs: Mapping[str, Any]) -> None:
        """A JSON body's values have the kinds that the documentation gives them."""
        kinds = {"positionIdx": int, "triggerDirection": int, "reduceOnly": bool}
        kinds |= {"closeOnTrigger": bool, "qty": str, "price": str, "triggerPrice": str}
        for field_, kind in kinds.items():
            if field_ in pairs and type(pairs[field_]) is not kind:
                raise self.wrong(f"{field_} is no {kind.__name__}")
        if pairs.get("positionIdx", 0) != 0 or self.hedge:
            raise Problem(200, 10001, "position idx not match position mode")

    def duplicate(self) -> Problem:
        return Problem(200, 110072, "OrderLinkedID is duplicate")

    def gone(self) -> Problem:
        return Problem(200, 110001, "order not exists or too late to cancel")

    def check_where(self, pairs: Mapping[str, Any]) -> None:
        if not pairs.keys() & {"symbol", "settleCoin", "baseCoin"}:
            raise self.wrong("symbol or settleCoin or baseCoin is required")

    def is_asked_for(self, order: PaperOrder, pairs: Mapping[str, Any]) -> bool:
        if "symbol" in pairs:
            return super().is_asked_for(order, pairs)
        return order.symbol.endswith(pairs["settleCoin"])

    def is_of_kind(self, order: PaperOrder, kind: str | None) -> bool:
        conditional = order.type.is_conditional and not order.triggered
        return kind is None or (kind == "StopOrder") is conditional

    def shown(self, order: Any) -> dict[str, Any]:
        if not order.type.is_conditional:
            of_trigger = {"stopOrderType": "UNKNOWN", "triggerDirection": 0, "triggerBy": "UNKNOWN"}
        else:
            of_trigger = {
                "stopOrderType": "Stop",
                "triggerDirection": _FALLS if order.acts_when_falling else _RISES,
                "triggerBy": self.bases[order.order_id],
            }
        return super().shown(order) | of_trigger | {"positionIdx": 0}

    def _positions(self, pairs: Mapping[str, Any]) -> Any:
        self.check_category(pairs)
        held = {self.name_of(one.symbol): one for one in self.exchange.positions()}
        if "symbol" in pairs:
            name = pairs["symbol"]
            modes = (1, 2) if self.hedge else (0,)
            return self.paged([self._position(name, held.get(name), idx) for idx in modes], pairs)
        found = [
            self._position(name, one, 1 if self.hedge else 0)
            for name, one in held.items()
            if one.symbol.endswith(pairs["settleCoin"])
        ]
        return self.paged(found, pairs)

    def _position(self, name: str, held: Any, idx: int) -> dict[str, Any]:
        side = {None: "", "long": "Buy", "short": "Sell"}[held.side.value if held else None]
        return {
            "symbol": name,
            "positionIdx": idx,
            "side": side,
            "size": plain(held.quantity) if held else "0",
            "avgPrice": plain(held.entry_price or ZERO) if held else "",
            "leverage": plain(self._leverage(self.symbol_of(name))),
        }

    def _leverage(self, symbol: str) -> Decimal:
        return self.exchange._book.leverage(symbol) or self.rules.leverage

    def _set_leverage(self, pairs: Mapping[str, Any]) -> Any:
        self.check_category(pairs)
        symbol = self.symbol_of(pairs["symbol"])
        if pairs["buyLeverage"] != pairs["sellLeverage"]:
            raise self.wrong("buy leverage not equal sell leverage")
        leverage = Decimal(pairs["buyLeverage"])
        if leverage == self._leverage(symbol):
            raise Problem(200, 110043, "leverage not modified")
        self.refusable(lambda: self.exchange.set_leverage(symbol, leverage, self.clock.now()))
        return {}

    def execution(self, fill: Any) -> dict[str, Any]:
        # Contracts name no fee currency.
        return super().execution(fill) | {"feeCurrency": ""}

    def _executions(self, pairs: Mapping[str, Any]) -> Any:
        answer = super()._executions(pairs)
        if self.funding and answer["list"]:
            of_funding = {"execType": "Funding", "execId": "funding-1", "orderLinkId": ""}
            answer["list"].insert(0, answer["list"][0] | of_funding)
        return answer

    def coin(self, one: Any) -> dict[str, Any]:
        return super().coin(one) | {"totalOrderIM": plain(one.total - one.free)}

    def marks(self, last: str) -> dict[str, str]:
        return {"markPrice": last, "indexPrice": last}

    def listed(self, one: Any) -> dict[str, Any]:
        return {
            "symbol": self.name_of(one.symbol),
            "contractType": "LinearPerpetual",
            "status": "Trading",
            "baseCoin": one.base,
            "quoteCoin": one.quote,
            "settleCoin": one.quote,
            "isPreListing": False,
            "priceFilter": {"tickSize": f"{one.tick:f}0"},
            "lotSizeFilter": {
                "qtyStep": f"{one.step:f}",
                "minOrderQty": f"{one.min_quantity:f}",
                "minNotionalValue": f"{one.min_notional:f}",
            },
        }

    refusals: ClassVar[Refusals] = (
        (RejectReason.UNKNOWN_SYMBOL, "", 10001, "params error: symbol invalid"),
        (RejectReason.INSUFFICIENT_FUNDS, "", 110007, "ab not enough for new order"),
        (RejectReason.CROSSED, "", 110093, "expect Falling, but trigger_price >= current"),
        (RejectReason.REDUCE_ONLY, "", 110017, "current position is zero"),
        (RejectReason.BELOW_MINIMUM, "notional", 110094, "Order does not meet minimum value"),
        (RejectReason.BELOW_MINIMUM, "", 10001, "exceeds minimum limit allowed"),
        (RejectReason.INVALID_ORDER, "tick", 10001, "params error: Price invalid"),
        (RejectReason.INVALID_ORDER, "step", 10001, "params error: Qty invalid"),
        (RejectReason.INVALID_ORDER, "leverage", 110013, "cannot set leverage"),
    )
