"""Binance USD-M futures: linear perpetual contracts, in one-way mode.

1. Stop-loss and take-profit are conditional orders of their own service: reduce-only, market,
   triggered by the price that the order names. They cannot be amended, so a new one is created
   before the old one goes.
2. Conditional orders are listed before plain ones: one that triggers in between shows its child.
3. An id is looked for among conditional orders, plain ones and the history of conditional ones:
   only when all three answer that they do not know it is it unknown.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from guardian_core.domain.errors import (
    Ambiguous,
    CallerError,
    NotSent,
    OrderGone,
    Rejected,
    Unavailable,
)
from guardian_core.domain.money import Instrument, plain
from guardian_core.domain.orders import OrderBody, OrderRef, OrderStatus, Role
from guardian_core.domain.snapshot import Capabilities, LegsMode, Position, Price
from guardian_gateway.venues.binance import usdm_words as words
from guardian_gateway.venues.binance.codes import USDM, read_code, read_time_ms
from guardian_gateway.venues.binance.permissions import permission_findings
from guardian_gateway.venues.binance.shared import (
    every_fill,
    listings_of,
    named,
)
from guardian_gateway.venues.binance.stream import USDM_STREAM
from guardian_gateway.venues.exchange.asking import both
from guardian_gateway.venues.exchange.checks import (
    Finding,
    clock_finding,
    found_out,
    one_way_finding,
    trading_finding,
)
from guardian_gateway.venues.exchange.client import Client, Wiring
from guardian_gateway.venues.exchange.errors import Strange
from guardian_gateway.venues.exchange.interest import Interest
from guardian_gateway.venues.exchange.markets import Listing, Markets
from guardian_gateway.venues.exchange.names import OrderNames
from guardian_gateway.venues.exchange.orders import check_is_of, one_of_ours
from guardian_gateway.venues.exchange.reading import flag, number, row, rows, text, to_ms
from guardian_gateway.venues.exchange.stream import listen
from guardian_gateway.venues.exchange.surroundings import Surroundings
from guardian_gateway.venues.port import Balance, VenueFill, VenueOrder

WIRING = Wiring(
    ccxt_id="binanceusdm",
    table=USDM,
    time_call="fapiPublicGetTime",
    read_time_ms=read_time_ms,
    read_code=read_code,
)
CAPABILITIES = Capabilities(
    legs=LegsMode.INDEPENDENT,
    amend=False,
    create_then_cancel=True,
    reports_positions=True,
    visibility_delay_s=2.0,
)

FILLS_WINDOW = timedelta(days=7)
FILLS_KEPT = timedelta(days=180)
HISTORY = timedelta(days=3)
"""How long Binance keeps conditional orders that ended without a fill."""
MODE_GOOD_FOR_S = 600.0


class BinanceUsdm:
    """One account. Made without I/O."""

    name = "binanceusdm"

    def __init__(self, around: Surroundings) -> None:
        self._client = Client(WIRING, around)
        self._interest = Interest(around.clock)
        self._clock = around.clock
        self._markets = Markets(around.clock, self._read_markets, self.name, around.shelf)
        self._names = OrderNames(self._read_name)
        self._margin_mode = around.margin_mode
        self._one_way_until_s = 0.0

    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    # Reads

    async def instrument(self, symbol: str) -> Instrument:
        return await self._markets.instrument(symbol)

    async def balances(self) -> Sequence[Balance]:
        found = await self._client.read(
            "fapiPrivateV3GetBalance", {}, lambda answer: [words.balance(r) for r in rows(answer)]
        )
        return [balance for balance in found if balance.total != 0]

    async def positions(self) -> Sequence[Position]:
        await self._check_mode()
        found = await self._client.read(
            "fapiPrivateV3GetPositionRisk",
            {},
            lambda answer: [words.position(r) for r in rows(answer)],
        )
        positions = [position for position in found if position is not None]
        self._interest.use(*(position.symbol for position in positions))
        return positions

    async def open_orders(self, symbol: str | None = None) -> Sequence[VenueOrder]:
        return await self._interest.listed(symbol, self._list)

    async def _list(self, symbol: str | None) -> list[VenueOrder]:
        params = {"symbol": symbol} if symbol is not None else {}
        conditional = await self._client.read(
            "fapiPrivateGetOpenAlgoOrders", params, lambda a: [words.algo_order(r) for r in rows(a)]
        )
        plain_ones = await self._client.read(
            "fapiPrivateGetOpenOrders", params, lambda a: [words.plain_order(r) for r in rows(a)]
        )
        return [await self._as_it_stands(order) for order in conditional] + plain_ones

    async def find(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        algo, order = await both(
            self._algo(client_order_id), self._plain(symbol, origClientOrderId=client_order_id)
        )
        algo = algo or (None if order else await self._past_algo(symbol, client_order_id))
        return await self._as_it_stands(algo) if algo is not None else order

    async def fills(self, symbol: str, since: datetime | None = None) -> Sequence[VenueFill]:
        now = self._clock.now()
        oldest = now - FILLS_KEPT

        async def ask(params: dict[str, str]) -> Sequence[VenueFill]:
            return await self._client.read(
                "fapiPrivateGetUserTrades",
                {"symbol": symbol, **params},
                lambda answer: [words.fill(r) for r in rows(answer)],
            )

        start = max(since or now - FILLS_WINDOW, oldest)
        return await self._names.told(await every_fill(ask, start, now, FILLS_WINDOW))

    async def price(self, symbol: str) -> Price:
        """Last and mark price."""
        began_s = self._clock.monotonic()
        last, mark = await both(
            self._client.read(
                "fapiPublicV2GetTickerPrice",
                {"symbol": symbol},
                lambda answer: number(row(answer), "price"),
                signed=False,
            ),
            self._client.read(
                "fapiPublicGetPremiumIndex",
                {"symbol": symbol},
                lambda answer: number(row(answer), "markPrice"),
                signed=False,
            ),
        )
        age_ms = round((self._clock.monotonic() - began_s) * 1000)
        return Price(symbol, last, age_ms=age_ms, mark=mark)

    # Writes

    async def create(self, body: OrderBody) -> VenueOrder:
        one_of_ours(body, words.SHAPES, self.name)
        self._interest.use(body.symbol)
        entering = body.role is Role.ENTRY
        await self._check_mode_first()
        try:
            if body.type.is_conditional:
                order = await self._client.write(
                    "fapiPrivatePostAlgoOrder", words.algo_request(body), words.algo_order
                )
            else:
                order = await self._client.write(
                    "fapiPrivatePostOrder",
                    words.plain_request(body),
                    words.plain_order,
                    entering=entering,
                )
        except Rejected:
            # Among the reasons is a position mode that somebody changed.
            self._one_way_until_s = 0.0
            raise
        check_is_of(order, body)
        self._names.learn(order)
        return order

    async def create_pair(
        self, stop_loss: OrderBody, take_profit: OrderBody
    ) -> Sequence[VenueOrder]:
        raise CallerError("pair", "binanceusdm has no pairs", "send both legs as they are")

    async def amend(self, order: OrderRef, body: OrderBody) -> VenueOrder:
        raise CallerError("amend", "binanceusdm does not amend orders", "replace it")

    async def cancel(self, order: OrderRef) -> None:
        if order.conditional:
            mine = {"algoId": order.venue_order_id}
            if not order.venue_order_id:
                mine = {"clientAlgoId": order.client_order_id or ""}
            await self._client.write("fapiPrivateDeleteAlgoOrder", mine, _cancelled_algo)
            return
        ended = await self._client.write("fapiPrivateDeleteOrder", named(order), words.plain_order)
        if not ended.status.is_terminal:
            raise Ambiguous(f"cancelled, and still {ended.status.value}")

    async def set_leverage(self, symbol: str, leverage: Decimal) -> None:
        """Leverage and margin mode: set where they are not so yet, and read back. Raises
        CallerError for a part of a whole."""
        if leverage != leverage.to_integral_value():
            raise CallerError("leverage", f"{leverage} is not whole", "Binance takes whole numbers")
        wanted = words.SymbolConfig(leverage, self._margin_mode)
        stands = await self._config(symbol)
        if stands.margin_mode is not wanted.margin_mode:
            await self._client.write(
                "fapiPrivatePostMarginType", words.margin_request(symbol, self._margin_mode), row
            )
        if stands.leverage != leverage:
            await self._client.write(
                "fapiPrivatePostLeverage",
                {"symbol": symbol, "leverage": plain(leverage)},
                lambda answer: number(row(answer), "leverage"),
            )
        if stands != wanted and (stands := await self._config(symbol)) != wanted:
            raise NotSent(f"{symbol} stands at {stands}, not {wanted}")

    async def _config(self, symbol: str) -> words.SymbolConfig:
        """Raises NotSent where it cannot be read."""
        try:
            return await self._client.read(
                "fapiPrivateGetSymbolConfig", {"symbol": symbol}, words.symbol_config
            )
        except Unavailable as error:
            raise NotSent(f"leverage of {symbol} not read: {error}") from None

    async def check(self) -> Sequence[Finding]:
        hedge, account = await asyncio.gather(
            found_out("position mode", self._mode_findings()),
            found_out("keys", self._account_findings()),
        )
        clock = clock_finding(self._client.skew_ms)
        return [*account, *hedge, *await permission_findings(self._client), clock]

    async def _mode_findings(self) -> Sequence[Finding]:
        await self._ask_mode()
        return [one_way_finding()]

    async def _account_findings(self) -> Sequence[Finding]:
        may_trade = await self._client.read(
            "fapiPrivateV2GetAccount", {}, lambda answer: flag(row(answer), "canTrade")
        )
        return [trading_finding(may_trade)]

    async def listen(self, moved: Callable[[], None]) -> None:
        await listen(self._client, USDM_STREAM, moved)

    async def close(self) -> None:
        await self._client.close()

    async def _read_markets(self, _symbol: str) -> dict[str, Listing]:
        return await self._client.read(
            "fapiPublicGetExchangeInfo",
            {},
            lambda answer: listings_of(row(answer), words.is_linear, words.instrument),
            signed=False,
        )

    async def _check_mode(self) -> None:
        """Raises ConfigurationError in hedge mode, Unavailable when it cannot be asked."""
        if self._clock.monotonic() >= self._one_way_until_s:
            await self._ask_mode()

    async def _ask_mode(self) -> None:
        """What was known stands while it cannot be asked anew."""
        now_s = self._clock.monotonic()
        hedge = await self._client.read(
            "fapiPrivateGetPositionSideDual", {}, lambda a: flag(row(a), "dualSidePosition")
        )
        self._one_way_until_s = 0.0
        if hedge:
            raise words.hedge_mode()
        self._one_way_until_s = now_s + MODE_GOOD_FOR_S

    async def _check_mode_first(self) -> None:
        try:
            await self._check_mode()
        except Unavailable as error:
            raise NotSent(f"position mode not known: {error}") from None

    async def _algo(self, client_order_id: str) -> VenueOrder | None:
        try:
            return await self._client.read(
                "fapiPrivateGetAlgoOrder", {"clientAlgoId": client_order_id}, words.algo_order
            )
        except OrderGone:
            return None

    async def _plain(self, symbol: str, **which: str) -> VenueOrder | None:
        try:
            return await self._client.read(
                "fapiPrivateGetOrder", {"symbol": symbol, **which}, words.plain_order
            )
        except OrderGone:
            return None

    async def _past_algo(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        """Conditional orders that have ended may be shown by their list alone."""
        start = self._clock.now() - HISTORY
        found = await self._client.read(
            "fapiPrivateGetAllAlgoOrders",
            {"symbol": symbol, "startTime": str(to_ms(start)), "limit": "1000"},
            lambda answer: [words.algo_order(r) for r in rows(answer)],
        )
        return next((o for o in found if o.ref.client_order_id == client_order_id), None)

    async def _as_it_stands(self, parent: VenueOrder) -> VenueOrder:
        """A conditional order, with what became of its child once it has triggered."""
        if parent.child_id is None:
            if parent.status is OrderStatus.CLOSED:
                raise Unavailable(f"order {parent.ref.venue_order_id} ended, and its child is hid")
            return parent
        self._names.learn(parent)
        child = await self._plain(parent.ref.symbol, orderId=parent.child_id)
        if child is not None:
            return words.with_child(parent, child)
        if parent.status is OrderStatus.OPEN:
            return parent
        if parent.status is OrderStatus.CLOSED:
            raise Unavailable(f"order {parent.child_id}, a triggered one's child, is not shown")
        return parent

    async def _read_name(self, symbol: str, order_id: str) -> str | None:
        order = await self._plain(symbol, orderId=order_id)
        return order.ref.client_order_id if order is not None else None


def _cancelled_algo(answer: Any) -> str:
    source = row(answer)
    if text(source, "code") != "200":
        raise Strange(f"cancel answered with code {source['code']}")
    return text(source, "algoId")
