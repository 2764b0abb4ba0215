"""OKX swaps: linear perpetual contracts, in one-way (net) mode.

1. Stop-loss and take-profit are conditional orders of their own (`order-algo`): reduce-only,
   market, triggered by the price that the order names. Two of them for one leg can stand side by
   side, so a new one is created before the old one goes; they are not amended.
2. A plain order that arrives later than 3 s after it was signed is refused (`expTime`). OKX has no
   such deadline for conditional ones, which it takes for as long as their timestamp is good, 30 s:
   a late one is reduce-only and carries our id, so it shows in the next look as one too many.
3. Margin mode belongs to an order here, and each mode has a position of its own: what reduces a
   position is sent in the mode that the position has.
4. Leverage of another mode than the account's own is left alone.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

from guardian_core.accounts import MarginMode
from guardian_core.domain.errors import (
    CallerError,
    NotSent,
    Rejected,
    Unavailable,
)
from guardian_core.domain.money import Instrument, plain
from guardian_core.domain.orders import OrderBody, OrderRef
from guardian_core.domain.snapshot import Capabilities, LegsMode, Position, Price
from guardian_gateway.venues.exchange.asking import both
from guardian_gateway.venues.exchange.checks import (
    Finding,
    clock_finding,
    found_out,
    one_way_finding,
)
from guardian_gateway.venues.exchange.client import Client
from guardian_gateway.venues.exchange.markets import Listing, Markets
from guardian_gateway.venues.exchange.orders import one_of_ours
from guardian_gateway.venues.exchange.reading import number
from guardian_gateway.venues.exchange.stream import listen
from guardian_gateway.venues.exchange.surroundings import Surroundings
from guardian_gateway.venues.okx import swap_words as words
from guardian_gateway.venues.okx.account import Setup, account_findings, balances, read_setup
from guardian_gateway.venues.okx.codes import WIRING, only
from guardian_gateway.venues.okx.instruments import read_listings
from guardian_gateway.venues.okx.orders import Orders
from guardian_gateway.venues.okx.questions import Questions
from guardian_gateway.venues.okx.stream import stream_of
from guardian_gateway.venues.okx.words import accepted
from guardian_gateway.venues.port import Balance, VenueFill, VenueOrder

KIND = "SWAP"
CAPABILITIES = Capabilities(
    legs=LegsMode.INDEPENDENT,
    amend=False,
    create_then_cancel=True,
    reports_positions=True,
    visibility_delay_s=2.0,
)
SETUP_GOOD_FOR_S = 600.0
ANEW_WITHIN_S = 0.5
"""Of the 2 s that a look at positions may take, and the 3 s of a write."""
FIRST_WITHIN_S = 1.5


class OkxSwap:
    """One account. Made without I/O."""

    name = "okxswap"

    def __init__(self, around: Surroundings) -> None:
        self._client = Client(WIRING, around)
        self._clock = around.clock
        self._markets = Markets(around.clock, self._read_markets, self.name, around.shelf)
        self._questions = Questions(self._client, self._markets, KIND)
        self._orders = Orders(self._questions, around.clock)
        self._margin_mode = around.margin_mode
        self._held_in: dict[str, MarginMode] = {}
        """Margin modes of the positions as last told, by symbol."""
        self._setup_until_s = 0.0
        self._was_fit = False

    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    # Reads

    async def instrument(self, symbol: str) -> Instrument:
        return await self._markets.instrument(symbol)

    async def balances(self) -> Sequence[Balance]:
        return await self._client.read("privateGetAccountBalance", {}, balances)

    async def positions(self) -> Sequence[Position]:
        await self._check_setup()
        await self._markets.ready()
        found = await self._client.read(
            "privateGetAccountPositions",
            {"instType": KIND},
            lambda answer: words.positions(answer, self._questions.unit),
        )
        self._held_in = {position.symbol: mode for position, mode in found}
        return [position for position, _ in found]

    async def open_orders(self, symbol: str | None = None) -> Sequence[VenueOrder]:
        return await self._orders.open(symbol)

    async def find(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        return await self._orders.find(symbol, client_order_id)

    async def fills(self, symbol: str, since: datetime | None = None) -> Sequence[VenueFill]:
        return await self._orders.fills(symbol, since)

    async def price(self, symbol: str) -> Price:
        """Last and mark price."""
        name = await self._questions.name_of(symbol)
        began_s = self._clock.monotonic()
        last, mark = await both(
            self._client.read(
                "publicGetMarketTicker",
                {"instId": name},
                lambda answer: number(only(answer), "last"),
                signed=False,
            ),
            self._client.read(
                "publicGetPublicMarkPrice",
                {"instType": KIND, "instId": name},
                lambda answer: number(only(answer), "markPx"),
                signed=False,
            ),
        )
        age_ms = round((self._clock.monotonic() - began_s) * 1000)
        return Price(symbol, last, age_ms=age_ms, mark=mark)

    # Writes

    async def create(self, body: OrderBody) -> VenueOrder:
        one_of_ours(body, words.SHAPES, self.name)
        await self._check_setup_first(reducing=body.reduce_only)
        listing = await self._markets.listing_to_write(body.symbol)
        try:
            if body.type.is_conditional:
                request = words.algo_request(body, listing, self._mode_for(body))
                return accepted(body, await self._orders.create_algo(request))
            return await self._orders.create(
                words.plain_request(body, listing, self._mode_for(body)), body
            )
        except Rejected:
            # Among the reasons are modes that somebody changed.
            self._setup_until_s = 0.0
            raise

    def _mode_for(self, body: OrderBody) -> MarginMode:
        if body.reduce_only:
            return self._held_in.get(body.symbol, self._margin_mode)
        # What this opens, or adds to, is in the account's own mode from now on.
        self._held_in.pop(body.symbol, None)
        return self._margin_mode

    async def create_pair(
        self, stop_loss: OrderBody, take_profit: OrderBody
    ) -> Sequence[VenueOrder]:
        raise CallerError("pair", "okxswap has no pairs", "send both legs as they are")

    async def amend(self, order: OrderRef, body: OrderBody) -> VenueOrder:
        raise CallerError("amend", "okxswap does not amend orders", "replace it")

    async def cancel(self, order: OrderRef) -> None:
        await self._orders.cancel(order)

    async def set_leverage(self, symbol: str, leverage: Decimal) -> None:
        """For the account's margin mode: set where it is not so yet, and read back."""
        listing = await self._markets.listing_to_write(symbol)
        which = {"instId": listing.name, "mgnMode": words.MARGIN_NAMES[self._margin_mode]}
        if await self._leverage(which) == leverage:
            return
        await self._client.write(
            "privatePostAccountSetLeverage", {**which, "lever": plain(leverage)}, only
        )
        stands = await self._leverage(which)
        if stands != leverage:
            raise NotSent(f"{symbol} stands at {plain(stands)}x, not {plain(leverage)}x")

    async def _leverage(self, which: dict[str, str]) -> Decimal:
        """Raises NotSent where it cannot be read."""
        try:
            return await self._client.read(
                "privateGetAccountLeverageInfo",
                which,
                lambda answer: words.leverage(answer, self._margin_mode),
            )
        except Unavailable as error:
            raise NotSent(f"leverage of {which['instId']} not read: {error}") from None

    async def check(self) -> Sequence[Finding]:
        account, mode = await asyncio.gather(
            account_findings(self._client), found_out("position mode", self._mode_findings())
        )
        return [*account, *mode, clock_finding(self._client.skew_ms)]

    async def _mode_findings(self) -> Sequence[Finding]:
        setup = await self._read_setup()
        return [one_way_finding(f"one-way, in {setup.mode}")]

    async def listen(self, moved: Callable[[], None]) -> None:
        await listen(self._client, stream_of(KIND), moved)

    async def close(self) -> None:
        await self._client.close()

    async def _read_markets(self, _symbol: str) -> dict[str, Listing]:
        return await read_listings(self._client, KIND)

    async def _check_setup(self) -> None:
        """Raises ConfigurationError for modes that cannot be guarded, Unavailable when they were
        never told. What was told once will do where it is not told anew: a position tells its mode
        itself, and nothing that only reduces one is taken in another."""
        try:
            await self._check_setup_now()
        except Unavailable:
            if not self._was_fit:
                raise

    async def _check_setup_now(self) -> None:
        """Raises ConfigurationError for modes that cannot be guarded, Unavailable soon when they
        cannot be asked."""
        if self._clock.monotonic() < self._setup_until_s:
            return
        try:
            async with asyncio.timeout(ANEW_WITHIN_S if self._was_fit else FIRST_WITHIN_S):
                await self._read_setup()
        except TimeoutError:
            raise Unavailable("the account's modes are not told") from None

    async def _read_setup(self) -> Setup:
        asked_at_s = self._clock.monotonic()
        setup = await read_setup(self._client)
        self._was_fit = False
        setup.check_swaps(self._margin_mode)
        self._was_fit = True
        self._setup_until_s = asked_at_s + SETUP_GOOD_FOR_S
        return setup

    async def _check_setup_first(self, *, reducing: bool) -> None:
        try:
            await (self._check_setup() if reducing else self._check_setup_now())
        except Unavailable as error:
            raise NotSent(f"the account's modes are not known: {error}") from None
