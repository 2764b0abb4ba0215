"""OKX spot: long only, without margin, with stop-loss and take-profit as one order (`oco`).

1. A pair is one conditional order with one id, which carries both of ours (see `pairs`). When one
   leg acts the other is over; whoever cancels one cancels both. OKX says that such an order
   freezes nothing before it triggers: where the coins are gone by then, it fails, and shows as
   ended.
2. Triggers go by the last price.
3. There are no positions here: the gateway counts our own fills.
4. A plain order that arrives later than 3 s after it was signed is refused (`expTime`); a
   conditional one is taken for as long as its timestamp is good, 30 s. One that arrives late
   carries our ids: it shows in the next look as one too many.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import Instrument
from guardian_core.domain.orders import OrderBody, OrderRef, OrderType
from guardian_core.domain.snapshot import Capabilities, LegsMode, Position, Price
from guardian_gateway.venues.exchange.checks import Finding, clock_finding
from guardian_gateway.venues.exchange.client import Client
from guardian_gateway.venues.exchange.markets import Listing, Markets
from guardian_gateway.venues.exchange.orders import check_pair, one_of_ours
from guardian_gateway.venues.exchange.reading import number
from guardian_gateway.venues.exchange.stream import listen
from guardian_gateway.venues.exchange.surroundings import Surroundings
from guardian_gateway.venues.okx import spot_words as words
from guardian_gateway.venues.okx.account import Setup, account_findings, balances
from guardian_gateway.venues.okx.codes import WIRING, only
from guardian_gateway.venues.okx.instruments import read_listings
from guardian_gateway.venues.okx.orders import Orders
from guardian_gateway.venues.okx.questions import Questions
from guardian_gateway.venues.okx.stream import stream_of
from guardian_gateway.venues.okx.words import accepted, leg_number
from guardian_gateway.venues.port import Balance, VenueFill, VenueOrder

KIND = "SPOT"
CAPABILITIES = Capabilities(
    legs=LegsMode.PAIR,
    amend=False,
    create_then_cancel=False,
    reports_positions=False,
    visibility_delay_s=2.0,
)


class OkxSpot:
    """One account. Made without I/O."""

    name = "okx"

    def __init__(self, around: Surroundings) -> None:
        self._client = Client(WIRING, around)
        self._clock = around.clock
        self._markets = Markets(around.clock, self._read_markets, self.name, around.shelf)
        self._questions = Questions(self._client, self._markets, KIND)
        self._orders = Orders(self._questions, around.clock)

    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    # Reads

    async def instrument(self, symbol: str) -> Instrument:
        return await self._markets.instrument(symbol)

    async def balances(self) -> Sequence[Balance]:
        return await self._client.read("privateGetAccountBalance", {}, balances)

    async def positions(self) -> Sequence[Position]:
        return []

    async def open_orders(self, symbol: str | None = None) -> Sequence[VenueOrder]:
        return await self._orders.open(symbol)

    async def find(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        return await self._orders.find(symbol, client_order_id)

    async def fills(self, symbol: str, since: datetime | None = None) -> Sequence[VenueFill]:
        return await self._orders.fills(symbol, since)

    async def price(self, symbol: str) -> Price:
        name = await self._questions.name_of(symbol)
        began_s = self._clock.monotonic()
        last = await self._client.read(
            "publicGetMarketTicker",
            {"instId": name},
            lambda answer: number(only(answer), "last"),
            signed=False,
        )
        return Price(symbol, last, age_ms=round((self._clock.monotonic() - began_s) * 1000))

    # Writes

    async def create(self, body: OrderBody) -> VenueOrder:
        one_of_ours(body, words.SHAPES, self.name)
        listing = await self._markets.listing_to_write(body.symbol)
        if not body.type.is_conditional:
            return await self._orders.create(words.plain_request(body, listing), body)
        number_ = await self._orders.create_algo(words.algo_request(body, listing))
        return accepted(body, number_)

    async def create_pair(
        self, stop_loss: OrderBody, take_profit: OrderBody
    ) -> Sequence[VenueOrder]:
        check_pair(stop_loss, take_profit, (OrderType.TAKE_PROFIT,))
        listing = await self._markets.listing_to_write(stop_loss.symbol)
        pair = await self._orders.create_algo(words.pair_request(stop_loss, take_profit, listing))
        self._orders.learn_pair(pair, stop_loss.client_order_id, take_profit.client_order_id)
        return [
            accepted(body, leg_number(pair, body.type), pair) for body in (stop_loss, take_profit)
        ]

    async def amend(self, order: OrderRef, body: OrderBody) -> VenueOrder:
        raise CallerError("amend", "okx does not amend orders", "replace it")

    async def cancel(self, order: OrderRef) -> None:
        await self._orders.cancel(order)

    async def set_leverage(self, symbol: str, leverage: Decimal) -> None:
        if leverage != 1:
            raise CallerError("leverage", "spot has no leverage", "set it to 1")

    async def check(self) -> Sequence[Finding]:
        account = await account_findings(self._client, Setup.check_spot)
        return [*account, clock_finding(self._client.skew_ms)]

    async def listen(self, moved: Callable[[], None]) -> None:
        await listen(self._client, stream_of(KIND), moved)

    async def close(self) -> None:
        await self._client.close()

    async def _read_markets(self, _symbol: str) -> dict[str, Listing]:
        return await read_listings(self._client, KIND)
