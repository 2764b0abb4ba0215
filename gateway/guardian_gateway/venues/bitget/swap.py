"""Bitget USDT futures: linear perpetual contracts of a classic account, in one-way mode.

1. Stop-loss and take-profit are partial TP/SL plans (`loss_plan`, `profit_plan`), each with its own
   id and size: they close the position and nothing else, and several may stand side by side. (Of
   the kind for the whole position there is only one, so it could not be replaced before it goes.)
2. Plans are listed before plain orders. One that has triggered is in the history alone, which names
   the plain order that it became.
3. An id is looked for among plans, plain orders and the history of plans: only when all three
   answer that they do not know it is it unknown.
4. A create is answered with its ids alone; what a plain order filled is read right after.
5. Nothing limits how long a request stays valid but its time, which Bitget takes for 30 s: so long
   an entry or exit that was not answered may still come to be (see CAPABILITIES).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from guardian_core.domain.errors import CallerError, OrderGone, Rejected, Unavailable
from guardian_core.domain.money import Instrument
from guardian_core.domain.orders import OrderBody, OrderRef, OrderStatus, OrderType, Role
from guardian_core.domain.snapshot import Capabilities, LegsMode, Position, Price
from guardian_gateway.venues.bitget import swap_words as words
from guardian_gateway.venues.bitget.codes import TABLE, read_code, read_time_ms
from guardian_gateway.venues.bitget.history import History
from guardian_gateway.venues.bitget.recent import Recent
from guardian_gateway.venues.bitget.shared import (
    LISTS_LAG_S,
    LOOK_AGAIN_S,
    WINDOW,
    account_findings,
    as_taken,
    data,
    listings_of,
    named,
    page_of,
    pages,
    read_back,
    seen,
    taken,
    until_ended,
)
from guardian_gateway.venues.bitget.stream import stream_of
from guardian_gateway.venues.bitget.swap_account import Account
from guardian_gateway.venues.exchange.asking import both
from guardian_gateway.venues.exchange.checks import Finding, clock_finding, found_out
from guardian_gateway.venues.exchange.client import Client, Wiring
from guardian_gateway.venues.exchange.errors import Strange
from guardian_gateway.venues.exchange.markets import Listing, Markets
from guardian_gateway.venues.exchange.names import OrderNames, Unsure
from guardian_gateway.venues.exchange.orders import check_is_of, one_of_ours
from guardian_gateway.venues.exchange.reading import Row, number, rows
from guardian_gateway.venues.exchange.stream import listen
from guardian_gateway.venues.exchange.surroundings import Surroundings
from guardian_gateway.venues.port import Balance, VenueFill, VenueOrder

T = TypeVar("T")

WIRING = Wiring(
    ccxt_id="bitget",
    table=TABLE,
    time_call="publicCommonGetV2PublicTime",
    read_time_ms=read_time_ms,
    read_code=read_code,
    options={"uta": False},
)
CAPABILITIES = Capabilities(
    legs=LegsMode.INDEPENDENT,
    amend=False,
    create_then_cancel=True,
    reports_positions=True,
    visibility_delay_s=4.0,
    valid_for_s=30.0,
)
"""A new plan is known to be missing from its list for 2 to 3 s."""

_DETAIL = "privateMixGetV2MixOrderDetail"


class BitgetSwap:
    """One account. Made without I/O."""

    name = "bitgetswap"

    def __init__(self, around: Surroundings) -> None:
        self._client = Client(WIRING, around)
        self._clock = around.clock
        self._account = Account(self._client, around.clock, around.margin_mode)
        self._markets = Markets(around.clock, self._read_markets, self.name, around.shelf)
        self._names = OrderNames(self._read_name)
        self._history = History()
        self._kinds: Recent[OrderType] = Recent()
        """Of plans that were seen waiting, by each of their ids."""
        self._seen_at_s: Recent[float] = Recent()
        """When last."""
        self._margin_mode = around.margin_mode

    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    # Reads

    async def instrument(self, symbol: str) -> Instrument:
        return await self._markets.instrument(symbol)

    async def balances(self) -> Sequence[Balance]:
        found = await self._client.read(
            "privateMixGetV2MixAccountAccounts",
            words.PRODUCT,
            lambda answer: [words.balance(r, self._margin_mode) for r in rows(data(answer))],
        )
        return [balance for balance in found if balance.total != 0]

    async def positions(self) -> Sequence[Position]:
        await self._account.check_mode()
        return await self._held()

    async def open_orders(self, symbol: str | None = None) -> Sequence[VenueOrder]:
        which = {"symbol": symbol} if symbol is not None else {}
        plans = await self._plans("Pending", which)
        for plan in plans:
            self._note(plan)
        plain_ones = await self._listed(
            "privateMixGetV2MixOrderOrdersPending", {**words.PRODUCT, **which}, words.plain_order
        )
        return plans + plain_ones

    async def find(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        found = await self._found(symbol, client_order_id)
        if found is None and client_order_id in self._kinds:
            # A plan that was there may be in neither list while it triggers.
            await asyncio.sleep(LOOK_AGAIN_S)
            found = await self._found(symbol, client_order_id)
        seen_s = self._seen_at_s.get(client_order_id)
        lately = seen_s is not None and self._clock.monotonic() - seen_s < LISTS_LAG_S
        if found is None and lately:
            raise Unavailable(f"plan {client_order_id} is in neither list")
        return found

    async def _found(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        which = {"symbol": symbol, "clientOid": client_order_id}
        plans, order = await both(self._plans("Pending", which), self._plain(which))
        plan = _named(plans, client_order_id)
        if plan is None and order is None:
            plan = _named(await self._plans("History", which), client_order_id)
        return await self._as_it_stands(plan) if plan is not None else order

    async def fills(self, symbol: str, since: datetime | None = None) -> Sequence[VenueFill]:
        async def ask(more: dict[str, str]) -> tuple[list[VenueFill], str]:
            return await self._client.read(
                "privateMixGetV2MixOrderFills",
                {"symbol": symbol, **words.PRODUCT, **more},
                lambda answer: page_of(answer, "fillList", words.fill),
            )

        now = self._clock.now()
        found = await self._history.fills(symbol, ask, since or now - WINDOW, now)
        return await self._names.told(found, now)

    async def price(self, symbol: str) -> Price:
        """Last and mark price."""
        began_s = self._clock.monotonic()
        last, mark = await self._client.read(
            "publicMixGetV2MixMarketSymbolPrice",
            {"symbol": symbol, **words.PRODUCT},
            _last_and_mark,
            signed=False,
        )
        age_ms = round((self._clock.monotonic() - began_s) * 1000)
        return Price(symbol, last, age_ms=age_ms, mark=mark)

    # Writes

    async def create(self, body: OrderBody) -> VenueOrder:
        one_of_ours(body, words.SHAPES, self.name)
        await self._account.check_mode_first(reducing=body.reduce_only)
        try:
            if body.type.is_conditional:
                return await self._create_plan(body)
            return await self._create_plain(body)
        except Rejected:
            # Among the reasons is a position mode that somebody changed.
            self._account.doubt_mode()
            raise

    async def _create_plan(self, body: OrderBody) -> VenueOrder:
        ack = await self._client.write(
            "privateMixPostV2MixOrderPlaceTpslOrder", words.plan_request(body), taken
        )
        order = as_taken(body, ack)
        check_is_of(order, body)
        self._note(order)
        return order

    async def _create_plain(self, body: OrderBody) -> VenueOrder:
        ack = await self._client.write(
            "privateMixPostV2MixOrderPlaceOrder",
            words.plain_request(body, self._margin_mode),
            taken,
            entering=body.role is Role.ENTRY,
        )
        order = as_taken(body, ack)
        check_is_of(order, body)
        self._names.learn(order)
        which = {"symbol": body.symbol, **words.PRODUCT, "orderId": ack.order_id}
        return await read_back(
            order,
            lambda: self._client.read(_DETAIL, which, lambda a: seen(a, words.one_order)),
        )

    async def create_pair(
        self, stop_loss: OrderBody, take_profit: OrderBody
    ) -> Sequence[VenueOrder]:
        raise CallerError("pair", "bitgetswap has no pairs", "send both legs as they are")

    async def amend(self, order: OrderRef, body: OrderBody) -> VenueOrder:
        raise CallerError("amend", "bitgetswap does not amend orders", "replace it")

    async def cancel(self, order: OrderRef) -> None:
        which = named(order)
        if order.conditional:
            await self._cancel_plan(order, which)
            return
        await self._client.write(
            "privateMixPostV2MixOrderCancelOrder",
            {"symbol": order.symbol, **words.PRODUCT, **words.COIN, **which},
            taken,
        )
        await until_ended(lambda: self._plain({"symbol": order.symbol, **which}))

    async def _cancel_plan(self, order: OrderRef, which: Mapping[str, str]) -> None:
        """A cancel must name the plan's type. One that this process has not seen is tried as a
        stop-loss, then as a take-profit."""
        known = next(filter(None, map(self._kinds.get, _ids(order))), None)
        kinds = (OrderType.STOP_LOSS, OrderType.TAKE_PROFIT) if known is None else (known,)
        for kind in kinds:
            try:
                await self._client.write(
                    "privateMixPostV2MixOrderCancelPlanOrder",
                    words.cancel_plan_request(order, kind, which),
                    lambda answer: words.cancelled_plan(answer, which),
                )
            except OrderGone:
                if kind is kinds[-1]:
                    raise
            else:
                return

    async def set_leverage(self, symbol: str, leverage: Decimal) -> None:
        await self._account.set_leverage(symbol, leverage)

    async def check(self) -> Sequence[Finding]:
        account, mode = await asyncio.gather(
            account_findings(self._client, "coow"),
            found_out("position mode", self._account.mode_findings()),
        )
        return [*account, *mode, clock_finding(self._client.skew_ms)]

    async def listen(self, moved: Callable[[], None]) -> None:
        await listen(self._client, stream_of("USDT-FUTURES"), moved)

    async def close(self) -> None:
        await self._client.close()

    # Details

    def _note(self, plan: VenueOrder) -> None:
        for name in _ids(plan.ref):
            self._kinds.note(name, plan.type)
            self._seen_at_s.note(name, self._clock.monotonic())

    async def _read_markets(self, _symbol: str) -> dict[str, Listing]:
        return await self._client.read(
            "publicMixGetV2MixMarketContracts",
            words.PRODUCT,
            lambda answer: listings_of(answer, words.is_linear, words.instrument),
            signed=False,
        )

    async def _held(self) -> list[Position]:
        found = await self._client.read(
            "privateMixGetV2MixPositionAllPosition",
            {**words.PRODUCT, **words.COIN},
            lambda answer: [words.position(r) for r in rows(data(answer) or [])],
        )
        return [position for position in found if position is not None]

    async def _plans(self, where: str, which: Mapping[str, str]) -> list[VenueOrder]:
        """Plans that wait (`Pending`) or have ended (`History`), with the side that closes."""
        found = await self._listed(
            f"privateMixGetV2MixOrderOrdersPlan{where}",
            {**words.PRODUCT, **words.PLANS, **which},
            words.plan_order,
        )
        held = await self._held() if found else []
        return [words.closing(plan, held) for plan in found]

    async def _listed(
        self, call: str, params: Mapping[str, str], read: Callable[[Row], T]
    ) -> list[T]:
        async def ask(more: dict[str, str]) -> tuple[list[T], str]:
            return await self._client.read(
                call, {**params, **more}, lambda answer: page_of(answer, "entrustedList", read)
            )

        return await pages(ask)

    async def _plain(self, which: Mapping[str, str]) -> VenueOrder | None:
        try:
            return await self._client.read(_DETAIL, {**words.PRODUCT, **which}, words.one_order)
        except OrderGone:
            return None

    async def _as_it_stands(self, plan: VenueOrder) -> VenueOrder:
        """A plan, with what became of its child once it has triggered."""
        if plan.status is not OrderStatus.CLOSED:
            return plan
        if plan.child_id is None:
            raise Unavailable(f"plan {plan.ref.venue_order_id} triggered, and its child is hid")
        self._names.learn(plan)
        child = await self._plain({"symbol": plan.ref.symbol, "orderId": plan.child_id})
        if child is None:
            raise Unavailable(f"order {plan.child_id}, a triggered plan's child, is not shown")
        return words.with_child(plan, child)

    async def _read_name(self, symbol: str, order_id: str) -> str | None:
        """A plain order's own id, or that of the plan that became it."""
        order = await self._plain({"symbol": symbol, "orderId": order_id})
        if order is None or order.reduce_only:
            for plan in await self._plans("History", {"symbol": symbol}):
                if plan.child_id == order_id:
                    return plan.ref.client_order_id
            # The plan that became it may show later.
            raise Unsure(order.ref.client_order_id if order is not None else None)
        return order.ref.client_order_id


def _ids(order: OrderRef) -> list[str]:
    return [name for name in (order.venue_order_id, order.client_order_id) if name]


def _named(orders: Sequence[VenueOrder], client_order_id: str) -> VenueOrder | None:
    return next((o for o in orders if o.ref.client_order_id == client_order_id), None)


def _last_and_mark(answer: Any) -> tuple[Decimal, Decimal]:
    for source in rows(data(answer))[:1]:
        return number(source, "price"), number(source, "markPrice")
    raise Strange("no symbol in the answer")
