"""Bitget's private channels, over one connection."""

from collections.abc import Mapping
from typing import Any, ClassVar

from guardian_core.domain.money import MarketKind
from guardian_gateway.venues.paper.records import LedgerEvent
from tests.venues.fake.channel_streams import ChannelStreams


class BitgetStreams(ChannelStreams):
    verify: ClassVar[str] = "/user/verify"
    channels: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "/v2/ws/private": ("orders", "orders-algo")
    }
    codes: ClassVar[Mapping[str, Any]] = {
        "key": 30011,
        "passphrase": 30012,
        "time": 30008,
        "sign": 30015,
        "login": 30004,
        "channel": 30001,
    }

    def kind(self) -> str:
        return "SPOT" if self.wire.rules.market is MarketKind.SPOT else "USDT-FUTURES"

    def told(self, event: LedgerEvent, *, is_algo: bool) -> Any:
        return {"instId": event.symbol, "orderId": event.order_id, "status": event.kind.value}
