"""What both markets ask in the same way: instruments, balances, single orders, fills, prices."""

from collections.abc import Callable, Sequence
from datetime import datetime

from guardian_core.domain.money import Instrument, MarketKind
from guardian_core.domain.snapshot import Price
from guardian_gateway.venues.bybit import words
from guardian_gateway.venues.bybit.account import account_findings
from guardian_gateway.venues.bybit.calls import every
from guardian_gateway.venues.bybit.codes import WIRING
from guardian_gateway.venues.bybit.history import History
from guardian_gateway.venues.bybit.orders import Orders
from guardian_gateway.venues.bybit.stream import STREAM
from guardian_gateway.venues.exchange.checks import Finding, clock_finding
from guardian_gateway.venues.exchange.client import Client
from guardian_gateway.venues.exchange.markets import Listing, Markets, by_symbol
from guardian_gateway.venues.exchange.reading import Row
from guardian_gateway.venues.exchange.stream import listen
from guardian_gateway.venues.exchange.surroundings import Surroundings
from guardian_gateway.venues.port import Balance, VenueFill, VenueOrder


class BybitMarket:
    """One account in one category. Made without I/O."""

    name: str
    category: str
    kind: MarketKind

    def __init__(self, around: Surroundings) -> None:
        self._client = Client(WIRING, around)
        self._clock = around.clock
        self._margin_mode = around.margin_mode
        self._markets = Markets(around.clock, self._read_markets, self.name, around.shelf)
        self._orders = Orders(self._client, self.category, self._markets)
        self._history = History(self._client, self.category, self._markets)

    def _listing(self, source: Row) -> Listing | None:
        """What is traded here; None for the rest."""
        raise NotImplementedError

    async def instrument(self, symbol: str) -> Instrument:
        return await self._markets.instrument(symbol)

    async def balances(self) -> Sequence[Balance]:
        return await self._client.read(
            "privateGetV5AccountWalletBalance", {"accountType": "UNIFIED"}, words.balances
        )

    async def find(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        return await self._orders.find(symbol, client_order_id)

    async def fills(self, symbol: str, since: datetime | None = None) -> Sequence[VenueFill]:
        return await self._history.fills(symbol, since, self._clock.now())

    async def price(self, symbol: str) -> Price:
        """The last price, and the mark price where there is one."""
        name = (await self._markets.listing_to_write(symbol)).name
        began_s = self._clock.monotonic()
        return await self._client.read(
            "publicGetV5MarketTickers",
            {"category": self.category, "symbol": name},
            lambda answer: words.price(
                answer, symbol, round((self._clock.monotonic() - began_s) * 1000)
            ),
            signed=False,
        )

    async def check(self) -> Sequence[Finding]:
        account = await account_findings(self._client, self.kind)
        return [*account, *await self._own_findings(), clock_finding(self._client.skew_ms)]

    async def _own_findings(self) -> Sequence[Finding]:
        """What only this market has to be asked."""
        return []

    async def listen(self, moved: Callable[[], None]) -> None:
        await listen(self._client, STREAM, moved)

    async def close(self) -> None:
        await self._client.close()

    async def _read_markets(self, _symbol: str) -> dict[str, Listing]:
        found = await every(
            self._client,
            "publicGetV5MarketInstrumentsInfo",
            {"category": self.category, "limit": "1000"},
            lambda source: source,
            signed=False,
        )
        return by_symbol(words.listings(found, self._listing))
