"""OKX spot over HTTP: quantities in coins, no margin."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from guardian_core.domain.money import Instrument, MarketKind
from guardian_gateway.venues.paper.rules import Rules
from tests.venues.fake.okx import OkxWire
from tests.venues.fake.server import Problem


@dataclass
class FakeOkxSpot(OkxWire):
    rules: Rules = field(default_factory=lambda: Rules(market=MarketKind.SPOT))
    level: str = "1"

    kind: ClassVar[str] = "SPOT"

    def name(self, symbol: str) -> str:
        return f"{symbol.removesuffix(self.rules.quote)}-{self.rules.quote}"

    def check_request(self, pairs: Mapping[str, str]) -> None:
        if self.level not in ("1", "2") or pairs.get("tdMode") != "cash":
            raise Problem(200, 51010, "Request unsupported under current account mode")
        if pairs.get("ordType") == "market" and pairs.get("tgtCcy") != "base_ccy":
            raise Problem(200, 51000, "Parameter tgtCcy error")
        if pairs.get("reduceOnly") == "true":
            raise Problem(200, 51139, "Reduce-only feature is unavailable for spot mode.")
        for leg in ("sl", "tp"):
            if pairs.get(f"{leg}TriggerPxType", "last") != "last":
                raise Problem(200, 51415, "Spot trading only supports the last price as trigger.")

    def listed(self, one: Instrument) -> dict[str, Any]:
        return super().listed(one) | {
            "baseCcy": one.base,
            "quoteCcy": one.quote,
            "settleCcy": "",
            "ctVal": "",
            "ctType": "",
        }
