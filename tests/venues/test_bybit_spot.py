"""Stops on Bybit spot: no direction is named, so one that the price has passed waits for a rise."""

import asyncio

import pytest

from guardian_core.accounts import Environment
from guardian_core.domain.errors import Ambiguous, Rejected, RejectReason, Unavailable
from guardian_core.domain.orders import OrderStatus
from guardian_gateway.venue_calls import WRITE_WITHIN_S
from guardian_gateway.venues.bybit import BybitSpot
from guardian_gateway.venues.exchange.surroundings import Surroundings
from tests.support.paper import body
from tests.venues import loop
from tests.venues.fake.server import HANGS
from tests.venues.loop import on_jumping_time
from tests.venues.rigs import SYMBOL, rig, stored_keys

BUY = body("in", "buy", "market", "0.1")
STOP = body("sl", "sell", "stop_loss", "0.05", "42000")
JSON = {"Content-Type": "application/json"}


async def refused_as_crossed(made):
    with pytest.raises(Rejected) as refusal:
        await made.venue.create(STOP)
    assert refusal.value.reason is RejectReason.CROSSED


@on_jumping_time
async def test_a_stop_that_the_price_has_passed_is_not_sent(tmp_path):
    async with rig("bybit", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        made.set_price("42000")
        await refused_as_crossed(made)
        assert [a.params["side"] for a in made.wire.asked if a.method == "POST"] == ["Buy"]


@on_jumping_time
async def test_a_stop_that_the_price_passes_on_the_way_is_taken_back(tmp_path):
    async with rig("bybit", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        made.wire.falls_to = "41900"
        await refused_as_crossed(made)
        assert await made.venue.open_orders() == []
        found = await made.venue.find(SYMBOL, "sl")
        assert found is not None
        assert found.status is OrderStatus.CANCELLED


@on_jumping_time
async def test_a_turned_stop_that_cannot_be_taken_back_is_never_shown_as_one(tmp_path):
    async with rig("bybit", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        made.wire.falls_to = "41900"
        made.wire.cancels = False
        with pytest.raises(Ambiguous):
            await made.venue.create(STOP)
        for asking in (made.venue.open_orders(), made.venue.find(SYMBOL, "sl")):
            with pytest.raises(Unavailable, match="wrong side of the price"):
                await asking
        made.wire.cancels = True
        assert await made.venue.open_orders() == []
        found = await made.venue.find(SYMBOL, "sl")
        assert found is not None
        assert found.status is OrderStatus.CANCELLED


@on_jumping_time
async def test_a_turned_stop_that_sold_on_the_rise_is_told_as_sold(tmp_path):
    async with rig("bybit", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        made.wire.falls_to = "41900"
        taken_up = made.wire._cancel

        def rises_first(pairs):
            made.set_price("42100")
            return taken_up(pairs)

        made.wire._cancel = rises_first
        placed = await made.venue.create(STOP)
        assert (placed.status, placed.filled_quantity) == (OrderStatus.CLOSED, STOP.quantity)


@on_jumping_time
async def test_while_nothing_can_be_read_a_stop_is_sent_and_turned_back_later(tmp_path):
    async with rig("bybit", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        made.set_price("41900")
        made.wire.fault("GET /v5/", (500, "", {}), executes=False, times=2)
        assert (await made.venue.create(STOP)).status is OrderStatus.OPEN
        assert await made.venue.open_orders() == []


@on_jumping_time
async def test_a_price_that_does_not_come_holds_no_stop_up(tmp_path):
    """The stop is still sent within what the gateway gives a write."""
    async with rig("bybit", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        made.wire.fault("GET /v5/market/tickers", HANGS, executes=False)
        async with asyncio.timeout(WRITE_WITHIN_S):
            await made.venue.create(STOP)
        assert len(await made.venue.open_orders()) == 1


@on_jumping_time
async def test_a_turned_stop_of_a_process_that_died_counts_as_no_stop(tmp_path):
    """Whoever comes next does not know what it was meant for; but it must not count as right."""
    async with rig("bybit", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        made.wire.falls_to = "41900"
        made.wire.cancels = False
        with pytest.raises(Ambiguous):
            await made.venue.create(STOP)
        around = Surroundings(
            Environment.LIVE,
            stored_keys(tmp_path, made.wire.key, made.wire.secret),
            made.clock,
            elsewhere=made.wire.url,
        )
        next_one = BybitSpot(around)
        try:
            (listed,) = await next_one.open_orders()
            assert (listed.ref.client_order_id, listed.trigger_price) == ("sl", None)
            assert await next_one.find(SYMBOL, "sl") == listed
            made.wire.cancels = True
            await next_one.cancel(listed.ref)
            assert await next_one.open_orders() == []
        finally:
            await next_one.close()


@on_jumping_time
async def test_somebody_elses_take_profit_is_left_alone(tmp_path):
    async with rig("bybit", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        by_hand = body("by-hand", "sell", "take_profit", "0.05", "45000")
        placed = made.exchange.create(by_hand, made.clock.now())
        made.wire.names[placed.ref.venue_order_id] = "by-hand"
        made.wire.base_prices[placed.ref.venue_order_id] = "43000"
        (listed,) = await made.venue.open_orders()
        assert listed.type.value == "take_profit"
        assert listed.ref.conditional
