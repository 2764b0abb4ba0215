"""What an account's limits stop: entries that are too large, entries of a bad day, and all entries
with real money that nobody armed. Never what protects a position."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import update

from guardian_core.accounts import LimitsSpec
from guardian_core.domain.decision import Reduce, Submit
from guardian_core.domain.errors import NotSent, RejectReason, Unavailable
from guardian_core.domain.orders import OrderSide
from guardian_core.ports import Tx
from guardian_core.protocol import OutcomeKind
from guardian_core.storage.schema import Fill
from guardian_gateway.limits import EntryLimits, realized_today
from tests.gateway.world import (
    ACCOUNT,
    World,
    entry,
    exit_body,
    on_virtual_time,
    only,
    stop_loss,
    take_profit,
)

ARMED = {"maxOrder": "500", "maxDailyLoss": "20"}
"""One order of 0.01 at 43000 is worth 430."""


async def armed(**spec: Any) -> World:
    return await World.virtual(**({"limits": ARMED} | spec))


async def enters(world: World, **how: Any) -> Any:
    """An entry of its own, over at once."""
    state_id = await world.state(status="pending")
    outcome = await world.enter(state_id, **how)
    await world.revise(state_id, status="closed", closed_at=world.clock.now())
    return outcome


async def round_trip(world: World, price_out: str, quantity: str = "0.01") -> None:
    """Bought at 43000, sold at another price, seen by a snapshot."""
    world.set_price("43000")
    state_id = await world.state(status="pending")
    assert (await world.enter(state_id, quantity=quantity)).outcome is OutcomeKind.ACCEPTED
    await world.revise(state_id, status="open", target_quantity=Decimal(0))
    world.set_price(price_out)
    sold = only(await world.submit(state_id, Reduce(exit_body(state_id, quantity))))
    assert sold.outcome is OutcomeKind.ACCEPTED
    await world.gateway.snapshot(ACCOUNT)
    await world.revise(state_id, status="closed", closed_at=world.clock.now())
    world.set_price("43000")


async def a_day_passes(world: World) -> None:
    """By the fills, which is what counts."""
    fills = {fill.id: fill.at for fill in await world.fills()}

    def write(tx: Tx) -> None:
        for identity, at in fills.items():
            older = update(Fill).where(Fill.id == identity).values(at=at - timedelta(days=1))
            tx.execute(older)

    await world.database.run(write)


@pytest.mark.parametrize(
    ("how", "allowed"),
    [
        ({"quantity": "0.011"}, True),
        ({"quantity": "0.012"}, False),
        ({"quantity": "0.012", "price": "41000"}, True),
        ({"quantity": "0.013", "price": "42000"}, False),
        # Sold at the market all the same, which pays more.
        ({"quantity": "0.012", "price": "20000", "side": OrderSide.SELL}, False),
        ({"quantity": "0.011", "price": "20000", "side": OrderSide.SELL}, True),
        ({"quantity": "0.011", "price": "46000", "side": OrderSide.SELL}, False),
    ],
)
@on_virtual_time
async def test_an_entry_is_worth_at_most_what_its_account_allows(how: Any, allowed: bool) -> None:
    world = await armed()
    outcome = await enters(world, **how)
    if allowed:
        assert outcome.outcome is OutcomeKind.ACCEPTED
    else:
        assert outcome.reason is RejectReason.OVER_LIMIT
        assert "at most 500" in outcome.message
        assert world.exchange.fills("BTCUSDT") == []


@on_virtual_time
async def test_after_a_days_loss_no_entry_is_sent_until_the_next_day() -> None:
    world = await armed()
    await round_trip(world, "42000")
    assert (await enters(world, quantity="0.001")).outcome is OutcomeKind.ACCEPTED
    await round_trip(world, "42000")
    refused = await enters(world, quantity="0.001")
    assert refused.reason is RejectReason.OVER_LIMIT
    assert "was lost since midnight UTC" in refused.message
    await a_day_passes(world)
    assert (await enters(world, quantity="0.001")).outcome is OutcomeKind.ACCEPTED


@on_virtual_time
async def test_a_days_gains_count_against_its_losses() -> None:
    world = await armed()
    await round_trip(world, "45000")
    for _ in range(3):
        await round_trip(world, "42000")
    assert (await enters(world)).outcome is OutcomeKind.ACCEPTED
    # 20 - 30 before the fees of eight orders, 0.05 % of about 430 each.
    today = await world.database.run(lambda tx: realized_today(tx, ACCOUNT))
    assert -13 < today < -11


@on_virtual_time
async def test_what_protects_and_what_closes_has_no_limit() -> None:
    little = {"maxOrder": "430", "maxDailyLoss": "0.0001"}
    world = await armed(limits=little, policy={"repeatEntry": "Add"})
    state_id = await world.state(status="pending")
    await world.enter(state_id)
    await world.revise(state_id, status="open", target_quantity=Decimal(0))
    # Its fee alone is more than may be lost.
    await world.gateway.snapshot(ACCOUNT)
    assert (await world.enter(state_id)).reason is RejectReason.OVER_LIMIT
    legs = Submit((stop_loss(state_id),)), Submit((take_profit(state_id),))
    assert not (await world.submit(state_id, *legs)).failed()
    assert not (await world.submit(state_id, Reduce(exit_body(state_id)))).failed()


@on_virtual_time
async def test_real_money_that_nobody_armed_is_not_entered() -> None:
    world = await World.virtual(environment="Live")
    refused = await enters(world)
    assert refused.reason is RejectReason.OVER_LIMIT
    assert "guardian accounts arm main" in refused.message


@on_virtual_time
async def test_for_an_entry_that_is_not_sent_nothing_is_set_at_the_venue() -> None:
    world = await World.virtual(environment="Live")
    state_id = await world.state(status="pending")
    action = entry(await world.webhook(), leverage="5")
    refused = only(await world.submit(state_id, action))
    assert refused.reason is RejectReason.OVER_LIMIT
    assert "set_leverage" not in world.venue.asked
    assert only(await world.submit(state_id, action)).replayed


@pytest.mark.parametrize(("quote", "allowed"), [("USDT", True), ("EUR", True), ("BTC", False)])
@on_virtual_time
async def test_a_limit_in_money_lets_nothing_be_bought_for_coins(quote: str, allowed: bool) -> None:
    """43000 of them would be paid for one, and 500 are allowed."""
    world = await World.virtual()
    limits = EntryLimits(LimitsSpec.model_validate(ARMED), Decimal(43_000), quote)
    body = entry(await world.webhook()).body
    refusal = await world.database.run(lambda tx: limits.refusal(tx, ACCOUNT, body))
    assert (refusal is None) is allowed
    assert allowed or "quoted in BTC" in (refusal or "")


@on_virtual_time
async def test_an_entry_without_a_price_to_value_it_is_not_sent() -> None:
    world = await armed()
    state_id = await world.state(status="pending")
    world.venue.stage("price", before=Unavailable("down"))
    with pytest.raises(NotSent, match="cannot be valued"):
        await world.enter(state_id)
    assert await world.trades() == []
