"""Bitget spot, classic accounts: long only, with the stop-loss alone on the exchange.

1. Classic spot has no order pairs, and two plans that sell the same coins could both fire. So the
   stop stands there as a plan, and the guardian itself watches the take-profit.
2. Whether a waiting plan locks its coins does not matter here: it is taken back before anything
   else is sold. Triggers go by the last price (see spot_plans for what a plan knows of itself).
3. Bitget counts a buy at market in money, and might buy more coins than were asked for. It is sent
   as a limit order of so many coins that is filled at once or cancelled, at most 1 % through the
   book; one that was filled in part is over, with what it filled.
4. Plans can only be listed by symbol: those that had plans or were used lately are. After a restart
   the gateway looks for each order of ours that is not listed, so its symbol is used again.
5. A plain order is refused 3 s after it was made; for a plan Bitget knows no such limit.
6. There are no positions here: the gateway counts our own fills.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from ccxt.base.types import Entry  # type: ignore[import-untyped]

from guardian_core.domain.errors import (
    CallerError,
    NotSent,
    OrderGone,
    Rejected,
    RejectReason,
    Unavailable,
)
from guardian_core.domain.money import Instrument
from guardian_core.domain.orders import OrderBody, OrderRef, OrderSide, Role
from guardian_core.domain.snapshot import Capabilities, LegsMode, Position, Price
from guardian_gateway.venues.bitget import spot_words as words
from guardian_gateway.venues.bitget.codes import TABLE, read_code, read_time_ms
from guardian_gateway.venues.bitget.history import History
from guardian_gateway.venues.bitget.recent import Recent
from guardian_gateway.venues.bitget.shared import (
    WINDOW,
    account_findings,
    as_taken,
    data,
    listings_of,
    named,
    pages,
    read_back,
    seen,
    taken,
    until_ended,
)
from guardian_gateway.venues.bitget.spot_plans import SUB_ORDERS, Plans
from guardian_gateway.venues.bitget.stream import stream_of
from guardian_gateway.venues.exchange.asking import both
from guardian_gateway.venues.exchange.checks import Finding, clock_finding
from guardian_gateway.venues.exchange.client import Client, Wiring
from guardian_gateway.venues.exchange.making import VALID_FOR_MS
from guardian_gateway.venues.exchange.markets import Listing, Markets
from guardian_gateway.venues.exchange.names import OrderNames, Unsure
from guardian_gateway.venues.exchange.orders import check_is_of, one_of_ours
from guardian_gateway.venues.exchange.reading import rows, to_ms
from guardian_gateway.venues.exchange.stream import listen
from guardian_gateway.venues.exchange.surroundings import Surroundings
from guardian_gateway.venues.port import Balance, VenueFill, VenueOrder

WIRING = Wiring(
    ccxt_id="bitget",
    table=TABLE,
    time_call="publicCommonGetV2PublicTime",
    read_time_ms=read_time_ms,
    read_code=read_code,
    options={"uta": False},
    members={
        SUB_ORDERS: Entry("v2/spot/trade/plan-sub-order", ["private", "spot"], "GET", {"cost": 1})
    },
)
CAPABILITIES = Capabilities(
    legs=LegsMode.STOP_ONLY,
    amend=False,
    create_then_cancel=False,
    reports_positions=False,
    visibility_delay_s=4.0,
    valid_for_s=30.0,
)
"""As on futures: the 3 s of a plain order are asked for, and nothing is built upon them."""

USED_FOR_S = 600.0

_ORDER = "privateSpotGetV2SpotTradeOrderInfo"


class BitgetSpot:
    """One account. Made without I/O."""

    name = "bitget"

    def __init__(self, around: Surroundings) -> None:
        self._client = Client(WIRING, around)
        self._clock = around.clock
        self._markets = Markets(around.clock, self._read_market, self.name, around.shelf)
        self._names = OrderNames(self._read_name)
        self._history = History()
        self._plans = Plans(self._client, around.clock, self._plain, self._names)
        self._used: Recent[float] = Recent()
        """When each symbol was last used, or seen with a plan."""

    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    # Reads

    async def instrument(self, symbol: str) -> Instrument:
        return await self._markets.instrument(symbol)

    async def balances(self) -> Sequence[Balance]:
        return await self._client.read(
            "privateSpotGetV2SpotAccountAssets",
            {"assetType": "hold_only"},
            lambda answer: [words.balance(source) for source in rows(data(answer) or [])],
        )

    async def positions(self) -> Sequence[Position]:
        return []

    async def open_orders(self, symbol: str | None = None) -> Sequence[VenueOrder]:
        """Plans first: one that triggers in between shows as its child, or is asked for."""
        if symbol is not None:
            self._use(symbol)
        found: list[VenueOrder] = []
        for listed in await asyncio.gather(
            *(self._plans.waiting(each) for each in self._worth_a_look(symbol)),
            return_exceptions=True,
        ):
            if isinstance(listed, BaseException):
                raise listed
            found += listed
        self._use(*{plan.ref.symbol for plan in found})
        return found + await self._resting(symbol)

    async def _resting(self, symbol: str | None) -> list[VenueOrder]:
        async def ask(more: dict[str, str]) -> tuple[list[VenueOrder], str]:
            return await self._client.read(
                "privateSpotGetV2SpotTradeUnfilledOrders", more, words.plain_page
            )

        return await pages(ask, **({"symbol": symbol} if symbol is not None else {}))

    async def find(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        self._use(symbol)
        plan, order = await both(
            self._plans.find(symbol, client_order_id), self._plain({"clientOid": client_order_id})
        )
        return plan if plan is not None else order

    async def fills(self, symbol: str, since: datetime | None = None) -> Sequence[VenueFill]:
        async def ask(more: dict[str, str]) -> tuple[list[VenueFill], str]:
            return await self._client.read(
                "privateSpotGetV2SpotTradeFills", {"symbol": symbol, **more}, words.fills_page
            )

        now = self._clock.now()
        found = await self._history.fills(symbol, ask, since or now - WINDOW, now)
        return await self._names.told(found, now)

    async def price(self, symbol: str) -> Price:
        began_s = self._clock.monotonic()
        last, _ = await self._plans.ticker(symbol)
        return Price(symbol, last, age_ms=round((self._clock.monotonic() - began_s) * 1000))

    # Writes

    async def create(self, body: OrderBody) -> VenueOrder:
        one_of_ours(body, words.SHAPES, self.name)
        self._use(body.symbol)
        # Without keys nothing is asked at all, the price neither.
        await self._client.deadline()
        if body.type.is_conditional:
            return await self._plans.create(body)
        return await self._create_plain(body)

    async def _create_plain(self, body: OrderBody) -> VenueOrder:
        bound = await self._bound(body) if words.is_bounded(body) else None
        made_ms = to_ms(await self._client.deadline()) - VALID_FOR_MS
        window = {"requestTime": str(made_ms), "receiveWindow": str(VALID_FOR_MS)}
        ack = await self._client.write(
            "privateSpotPostV2SpotTradePlaceOrder",
            words.plain_request(body, bound) | window,
            taken,
            entering=body.role is Role.ENTRY,
        )
        order = as_taken(body, ack)
        check_is_of(order, body)
        self._names.learn(order)
        return await read_back(order, lambda: self._shown(ack.order_id))

    async def _bound(self, body: OrderBody) -> Decimal:
        """Raises NotSent where the price is not known now."""
        try:
            instrument = (await self._markets.listing_to_write(body.symbol)).instrument
            last, ask = await self._plans.ticker_now(body.symbol)
        except CallerError as error:
            raise Rejected(RejectReason.UNKNOWN_SYMBOL, str(error)) from None
        except (OrderGone, Unavailable) as error:
            raise NotSent(f"the price is not known: {error}") from None
        return words.bound(last, ask, instrument)

    async def create_pair(
        self, stop_loss: OrderBody, take_profit: OrderBody
    ) -> Sequence[VenueOrder]:
        raise CallerError("pair", "bitget has no pairs", "send the stop-loss alone")

    async def amend(self, order: OrderRef, body: OrderBody) -> VenueOrder:
        raise CallerError("amend", "bitget does not amend orders", "replace it")

    async def cancel(self, order: OrderRef) -> None:
        if order.conditional:
            await self._plans.cancel(order)
            return
        which = named(order)
        await self._client.write(
            "privateSpotPostV2SpotTradeCancelOrder", {"symbol": order.symbol, **which}, taken
        )
        await until_ended(lambda: self._plain(which))

    async def set_leverage(self, symbol: str, leverage: Decimal) -> None:
        if leverage != 1:
            raise CallerError("leverage", "spot has no leverage", "set it to 1")

    async def check(self) -> Sequence[Finding]:
        account = await account_findings(self._client, "stow")
        return [*account, clock_finding(self._client.skew_ms)]

    async def listen(self, moved: Callable[[], None]) -> None:
        await listen(self._client, stream_of("SPOT"), moved)

    async def close(self) -> None:
        await self._client.close()

    # Details

    def _use(self, *symbols: str) -> None:
        for symbol in symbols:
            self._used.note(symbol, self._clock.monotonic())

    def _worth_a_look(self, symbol: str | None) -> list[str]:
        if symbol is not None:
            return [symbol]
        after_s = self._clock.monotonic() - USED_FOR_S
        return sorted(each for each, at_s in self._used.items() if at_s >= after_s)

    async def _plain(self, which: Mapping[str, str]) -> VenueOrder | None:
        try:
            return await self._client.read(_ORDER, which, words.one_order)
        except OrderGone:
            return None

    async def _shown(self, order_id: str) -> VenueOrder:
        order = await self._client.read(
            _ORDER, {"orderId": order_id}, lambda answer: seen(answer, words.one_order)
        )
        if order is None:
            raise OrderGone(f"order {order_id} is not shown yet")
        return order

    async def _read_market(self, symbol: str) -> dict[str, Listing]:
        try:
            return await self._client.read(
                "publicSpotGetV2SpotPublicSymbols",
                {"symbol": symbol} if symbol else {},
                lambda answer: listings_of(answer, words.is_spot, words.instrument),
                signed=False,
            )
        except CallerError:
            return {}

    async def _read_name(self, symbol: str, order_id: str) -> str | None:
        """A plain order's own id, or that of the plan that became it."""
        order = await self._plain({"orderId": order_id})
        if order is None or order.side is OrderSide.SELL:
            name = await self._plans.became(symbol, order_id, order)
            if name is not None:
                return name
            # The plan that became it may show later.
            raise Unsure(order.ref.client_order_id if order is not None else None)
        return order.ref.client_order_id
