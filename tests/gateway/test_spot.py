"""Positions on spot: what our own fills left, and never a user's other coins."""

import asyncio
from decimal import Decimal
from typing import Any

from guardian_core.domain.decision import Submit
from guardian_core.domain.money import MarketKind
from guardian_core.domain.orders import PositionSide
from guardian_core.domain.snapshot import LegsMode
from tests.gateway.world import (
    ACCOUNT,
    SPOT_QUANTITY,
    World,
    on_virtual_time,
    stop_loss,
    take_profit,
)
from tests.support import paper

D = Decimal


async def held(world: World) -> list[Decimal]:
    snapshot = await world.gateway.snapshot(ACCOUNT)
    assert snapshot.positions_section.ok, snapshot.positions_section
    return [position.quantity for position in snapshot.positions]


async def spot() -> World:
    return await World.virtual(market=MarketKind.SPOT)


@on_virtual_time
async def test_a_position_is_what_was_bought_less_the_fee_taken_in_coins() -> None:
    world = await spot()
    await world.guarded_spot()
    snapshot = await world.gateway.snapshot(ACCOUNT)
    (position,) = snapshot.positions
    assert (position.side, position.quantity) == (PositionSide.LONG, D(SPOT_QUANTITY))
    assert position.entry_price == D(43_000)
    assert snapshot.capabilities.legs is LegsMode.PAIR


@on_virtual_time
async def test_coins_that_the_user_bought_are_not_counted() -> None:
    world = await spot()
    await world.venue.inner.create(paper.body("before", "buy", "market", "0.3"))
    await world.guarded_spot()
    await asyncio.sleep(1)
    await world.venue.inner.create(paper.body("after", "buy", "market", "0.5"))
    assert await held(world) == [D(SPOT_QUANTITY)]


@on_virtual_time
async def test_coins_that_the_user_sold_are_gone() -> None:
    world = await spot()
    state_id = await world.state(status="pending")
    await world.enter(state_id)
    await world.venue.inner.create(paper.body("by-hand", "sell", "market", "0.004"))
    assert await held(world) == [D("0.00599")]


@on_virtual_time
async def test_coins_locked_by_our_pair_are_counted_once() -> None:
    """The user sold half of what we bought; the pair holds all that is left."""
    world = await spot()
    state_id = await world.state(status="pending")
    await world.enter(state_id, quantity="0.02")
    await world.venue.inner.create(paper.body("by-hand", "sell", "market", "0.01"))
    fields: dict[str, Any] = {"quantity": SPOT_QUANTITY, "reduce_only": False}
    pair = (stop_loss(state_id, **fields), take_profit(state_id, **fields))
    assert not (await world.submit(state_id, Submit(pair))).failed()
    free = {b.currency: b.free for b in world.exchange.balances()}
    assert free["BTC"] < D("0.0001"), "the pair holds them"
    assert await held(world) == [D(SPOT_QUANTITY)]


@on_virtual_time
async def test_a_stop_that_filled_leaves_nothing() -> None:
    world = await spot()
    await world.guarded_spot()
    await world.gateway.snapshot(ACCOUNT)
    world.set_price("41900")
    assert await held(world) == []


@on_virtual_time
async def test_coins_without_any_state_are_the_users_own() -> None:
    world = await spot()
    await world.venue.inner.create(paper.body("by-hand", "buy", "market", "0.3"))
    assert await held(world) == []
