"""OKX's private channels: plain orders at one address, algos at another, each after a login."""

from collections.abc import Mapping
from typing import Any, ClassVar

from guardian_gateway.venues.paper.records import LedgerEvent
from tests.venues.fake.channel_streams import ChannelStreams


class OkxStreams(ChannelStreams):
    each_has: ClassVar[int] = 2
    verify: ClassVar[str] = "/users/self/verify"
    channels: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "/ws/v5/private": ("orders",),
        "/ws/v5/business": ("orders-algo",),
    }
    codes: ClassVar[Mapping[str, Any]] = {
        "key": "60005",
        "passphrase": "60024",
        "time": "60006",
        "sign": "60007",
        "login": "60011",
        "channel": "60018",
    }

    def kind(self) -> str:
        return str(self.wire.kind)

    def told(self, event: LedgerEvent, *, is_algo: bool) -> Any:
        named = {"instType": self.wire.kind, "instId": self.wire.name(event.symbol)}
        return named | ({"algoId": "1"} if is_algo else {"ordId": event.order_id})
