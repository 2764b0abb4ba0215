"""Each adapter with the fake venue that it trades on: what the contract is tested against."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from guardian_core.accounts import AccountSpec, Environment, PaperSpec
from guardian_core.domain.money import MarketKind
from guardian_core.ports import Clock
from guardian_gateway.venues.catalogue import EXCHANGES
from guardian_gateway.venues.exchange.keys import KeyFiles, Keys
from guardian_gateway.venues.exchange.markets import Shelf
from guardian_gateway.venues.exchange.surroundings import Surroundings
from guardian_gateway.venues.paper import MemoryStore, PaperExchange, PaperVenue
from guardian_gateway.venues.port import Venue
from tests.venues.families import binance, bitget, bybit, kraken, okx
from tests.venues.families.under_test import UnderTest
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


ADAPTERS: dict[str, UnderTest] = {
    **binance.UNDER_TEST,
    **bitget.UNDER_TEST,
    **bybit.UNDER_TEST,
    **kraken.UNDER_TEST,
    **okx.UNDER_TEST,
}
SPOTS = [name for name in ADAPTERS if EXCHANGES[name].market is MarketKind.SPOT]
DERIVATIVES = [name for name in ADAPTERS if name not in SPOTS]
STREAMING = [name for name, one in ADAPTERS.items() if hasattr(one.adapter, "listen")]
RIGS = ("paper", "paper spot", *ADAPTERS)


@asynccontextmanager
async def rig(
    name: str, folder: Path, clock: Clock, shelf: Shelf | None = None, **how: Any
) -> AsyncIterator[Rig]:
    """The market stands at 43000."""
    if name not in ADAPTERS:
        yield _paper(clock, MarketKind.SPOT if name.endswith("spot") else MarketKind.LINEAR)
        return
    wire = ADAPTERS[name].fake(clock=running_clock(), **how)
    await wire.start()
    wire.set_price(PRICE)
    keys = stored_keys(folder, wire.key, wire.secret, wire.passphrase)
    around = Surroundings(Environment.LIVE, keys, clock, elsewhere=wire.url, shelf=shelf)
    venue = ADAPTERS[name].adapter(around)
    try:
        yield Rig(venue, wire.exchange, clock, wire)
    finally:
        await venue.close()
        await wire.stop()


def stored_keys(folder: Path, key: str, secret: str, passphrase: str = "") -> KeyFiles:
    files = KeyFiles(ACCOUNT, folder / ACCOUNT)
    files.store(Keys(key, secret, passphrase))
    return files


def _paper(clock: Clock, market: MarketKind) -> Rig:
    store = MemoryStore()
    spec = AccountSpec(account_id=ACCOUNT, paper=PaperSpec(market=market))
    venue = PaperVenue(ACCOUNT, spec, store, clock)
    made = Rig(venue, store._books[ACCOUNT].exchange, clock)
    made.set_price(PRICE)
    return made
