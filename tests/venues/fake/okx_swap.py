"""OKX swaps over HTTP: quantities in contracts of 0.01 coins, margin modes per order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar

from guardian_core.domain.money import ZERO, Instrument, plain
from tests.venues.fake.okx import OkxWire
from tests.venues.fake.server import Handler, Problem

MODES = ("cross", "isolated")


@dataclass
class FakeOkxSwap(OkxWire):
    """`leverages`: by margin mode and symbol, where they were set. `held_in`: the margin mode of
    each position, where it is not cross."""

    leverages: dict[tuple[str, str], str] = field(default_factory=dict)
    held_in: dict[str, str] = field(default_factory=dict)

    kind: ClassVar[str] = "SWAP"
    size: ClassVar[Decimal] = Decimal("0.01")

    def signed(self) -> dict[str, Handler]:
        return super().signed() | {
            "GET /api/v5/account/positions": self._positions,
            "GET /api/v5/account/leverage-info": self._leverage,
            "POST /api/v5/account/set-leverage": self._set_leverage,
        }

    def name(self, symbol: str) -> str:
        return f"{symbol.removesuffix(self.rules.quote)}-{self.rules.quote}-SWAP"

    def check_request(self, pairs: Mapping[str, str]) -> None:
        if self.level == "1":
            raise Problem(200, 51010, "Request unsupported under current account mode")
        if not self.one_way and pairs.get("posSide") not in ("long", "short"):
            raise Problem(200, 51000, "Parameter posSide error")
        if pairs.get("tdMode") not in MODES:
            raise Problem(200, 51000, "Parameter tdMode error")
        held_in = self.held_in.get(pairs["instId"], pairs["tdMode"])
        if pairs.get("reduceOnly") == "true" and pairs["tdMode"] != held_in:
            raise Problem(200, 51169, "You don't have any positions in this direction.")

    def _positions(self, pairs: Mapping[str, str]) -> Any:
        self.check_kind(pairs)
        return [
            {
                "instType": self.kind,
                "instId": self.name(held.symbol),
                "mgnMode": self.held_in.get(self.name(held.symbol), "cross"),
                "posSide": "net" if self.one_way else held.side.value,
                "pos": self.contracts(held.quantity * held.side.sign),
                "avgPx": plain(held.entry_price or ZERO),
            }
            for held in self.exchange.positions()
        ]

    def _leverage(self, pairs: Mapping[str, str]) -> Any:
        mode = pairs["mgnMode"]
        stands = self.leverages.get((mode, pairs["instId"]), plain(self.rules.leverage))
        return [{"instId": pairs["instId"], "mgnMode": mode, "posSide": "net", "lever": stands}]

    def _set_leverage(self, pairs: Mapping[str, str]) -> Any:
        symbol, lever = self.symbol(pairs) or "", pairs["lever"]
        self.refusable(lambda: self.exchange.set_leverage(symbol, Decimal(lever), self.clock.now()))
        self.leverages[pairs["mgnMode"], pairs["instId"]] = lever
        return [{**pairs, "posSide": "net"}]

    def listed(self, one: Instrument) -> dict[str, Any]:
        return super().listed(one) | {
            "instFamily": f"{one.base}-{one.quote}",
            "baseCcy": "",
            "quoteCcy": "",
            "settleCcy": one.quote,
            "ctVal": plain(self.size),
            "ctMult": "1",
            "ctValCcy": one.base,
            "ctType": "linear",
        }
