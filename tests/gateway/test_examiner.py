"""An account is looked over before it is trusted with real money, through a real adapter."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from guardian_core.domain.errors import NotSent, RejectReason
from guardian_core.protocol import CheckLine, OutcomeKind
from guardian_gateway.budget import Rate
from guardian_gateway.examiner import WITHIN_S
from tests.gateway.world import ACCOUNT, World, on_virtual_time
from tests.support.paper import body
from tests.venues.fake.server import HANGS
from tests.venues.loop import on_jumping_time
from tests.venues.wire_world import WireWorld, wire_world

LIMITS = {"maxOrder": "1000", "maxDailyLoss": "1000"}


async def lines(world: WireWorld) -> dict[str, CheckLine]:
    return {line.what: line for line in (await world.gateway.check(ACCOUNT)).lines}


async def live(world: WireWorld) -> None:
    await world.respec(environment="Live", limits=LIMITS)


async def enters(world: WireWorld) -> Any:
    state_id = await world.state(status="pending")
    try:
        return await world.enter(state_id)
    finally:
        await world.revise(state_id, status="closed", closed_at=world.clock.now())


@on_jumping_time
async def test_a_sound_account_is_found_so(tmp_path: Path) -> None:
    async with wire_world("binanceusdm", tmp_path) as world:
        found = await lines(world)
        assert all(line.ok for line in found.values()), found
        assert found["symbols"].found == "1 in use, all known"


@on_jumping_time
async def test_another_installation_and_an_unknown_symbol_are_found(tmp_path: Path) -> None:
    async with wire_world("binanceusdm", tmp_path) as world:
        for name in ("by-hand", "otherxabcdefghijkl", "guardnabcdefghijkl"):
            made = body(name, "buy", "limit", "0.01", "40000")
            placed = world.exchange.create(made, world.clock.now())
            world.wire.names[placed.ref.venue_order_id] = name
        await world.add_lane("NOSUCHCOIN")
        found = await lines(world)
        assert not found["other installations"].ok
        assert found["other installations"].found.startswith("otherx has orders here too")
        assert found["symbols"].found == "not traded here: NOSUCHCOIN"


@pytest.mark.parametrize(
    ("fault", "what"),
    [({"can_withdraw": True}, "withdrawal"), ({"can_trade": False}, "trading")],
)
@on_jumping_time
async def test_real_money_is_not_entered_while_the_account_is_not_as_it_must_be(
    fault: dict[str, bool], what: str, tmp_path: Path
) -> None:
    async with wire_world("binanceusdm", tmp_path, **fault) as world:
        await live(world)
        refused = await enters(world)
        assert refused.reason is RejectReason.OVER_LIMIT
        assert what in refused.message
        world.wire.can_withdraw, world.wire.can_trade = False, True
        await asyncio.sleep(61)
        assert (await enters(world)).outcome is OutcomeKind.ACCEPTED


@on_jumping_time
async def test_an_account_that_cannot_be_looked_over_waits_with_its_entries(tmp_path: Path) -> None:
    async with wire_world("binanceusdm", tmp_path) as world:
        await live(world)
        world.wire.fault("GET /fapi/v2/account", (502, "", {}), executes=False)
        with pytest.raises(NotSent, match="cannot be looked over"):
            await enters(world)
        await asyncio.sleep(61)
        assert (await enters(world)).outcome is OutcomeKind.ACCEPTED


@on_jumping_time
async def test_a_question_that_was_lost_costs_an_entry_a_moment(tmp_path: Path) -> None:
    async with wire_world("binanceusdm", tmp_path) as world:
        await live(world)
        world.wire.fault("GET /fapi/v2/account", (502, "", {}), executes=False)
        with pytest.raises(NotSent, match="cannot be looked over"):
            await enters(world)
        await asyncio.sleep(6)
        assert (await enters(world)).outcome is OutcomeKind.ACCEPTED


@on_jumping_time
async def test_whoever_looks_the_gateway_knows_it(tmp_path: Path) -> None:
    async with wire_world("binanceusdm", tmp_path) as world:
        await live(world)
        assert (await enters(world)).outcome is OutcomeKind.ACCEPTED
        world.wire.can_withdraw = True
        assert (await enters(world)).outcome is OutcomeKind.ACCEPTED
        assert not (await lines(world))["withdrawal"].ok
        assert (await enters(world)).reason is RejectReason.OVER_LIMIT


@on_jumping_time
async def test_what_protects_needs_no_trust(tmp_path: Path) -> None:
    async with wire_world("binanceusdm", tmp_path, can_withdraw=True) as world:
        state_id = await world.state(status="pending")
        await world.enter(state_id)
        await world.revise(state_id, status="open", opened_at=world.clock.now())
        await live(world)
        await world.protect(state_id)
        assert len(world.working()) == 2
        found = await world.gateway.snapshot(ACCOUNT)
        assert [position.quantity for position in found.positions] == [Decimal("0.01")]


@on_jumping_time
async def test_what_protects_does_not_wait_for_a_look(tmp_path: Path) -> None:
    """An addition has its account looked over while the stop of the same position is missing."""
    async with wire_world("binanceusdm", tmp_path) as world:
        state_id = await world.state(status="pending")
        await world.enter(state_id)
        await world.revise(state_id, status="open", opened_at=world.clock.now())
        await world.respec(policy={"repeatEntry": "Add"}, environment="Live", limits=LIMITS)
        world.wire.fault("GET /fapi/v2/account", HANGS, executes=False, times=9)
        adding = asyncio.create_task(world.enter(state_id))
        await asyncio.sleep(0.1)
        began_s = world.clock.monotonic()
        await world.protect(state_id)
        assert world.clock.monotonic() - began_s < 1
        assert not adding.done()
        with pytest.raises(NotSent, match="cannot be looked over"):
            await adding


@on_virtual_time
async def test_a_look_ends_however_slowly_symbols_are_told() -> None:
    world = await World.virtual()
    for number in range(1, 13):
        await world.add_lane(f"NOSUCHCOIN{number}")
        gate = asyncio.Event()
        world.venue.stage("instrument", gate=gate)
        asyncio.get_running_loop().call_later(1.5 * number, gate.set)
    began_s = world.clock.monotonic()
    found = {line.what: line for line in (await world.gateway.check(ACCOUNT)).lines}
    assert not found["symbols"].asked
    assert world.clock.monotonic() - began_s == pytest.approx(WITHIN_S, abs=0.1)


@on_virtual_time
async def test_a_look_gives_way_to_a_change_of_its_account() -> None:
    """Whoever guards waits for the change, which waits for all who use the account as it was."""
    world = await World.virtual()
    for number in range(1, 13):
        await world.add_lane(f"NOSUCHCOIN{number}")
        gate = asyncio.Event()
        world.venue.stage("instrument", gate=gate)
        asyncio.get_running_loop().call_later(1.5 * number, gate.set)
    look = asyncio.create_task(world.gateway.check(ACCOUNT))
    await asyncio.sleep(1)
    await world.respec(paused=True)
    began_s = world.clock.monotonic()
    assert (await world.gateway.snapshot(ACCOUNT)).positions_section.ok
    assert world.clock.monotonic() - began_s < 0.5
    (line,) = (await look).lines
    assert not line.asked


@on_virtual_time
async def test_a_look_leaves_the_guarding_its_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two calls a second, as Kraken has it, and a symbol in use for each second of them."""
    monkeypatch.setattr("guardian_gateway.desk.PAPER_RATE", Rate(per_second=2, capacity=15))
    world = await World.virtual()
    for coin in ("ETH", "BNB", "SOL", "XRP", "ADA", "DOGE", "AVAX", "DOT", "LINK", "LTC"):
        await world.add_lane(f"{coin}USDT")
    await world.guarded()
    await asyncio.sleep(60)
    look = asyncio.create_task(world.gateway.check(ACCOUNT))
    while not look.done():
        began_s = world.clock.monotonic()
        assert (await world.gateway.snapshot(ACCOUNT)).positions_section.ok
        assert world.clock.monotonic() - began_s < 0.5
        await asyncio.sleep(3)
    assert all(line.ok for line in look.result().lines)


@pytest.mark.parametrize("name", ["binanceusdm", "bitgetswap"])
@on_jumping_time
async def test_a_look_that_gets_no_answer_takes_nothing_from_the_guarding(
    name: str, tmp_path: Path
) -> None:
    async with wire_world(name, tmp_path) as world:
        state_id = await world.state(status="pending")
        await world.enter(state_id)
        await world.revise(state_id, status="open", opened_at=world.clock.now())
        for mode in ("GET /fapi/v1/positionSide/dual", "GET /api/v2/mix/account/account"):
            world.wire.fault(mode, (502, "", {}), executes=False, times=99)
        assert not (await lines(world))["position mode"].ok
        assert (await world.gateway.snapshot(ACCOUNT)).positions_section.ok
        await world.protect(state_id)
