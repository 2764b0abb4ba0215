"""One contract for both ways to the gateway: over HTTP through a real server, and in process."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry

from guardian_core.accounts import AccountSpec
from guardian_core.domain.decision import Submit
from guardian_core.domain.errors import (
    Ambiguous,
    CallerError,
    ConfigurationError,
    Conflict,
    NotSent,
    Rejected,
    RejectReason,
    Unavailable,
)
from guardian_core.gateway_client import HttpGatewayClient
from guardian_core.ports import Database, GatewayClient, Tx
from guardian_core.protocol import Bar, CancelByHand, OutcomeKind, SetPrice
from guardian_core.storage.accounts_store import put_account
from guardian_core.storage.schema import Account
from guardian_core.web import WebServer
from guardian_gateway.api import build_app
from guardian_gateway.in_process import InProcessGatewayClient
from guardian_gateway.venues.factory import venue_maker
from tests.gateway.world import (
    ACCOUNT,
    SYMBOL,
    World,
    entry,
    only,
    request,
    stop_loss,
    take_profit,
)
from tests.support.clock import FakeClock

D = Decimal
TOKEN = "a-token-of-this-test"


@pytest.fixture
async def world(inline_database: Database, clock: FakeClock) -> AsyncIterator[World]:
    world = await World(inline_database, clock).open()
    yield world
    await world.close()


@pytest.fixture(params=["http", "in process"])
async def client(request: pytest.FixtureRequest, world: World) -> AsyncIterator[GatewayClient]:
    if request.param == "in process":
        yield InProcessGatewayClient(world.gateway)
        return
    app = build_app(world.gateway, TOKEN, CollectorRegistry())
    async with WebServer(app, "127.0.0.1", 0) as web:
        client = HttpGatewayClient(web.url, TOKEN)
        yield client
        await client.close()


async def test_a_snapshot_comes_over_as_it_was_taken(world: World, client: GatewayClient) -> None:
    await world.guarded()
    told = await client.snapshot(ACCOUNT)
    taken = await world.gateway.snapshot(ACCOUNT)
    assert (told.orders, told.positions, told.instruments) == (
        taken.orders,
        taken.positions,
        taken.instruments,
    )
    assert told.capabilities == taken.capabilities
    assert (await client.snapshot(ACCOUNT, SYMBOL)).prices[0].last == D(43_000)


async def test_a_decision_is_carried_out(world: World, client: GatewayClient) -> None:
    state_id = await world.state(status="pending")
    action = entry(await world.webhook())
    outcome = only(await client.submit(ACCOUNT, SYMBOL, request(state_id, action)))
    assert (outcome.outcome, outcome.filled_quantity) == (OutcomeKind.ACCEPTED, D("0.01"))
    legs = (Submit((stop_loss(state_id),)), Submit((take_profit(state_id),)))
    result = await client.submit(ACCOUNT, SYMBOL, request(state_id, *legs))
    assert not result.failed()
    assert len(world.working()) == 2
    assert {t.trace_id for t in await world.trades()} == {"ab" * 16}


async def test_a_refusal_of_the_venue_is_an_outcome(world: World, client: GatewayClient) -> None:
    state_id = await world.state()
    world.venue.stage("create", before=Rejected(RejectReason.CROSSED, "beyond it"))
    submit = Submit((stop_loss(state_id),))
    outcome = only(await client.submit(ACCOUNT, SYMBOL, request(state_id, submit)))
    assert (outcome.outcome, outcome.reason) == (OutcomeKind.REJECTED, RejectReason.CROSSED)


async def test_a_lost_answer_is_an_outcome(world: World, client: GatewayClient) -> None:
    state_id = await world.state(status="pending")
    world.venue.stage("create", after=Ambiguous("lost"))
    action = entry(await world.webhook())
    outcome = only(await client.submit(ACCOUNT, SYMBOL, request(state_id, action)))
    assert outcome.outcome is OutcomeKind.AMBIGUOUS


async def test_an_old_view_is_a_conflict_with_its_code(world: World, client: GatewayClient) -> None:
    state_id = await world.state(revision=2)
    asked = request(state_id, Submit((stop_loss(state_id),)))
    with pytest.raises(Conflict, match="decided on revision 1") as refusal:
        await client.submit(ACCOUNT, SYMBOL, asked)
    assert refusal.value.code == "stale_revision"


async def test_a_wrong_request_names_the_field(world: World, client: GatewayClient) -> None:
    state_id = await world.state()
    submit = Submit((stop_loss(uuid4()),))
    with pytest.raises(CallerError) as refusal:
        await client.submit(ACCOUNT, SYMBOL, request(state_id, submit))
    assert refusal.value.field == "client_order_id"
    with pytest.raises(CallerError) as refusal:
        await client.snapshot("nobody")
    assert refusal.value.field == "account"
    with pytest.raises(CallerError):
        await client.instrument(ACCOUNT, "NO/SUCH SYMBOL?")


async def test_a_venue_that_is_away_is_unavailable(world: World, client: GatewayClient) -> None:
    world.venue.stage("balances", before=Unavailable("down for maintenance"))
    with pytest.raises(Unavailable, match="down for maintenance"):
        await client.balances(ACCOUNT)


async def test_a_database_that_is_away_leaves_a_decision_unsent(
    world: World, client: GatewayClient
) -> None:
    state_id = await world.state()
    await world.database.close()
    with pytest.raises(NotSent):
        await client.submit(ACCOUNT, SYMBOL, request(state_id, Submit((stop_loss(state_id),))))
    with pytest.raises(Unavailable):
        await client.snapshot(ACCOUNT)


async def test_a_bug_leaves_a_decision_ambiguous_and_tells_nothing(
    world: World, client: GatewayClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a secret of the inside")

    state_id = await world.state()
    monkeypatch.setattr(world.gateway, "submit", broken)
    with pytest.raises(Ambiguous, match="RuntimeError") as failure:
        await client.submit(ACCOUNT, SYMBOL, request(state_id, Submit((stop_loss(state_id),))))
    assert "secret" not in str(failure.value)


async def test_a_gateway_that_lost_its_lease_does_nothing(
    world: World, client: GatewayClient, clock: FakeClock
) -> None:
    state_id = await world.state()
    clock.advance(5)
    with pytest.raises(NotSent, match="lease"):
        await client.submit(ACCOUNT, SYMBOL, request(state_id, Submit((stop_loss(state_id),))))
    with pytest.raises(Unavailable, match="lease"):
        await client.snapshot(ACCOUNT)


async def test_a_venue_without_an_adapter_is_a_configuration_error(
    world: World, client: GatewayClient
) -> None:
    def add(tx: Tx) -> None:
        spec = {"venue": "mtgox", "accountId": "old"}
        tx.add(
            Account(
                name="old",
                account_id="old",
                venue="mtgox",
                environment="Live",
                spec=spec,
                created_at=tx.now(),
            )
        )

    await world.database.run(add)
    world.gateway._make_venue = venue_maker(world.database, world.clock)
    with pytest.raises(ConfigurationError, match=r"mtgox.*paper"):
        await client.snapshot("old")


async def test_balances_instruments_and_fills_are_told(world: World, client: GatewayClient) -> None:
    state_id = await world.state(status="pending")
    await world.enter(state_id)
    balances = await client.balances(ACCOUNT)
    assert D(99_000) < balances.free("USDT") < D(100_000)
    report = await client.instrument(ACCOUNT, SYMBOL)
    assert (report.instrument.base, report.last_price) == ("BTC", D(43_000))
    (fill,) = (await client.fills(ACCOUNT, SYMBOL)).fills
    assert (fill.quantity, fill.price) == (D("0.01"), D(43_000))
    later = (await client.fills(ACCOUNT, SYMBOL, since=world.clock.now())).fills
    assert [f.venue_fill_id for f in later] in ([], [fill.venue_fill_id])
    with pytest.raises(CallerError, match="since"):
        await client.fills(ACCOUNT, SYMBOL, since=world.clock.now().replace(tzinfo=None))


async def test_the_paper_venue_is_moved(world: World, client: GatewayClient) -> None:
    state_id = await world.guarded()
    report = await client.paper(ACCOUNT, SetPrice(symbol=SYMBOL, price=D(43_500)))
    assert "43500" in report.message
    bar = Bar(symbol=SYMBOL, time=world.clock.now(), close=D(43_600))
    assert (await client.paper(ACCOUNT, bar)).changed
    order_id = world.ref(stop_loss(state_id).client_order_id).venue_order_id
    await client.paper(ACCOUNT, CancelByHand(order_id=order_id))
    assert len(world.working()) == 1
    assert (await client.instrument(ACCOUNT, SYMBOL)).last_price == D(43_600)


async def test_many_lanes_of_callers_are_served_at_once(
    world: World, client: GatewayClient
) -> None:
    await world.guarded()
    snapshots = await asyncio.gather(*(client.snapshot(ACCOUNT) for _ in range(20)))
    assert all(len(snapshot.orders) == 2 for snapshot in snapshots)


async def test_a_changed_account_is_served_by_its_new_venue(
    world: World, client: GatewayClient
) -> None:
    assert (await client.snapshot(ACCOUNT)).capabilities.amend is False
    spec = AccountSpec.model_validate({"account_id": ACCOUNT, "paper": {"amend": True}})
    await world.database.run(lambda tx: put_account(tx, ACCOUNT, spec))
    await client.snapshot(ACCOUNT)
    assert len(world.venues) == 2
