"""Kraken spot: long only, never on margin, with the stop-loss alone on the exchange.

1. A sale locks its coins and there are no pairs, so only the stop stands there: the guardian
   watches the take-profit itself. A new stop needs the old one's coins: cancelled first.
2. Triggers go by the last price, and execute at market.
3. An order's answer names its number alone. What may have filled is read back; a stop's own id is
   confirmed by the next listing.
4. Orders name a `deadline` after which Kraken's engine refuses them. A cancel has none; it does
   no harm later.
5. Calls are counted dearly here. A look at all orders may be 3.5 s old, so that at rest every
   second one asks; a look at one symbol never is. Balances are asked for again after a minute.
   Nothing is kept that was read when orders had just changed, by a write or by themselves, or
   when one was looked up: for a moment it may still show how things were before.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from guardian_core.domain.errors import Ambiguous, CallerError, OrderGone, Unavailable
from guardian_core.domain.money import Instrument
from guardian_core.domain.orders import OrderBody, OrderRef, Role
from guardian_core.domain.snapshot import Capabilities, LegsMode, Position, Price
from guardian_gateway.venues.exchange.checks import (
    Finding,
    clock_finding,
    found_out,
    key_findings,
)
from guardian_gateway.venues.exchange.client import Client, Wiring
from guardian_gateway.venues.exchange.making import VALID_FOR_MS
from guardian_gateway.venues.exchange.markets import Listing, Markets
from guardian_gateway.venues.exchange.orders import check_is_of, one_of_ours
from guardian_gateway.venues.exchange.reading import Row, number
from guardian_gateway.venues.exchange.surroundings import Surroundings
from guardian_gateway.venues.kraken import spot_words as words
from guardian_gateway.venues.kraken.codes import SPOT, read_spot_code
from guardian_gateway.venues.kraken.shared import check_not_passed
from guardian_gateway.venues.kraken.spot_listing import balances, listings, result
from guardian_gateway.venues.kraken.spot_trades import SpotTrades
from guardian_gateway.venues.kraken.turns import Turns
from guardian_gateway.venues.port import Balance, VenueFill, VenueOrder

T = TypeVar("T")

HALF_A_SECOND_MS = 500


def read_time_ms(body: Row) -> int:
    """Told in whole seconds: the middle of the one that runs."""
    return int(number(result(body), "unixtime")) * 1000 + HALF_A_SECOND_MS


WIRING = Wiring(
    ccxt_id="kraken",
    table=SPOT,
    time_call="publicGetTime",
    read_time_ms=read_time_ms,
    read_code=read_spot_code,
)
CAPABILITIES = Capabilities(
    legs=LegsMode.STOP_ONLY,
    amend=False,
    create_then_cancel=False,
    reports_positions=False,
    visibility_delay_s=2.0,
    # Kraken takes no deadline that is nearer than 2 s, and tells its clock to the second only.
    valid_for_s=5.5,
)
VALID_FOR = timedelta(seconds=5)
PAGE = 50
"""Orders that ended, in one answer."""
FILLS_WINDOW = timedelta(days=7)
LISTED_GOOD_FOR_S = 3.5
"""Long enough to serve every second look of an account that is looked at every 3 s, and too short
to make one late that is looked at every 4 s."""
BALANCES_GOOD_FOR_S = 60.0
SETTLED_AFTER_S = CAPABILITIES.visibility_delay_s
"""What is read sooner after orders have changed is not kept."""


class KrakenSpot:
    """One account. Made without I/O."""

    name = "kraken"

    def __init__(self, around: Surroundings) -> None:
        self._client = Client(WIRING, around)
        self._turns = Turns()
        self._clock = around.clock
        self._markets = Markets(around.clock, self._read_markets, self.name, around.shelf)
        self._trades = SpotTrades(self._ask, self._now, self._markets)
        self._balances: tuple[float, Sequence[Balance]] | None = None
        self._listed: tuple[float, Sequence[VenueOrder]] | None = None
        self._moved_at_s = -SETTLED_AFTER_S
        self._working: frozenset[tuple[str, Decimal]] = frozenset()

    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    # Reads

    async def instrument(self, symbol: str) -> Instrument:
        return await self._markets.instrument(symbol)

    async def balances(self) -> Sequence[Balance]:
        now_s = self._clock.monotonic()
        if self._balances is not None and now_s - self._balances[0] < BALANCES_GOOD_FOR_S:
            return self._balances[1]
        found = await self._ask("privatePostBalanceEx", {}, balances)
        self._balances = (now_s, found) if self._was_settled(now_s) else None
        return found

    async def positions(self) -> Sequence[Position]:
        return []

    async def open_orders(self, symbol: str | None = None) -> Sequence[VenueOrder]:
        now_s = self._clock.monotonic()
        if self._listed is not None and symbol is None:
            at_s, listed = self._listed
            if now_s - at_s < LISTED_GOOD_FOR_S:
                return listed
        await self._markets.ready()
        found = await self._orders("privatePostOpenOrders", {}, "open")
        working = frozenset((order.ref.venue_order_id, order.filled_quantity) for order in found)
        if working != self._working:
            self._working = working
            self._forget()
        for order in found:
            self._trades.learn(order)
        self._listed = (now_s, found) if self._was_settled(now_s) else None
        return [order for order in found if symbol in (None, order.ref.symbol)]

    async def find(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        """Working orders first: one that ends in between is then among those that ended, or for a
        moment in neither list, and known by its number alone. An id may be used again once its
        order works no more; the last one counts."""
        await self._markets.ready()
        self._forget()
        which = {"cl_ord_id": client_order_id}
        found = await self._orders("privatePostOpenOrders", which, "open")
        found = _only(client_order_id, found)
        if not found:
            past = {**which, "closetime": "both", "without_count": "true"}
            ended = await self._orders("privatePostClosedOrders", past, "closed")
            found = _only(client_order_id, ended)
        if not found and (numbers := self._trades.numbers_of(client_order_id)):
            which = {"txid": numbers[-1]}
            found = _only(
                client_order_id, await self._orders("privatePostQueryOrders", which, None)
            )
        return found[-1] if found else None

    async def fills(self, symbol: str, since: datetime | None = None) -> Sequence[VenueFill]:
        await self._markets.ready()
        return await self._trades.fills(symbol, since or self._clock.now() - FILLS_WINDOW)

    async def price(self, symbol: str) -> Price:
        listing = await self._markets.listing(symbol)
        began_s = self._clock.monotonic()
        last = await self._client.read(
            "publicGetTicker", {"pair": listing.name}, words.last_price, signed=False
        )
        return Price(symbol, last, age_ms=round((self._clock.monotonic() - began_s) * 1000))

    # Writes

    async def create(self, body: OrderBody) -> VenueOrder:
        one_of_ours(body, words.SHAPES, self.name)
        listing = await self._markets.listing_to_write(body.symbol)
        entering = body.role is Role.ENTRY
        if body.type.is_conditional:
            await check_not_passed(body, self.price)
        async with self._changing():
            request = words.order_request(body, listing.name, await self._now() + VALID_FOR)
            number_ = await self._client.write(
                "privatePostAddOrder", request, words.sent_number, entering=entering
            )
        order = words.resting(body, number_, self._clock.now())
        if not body.type.is_conditional:
            order = await self._as_it_stands(number_) or order
            check_is_of(order, body)
        self._trades.learn(order)
        return order

    async def _as_it_stands(self, number_: str) -> VenueOrder | None:
        """An order that was just taken; None when it is not shown yet. Raises Ambiguous: asked as
        a part of the write, whatever else waits."""
        which = {"txid": number_}
        try:
            async with self._turns.writing():
                found = await self._client.write(
                    "privatePostQueryOrders", which, lambda a: words.orders(a, None, self._markets)
                )
        except OrderGone:
            return None
        except Ambiguous:
            raise
        except Exception as error:
            raise Ambiguous(f"order {number_} was taken, and not read back: {error}") from None
        return next((order for order in found if order.ref.venue_order_id == number_), None)

    async def create_pair(
        self, stop_loss: OrderBody, take_profit: OrderBody
    ) -> Sequence[VenueOrder]:
        raise CallerError("pair", "kraken has no pairs", "send the stop-loss alone")

    async def amend(self, order: OrderRef, body: OrderBody) -> VenueOrder:
        raise CallerError("amend", "kraken does not amend orders", "replace it")

    async def cancel(self, order: OrderRef) -> None:
        which = {"txid": order.venue_order_id}
        if not order.venue_order_id:
            which = {"cl_ord_id": order.client_order_id or ""}
        async with self._changing():
            await self._client.write("privatePostCancelOrder", which, words.cancelled)

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[None]:
        """A write's turn. Raises NotSent."""
        async with self._turns.writing():
            self._forget()
            try:
                yield
            finally:
                self._forget()

    def _forget(self) -> None:
        """What was read until now is not to be shown any more."""
        self._listed = self._balances = None
        self._moved_at_s = self._clock.monotonic()

    def _was_settled(self, asked_at_s: float) -> bool:
        return asked_at_s - self._moved_at_s >= SETTLED_AFTER_S

    async def set_leverage(self, symbol: str, leverage: Decimal) -> None:
        if leverage != 1:
            raise CallerError("leverage", "spot has no leverage", "set it to 1")

    async def check(self) -> Sequence[Finding]:
        keys = await found_out("keys", self._key_findings())
        return [*keys, clock_finding(self._client.skew_ms)]

    async def _key_findings(self) -> Sequence[Finding]:
        rights = await self._ask("privatePostGetApiKeyInfo", {}, words.rights)
        may_trade, may_withdraw = "modify-trades" in rights, "withdraw-funds" in rights
        return key_findings(may_trade, may_withdraw, is_live=self._client.is_live)

    async def close(self) -> None:
        await self._client.close()

    async def _now(self) -> datetime:
        """By Kraken's clock."""
        return await self._client.deadline() - timedelta(milliseconds=VALID_FOR_MS)

    async def _ask(self, call: str, params: dict[str, str], parse: Callable[[Any], T]) -> T:
        async with self._turns.asking():
            return await self._client.read(call, params, parse)

    async def _orders(
        self, call: str, params: dict[str, str], field: str | None
    ) -> list[VenueOrder]:
        try:
            return await self._ask(call, params, lambda a: words.orders(a, field, self._markets))
        except OrderGone:
            return []

    async def _read_markets(self, _symbol: str) -> dict[str, Listing]:
        return await self._client.read("publicGetAssetPairs", {}, listings, signed=False)


def _only(client_order_id: str, found: list[VenueOrder]) -> list[VenueOrder]:
    """Oldest first. Raises Unavailable for a full page of others, which may hide the one."""
    mine = [order for order in found if order.ref.client_order_id == client_order_id]
    if not mine and len(found) >= PAGE:
        raise Unavailable(f"order {client_order_id} was asked for, and others were shown")
    return sorted(mine, key=lambda order: order.created_at.timestamp() if order.created_at else 0)
