"""Engine, gateway and guardian on one loop, over a real database and the paper venue.

The services are the real ones, put together as their build functions do; alerts are stored by
hand here (the receiver has tests of its own, and `tests/e2e/test_scenarios.py` goes over HTTP).
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from prometheus_client import CollectorRegistry
from sqlalchemy import select

from guardian_core.accounts import AccountSpec, PaperSpec, PolicySpec
from guardian_core.clock import SystemClock
from guardian_core.domain.orders import Role
from guardian_core.domain.snapshot import AccountSnapshot, WorkingOrder
from guardian_core.ids import SystemIds
from guardian_core.messaging.in_process import InProcessBus
from guardian_core.ports import Database, NoMirror, Tx
from guardian_core.protocol import CancelByHand, FaultKind, InjectFault, SetPrice
from guardian_core.storage.accounts_store import put_account
from guardian_core.storage.lanes import lane_for
from guardian_core.storage.schema import Trade, Webhook, WebhookState
from guardian_engine.build import build_engine
from guardian_gateway.desk import VenueMaker
from guardian_gateway.holder import Holder
from guardian_gateway.in_process import InProcessGatewayClient
from guardian_gateway.service import Gateway
from guardian_gateway.venues.factory import venue_maker
from guardian_operator.build import build_guardian
from tests.support import rows
from tests.support.wait import eventually_async

T = TypeVar("T")

INSTALLATION = "testin"
ACCOUNT = "main"
SYMBOL = "BTCUSDT"
PRICE = Decimal(43_000)


@dataclass
class House:
    """A running product and hands to use it with."""

    database: Database
    client: InProcessGatewayClient
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    starters: dict[str, Callable[[], Any]] = field(default_factory=dict)
    bus: InProcessBus = field(default_factory=InProcessBus)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    ids: SystemIds = field(default_factory=SystemIds)
    sent: int = 0

    async def run(self, fn: Callable[[Tx], T]) -> T:
        return await self.database.run(fn)

    async def alert(self, action: str, **columns: Any) -> UUID:
        """Stores an alert as the receiver does, wakes the engine, returns the webhook's id."""
        self.sent += 1
        bar_time = columns.pop("bar_time", datetime.now(tz=UTC) + timedelta(seconds=self.sent))

        def store(tx: Tx) -> UUID:
            lane_id = lane_for(tx, ACCOUNT, SYMBOL)
            return rows.webhook(tx, self.ids, lane_id, action=action, bar_time=bar_time, **columns)

        webhook_id = await self.run(store)
        await self.bus.publish({"webhook_id": str(webhook_id)})
        return webhook_id

    async def done(self, webhook_id: UUID, within_s: float = 5.0) -> Webhook:
        """The webhook once it is finished."""

        async def finished() -> Webhook | None:
            row = await self.run(lambda tx: tx.get(Webhook, webhook_id))
            return row if row is not None and row.status in ("processed", "error") else None

        return await eventually_async(finished, within_s=within_s, what="webhook finished")

    async def did(self, action: str, **columns: Any) -> Webhook:
        """Sends an alert and waits for its end."""
        return await self.done(await self.alert(action, **columns))

    async def snapshot(self) -> AccountSnapshot:
        return await self.client.snapshot(ACCOUNT, SYMBOL)

    async def legs(self) -> dict[Role, WorkingOrder]:
        """What works on the venue for each role; fails where one role has two orders."""
        orders = [o for o in (await self.snapshot()).orders if o.role is not None]
        found = {o.role: o for o in orders if o.role is not None}
        assert len(found) == len(orders), orders
        return found

    async def position(self) -> Decimal:
        """Signed live quantity on the venue."""
        held = next(iter((await self.snapshot()).positions), None)
        return Decimal(0) if held is None else held.quantity * held.side.sign

    async def state(self) -> WebhookState:
        """The newest state of the lane."""

        def read(tx: Tx) -> WebhookState:
            newest = select(WebhookState).order_by(WebhookState.created_at.desc()).limit(1)
            return tx.scalars(newest).one()

        return await self.run(read)

    async def trades(self) -> list[Trade]:
        return await self.run(lambda tx: list(tx.scalars(select(Trade).order_by(Trade.created_at))))

    async def price(self, price: Decimal | int | str) -> None:
        await self.client.paper(ACCOUNT, SetPrice(symbol=SYMBOL, price=Decimal(price)))

    async def fault(self, kind: FaultKind, **how: Any) -> None:
        await self.client.paper(ACCOUNT, InjectFault(fault=kind, **how))

    async def cancel_by_hand(self, order: WorkingOrder) -> None:
        await self.client.paper(ACCOUNT, CancelByHand(order_id=order.ref.venue_order_id))

    async def protected(self, within_s: float = 10.0) -> dict[Role, WorkingOrder]:
        """The legs, once both desired ones work for the whole live quantity."""

        async def both() -> dict[Role, WorkingOrder] | None:
            legs, live = await self.legs(), abs(await self.position())
            found = {role: order for role, order in legs.items() if role.is_leg}
            whole = all(order.remaining == live for order in found.values())
            return found if live and whole and len(found) == 2 else None

        return await eventually_async(both, within_s=within_s, what="both legs work")

    def start(self, name: str) -> None:
        self.tasks[name] = asyncio.create_task(self.starters[name](), name=name)

    async def stop(self, name: str) -> None:
        task = self.tasks.pop(name)
        if not task.done():
            task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        if ended is not None and not isinstance(ended, asyncio.CancelledError):
            raise ended


@asynccontextmanager
async def open_house(
    database: Database,
    *,
    paper: PaperSpec | None = None,
    start: bool = True,
    make_venue: VenueMaker | None = None,
    **spec: Any,
) -> AsyncIterator[House]:
    """A house with one account: on paper, priced at 43,000, unless `make_venue` makes another
    venue. `start`: engine and guardian run."""
    clock, ids, registry = SystemClock(), SystemIds(), CollectorRegistry()
    news = InProcessBus()
    account = AccountSpec(
        account_id=ACCOUNT,
        guard_interval_seconds=spec.pop("guard_interval_seconds", 0.5),
        paper=paper or PaperSpec(),
        policy=PolicySpec(**spec.pop("policy", {})),
        **spec,
    )
    await database.run(lambda tx: put_account(tx, ACCOUNT, account))
    holder = Holder(database, clock, identity="gateway-1", take_over=True)
    gateway = Gateway(
        database,
        clock,
        installation=INSTALLATION,
        make_venue=make_venue or venue_maker(database, clock),
        holder=holder,
        registry=registry,
        news=news,
    )
    await holder.look()
    holding = asyncio.create_task(holder.run())
    client = InProcessGatewayClient(gateway)
    house = House(database, client, registry=registry)
    parts: dict[str, Any] = {
        "database": database,
        "gateway": client,
        "mirror": NoMirror(),
        "clock": clock,
        "ids": ids,
        "installation": INSTALLATION,
    }
    house.starters = {
        "engine": lambda: build_engine(**parts, bus=house.bus, registry=CollectorRegistry()).run(),
        "guardian": lambda: build_guardian(
            **parts, registry=CollectorRegistry(), take_over=True, news=news
        ).run(),
    }
    if make_venue is None:
        await house.price(PRICE)
    try:
        if start:
            house.start("engine")
            house.start("guardian")
        yield house
    finally:
        for name in list(house.tasks):
            await house.stop(name)
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
        await gateway.close()
