"""How a Bitget futures account stands: its position mode, and what backs each symbol."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal

from guardian_core.accounts import MarginMode
from guardian_core.domain.errors import CallerError, NotSent, Unavailable
from guardian_core.ports import Clock
from guardian_gateway.venues.bitget import swap_words as words
from guardian_gateway.venues.bitget.shared import data
from guardian_gateway.venues.exchange.checks import Finding, one_way_finding
from guardian_gateway.venues.exchange.client import Client

MODE_OF = "BTCUSDT"
"""Whose answer tells the position mode, which is one for all symbols."""
MODE_GOOD_FOR_S = 600.0
ANEW_WITHIN_S = 0.5
"""Of the 2 s that a look at positions may take, and the 3 s of a write."""
FIRST_WITHIN_S = 1.5


class Account:
    """One account's."""

    def __init__(self, client: Client, clock: Clock, margin_mode: MarginMode) -> None:
        self._client = client
        self._clock = clock
        self._margin_mode = margin_mode
        self._one_way_until_s = 0.0
        self._was_one_way = False

    def doubt_mode(self) -> None:
        """The next order asks for the position mode again."""
        self._one_way_until_s = 0.0

    async def check_mode(self) -> None:
        """Raises ConfigurationError in hedge mode, Unavailable when it was never told. What was
        told once will do where it is not told anew: a position tells its mode itself, and nothing
        that only reduces one is taken in another."""
        try:
            await self._check_mode_now()
        except Unavailable:
            if not self._was_one_way:
                raise

    async def _check_mode_now(self) -> None:
        """Raises ConfigurationError in hedge mode, Unavailable soon when it cannot be asked."""
        if self._clock.monotonic() < self._one_way_until_s:
            return
        try:
            async with asyncio.timeout(ANEW_WITHIN_S if self._was_one_way else FIRST_WITHIN_S):
                await self._ask_mode()
        except TimeoutError:
            raise Unavailable("the position mode is not told") from None

    async def _ask_mode(self) -> None:
        """What was known stands while it cannot be asked anew."""
        now_s = self._clock.monotonic()
        one_way = (await self._backing(MODE_OF)).one_way
        self._one_way_until_s, self._was_one_way = 0.0, one_way
        if not one_way:
            raise words.hedge_mode()
        self._one_way_until_s = now_s + MODE_GOOD_FOR_S

    async def check_mode_first(self, *, reducing: bool) -> None:
        """Before an order. Raises NotSent where the mode is not known."""
        try:
            await (self.check_mode() if reducing else self._check_mode_now())
        except Unavailable as error:
            raise NotSent(f"position mode not known: {error}") from None

    async def mode_findings(self) -> Sequence[Finding]:
        """Raises what asking raises."""
        await self._ask_mode()
        return [one_way_finding()]

    async def set_leverage(self, symbol: str, leverage: Decimal) -> None:
        """Leverage and margin mode: set where they are not so yet, and read back. Raises
        CallerError for a part of a whole."""
        if leverage != leverage.to_integral_value():
            raise CallerError("leverage", f"{leverage} is not whole", "Bitget takes whole numbers")
        wanted = words.Backing(True, self._margin_mode, frozenset({leverage}))
        stands = first = await self._backing_to_write(symbol)
        if stands.margin_mode is not wanted.margin_mode:
            await self._client.write(
                "privateMixPostV2MixAccountSetMarginMode",
                words.margin_request(symbol, self._margin_mode),
                data,
            )
            stands = await self._backing_to_write(symbol)
        if stands.leverages != wanted.leverages:
            await self._client.write(
                "privateMixPostV2MixAccountSetLeverage",
                words.leverage_request(symbol, leverage),
                data,
            )
        if first != wanted and (stands := await self._backing_to_write(symbol)) != wanted:
            raise NotSent(f"{symbol} stands at {stands}, not {wanted}")

    async def _backing_to_write(self, symbol: str) -> words.Backing:
        """Raises NotSent where it cannot be read."""
        try:
            return await self._backing(symbol)
        except Unavailable as error:
            raise NotSent(f"leverage of {symbol} not read: {error}") from None

    async def _backing(self, symbol: str) -> words.Backing:
        return await self._client.read(
            "privateMixGetV2MixAccountAccount",
            {"symbol": symbol, **words.PRODUCT, **words.COIN},
            words.backing,
        )
