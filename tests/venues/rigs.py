"""Each adapter with the fake venue that it trades on: what the contract is tested against."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from guardian_core.accounts import AccountSpec, Environment, PaperSpec
from guardian_core.domain.money import MarketKind
from guardian_core.ports import Clock
from guardian_gateway.venues.binance import BinanceSpot, BinanceUsdm, spot, usdm
from guardian_gateway.venues.exchange.client import Client
from guardian_gateway.venues.exchange.keys import KeyFiles, Keys
from guardian_gateway.venues.paper import MemoryStore, PaperExchange, PaperVenue
from guardian_gateway.venues.port import Venue
from tests.venues.fake.binance_spot import FakeSpot
from tests.venues.fake.binance_usdm import FakeUsdm
from tests.venues.fake.server import Wire
from tests.venues.loop import clock as running_clock

ACCOUNT = "main"
SYMBOL = "BTCUSDT"
PRICE = "43000"


@dataclass
class Rig:
    """`wire` is None for the paper venue, which has none."""

    venue: Venue
    exchange: PaperExchange
    clock: Clock
    wire: Any = None

    @property
    def spot(self) -> bool:
        return self.exchange.rules.spot

    def set_price(self, price: str, symbol: str = SYMBOL) -> None:
        self.exchange.set_price(symbol, Decimal(price), self.clock.now())


ADAPTERS: dict[str, tuple[Any, Any, Callable[..., Wire]]] = {
    "binanceusdm": (BinanceUsdm, usdm.WIRING, FakeUsdm),
    "binance": (BinanceSpot, spot.WIRING, FakeSpot),
}
RIGS = ("paper", "paper spot", *ADAPTERS)


@asynccontextmanager
async def rig(name: str, folder: Path, clock: Clock, **how: Any) -> AsyncIterator[Rig]:
    """The market stands at 43000."""
    if name not in ADAPTERS:
        yield _paper(clock, MarketKind.SPOT if name.endswith("spot") else MarketKind.LINEAR)
        return
    adapter, wiring, make = ADAPTERS[name]
    wire = make(clock=running_clock(), **how)
    await wire.start()
    wire.set_price(PRICE)
    client = Client(
        replace(wiring, elsewhere=wire.url),
        Environment.LIVE,
        stored_keys(folder, wire.key, wire.secret),
        clock,
    )
    venue = adapter(client, clock)
    try:
        yield Rig(venue, wire.exchange, clock, wire)
    finally:
        await venue.close()
        await wire.stop()


def stored_keys(folder: Path, key: str, secret: str) -> KeyFiles:
    files = KeyFiles(ACCOUNT, folder / ACCOUNT)
    files.store(Keys(key, secret))
    return files


def _paper(clock: Clock, market: MarketKind) -> Rig:
    store = MemoryStore()
    spec = AccountSpec(account_id=ACCOUNT, paper=PaperSpec(market=market))
    venue = PaperVenue(ACCOUNT, spec, store, clock)
    made = Rig(venue, store._books[ACCOUNT].exchange, clock)
    made.set_price(PRICE)
    return made
