"""Bybit spot, unified trading account: long only, with the stop-loss alone on the exchange.

1. Bybit takes no pair of a stop-loss and a take-profit through its interface, and either order
   alone locks the coins. So the stop stands there, as an order that locks its coins from the
   start, and the guardian itself watches the take-profit.
2. Triggers go by the last price. A spot order names no direction: it waits for the price to come
   to its trigger from wherever it is. So a stop-loss that the price has passed is not refused; it
   would wait for the price to rise. The price is looked at before a stop is sent, and the order
   afterwards (it tells the price that it was placed at); one that waits on the wrong side is taken
   back at once, or whenever it is next seen; by a process that did not send it, it is shown as no
   stop.
3. There are no positions here: the gateway counts our own fills.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from guardian_core.domain.errors import (
    Ambiguous,
    CallerError,
    GuardianError,
    OrderGone,
    Rejected,
    RejectReason,
    Unavailable,
)
from guardian_core.domain.money import MarketKind
from guardian_core.domain.orders import OrderBody, OrderRef, OrderSide, OrderType
from guardian_core.domain.snapshot import Capabilities, LegsMode, Position
from guardian_gateway.venues.bybit import spot_words
from guardian_gateway.venues.bybit.market import BybitMarket
from guardian_gateway.venues.exchange.markets import Listing
from guardian_gateway.venues.exchange.orders import one_of_ours
from guardian_gateway.venues.exchange.reading import Row
from guardian_gateway.venues.exchange.surroundings import Surroundings
from guardian_gateway.venues.port import VenueOrder

CAPABILITIES = Capabilities(
    legs=LegsMode.STOP_ONLY,
    amend=False,
    create_then_cancel=False,
    reports_positions=False,
    visibility_delay_s=2.0,
)
FILTERS = (spot_words.STOP, "")
"""Stops, then every kind."""
STOPS_KEPT = 1_000
PRICE_WITHIN_S = 0.5
"""Of the 3 s that a write may take in all."""


class BybitSpot(BybitMarket):
    """One account. Made without I/O."""

    name = "bybit"
    category = "spot"
    kind = MarketKind.SPOT

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._stops: OrderedDict[str, None] = OrderedDict()
        """The ids of stop-losses sent by this process: what they are meant to be."""

    def _listing(self, source: Row) -> Listing | None:
        return spot_words.listing(source)

    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    # Reads

    async def positions(self) -> Sequence[Position]:
        return []

    async def open_orders(self, symbol: str | None = None) -> Sequence[VenueOrder]:
        where = {}
        if symbol is not None:
            where = {"symbol": (await self._markets.listing_to_write(symbol)).name}
        listed = await self._orders.listed(where, FILTERS)
        found = [await self._on_its_side(order) for order in listed]
        return [order for order in found if not order.status.is_terminal]

    async def find(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        found = await self._orders.find(symbol, client_order_id)
        return await self._on_its_side(found) if found is not None else None

    # Writes

    async def create(self, body: OrderBody) -> VenueOrder:
        one_of_ours(body, spot_words.SHAPES, self.name)
        name = (await self._markets.listing_to_write(body.symbol)).name
        if body.type is OrderType.STOP_LOSS:
            await self._check_not_crossed(body)
            self._stops[body.client_order_id] = None
            while len(self._stops) > STOPS_KEPT:
                self._stops.popitem(last=False)
        placed = await self._orders.place(body, spot_words.order_request(body, name))
        if not self._is_turned(placed):
            return placed
        ended = await self._taken_back(placed)
        if ended.filled_quantity > 0:
            return ended
        raise _crossed(body)

    async def create_pair(
        self, stop_loss: OrderBody, take_profit: OrderBody
    ) -> Sequence[VenueOrder]:
        raise CallerError("pair", "bybit has no pairs", "send the stop-loss alone")

    async def amend(self, order: OrderRef, body: OrderBody) -> VenueOrder:
        raise CallerError("amend", "bybit does not amend orders", "replace it")

    async def cancel(self, order: OrderRef) -> None:
        kind = spot_words.kind_of(is_conditional=order.conditional)
        await self._orders.cancel(order, {"orderFilter": kind})

    async def set_leverage(self, symbol: str, leverage: Decimal) -> None:
        if leverage != 1:
            raise CallerError("leverage", "spot has no leverage", "set it to 1")

    # Stops on the wrong side of the price

    async def _check_not_crossed(self, body: OrderBody) -> None:
        """A price that cannot be read, or does not come at once, holds no stop up: the order itself
        is looked at next."""
        assert body.trigger_price is not None
        try:
            async with asyncio.timeout(PRICE_WITHIN_S):
                last = (await self.price(body.symbol)).last
        except (GuardianError, TimeoutError):
            return
        selling = body.side is OrderSide.SELL
        if last <= body.trigger_price if selling else last >= body.trigger_price:
            raise _crossed(body)

    def _is_turned(self, order: VenueOrder) -> bool:
        """Whether a stop-loss of ours waits for the price to come from the other side."""
        mine = order.ref.client_order_id in self._stops
        return mine and order.type is OrderType.TAKE_PROFIT and not order.status.is_terminal

    async def _on_its_side(self, order: VenueOrder) -> VenueOrder:
        """The order, once a turned one has been taken back. Raises Unavailable until it is. What
        waits on that side and was not sent by this process may be somebody else's take-profit, or
        a stop of one that died: it is shown without a level, which no stop of ours has."""
        if not self._is_turned(order):
            turned = order.type is OrderType.TAKE_PROFIT
            return replace(order, trigger_price=None) if turned else order
        try:
            return await self._taken_back(order)
        except Ambiguous as error:
            raise Unavailable(f"a stop waits on the wrong side of the price: {error}") from None

    async def _taken_back(self, order: VenueOrder) -> VenueOrder:
        """The order as it ended. Raises Ambiguous while that is not sure."""
        try:
            await self.cancel(order.ref)
        except OrderGone:
            pass
        except GuardianError as error:
            raise Ambiguous(f"not taken back: {error}") from None
        try:
            ended = await self._orders.find(order.ref.symbol, order.ref.client_order_id or "")
        except GuardianError as error:
            raise Ambiguous(f"taken back, and not seen since: {error}") from None
        if ended is None or not ended.status.is_terminal:
            raise Ambiguous("taken back, and not shown as such")
        return ended


def _crossed(body: OrderBody) -> Rejected:
    return Rejected(
        RejectReason.CROSSED, f"the price has passed {body.trigger_price}, where it was to sell"
    )
