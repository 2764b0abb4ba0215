"""One account on a paper venue, a gateway before it, and short ways to say what is asked of it.

`StagedVenue` stands between the two: a test tells it what the next call of a kind shall meet.
"""

import asyncio
import functools
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from prometheus_client import CollectorRegistry
from sqlalchemy import select, update

from guardian_core.accounts import AccountSpec
from guardian_core.domain.decision import Amend, Cancel, Reduce, Submit
from guardian_core.domain.money import Instrument, MarketKind
from guardian_core.domain.orders import (
    OrderBody,
    OrderRef,
    OrderSide,
    OrderType,
    Role,
    entry_order_id,
    leg_order_id,
)
from guardian_core.domain.plan import Policy
from guardian_core.domain.snapshot import Capabilities, Position, Price
from guardian_core.ports import Bus, Clock, Database, Tx
from guardian_core.protocol import (
    DecisionRequest,
    DecisionResult,
    Enter,
    OrderOutcome,
    PaperCommand,
    PaperReport,
    Source,
)
from guardian_core.storage.accounts_store import get_account, put_account
from guardian_core.storage.inline import InlineDatabase
from guardian_core.storage.lanes import lane_for
from guardian_core.storage.schema import Fill, Lease, Trade, Webhook, WebhookState
from guardian_gateway.main import build_gateway
from guardian_gateway.service import Gateway
from guardian_gateway.venues.paper import MemoryStore, PaperExchange, PaperTiming, PaperVenue
from guardian_gateway.venues.port import Balance, VenueFill, VenueOrder
from tests.simulation.loop import VirtualClock, VirtualTimeLoop
from tests.support import rows
from tests.support.ids import SeededIds
from tests.support.loops import to_its_end

T = TypeVar("T")
D = Decimal

ACCOUNT = "main"
SYMBOL = "BTCUSDT"
INSTALLATION = "guardn"
TRACE = "ab" * 16
SPOT_QUANTITY = "0.00999"
"""What is left of 0.01 bought on spot: less 0.05 % fee, in whole steps."""

PROMPT = PaperTiming()


def on_virtual_time(
    test: Callable[..., Coroutine[Any, Any, None]],
) -> Callable[..., None]:
    """Runs an async test on a loop whose time jumps: three seconds of timeout take no time."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with closing(VirtualTimeLoop(seed=1)) as loop:
            loop.run_until_complete(to_its_end(test(*args, **kwargs)))

    return run


@dataclass
class Stage:
    """What one call meets. `before`: an error instead of the call; `after`: instead of its answer;
    `hangs`: no answer ever; `gate`: waits before it acts. `arrived` is set when the call comes."""

    before: Exception | None = None
    after: Exception | None = None
    hangs: bool = False
    gate: asyncio.Event | None = None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)


class StagedVenue:
    """A venue whose next calls can be made to go wrong; `asked` lists all calls."""

    name = "paper"

    def __init__(self, inner: PaperVenue) -> None:
        self.inner = inner
        self.asked: list[str] = []
        self._stages: dict[str, deque[Stage]] = defaultdict(deque)

    def stage(self, call: str, **how: Any) -> Stage:
        stage = Stage(**how)
        self._stages[call].append(stage)
        return stage

    def capabilities(self) -> Capabilities:
        return self.inner.capabilities()

    async def instrument(self, symbol: str) -> Instrument:
        return await self._meet("instrument", lambda: self.inner.instrument(symbol))

    async def balances(self) -> Sequence[Balance]:
        return await self._meet("balances", self.inner.balances)

    async def positions(self) -> Sequence[Position]:
        return await self._meet("positions", self.inner.positions)

    async def open_orders(self, symbol: str | None = None) -> Sequence[VenueOrder]:
        return await self._meet("open_orders", lambda: self.inner.open_orders(symbol))

    async def find(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        return await self._meet("find", lambda: self.inner.find(symbol, client_order_id))

    async def fills(self, symbol: str, since: datetime | None = None) -> Sequence[VenueFill]:
        return await self._meet("fills", lambda: self.inner.fills(symbol, since))

    async def price(self, symbol: str) -> Price:
        return await self._meet("price", lambda: self.inner.price(symbol))

    async def create(self, body: OrderBody) -> VenueOrder:
        return await self._meet("create", lambda: self.inner.create(body))

    async def create_pair(
        self, stop_loss: OrderBody, take_profit: OrderBody
    ) -> Sequence[VenueOrder]:
        return await self._meet(
            "create_pair", lambda: self.inner.create_pair(stop_loss, take_profit)
        )

    async def amend(self, order: OrderRef, body: OrderBody) -> VenueOrder:
        return await self._meet("amend", lambda: self.inner.amend(order, body))

    async def cancel(self, order: OrderRef) -> None:
        await self._meet("cancel", lambda: self.inner.cancel(order))

    async def set_leverage(self, symbol: str, leverage: Decimal) -> None:
        await self._meet("set_leverage", lambda: self.inner.set_leverage(symbol, leverage))

    async def paper_command(self, command: PaperCommand) -> PaperReport:
        return await self.inner.paper_command(command)

    async def close(self) -> None:
        await self.inner.close()

    async def _meet(self, call: str, act: Callable[[], Awaitable[T]]) -> T:
        self.asked.append(call)
        stage = self._stages[call].popleft() if self._stages[call] else Stage()
        stage.arrived.set()
        if stage.gate is not None:
            await stage.gate.wait()
        if stage.before is not None:
            raise stage.before
        answer = await act()
        if stage.hangs:
            await asyncio.Event().wait()
        if stage.after is not None:
            raise stage.after
        return answer


class World:
    """The account `main` with the lane BTCUSDT; the market stands at 43000."""

    def __init__(self, database: Database, clock: Clock, timing: PaperTiming = PROMPT) -> None:
        self.database = database
        self.clock = clock
        self.store = MemoryStore()
        self.ids = SeededIds()
        self.venues: list[StagedVenue] = []
        self.gateways: list[Gateway] = []
        self.lane_id = 0
        self.news: Bus | None = None
        self.registry = CollectorRegistry()
        """Of the newest gateway."""
        self.holds_on = False
        """Whether gateways renew their leases: time passes by itself here."""
        self._timing = timing
        self._holding: list[asyncio.Task[None]] = []

    @classmethod
    async def virtual(cls, timing: PaperTiming = PROMPT, **spec: Any) -> "World":
        """On the running virtual-time loop, with a database in memory."""
        clock = VirtualClock(asyncio.get_running_loop())
        world = cls(InlineDatabase(clock=clock), clock, timing)
        world.holds_on = True
        return await world.open(**spec)

    async def open(self, market: MarketKind = MarketKind.LINEAR, **spec: Any) -> "World":
        paper = {"market": market, "balance": D(100_000)} | spec.pop("paper", {})

        def write(tx: Tx) -> int:
            given = {"account_id": ACCOUNT, "paper": paper} | spec
            put_account(tx, ACCOUNT, AccountSpec.model_validate(given))
            return lane_for(tx, ACCOUNT, SYMBOL)

        self.lane_id = await self.database.run(write)
        await self.start_gateway()
        self.set_price("43000")
        return self

    async def respec(self, **spec: Any) -> None:
        """The account's row as somebody changes it."""

        def write(tx: Tx) -> None:
            row = get_account(tx, ACCOUNT)
            assert row is not None
            given = row.spec.model_dump(mode="json", by_alias=True) | spec
            put_account(tx, ACCOUNT, AccountSpec.model_validate(given))

        await self.database.run(write)

    async def add_lane(self, symbol: str) -> None:
        await self.database.run(lambda tx: lane_for(tx, ACCOUNT, symbol))

    async def start_gateway(self, *, take_over: bool = True, url: str = "") -> Gateway:
        """A new gateway process, which takes the lease over from any earlier one."""
        self.registry = CollectorRegistry()
        gateway = build_gateway(
            database=self.database,
            clock=self.clock,
            ids=self.ids,
            installation=INSTALLATION,
            registry=self.registry,
            url=url,
            take_over=take_over,
            make_venue=self._make_venue,
            news=self.news,
        )
        self.gateways.append(gateway)
        await gateway.holder.look()
        if self.holds_on:
            self._holding.append(asyncio.create_task(gateway.holder.run()))
        # So that the venue is there to be staged.
        if gateway.holder.is_held:
            await gateway.instrument(ACCOUNT, SYMBOL)
        return gateway

    def stop_renewing(self) -> None:
        for holding in self._holding:
            holding.cancel()

    def _make_venue(self, account: str, spec: AccountSpec) -> StagedVenue:
        inner = PaperVenue(account, spec, self.store, self.clock, timing=self._timing)
        self.venues.append(StagedVenue(inner))
        return self.venues[-1]

    @property
    def gateway(self) -> Gateway:
        return self.gateways[-1]

    @property
    def policy(self) -> Policy:
        return Policy()

    @property
    def venue(self) -> StagedVenue:
        return self.venues[-1]

    @property
    def exchange(self) -> PaperExchange:
        return self.store._books[ACCOUNT].exchange

    def set_price(self, price: str, symbol: str = SYMBOL) -> None:
        self.exchange.set_price(symbol, D(price), self.clock.now())

    def working(self) -> list[VenueOrder]:
        return list(self.exchange.open_orders())

    async def rename_holder(self, url: str) -> None:
        """The lease's row says that its holder answers there."""
        await self.database.run(lambda tx: tx.execute(update(Lease).values(url=url)))

    async def close(self) -> None:
        for gateway in self.gateways:
            await gateway.close()
        await self.database.close()

    # Rows

    async def state(self, **columns: Any) -> UUID:
        """An open long of 0.01, unless told otherwise."""
        values = {"trace_id": TRACE} | columns
        return await self.database.run(lambda tx: rows.state(tx, self.ids, self.lane_id, **values))

    async def webhook(self, **columns: Any) -> UUID:
        values = {"action": "BuyMarket"} | columns
        return await self.database.run(
            lambda tx: rows.webhook(tx, self.ids, self.lane_id, **values)
        )

    async def revise(self, state_id: UUID, **columns: Any) -> None:
        """The state as some other writer leaves it."""
        change = update(WebhookState).where(WebhookState.id == state_id).values(**columns)
        await self.database.run(lambda tx: tx.execute(change))

    async def change_trade(self, client_order_id: str, **columns: Any) -> None:
        change = update(Trade).where(Trade.client_order_id == client_order_id).values(**columns)
        await self.database.run(lambda tx: tx.execute(change))

    async def trades(self) -> list[Trade]:
        query = select(Trade).order_by(Trade.created_at, Trade.role, Trade.attempt)
        return await self.database.run(lambda tx: list(tx.scalars(query)))

    async def trade(self, client_order_id: str) -> Trade:
        return next(t for t in await self.trades() if t.client_order_id == client_order_id)

    async def fills(self) -> list[Fill]:
        query = select(Fill).order_by(Fill.at, Fill.venue_fill_id)
        return await self.database.run(lambda tx: list(tx.scalars(query)))

    async def webhook_row(self, webhook_id: UUID) -> Webhook | None:
        return await self.database.run(lambda tx: tx.get(Webhook, webhook_id))

    # Requests

    async def submit(
        self,
        state_id: UUID | None,
        *actions: Enter | Submit | Amend | Cancel | Reduce,
        revision: int = 1,
        gateway: Gateway | None = None,
    ) -> DecisionResult:
        return await (gateway or self.gateway).submit(
            ACCOUNT, SYMBOL, request(state_id, *actions, revision=revision)
        )

    async def enter(
        self,
        state_id: UUID,
        *,
        quantity: str = "0.01",
        price: str | None = None,
        side: OrderSide = OrderSide.BUY,
    ) -> OrderOutcome:
        """By a webhook of this moment."""
        webhook_id = await self.webhook()
        action = entry(webhook_id, quantity=quantity, price=price, side=side)
        return only(await self.submit(state_id, action))

    async def guarded(self, *, stop: str = "42000", profit: str = "45000") -> UUID:
        """A long of 0.01 that was entered, with both legs working."""
        state_id = await self.state(status="pending")
        await self.enter(state_id)
        await self.revise(state_id, status="open", opened_at=self.clock.now())
        await self.protect(state_id, stop, profit)
        return state_id

    async def protect(self, state_id: UUID, stop: str = "42000", profit: str = "45000") -> None:
        legs = (stop_loss(state_id, stop), take_profit(state_id, profit))
        result = await self.submit(state_id, *(Submit((leg,)) for leg in legs))
        assert not result.failed(), result

    async def guarded_spot(self) -> UUID:
        """The same on spot: coins less the fee, and a pair for what is left in whole steps."""
        state_id = await self.state(status="pending")
        await self.enter(state_id)
        await self.revise(state_id, status="open", opened_at=self.clock.now())
        fields: dict[str, Any] = {"quantity": SPOT_QUANTITY, "reduce_only": False}
        pair = (stop_loss(state_id, **fields), take_profit(state_id, **fields))
        result = await self.submit(state_id, Submit(pair))
        assert not result.failed(), result
        return state_id

    def ref(self, client_order_id: str) -> OrderRef:
        """As a snapshot names a working order."""
        return next(o.ref for o in self.working() if o.ref.client_order_id == client_order_id)


def request(
    state_id: UUID | None,
    *actions: Enter | Submit | Amend | Cancel | Reduce,
    revision: int = 1,
) -> DecisionRequest:
    return DecisionRequest(
        state_id=state_id,
        revision=revision,
        source=Source.GUARDIAN,
        trace_id=TRACE,
        actions=actions,
    )


def only(result: DecisionResult) -> OrderOutcome:
    assert len(result.outcomes) == 1, result
    return result.outcomes[0]


def leg(
    state_id: UUID,
    role: Role,
    trigger: str,
    *,
    quantity: str = "0.01",
    revision: int = 1,
    attempt: int = 1,
    reduce_only: bool = True,
) -> OrderBody:
    """A protective sell of a long."""
    return OrderBody(
        client_order_id=leg_order_id(INSTALLATION, state_id, role, revision, attempt),
        role=role,
        symbol=SYMBOL,
        side=OrderSide.SELL,
        type=OrderType(role.value),
        quantity=D(quantity),
        revision=revision,
        attempt=attempt,
        trigger_price=D(trigger),
        reduce_only=reduce_only,
    )


def stop_loss(state_id: UUID, trigger: str = "42000", **fields: Any) -> OrderBody:
    return leg(state_id, Role.STOP_LOSS, trigger, **fields)


def take_profit(state_id: UUID, trigger: str = "45000", **fields: Any) -> OrderBody:
    return leg(state_id, Role.TAKE_PROFIT, trigger, **fields)


def exit_body(
    state_id: UUID,
    quantity: str = "0.01",
    *,
    revision: int = 1,
    attempt: int = 1,
    reduce_only: bool = True,
) -> OrderBody:
    return OrderBody(
        client_order_id=leg_order_id(INSTALLATION, state_id, Role.EXIT, revision, attempt),
        role=Role.EXIT,
        symbol=SYMBOL,
        side=OrderSide.SELL,
        type=OrderType.MARKET,
        quantity=D(quantity),
        revision=revision,
        attempt=attempt,
        reduce_only=reduce_only,
    )


def entry(
    webhook_id: UUID,
    *,
    quantity: str = "0.01",
    price: str | None = None,
    revision: int = 1,
    leverage: str | None = None,
    side: OrderSide = OrderSide.BUY,
) -> Enter:
    """A long unless told otherwise, at market or at a limit."""
    body = OrderBody(
        client_order_id=entry_order_id(INSTALLATION, webhook_id),
        role=Role.ENTRY,
        symbol=SYMBOL,
        side=side,
        type=OrderType.MARKET if price is None else OrderType.LIMIT,
        quantity=D(quantity),
        revision=revision,
        attempt=1,
        price=D(price) if price is not None else None,
    )
    return Enter(
        body=body, webhook_id=webhook_id, leverage=D(leverage) if leverage is not None else None
    )
