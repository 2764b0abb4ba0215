"""Binance spot: long only, with stop-loss and take-profit as one order list (OCO).

1. Coins are locked by the first order that sells them, so both legs are one list: when one acts
   or is cancelled, the other is cancelled by Binance.
2. Triggers go by the last price; spot has no mark price.
3. There are no positions here: the gateway counts our own fills.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from guardian_core.domain.errors import Ambiguous, CallerError, OrderGone
from guardian_core.domain.money import Instrument
from guardian_core.domain.orders import OrderBody, OrderRef, OrderType, Role
from guardian_core.domain.snapshot import Capabilities, LegsMode, Position, Price
from guardian_gateway.venues.binance import spot_words as words
from guardian_gateway.venues.binance.codes import SPOT, read_code, read_time_ms
from guardian_gateway.venues.binance.permissions import permission_findings
from guardian_gateway.venues.binance.shared import (
    every_fill,
    latest_fills,
    listings_of,
    named,
)
from guardian_gateway.venues.binance.stream import SPOT_STREAM
from guardian_gateway.venues.exchange.checks import (
    Finding,
    clock_finding,
    found_out,
    trading_finding,
)
from guardian_gateway.venues.exchange.client import Client, Wiring
from guardian_gateway.venues.exchange.interest import Interest
from guardian_gateway.venues.exchange.markets import Listing, Markets
from guardian_gateway.venues.exchange.names import OrderNames
from guardian_gateway.venues.exchange.orders import check_is_of, check_pair, one_of_ours
from guardian_gateway.venues.exchange.reading import flag, number, row, rows
from guardian_gateway.venues.exchange.stream import listen
from guardian_gateway.venues.exchange.surroundings import Surroundings
from guardian_gateway.venues.port import Balance, VenueFill, VenueOrder

WIRING = Wiring(
    ccxt_id="binance",
    table=SPOT,
    time_call="publicGetTime",
    read_time_ms=read_time_ms,
    read_code=read_code,
)
CAPABILITIES = Capabilities(
    legs=LegsMode.PAIR,
    amend=False,
    create_then_cancel=False,
    reports_positions=False,
    visibility_delay_s=2.0,
)
FILLS_WINDOW = timedelta(hours=24)


class BinanceSpot:
    """One account. Made without I/O."""

    name = "binance"

    def __init__(self, around: Surroundings) -> None:
        self._client = Client(WIRING, around)
        self._interest = Interest(around.clock)
        self._clock = around.clock
        self._markets = Markets(around.clock, self._read_market, self.name, around.shelf)
        self._names = OrderNames(self._read_name)

    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    # Reads

    async def instrument(self, symbol: str) -> Instrument:
        return await self._markets.instrument(symbol)

    async def balances(self) -> Sequence[Balance]:
        return await self._client.read(
            "privateGetAccount", {"omitZeroBalances": "true"}, words.balances
        )

    async def positions(self) -> Sequence[Position]:
        return []

    async def open_orders(self, symbol: str | None = None) -> Sequence[VenueOrder]:
        return await self._interest.listed(symbol, self._list)

    async def _list(self, symbol: str | None) -> list[VenueOrder]:
        params = {"symbol": symbol} if symbol is not None else {}
        return await self._client.read(
            "privateGetOpenOrders", params, lambda answer: [words.order(r) for r in rows(answer)]
        )

    async def find(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        return await self._order(symbol, origClientOrderId=client_order_id)

    async def fills(self, symbol: str, since: datetime | None = None) -> Sequence[VenueFill]:
        async def ask(params: dict[str, str]) -> Sequence[VenueFill]:
            return await self._client.read(
                "privateGetMyTrades",
                {"symbol": symbol, **params},
                lambda answer: [words.fill(r) for r in rows(answer)],
            )

        now = self._clock.now()
        start = since or now - FILLS_WINDOW
        found = await latest_fills(ask, start)
        if found is None:
            found = await every_fill(ask, start, now, FILLS_WINDOW)
        return await self._names.told(found)

    async def price(self, symbol: str) -> Price:
        began_s = self._clock.monotonic()
        last = await self._client.read(
            "publicGetTickerPrice",
            {"symbol": symbol},
            lambda answer: number(row(answer), "price"),
            signed=False,
        )
        return Price(symbol, last, age_ms=round((self._clock.monotonic() - began_s) * 1000))

    # Writes

    async def create(self, body: OrderBody) -> VenueOrder:
        one_of_ours(body, words.SHAPES, self.name)
        self._interest.use(body.symbol)
        order = await self._client.write(
            "privatePostOrder",
            words.order_request(body),
            words.order,
            entering=body.role is Role.ENTRY,
        )
        check_is_of(order, body)
        self._names.learn(order)
        return order

    async def create_pair(
        self, stop_loss: OrderBody, take_profit: OrderBody
    ) -> Sequence[VenueOrder]:
        check_pair(stop_loss, take_profit, (OrderType.TAKE_PROFIT, OrderType.LIMIT))
        self._interest.use(stop_loss.symbol)
        orders = await self._client.write(
            "privatePostOrderListOco", words.pair_request(stop_loss, take_profit), words.pair
        )
        by_name = {order.ref.client_order_id: order for order in orders}
        try:
            return [by_name[body.client_order_id] for body in (stop_loss, take_profit)]
        except KeyError:
            raise Ambiguous("the venue's answer is about other orders") from None

    async def amend(self, order: OrderRef, body: OrderBody) -> VenueOrder:
        raise CallerError("amend", "binance does not amend orders", "replace it")

    async def cancel(self, order: OrderRef) -> None:
        if not await self._client.write("privateDeleteOrder", named(order), words.cancelled):
            raise Ambiguous("the cancel was answered, and the order is not cancelled")

    async def set_leverage(self, symbol: str, leverage: Decimal) -> None:
        if leverage != 1:
            raise CallerError("leverage", "spot has no leverage", "set it to 1")

    async def check(self) -> Sequence[Finding]:
        account = await found_out("keys", self._account_findings())
        clock = clock_finding(self._client.skew_ms)
        return [*account, *await permission_findings(self._client), clock]

    async def _account_findings(self) -> Sequence[Finding]:
        may_trade = await self._client.read(
            "privateGetAccount",
            {"omitZeroBalances": "true"},
            lambda answer: flag(row(answer), "canTrade"),
        )
        return [trading_finding(may_trade)]

    async def listen(self, moved: Callable[[], None]) -> None:
        await listen(self._client, SPOT_STREAM, moved)

    async def close(self) -> None:
        await self._client.close()

    async def _order(self, symbol: str, **which: str) -> VenueOrder | None:
        try:
            return await self._client.read(
                "privateGetOrder", {"symbol": symbol, **which}, words.order
            )
        except OrderGone:
            return None

    async def _read_market(self, symbol: str) -> dict[str, Listing]:
        """One symbol's alone: all of them are many megabytes."""
        try:
            return await self._client.read(
                "publicGetExchangeInfo",
                {"symbol": symbol},
                lambda answer: listings_of(row(answer), words.is_spot, words.instrument),
                signed=False,
            )
        except CallerError:
            return {}

    async def _read_name(self, symbol: str, order_id: str) -> str | None:
        order = await self._order(symbol, orderId=order_id)
        return order.ref.client_order_id if order is not None else None
