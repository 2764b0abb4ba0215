"""A gateway before a real adapter before a fake exchange: everything but the exchange is real."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

from guardian_core.accounts import AccountSpec
from guardian_core.domain.decision import Submit
from guardian_core.domain.errors import Conflict
from guardian_core.domain.money import MarketKind
from guardian_core.domain.orders import OrderStatus
from guardian_core.domain.snapshot import LegsMode
from guardian_core.protocol import DecisionResult
from guardian_core.storage.inline import InlineDatabase
from guardian_gateway.venues.paper import EventKind, PaperExchange
from guardian_gateway.venues.port import VenueOrder
from tests.gateway.world import ACCOUNT, SPOT_QUANTITY, World, stop_loss
from tests.venues.loop import LoopClock
from tests.venues.rigs import ADAPTERS, Rig, rig

SETTLED_WITHIN_S = 60
LOOK_EVERY_S = 2


class WireWorld(World):
    """`tests.gateway.world`, with another venue."""

    def __init__(self, made: Rig) -> None:
        super().__init__(InlineDatabase(clock=made.clock), made.clock)
        self.rig = made
        self.holds_on = True

    def _make_venue(self, account: str, spec: AccountSpec) -> Any:
        return self.rig.venue

    @property
    def exchange(self) -> PaperExchange:
        return self.rig.exchange

    @property
    def wire(self) -> Any:
        return self.rig.wire

    def working(self) -> list[VenueOrder]:
        """Under the ids that the venue shows."""
        return [self._shown(order) for order in self.exchange.open_orders()]

    def _shown(self, order: VenueOrder) -> VenueOrder:
        name = self.wire.names.get(order.ref.venue_order_id)
        number = self.wire.number_of(order.ref)
        return replace(order, ref=replace(order.ref, client_order_id=name, venue_order_id=number))

    def named(self) -> list[str]:
        """The ids of the working orders."""
        return sorted(order.ref.client_order_id or "" for order in self.working())

    def accepted(self, client_order_id: str) -> int:
        """How many orders the venue ever took under an id."""
        return sum(
            event.kind is EventKind.ACCEPTED
            and self.wire.names.get(event.order_id) == client_order_id
            for event in self.exchange.events
        )

    def bought(self) -> Any:
        """What all entries bought together."""
        return sum(
            event.quantity
            for event in self.exchange.events
            if event.kind is EventKind.FILLED and event.side.value == "buy"
        )

    async def settle(self) -> None:
        """Looks as the guardian does until no order's fate is open."""
        for _ in range(SETTLED_WITHIN_S // LOOK_EVERY_S):
            found = await self.gateway.snapshot(ACCOUNT)
            rows = await self.trades()
            open_fates = [row for row in rows if row.status == OrderStatus.PENDING.value]
            sections_ok = found.orders_section.ok and found.positions_section.ok
            in_flight = any(order.in_flight for order in found.orders)
            if sections_ok and not open_fates and not in_flight:
                return
            await asyncio.sleep(LOOK_EVERY_S)
        raise AssertionError(f"not settled: {[(t.role, t.status) for t in await self.trades()]}")

    async def submit_when_resolved(self, state_id: UUID, action: Any) -> DecisionResult:
        """The same request once more, as a replay sends it: until it is not told to wait."""
        for _ in range(SETTLED_WITHIN_S // LOOK_EVERY_S):
            try:
                return await self.submit(state_id, action)
            except Conflict:
                await asyncio.sleep(LOOK_EVERY_S)
        raise AssertionError("the lane never came free")

    async def status(self, client_order_id: str) -> str:
        return (await self.trade(client_order_id)).status

    async def guarded_here(self) -> UUID:
        """A long with both legs, as this venue holds them; or with the stop, where it stands
        alone."""
        if self.stop_alone:
            return await self._guarded_by_the_stop()
        return await (self.guarded_spot() if self.rig.spot else self.guarded())

    @property
    def stop_alone(self) -> bool:
        return self.rig.venue.capabilities().legs is LegsMode.STOP_ONLY

    @property
    def leg_fields(self) -> dict[str, Any]:
        """What a leg for all of an entry is like on this market, besides its level."""
        if not self.rig.spot:
            return {}
        whole = ADAPTERS[self.rig.venue.name].fees_in_quote
        return {"quantity": "0.01" if whole else SPOT_QUANTITY, "reduce_only": False}

    async def _guarded_by_the_stop(self) -> UUID:
        state_id = await self.state(status="pending")
        await self.enter(state_id)
        await self.revise(state_id, status="open", opened_at=self.clock.now())
        result = await self.submit(state_id, Submit((stop_loss(state_id, **self.leg_fields),)))
        assert not result.failed(), result
        return state_id


@asynccontextmanager
async def wire_world(name: str, folder: Path, **how: Any) -> AsyncIterator[WireWorld]:
    clock = LoopClock(asyncio.get_running_loop())
    async with rig(name, folder, clock, **how) as made:
        world = WireWorld(made)
        await world.open(market=MarketKind.SPOT if made.spot else MarketKind.LINEAR)
        try:
            yield world
        finally:
            await world.close()
