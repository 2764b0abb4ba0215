"""Two gateways at once on a real PostgreSQL, each with its own connections: one order, not two."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import text

from guardian_core.domain.decision import Submit
from guardian_core.domain.errors import Conflict
from guardian_core.gateway_codec import NotHolder
from guardian_core.ports import Database, Tx
from guardian_core.protocol import DecisionRequest, DecisionResult, OutcomeKind
from guardian_core.storage.database import open_database
from guardian_gateway.grant import check_lease
from guardian_gateway.main import build_gateway
from guardian_gateway.service import Gateway
from tests.gateway.world import (
    ACCOUNT,
    INSTALLATION,
    SYMBOL,
    World,
    entry,
    request,
    stop_loss,
)
from tests.support.clock import FakeClock
from tests.support.wait import eventually_async

ROUNDS = 10


@pytest.fixture
async def databases(
    migrated_postgres_url: str, clock: FakeClock
) -> AsyncIterator[tuple[Database, Database]]:
    pair = tuple(open_database(migrated_postgres_url, clock=clock) for _ in range(2))
    yield pair[0], pair[1]
    for database in pair:
        await database.close()


@pytest.fixture
async def world(databases: tuple[Database, Database], clock: FakeClock) -> World:
    return await World(databases[0], clock).open()


def second(world: World, database: Database) -> Gateway:
    gateway = build_gateway(
        database=database,
        clock=world.clock,
        ids=world.ids,
        installation=INSTALLATION,
        registry=CollectorRegistry(),
        take_over=True,
        make_venue=world._make_venue,
    )
    world.gateways.append(gateway)
    return gateway


async def race(asked: DecisionRequest, *gateways: Gateway) -> list[DecisionResult | BaseException]:
    calls = (gateway.submit(ACCOUNT, SYMBOL, asked) for gateway in gateways)
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_of_two_that_believe_in_the_lease_one_sends(
    world: World, databases: tuple[Database, Database]
) -> None:
    """The old holder has not noticed yet that the lease was taken over."""
    old, new = world.gateway, second(world, databases[1])
    await new.holder.look()
    assert old.holder.is_held
    assert new.holder.is_held
    for _ in range(ROUNDS):
        state_id = await world.state(status="pending")
        refused, done = await race(request(state_id, entry(await world.webhook())), old, new)
        assert isinstance(refused, NotHolder)
        assert isinstance(done, DecisionResult)
        assert not done.failed()
        await world.revise(state_id, status="closed")
    assert len(world.exchange.fills(SYMBOL)) == ROUNDS


async def test_even_with_the_same_lease_the_same_decision_is_sent_once(
    world: World, databases: tuple[Database, Database]
) -> None:
    """As if one process ran twice: the rows alone must hold."""
    twin = second(world, databases[1])
    twin._context = _with_holder(twin, world.gateways[0])
    for _ in range(ROUNDS):
        state_id = await world.state(status="pending")
        asked = request(state_id, entry(await world.webhook()))
        results = await race(asked, world.gateways[0], twin)
        kinds = {_kind(result) for result in results}
        assert OutcomeKind.ACCEPTED in kinds
        assert kinds <= {OutcomeKind.ACCEPTED, OutcomeKind.AMBIGUOUS, "resolving"}, results
        await world.revise(state_id, status="closed")
    assert len(world.exchange.fills(SYMBOL)) == ROUNDS


async def test_of_two_different_stops_for_one_attempt_one_is_sent(
    world: World, databases: tuple[Database, Database]
) -> None:
    twin = second(world, databases[1])
    twin._context = _with_holder(twin, world.gateways[0])
    for trigger in range(42_001, 42_001 + ROUNDS):
        state_id = await world.state(status="pending")
        await world.submit(state_id, entry(await world.webhook()), gateway=world.gateways[0])
        first = request(state_id, Submit((stop_loss(state_id, "41000"),)))
        other = request(state_id, Submit((stop_loss(state_id, str(trigger)),)))
        before = len(world.working())
        results = await asyncio.gather(
            world.gateways[0].submit(ACCOUNT, SYMBOL, first),
            twin.submit(ACCOUNT, SYMBOL, other),
            return_exceptions=True,
        )
        assert sum(isinstance(result, Conflict) for result in results) == 1, results
        assert len(world.working()) == before + 1
        await world.revise(state_id, status="closed")


async def test_a_take_over_waits_for_a_fence_that_is_being_passed(
    world: World, databases: tuple[Database, Database]
) -> None:
    """So whatever passed the fence under the old lease is seen by the new holder."""
    grant = world.gateway.holder.grant()
    passed, go_on = threading.Event(), threading.Event()

    def fence(tx: Tx) -> None:
        check_lease(tx, grant)
        passed.set()
        assert go_on.wait(20)

    passing = asyncio.create_task(databases[0].run(fence))
    await eventually_async(passed.is_set)
    taking = asyncio.create_task(second(world, databases[1]).holder.look())
    try:
        await eventually_async(lambda: _somebody_waits(databases[0]), what="a wait for the lock")
        assert not taking.done()
    finally:
        go_on.set()
    await passing
    assert await taking
    with pytest.raises(NotHolder):
        await databases[0].run(lambda tx: check_lease(tx, grant))


async def _somebody_waits(database: Database) -> bool:
    query = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    return bool(await database.run(lambda tx: tx.execute(query).scalar_one()))


def _with_holder(gateway: Gateway, other: Gateway) -> Any:
    return replace(gateway._context, holder=other.holder)


def _kind(result: DecisionResult | BaseException) -> object:
    if isinstance(result, Conflict):
        return result.code
    assert isinstance(result, DecisionResult), result
    return result.outcomes[0].outcome
