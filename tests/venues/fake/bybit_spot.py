"""Bybit spot over HTTP: a conditional order waits for the price to come from where it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar

from guardian_core.domain.errors import RejectReason
from guardian_core.domain.money import MarketKind, plain
from guardian_core.domain.orders import OrderType
from guardian_gateway.venues.paper.records import PaperOrder
from guardian_gateway.venues.paper.rules import Rules
from tests.venues.fake.bybit import BybitWire
from tests.venues.fake.core import Refusals
from tests.venues.fake.server import Problem

_KINDS = ("Order", "tpslOrder", "StopOrder")


@dataclass
class FakeBybitSpot(BybitWire):
    """`falls_to`: the price to which the market falls just before the next order arrives."""

    rules: Rules = field(default_factory=lambda: Rules(market=MarketKind.SPOT))
    falls_to: str = ""
    base_prices: dict[str, str] = field(default_factory=dict)

    category: ClassVar[str] = "spot"

    def _create(self, pairs: Mapping[str, Any]) -> Any:
        if self.falls_to:
            self.set_price(self.falls_to)
            self.falls_to = ""
        taken = super()._create(pairs)
        for order in self.orders():
            self.base_prices.setdefault(order.order_id, self._last(order.symbol))
        return taken

    def _last(self, symbol: str) -> str:
        price = self.exchange.price(symbol)
        return plain(price.last) if price is not None else "0"

    def kind_of(self, pairs: Mapping[str, Any]) -> OrderType:
        if pairs.get("orderFilter", "Order") not in _KINDS or pairs.get("isLeverage", 0) != 0:
            raise Problem(200, 170130, "Data sent for parameter is not valid.")
        if "triggerPrice" not in pairs:
            if pairs["orderType"] == "Market" and pairs.get("marketUnit") != "baseCoin":
                raise Problem(200, 170130, "the quantity would be quote coins")
            return OrderType(pairs["orderType"].lower())
        if pairs.get("orderFilter") != "tpslOrder":
            raise Problem(200, 170130, "only orders that lock their coins are played here")
        falls = Decimal(pairs["triggerPrice"]) < Decimal(self._last(pairs["symbol"]))
        return OrderType.STOP_LOSS if falls is (pairs["side"] == "Sell") else OrderType.TAKE_PROFIT

    def duplicate(self) -> Problem:
        return Problem(200, 170141, "Duplicate clientOrderId")

    def gone(self) -> Problem:
        return Problem(200, 170213, "Order does not exist.")

    def is_cancelled_by(self, order: PaperOrder, pairs: Mapping[str, Any]) -> bool:
        """Each kind of order is cancelled under its own filter."""
        waits = order.type.is_conditional and not order.triggered
        return waits is (pairs.get("orderFilter", "Order") == "tpslOrder")

    def is_of_kind(self, order: PaperOrder, kind: str | None) -> bool:
        conditional = order.type.is_conditional and not order.triggered
        return kind is None or (kind == "tpslOrder") is conditional

    def cancelled_status(self, order: PaperOrder) -> str:
        if order.type.is_conditional and not order.triggered:
            return "Deactivated"
        return "PartiallyFilledCanceled" if order.filled > 0 else "Cancelled"

    def shown(self, order: Any) -> dict[str, Any]:
        kind = "tpslOrder" if order.type.is_conditional else ""
        base = self.base_prices.get(order.order_id, "0")
        return super().shown(order) | {
            "stopOrderType": kind,
            "basePrice": base,
            "triggerDirection": 0,
            "triggerBy": "",
        }

    def coin(self, one: Any) -> dict[str, Any]:
        return super().coin(one) | {"locked": plain(one.total - one.free)}

    def listed(self, one: Any) -> dict[str, Any]:
        return {
            "symbol": one.symbol,
            "status": "Trading",
            "baseCoin": one.base,
            "quoteCoin": one.quote,
            "priceFilter": {"tickSize": f"{one.tick:f}0"},
            "lotSizeFilter": {
                "basePrecision": f"{one.step:f}",
                "quotePrecision": "0.0000001",
                "minOrderAmt": f"{one.min_notional:f}",
            },
        }

    refusals: ClassVar[Refusals] = (
        (RejectReason.UNKNOWN_SYMBOL, "", 170121, "Invalid symbol."),
        (RejectReason.INSUFFICIENT_FUNDS, "", 170131, "Insufficient balance."),
        (RejectReason.BELOW_MINIMUM, "notional", 170140, "Order value exceeded lower limit"),
        (RejectReason.BELOW_MINIMUM, "", 170136, "Order quantity exceeded lower limit"),
        (RejectReason.INVALID_ORDER, "tick", 170134, "Order price has too many decimals."),
        (RejectReason.INVALID_ORDER, "step", 170137, "Order quantity has too many decimals."),
    )
