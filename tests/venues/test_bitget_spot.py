"""What is Bitget spot's own: plans that know no direction, and buys that are bounded."""

import asyncio
import json
from dataclasses import replace
from decimal import Decimal

import pytest

from guardian_core.domain.errors import Ambiguous, NotSent, Rejected, RejectReason, Unavailable
from guardian_core.domain.orders import OrderSide, OrderStatus, OrderType
from guardian_gateway.venues.bitget import BitgetSpot
from tests.support.paper import body
from tests.venues import loop
from tests.venues.fake.server import HANGS
from tests.venues.loop import on_jumping_time
from tests.venues.rigs import ADAPTERS, SYMBOL, rig

D = Decimal
JSON = {"Content-Type": "application/json"}
BUY = body("in", "buy", "market", "0.1")
STOP = body("sl", "sell", "stop_loss", "0.05", "42000")
TICKER = "GET /api/v2/spot/market/tickers"
WAITING = "GET /api/v2/spot/trade/current-plan-order"
PLAN = ADAPTERS["bitget"].leg
ABNORMAL = (400, '{"code": "40015", "msg": "System is abnormal", "data": null}', JSON)


def carried(data):
    return 200, json.dumps({"code": "00000", "msg": "success", "data": data}), JSON


def asked(made, call):
    return [one for one in made.wire.asked if one.call == call]


async def refused_as_crossed(made):
    with pytest.raises(Rejected) as refusal:
        await made.venue.create(STOP)
    assert refusal.value.reason is RejectReason.CROSSED


async def status_of(made, name="sl"):
    found = await made.venue.find(SYMBOL, name)
    return None if found is None else (found.status.value, found.filled_quantity)


# Stops on the wrong side of the price


@on_jumping_time
async def test_a_stop_that_the_price_has_passed_is_not_sent(tmp_path):
    async with rig("bitget", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        made.set_price("42000")
        await refused_as_crossed(made)
        assert asked(made, PLAN) == []


@on_jumping_time
async def test_a_stop_that_the_price_passes_on_the_way_is_taken_back(tmp_path):
    async with rig("bitget", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        made.wire.falls_to = "41900"
        await refused_as_crossed(made)
        assert await made.venue.open_orders() == []
        assert await status_of(made) == ("cancelled", 0)


@on_jumping_time
async def test_a_stop_that_fires_as_soon_as_it_stands_is_taken_and_followed(tmp_path):
    async with rig("bitget", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        made.wire.falls_to, made.wire.falls_late = "41900", True
        await made.venue.create(STOP)
        assert await status_of(made) == ("closed", D("0.05"))


@on_jumping_time
async def test_a_turned_stop_that_cannot_be_taken_back_is_never_shown_as_one(tmp_path):
    async with rig("bitget", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        made.wire.falls_to = "41900"
        made.wire.fault(ADAPTERS["bitget"].cancel, ABNORMAL, executes=False)
        with pytest.raises(Ambiguous):
            await made.venue.create(STOP)
        (turned,) = await made.venue.open_orders()
        assert (turned.ref.client_order_id, turned.status) == ("sl", OrderStatus.OPEN)
        assert (turned.type, turned.trigger_price) == (OrderType.TAKE_PROFIT, None)
        await made.venue.cancel(turned.ref)
        assert await made.venue.open_orders() == []


@on_jumping_time
async def test_a_stop_that_fires_while_it_is_listed_is_not_shown_as_turned(tmp_path):
    async with rig("bitget", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        await made.venue.create(STOP)
        (order,) = made.wire._plans(SYMBOL)
        old = {"nextFlag": False, "idLessThan": None, "orderList": [made.wire.shown_plan(order)]}
        made.set_price("41900")
        made.wire.fault(WAITING, carried(old), executes=False)
        assert await made.venue.open_orders() == []
        assert await status_of(made) == ("closed", D("0.05"))


@on_jumping_time
async def test_a_price_that_cannot_be_read_holds_no_stop_up(tmp_path):
    async with rig("bitget", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        made.wire.fault(TICKER, ABNORMAL, executes=False, times=2)
        await made.venue.create(STOP)
        assert [order.ref.client_order_id for order in await made.venue.open_orders()] == ["sl"]


# What a triggered plan became


@pytest.mark.parametrize("child_name", ["own", "same"])
@on_jumping_time
async def test_fills_of_a_fired_stop_are_its_own_whoever_looks(child_name, tmp_path):
    async with rig("bitget", tmp_path, loop.clock(), child_name=child_name) as made:
        await made.venue.create(BUY)
        await made.venue.create(STOP)
        made.set_price("41900")
        # Before anybody has looked the stop itself up, as after a restart.
        assert isinstance(made.venue, BitgetSpot)
        made.venue._names._names.clear()
        (sold,) = [f for f in await made.venue.fills(SYMBOL) if f.side is OrderSide.SELL]
        assert (sold.client_order_id, sold.quantity) == ("sl", D("0.05"))
        found = await made.venue.find(SYMBOL, "sl")
        assert found is not None
        assert (found.child_id, found.average_price) == (sold.venue_order_id, sold.price)


@on_jumping_time
async def test_a_sell_beside_a_fired_stop_keeps_its_own_name(tmp_path):
    async with rig("bitget", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        await made.venue.create(STOP)
        made.set_price("41900")
        await made.venue.create(body("out", "sell", "market", "0.04"))
        # Until then it might be what a plan became that is not shown yet.
        await asyncio.sleep(4)
        assert isinstance(made.venue, BitgetSpot)
        made.venue._names._names.clear()
        fills = await made.venue.fills(SYMBOL)
        assert [fill.client_order_id for fill in fills] == ["in", "sl", "out"]


@on_jumping_time
async def test_a_triggered_plan_whose_child_is_hid_is_unknown_not_empty(tmp_path):
    async with rig("bitget", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        await made.venue.create(STOP)
        made.set_price("41900")
        made.wire.fault("GET /api/v2/spot/trade/plan-sub-order", carried(None), executes=False)
        with pytest.raises(Unavailable, match="its child is hid"):
            await made.venue.find(SYMBOL, "sl")
        made.wire.faults.clear()
        look = "GET /api/v2/spot/trade/orderInfo"
        made.wire.fault(look, carried([]), executes=False, times=2)
        with pytest.raises(Unavailable, match="not shown"):
            await made.venue.find(SYMBOL, "sl")


@on_jumping_time
async def test_a_plan_whose_child_was_refused_was_refused_itself(tmp_path):
    async with rig("bitget", tmp_path, loop.clock(), child_fails=True) as made:
        await made.venue.create(BUY)
        await made.venue.create(STOP)
        made.set_price("41900")
        assert await status_of(made) == ("rejected", 0)


@on_jumping_time
async def test_a_stop_on_its_way_between_two_lists_is_sought_again(tmp_path):
    async with rig("bitget", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        await made.venue.create(STOP)
        made.set_price("41900")
        nothing = carried({"nextFlag": False, "idLessThan": None, "orderList": None})
        past = "GET /api/v2/spot/trade/history-plan-order"
        made.wire.fault(past, nothing, executes=False)
        assert await made.venue.open_orders() == []
        assert await status_of(made) == ("closed", D("0.05"))


# Buys at market


@on_jumping_time
async def test_a_buy_that_the_book_fills_in_part_is_over_with_what_it_filled(tmp_path):
    async with rig("bitget", tmp_path, loop.clock(), depth="0.04") as made:
        order = await made.venue.create(BUY)
        assert (order.status, order.quantity) == (OrderStatus.CANCELLED, D("0.1"))
        assert (order.filled_quantity, order.average_price) == (D("0.04"), D(43000))
        assert await made.venue.open_orders() == []
        assert await status_of(made, "in") == ("cancelled", D("0.04"))


@on_jumping_time
async def test_a_buy_does_not_follow_a_price_that_runs_away(tmp_path):
    async with rig("bitget", tmp_path, loop.clock()) as made:
        old = [{"symbol": SYMBOL, "lastPr": "43000", "askPr": "43000.01"}]
        made.wire.fault(TICKER, carried(old), executes=False)
        made.set_price("43500")
        order = await made.venue.create(BUY)
        assert (order.status, order.filled_quantity) == (OrderStatus.CANCELLED, D(0))
        assert order.price == D("43430.01")
        made.set_price("43000")
        assert await made.venue.open_orders() == []


@pytest.mark.parametrize("answer", [ABNORMAL, carried([]), carried([{"lastPr": "soon"}])])
@on_jumping_time
async def test_without_a_price_no_buy_at_market_is_sent(answer, tmp_path):
    async with rig("bitget", tmp_path, loop.clock()) as made:
        made.wire.fault(TICKER, answer, executes=False)
        with pytest.raises(NotSent, match="price"):
            await made.venue.create(BUY)
        assert [one for one in made.wire.asked if one.method == "POST"] == []


@on_jumping_time
async def test_a_buy_that_arrives_after_3_seconds_is_refused_by_the_venue(tmp_path):
    async with rig("bitget", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        made.wire.ahead_s = 3.5
        with pytest.raises(NotSent):
            await made.venue.create(body("late", "buy", "limit", "0.01", "40000"))
        # The clock is measured anew, then it is taken.
        await made.venue.create(body("again", "buy", "limit", "0.01", "40000"))


# Lists


@on_jumping_time
async def test_plans_are_listed_by_symbol_of_those_that_have_some_or_were_used(tmp_path):
    async with rig("bitget", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        await made.venue.create(STOP)
        assert isinstance(made.venue, BitgetSpot)
        again = ADAPTERS["bitget"].adapter(made.venue._client._around)
        try:
            # A new process knows no symbol, until it looks for an order that is not listed.
            assert await again.open_orders() == []
            assert await again.find(SYMBOL, "sl") is not None
            assert len(await again.open_orders()) == 1
            for _ in range(3):
                await asyncio.sleep(590)
                assert len(await again.open_orders()) == 1
            await again.cancel((await again.open_orders())[0].ref)
            await asyncio.sleep(700)
            before = len(asked(made, WAITING))
            assert await again.open_orders() == []
            assert len(asked(made, WAITING)) == before
        finally:
            await again.close()


@on_jumping_time
async def test_no_order_is_left_out_of_a_full_page(tmp_path, monkeypatch):
    monkeypatch.setattr("guardian_gateway.venues.bitget.shared.PAGE", 2)
    async with rig("bitget", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        for index in range(5):
            await made.venue.create(body(f"rest{index}", "buy", "limit", "0.01", "40000"))
            stop = body(f"sl{index}", "sell", "stop_loss", "0.01", str(42000 + index))
            await made.venue.create(stop)
        found = {order.ref.client_order_id for order in await made.venue.open_orders()}
        assert len(found) == 10
        made.set_price("41000")
        assert await status_of(made, "sl0") == ("closed", D("0.01"))


# A price that does not come


@on_jumping_time
async def test_no_price_that_does_not_come_holds_a_stop_up(tmp_path):
    """A write has 3 s in all: the looks before and after it must leave it some."""
    async with rig("bitget", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        made.wire.fault(TICKER, HANGS, executes=False, times=99)
        async with asyncio.timeout(2):
            placed = await made.venue.create(STOP)
        assert placed.status is OrderStatus.OPEN
        async with asyncio.timeout(2):
            (listed,) = await made.venue.open_orders()
        assert (listed.ref, listed.trigger_price) == (placed.ref, D(42000))


@on_jumping_time
async def test_an_entry_whose_price_does_not_come_is_surely_not_sent(tmp_path):
    async with rig("bitget", tmp_path, loop.clock()) as made:
        await made.venue.instrument(SYMBOL)
        made.wire.fault(TICKER, HANGS, executes=False, times=99)
        with pytest.raises(NotSent):
            async with asyncio.timeout(2):
                await made.venue.create(BUY)


@on_jumping_time
async def test_a_fired_stop_is_found_without_reading_all_that_ever_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("guardian_gateway.venues.bitget.shared.PAGE", 2)
    async with rig("bitget", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        for index in range(8):
            await made.venue.cancel(
                (await made.venue.create(replace(STOP, client_order_id=f"old{index}"))).ref
            )
        await made.venue.create(STOP)
        made.set_price("41900")
        assert isinstance(made.venue, BitgetSpot)
        made.venue._names._names.clear()
        assert await status_of(made) == ("closed", D("0.05"))
        made.venue._names._names.clear()
        fills = await made.venue.fills(SYMBOL)
        assert [fill.client_order_id for fill in fills] == ["in", "sl"]
        past = asked(made, "GET /api/v2/spot/trade/history-plan-order")
        assert [one.params.get("idLessThan") for one in past] == [None, None]


@pytest.mark.parametrize("seconds", [3, 6])
@on_jumping_time
async def test_a_stop_that_is_in_neither_list_is_not_given_up_at_once(seconds, tmp_path):
    """Bitget's lists of plans lag by seconds."""
    async with rig("bitget", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        await made.venue.create(STOP)
        made.set_price("41900")
        made.wire._past_plans = lambda _: {"orderList": None}
        await asyncio.sleep(seconds)
        if seconds > 5:
            assert await status_of(made) is None
            return
        with pytest.raises(Unavailable, match="neither"):
            await status_of(made)
