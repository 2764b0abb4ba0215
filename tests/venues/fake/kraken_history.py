"""What Kraken futures keep of orders and executions, as their history tells it: by events."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from guardian_core.domain.money import ZERO, plain
from guardian_core.domain.orders import OrderStatus, OrderType
from guardian_gateway.venues.paper.records import PaperFill, PaperOrder
from tests.venues.fake.core import CoreWire, ms


@dataclass
class KrakenHistory(CoreWire):
    """`keeps_uid`: a triggered order stays the same order; else it becomes one with an id of its
    own, and the same client id. `history_lag_s`: how far all this is behind."""

    keeps_uid: bool = True
    history_lag_s: float = 0.0

    # Names

    def uid(self, order: PaperOrder) -> str:
        own = self.order(order.parent_id) if order.parent_id and self.keeps_uid else order
        return f"00000000-0000-4000-8000-{own.number:012d}"

    def fill_id(self, fill: PaperFill) -> str:
        return f"00000000-0000-4000-9000-{int(fill.fill_id):012d}"

    def name_of(self, order: PaperOrder) -> str | None:
        return self.names.get(order.parent_id or order.order_id)

    def listed_name(self, symbol: str) -> str:
        return f"PF_{'XBT' + symbol[3:] if symbol.startswith('BTC') else symbol}"

    def symbol_of(self, name: str) -> str:
        symbol = name.upper().removeprefix("PF_")
        return "BTC" + symbol[3:] if symbol.startswith("XBT") else symbol

    # Events

    def trigger_events(self, pairs: Mapping[str, str]) -> Any:
        found: list[tuple[datetime, dict[str, Any]]] = []
        for order in self._of(pairs):
            if order.type.is_conditional:
                told = {"order": self._trigger(order)}
                found.append((order.created_at, {"OrderTriggerPlaced": told}))
                if order.triggered:
                    found.append((order.updated_at, {"OrderTriggerActivated": told}))
                elif order.status is OrderStatus.CANCELLED:
                    found.append((order.updated_at, {"OrderTriggerCancelled": told}))
        return self._page(found, pairs)

    def order_events(self, pairs: Mapping[str, str]) -> Any:
        found: list[tuple[datetime, dict[str, Any]]] = []
        for order in self._of(pairs):
            if not order.type.is_conditional:
                told = {"order": self._order(order), "reason": "new_user_order"}
                found.append((order.created_at, {"OrderPlaced": told}))
                if order.status is OrderStatus.CANCELLED:
                    found.append((order.updated_at, {"OrderCancelled": told}))
        return self._page(found, pairs)

    def execution_events(self, pairs: Mapping[str, str]) -> Any:
        found: list[tuple[datetime, dict[str, Any]]] = []
        for fill in self.fills_of(self.symbol_of(pairs["tradeable"])):
            told = {
                "uid": self.fill_id(fill),
                "order": self._order(self.order(fill.order_id)),
                "timestamp": ms(fill.at),
                "quantity": plain(fill.quantity),
                "price": plain(fill.price),
                "executionType": "taker",
                "orderData": {"fee": plain(fill.fee), "positionSize": "0"},
            }
            found.append((fill.at, {"Execution": {"execution": told}}))
        return self._page(found, pairs)

    def _of(self, pairs: Mapping[str, str]) -> list[PaperOrder]:
        return self.orders(self.symbol_of(pairs["tradeable"]))

    def _page(self, found: list[tuple[datetime, dict[str, Any]]], pairs: Mapping[str, str]) -> Any:
        until_ms = self.now_ms() - self.history_lag_s * 1000
        since_ms = int(pairs.get("since", "0"))
        seen = [(at, event) for at, event in found if since_ms <= ms(at) <= until_ms]
        seen.sort(key=lambda one: one[0], reverse=pairs.get("sort", "desc") == "desc")
        start, count = int(pairs.get("continuation_token", "0")), int(pairs.get("count", "100"))
        part = seen[start : start + count]
        elements = [
            {"uid": f"event-{start + index}", "timestamp": ms(at), "event": event}
            for index, (at, event) in enumerate(part)
        ]
        page: dict[str, Any] = {"accountUid": "a", "len": len(part), "elements": elements}
        if len(seen) > start + count:
            page["continuationToken"] = str(start + count)
        return page

    def _order(self, order: PaperOrder) -> dict[str, Any]:
        ioc = order.type is OrderType.MARKET or order.parent_id is not None
        return {
            "uid": self.uid(order),
            "tradeable": self.listed_name(order.symbol),
            "direction": order.side.value.capitalize(),
            # What is left.
            "quantity": plain(order.remaining),
            "filled": plain(order.filled),
            "timestamp": ms(order.created_at),
            "limitPrice": plain(order.price or ZERO),
            "orderType": "IoC" if ioc else "Limit",
            "clientId": self.name_of(order) or "",
            "reduceOnly": order.reduce_only,
            "lastUpdateTimestamp": ms(order.updated_at),
        }

    def _trigger(self, order: PaperOrder) -> dict[str, Any]:
        return {
            "uid": self.uid(order),
            "tradeable": self.listed_name(order.symbol),
            "direction": order.side.value.capitalize(),
            "quantity": plain(order.quantity),
            "timestamp": ms(order.created_at),
            "limitPrice": "",
            "orderType": "IoC",
            "clientId": self.name_of(order) or "",
            "reduceOnly": order.reduce_only,
            "lastUpdateTimestamp": ms(order.updated_at),
            "triggerOptions": {
                "triggerPrice": plain(order.trigger_price or ZERO),
                "triggerSignal": "LastPrice",
                "triggerSide": "Below" if order.acts_when_falling else "Above",
            },
        }
