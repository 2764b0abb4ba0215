"""Bybit linear perpetuals (USDT and USDC), unified trading account, in one-way mode.

1. Stop-loss and take-profit are conditional orders of their own: reduce-only, market, triggered by
   the price that the order names, in the direction that it names. They keep their number when
   they trigger.
2. Margin mode is the whole account's here, so it is never switched for one symbol: where it is
   another than the account's spec says, the entry is refused with what to do.
3. Lists of all symbols are asked for by what contracts are settled in. Conditional orders are
   asked for by their own filter first, then all kinds, so that one that triggers in between
   shows as what it has become.
"""

from collections.abc import Sequence
from decimal import Decimal

from guardian_core.domain.errors import (
    CallerError,
    ConfigurationError,
    NotSent,
    Rejected,
    Unavailable,
)
from guardian_core.domain.money import MarketKind, plain
from guardian_core.domain.orders import OrderBody, OrderRef
from guardian_core.domain.snapshot import Capabilities, LegsMode, Position
from guardian_gateway.venues.bybit import linear_words, words
from guardian_gateway.venues.bybit.calls import every
from guardian_gateway.venues.bybit.codes import HEDGE_WORDS
from guardian_gateway.venues.bybit.market import BybitMarket
from guardian_gateway.venues.exchange.checks import Finding, found_out, one_way_finding
from guardian_gateway.venues.exchange.markets import Listing
from guardian_gateway.venues.exchange.orders import one_of_ours
from guardian_gateway.venues.exchange.reading import Row
from guardian_gateway.venues.port import VenueOrder

CAPABILITIES = Capabilities(
    legs=LegsMode.INDEPENDENT,
    amend=False,
    create_then_cancel=True,
    reports_positions=True,
    visibility_delay_s=2.0,
)
FILTERS = ("StopOrder", "")
"""Conditional orders, then every kind."""
EVERYWHERE = "BTCUSDT"
"""A symbol that every account has: how it stands tells the account's position mode, as far as
one symbol can."""


class BybitLinear(BybitMarket):
    """One account. Made without I/O."""

    name = "bybitlinear"
    category = "linear"
    kind = MarketKind.LINEAR

    def _listing(self, source: Row) -> Listing | None:
        return linear_words.listing(source)

    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    # Reads

    async def positions(self) -> Sequence[Position]:
        await self._markets.ready()
        found: list[Position] = []
        for coin in linear_words.COINS:
            params = {"category": self.category, "settleCoin": coin, "limit": "200"}
            positions = await every(
                self._client,
                "privateGetV5PositionList",
                params,
                lambda source: linear_words.position(source, self._markets),
            )
            found += [position for position in positions if position is not None]
        return found

    async def open_orders(self, symbol: str | None = None) -> Sequence[VenueOrder]:
        if symbol is not None:
            name = (await self._markets.listing(symbol)).name
            return await self._orders.listed({"symbol": name}, FILTERS)
        found: list[VenueOrder] = []
        for coin in linear_words.COINS:
            found += await self._orders.listed({"settleCoin": coin}, FILTERS)
        return found

    # Writes

    async def create(self, body: OrderBody) -> VenueOrder:
        one_of_ours(body, linear_words.SHAPES, self.name)
        name = (await self._markets.listing_to_write(body.symbol)).name
        try:
            return await self._orders.place(body, linear_words.order_request(body, name))
        except Rejected as error:
            if HEDGE_WORDS in str(error):
                raise linear_words.hedge_mode() from error
            raise

    async def create_pair(
        self, stop_loss: OrderBody, take_profit: OrderBody
    ) -> Sequence[VenueOrder]:
        raise CallerError("pair", "bybitlinear has no pairs", "send both legs as they are")

    async def amend(self, order: OrderRef, body: OrderBody) -> VenueOrder:
        raise CallerError("amend", "bybitlinear does not amend orders", "replace it")

    async def cancel(self, order: OrderRef) -> None:
        await self._orders.cancel(order, {})

    async def set_leverage(self, symbol: str, leverage: Decimal) -> None:
        """Set where it is another, and read back. Raises ConfigurationError where the account's
        margin or position mode is not the one to trade in."""
        name = (await self._markets.listing_to_write(symbol)).name
        await self._check_margin_mode()
        stands = await self._config(name)
        if not stands.one_way:
            raise linear_words.hedge_mode()
        if stands.leverage == leverage:
            return
        refusal: Rejected | None = None
        try:
            await self._client.write(
                "privatePostV5PositionSetLeverage",
                linear_words.leverage_request(name, leverage),
                words.result,
            )
        except Rejected as error:
            # Among the reasons is that it stands so already.
            refusal = error
        if (stands := await self._config(name)).leverage != leverage:
            shown = "unknown" if stands.leverage is None else f"{plain(stands.leverage)}x"
            raise refusal or NotSent(f"the leverage of {symbol} is {shown}, not {plain(leverage)}x")

    async def _check_margin_mode(self) -> None:
        try:
            mode = await self._client.read("privateGetV5AccountInfo", {}, linear_words.margin_mode)
        except Unavailable as error:
            raise NotSent(f"margin mode not read: {error}") from None
        if mode is not self._margin_mode:
            stands = mode.value if mode is not None else "Portfolio"
            raise ConfigurationError(
                f"the account's margin mode is {stands}, and {self._margin_mode.value} is set for"
                " it here: change marginMode, or the mode of the whole account at the exchange"
            )

    async def _config(self, name: str) -> linear_words.SymbolConfig:
        """Raises NotSent where it cannot be read."""
        try:
            return await self._client.read(
                "privateGetV5PositionList",
                {"category": self.category, "symbol": name},
                linear_words.symbol_config,
            )
        except Unavailable as error:
            raise NotSent(f"leverage of {name} not read: {error}") from None

    async def _own_findings(self) -> Sequence[Finding]:
        return await found_out("position mode", self._mode_findings())

    async def _mode_findings(self) -> Sequence[Finding]:
        """Of what is held, and of one symbol more: Bybit has a mode per symbol."""
        await self.positions()
        if not (await self._config(EVERYWHERE)).one_way:
            raise linear_words.hedge_mode()
        return [one_way_finding()]
