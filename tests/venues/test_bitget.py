"""What is Bitget's own: its codes, its answers, and what it tells of a triggered plan."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import ccxt  # type: ignore[import-untyped]
import pytest

from guardian_core.domain.decision import Submit
from guardian_core.domain.errors import (
    Ambiguous,
    ConfigurationError,
    NotSent,
    OrderGone,
    Rejected,
    Unavailable,
)
from guardian_core.domain.orders import OrderSide
from guardian_gateway.venues.bitget import BitgetSwap
from guardian_gateway.venues.bitget.codes import TABLE
from guardian_gateway.venues.bitget.shared import fee_of
from guardian_gateway.venues.exchange.errors import Answer, of_read, of_write
from tests.gateway.world import ACCOUNT, entry, stop_loss
from tests.support.paper import body
from tests.venues import loop
from tests.venues.fake.server import HANGS, RESETS
from tests.venues.loop import on_jumping_time
from tests.venues.rigs import ADAPTERS, SYMBOL, rig
from tests.venues.wire_world import wire_world

FAMILY = [name for name in ADAPTERS if name.startswith("bitget")]
JSON = {"Content-Type": "application/json"}
BUY = body("in", "buy", "market", "0.01")
STOP = body("sl", "sell", "stop_loss", "0.1", "42000", reduce_only=True)

each_market = pytest.mark.parametrize("name", FAMILY)


def told(code, message="told so"):
    return json.dumps({"code": code, "msg": message, "requestTime": 1, "data": None})


# Codes


@each_market
@on_jumping_time
async def test_every_listed_code_is_that_refusal_through_ccxt(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        for index, (code, reason) in enumerate(TABLE.refused.items()):
            made.wire.fault(ADAPTERS[name].order, (400, told(code), JSON), executes=False)
            with pytest.raises(Rejected) as refusal:
                await made.venue.create(body(f"id{index}", "buy", "market", "0.01"))
            assert refusal.value.reason is reason, code
            assert "told so" in str(refusal.value)
        assert await made.venue.open_orders() == []


@pytest.mark.parametrize("status", [200, 400])
@each_market
@on_jumping_time
async def test_a_no_is_one_whatever_its_http_status(name, status, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        refusal = (status, told("40762"), JSON)
        made.wire.fault(ADAPTERS[name].order, refusal, executes=False)
        with pytest.raises(Rejected):
            await made.venue.create(BUY)


@pytest.mark.parametrize("code", sorted(TABLE.gone))
def test_an_order_that_is_gone_is_gone_whatever_class_ccxt_gives_it(code):
    error = ccxt.ExchangeError("bitget something")
    error.answer = Answer(400, code, "no such order")
    assert type(of_write(error, TABLE, "a cancel")) is OrderGone
    assert type(of_read(error, TABLE, "a look")) is OrderGone


@pytest.mark.parametrize("code", sorted(TABLE.unclocked))
def test_a_request_whose_time_is_off_was_never_done(code):
    error = ccxt.InvalidNonce("bitget something")
    error.answer = Answer(400, code, "expired")
    assert type(of_write(error, TABLE, "a write")) is NotSent


@pytest.mark.parametrize(
    "code", ["40010", "40910", "40015", "40200", "40725", "43059", "45001", "40708", "99999"]
)
def test_what_bitget_does_not_know_itself_is_ambiguous(code):
    for status in (200, 400, 500):
        error = ccxt.AuthenticationError("bitget something")
        error.answer = Answer(status, code, "unknown")
        assert type(of_write(error, TABLE, "a write")) is Ambiguous
        assert type(of_read(error, TABLE, "a read")) is Unavailable


def test_no_code_means_two_things():
    lists = [set(TABLE.refused), TABLE.gone, TABLE.unclocked, TABLE.overloaded]
    assert sum(len(each) for each in lists) == len(set().union(*lists))


# Answers


@pytest.mark.parametrize(
    "data",
    [
        {"orderId": "1", "clientOid": "another"},
        {"orderId": None, "clientOid": "in"},
        {"orderId": "1"},
        None,
        [],
    ],
)
@each_market
@on_jumping_time
async def test_an_answer_that_does_not_name_our_order_is_no_answer(name, data, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        answer = json.dumps({"code": "00000", "msg": "success", "data": data})
        made.wire.fault(ADAPTERS[name].order, (200, answer, JSON), executes=True)
        with pytest.raises(Ambiguous):
            await made.venue.create(BUY)


@on_jumping_time
async def test_an_order_that_was_taken_and_cannot_be_read_is_told_as_open(tmp_path):
    async with rig("bitgetswap", tmp_path, loop.clock()) as made:
        detail = "GET /api/v2/mix/order/detail"
        made.wire.fault(detail, (502, "", {}), executes=False, times=9)
        order = await made.venue.create(BUY)
        assert (order.status.value, order.filled_quantity) == ("open", Decimal(0))
        assert order.ref.venue_order_id
        made.wire.faults.clear()
        found = await made.venue.find(SYMBOL, "in")
        assert found is not None
        assert found.status.value == "closed"


@on_jumping_time
async def test_a_market_order_that_is_not_over_yet_is_looked_at_again(tmp_path):
    async with rig("bitgetswap", tmp_path, loop.clock()) as made:
        shown, looks = made.wire.shown, []

        def slowly(order):
            looks.append(order)
            return shown(order) | ({"state": "live", "baseVolume": "0"} if len(looks) < 3 else {})

        made.wire.shown = slowly
        order = await made.venue.create(BUY)
        assert (order.status.value, order.filled_quantity) == ("closed", order.quantity)


@on_jumping_time
async def test_a_cancel_that_was_taken_is_believed_once_the_order_has_ended(tmp_path):
    async with rig("bitgetswap", tmp_path, loop.clock()) as made:
        order = await made.venue.create(body("rest", "buy", "limit", "0.01", "40000"))
        ack = json.dumps({"code": "00000", "data": {"orderId": "1", "clientOid": "rest"}})
        made.wire.fault("POST /api/v2/mix/order/cancel-order", (200, ack, JSON), executes=False)
        with pytest.raises(Ambiguous, match="still works"):
            await made.venue.cancel(order.ref)


@pytest.mark.parametrize(
    ("failed", "error"),
    [
        ({"errorMsg": "notExistend"}, OrderGone),
        ({"errorMsg": "gone", "errorCode": "43020"}, OrderGone),
        ({"errorMsg": "no", "errorCode": "40014"}, Rejected),
        ({"errorMsg": "something new"}, Ambiguous),
    ],
)
@on_jumping_time
async def test_a_plan_whose_cancel_failed_inside_a_success_is_not_cancelled(
    failed, error, tmp_path
):
    async with rig("bitgetswap", tmp_path, loop.clock()) as made:
        await made.venue.create(body("in", "buy", "market", "0.1"))
        ref = (await made.venue.create(STOP)).ref
        data = {"successList": [], "failureList": [{"orderId": ref.venue_order_id} | failed]}
        answer = json.dumps({"code": "00000", "data": data})
        cancel = "POST /api/v2/mix/order/cancel-plan-order"
        made.wire.fault(cancel, (200, answer, JSON), executes=False)
        with pytest.raises(error):
            await made.venue.cancel(ref)
        assert len(await made.venue.open_orders()) == 1


def test_a_fee_is_what_was_paid_in_its_coin():
    paid = {"feeCoin": "USDT", "totalFee": "-0.02"}
    assert fee_of([paid], "USDT") == (Decimal("0.02"), "USDT")
    assert fee_of([{"feeCoin": "BGB", "totalFee": "-0.5"}, paid], "USDT")[1] == "BGB"
    assert fee_of([], "USDT") == (Decimal(0), "USDT")


# The account


@on_jumping_time
async def test_hedge_mode_is_refused_with_what_to_do(tmp_path):
    async with rig("bitgetswap", tmp_path, loop.clock(), hedge=True) as made:
        for ask in (made.venue.positions(), made.venue.create(BUY)):
            with pytest.raises(ConfigurationError, match="switch to one-way mode"):
                await ask
        assert isinstance(made.venue, BitgetSwap)
        found = {one.what: one for one in await made.venue.check()}
        assert not found["position mode"].ok
        assert made.exchange.events == []


@on_jumping_time
async def test_a_switch_to_hedge_mode_is_noticed_at_the_next_order(tmp_path):
    async with rig("bitgetswap", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        made.wire.hedge = True
        with pytest.raises(Rejected, match="40774"):
            await made.venue.create(body("more", "buy", "market", "0.01"))
        with pytest.raises(ConfigurationError, match="one-way mode"):
            await made.venue.positions()


@pytest.mark.parametrize("answer", [HANGS, (500, "", {})])
@on_jumping_time
async def test_a_mode_that_is_not_told_anew_takes_nothing_from_a_position(answer, tmp_path):
    async with rig("bitgetswap", tmp_path, loop.clock()) as made:
        await made.venue.create(body("in", "buy", "market", "0.1"))
        made.wire.fault(ADAPTERS["bitgetswap"].order, (400, told("40774"), JSON), executes=False)
        with pytest.raises(Rejected):
            await made.venue.create(body("more", "buy", "market", "0.01"))
        made.wire.fault("GET /api/v2/mix/account/account", answer, executes=False, times=99)
        async with asyncio.timeout(2):
            assert len(await made.venue.positions()) == 1
        async with asyncio.timeout(2):
            await made.venue.create(STOP)
        with pytest.raises(NotSent):
            async with asyncio.timeout(2):
                await made.venue.create(body("again", "buy", "market", "0.01"))


@each_market
@on_jumping_time
async def test_a_wrong_passphrase_is_a_refusal(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        made.wire.passphrase = "another"
        with pytest.raises((Rejected, NotSent), match="40012"):
            await made.venue.create(BUY)


@on_jumping_time
async def test_other_contracts_are_not_traded(tmp_path):
    dated = {"symbol": "BTCUSDT_270326", "symbolType": "delivery"}
    coins = {"symbol": "ETHUSD", "quoteCoin": "USD", "supportMarginCoins": ["ETH"]}
    async with rig("bitgetswap", tmp_path, loop.clock()) as made:
        listed = made.wire.listed
        made.wire.listed = lambda one: listed(one) | {"BTC": dated, "ETH": coins}.get(one.base, {})
        for symbol in ("BTCUSDT_270326", "ETHUSD", "BTCUSDT", "ETHUSDT"):
            with pytest.raises(Exception, match="does not trade"):
                await made.venue.instrument(symbol)
        await made.venue.instrument("XRPUSDT")


# How long a request may take


async def waited_for(world, name):
    """How long an order that never arrived stays a doubt."""
    since_s = world.clock.monotonic()
    while (await world.trade(name)).status == "pending":
        await world.gateway.snapshot(ACCOUNT)
        await asyncio.sleep(0.5)
    return world.clock.monotonic() - since_s


@on_jumping_time
async def test_an_entry_is_not_given_up_while_it_may_still_come_to_be(tmp_path):
    """Bitget takes a request for 30 s: an entry sent anew before that might be bought twice."""
    async with wire_world("bitgetswap", tmp_path) as world:
        state_id = await world.state(status="pending")
        action = entry(await world.webhook())
        world.wire.fault(ADAPTERS["bitgetswap"].order, RESETS, executes=False)
        await world.submit(state_id, action)
        assert 32 <= await waited_for(world, action.body.client_order_id) < 45


@on_jumping_time
async def test_a_stop_is_given_up_soon_so_that_the_next_one_can_be_sent(tmp_path):
    async with wire_world("bitgetswap", tmp_path) as world:
        state_id = await world.state(status="pending")
        await world.enter(state_id)
        await world.revise(state_id, status="open", opened_at=world.clock.now())
        leg = stop_loss(state_id)
        world.wire.fault(ADAPTERS["bitgetswap"].leg, RESETS, executes=False)
        await world.submit(state_id, Submit((leg,)))
        assert await waited_for(world, leg.client_order_id) < 11


# What futures tell of a triggered plan


@pytest.mark.parametrize("child_name", ["own", "same"])
@pytest.mark.parametrize("side_is_held", [True, False])
@on_jumping_time
async def test_a_fired_stop_is_found_and_booked_as_itself(child_name, side_is_held, tmp_path):
    how = {"child_name": child_name, "side_is_held": side_is_held}
    async with rig("bitgetswap", tmp_path, loop.clock(), **how) as made:
        await made.venue.create(body("in", "buy", "market", "0.1"))
        placed = await made.venue.create(STOP)
        (waiting,) = await made.venue.open_orders()
        assert waiting.side is placed.side is OrderSide.SELL
        made.set_price("41000")
        assert await made.venue.open_orders() == []
        # Before anybody has looked the stop itself up.
        assert isinstance(made.venue, BitgetSwap)
        made.venue._names._names.clear()
        (sold,) = [f for f in await made.venue.fills(SYMBOL) if f.side is OrderSide.SELL]
        assert sold.client_order_id == "sl"
        found = await made.venue.find(SYMBOL, "sl")
        assert found is not None
        assert (found.side, found.status.value) == (OrderSide.SELL, "closed")
        assert found.filled_quantity == found.quantity == sold.quantity


@on_jumping_time
async def test_a_triggered_plan_whose_child_is_not_shown_is_unknown_not_empty(tmp_path):
    async with rig("bitgetswap", tmp_path, loop.clock()) as made:
        await made.venue.create(body("in", "buy", "market", "0.1"))
        await made.venue.create(STOP)
        made.set_price("41000")
        gone = (400, told("40109"), JSON)
        made.wire.fault("GET /api/v2/mix/order/detail", gone, executes=False, times=2)
        with pytest.raises(Unavailable, match="child"):
            await made.venue.find(SYMBOL, "sl")


@on_jumping_time
async def test_no_order_is_left_out_of_a_full_page(tmp_path, monkeypatch):
    monkeypatch.setattr("guardian_gateway.venues.bitget.shared.PAGE", 2)
    async with rig("bitgetswap", tmp_path, loop.clock()) as made:
        await made.venue.create(body("in", "buy", "market", "0.1"))
        for index in range(5):
            await made.venue.create(body(f"rest{index}", "buy", "limit", "0.01", "40000"))
            level = str(42000 + index)
            stop = body(f"sl{index}", "sell", "stop_loss", "0.01", level, reduce_only=True)
            await made.venue.create(stop)
        found = {order.ref.client_order_id for order in await made.venue.open_orders()}
        assert len(found) == 10


# Reading on where time was over


FILLS = {
    "bitget": "GET /api/v2/spot/trade/fills",
    "bitgetswap": "GET /api/v2/mix/order/fills",
}


@each_market
@on_jumping_time
async def test_weeks_of_fills_that_are_over_are_asked_for_once(name, tmp_path):
    """A symbol that last traded long ago takes more questions than a look has time for."""
    async with rig(name, tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        since = made.clock.now() - timedelta(days=80)
        made.wire.fault(FILLS[name], RESETS, executes=False, times=9)
        made.wire.faults[-1].after = 8
        with pytest.raises(Unavailable):
            await made.venue.fills(SYMBOL, since)
        made.wire.faults.clear()
        before = sum(one.call == FILLS[name] for one in made.wire.asked)
        assert [f.client_order_id for f in await made.venue.fills(SYMBOL, since)] == ["in"]
        assert sum(one.call == FILLS[name] for one in made.wire.asked) - before <= 5


@each_market
@on_jumping_time
async def test_a_fill_of_an_order_that_does_not_show_yet_is_not_nobodys(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        await made.venue.create(body("in", "buy", "market", "0.1"))
        await made.venue.create(
            replace(STOP, quantity=Decimal("0.05"), reduce_only=name == "bitgetswap")
        )
        made.set_price("41000")
        venue: Any = made.venue
        venue._names._names.clear()
        shown, hides = made.wire._past_plans, lambda pairs: shown({**pairs, "symbol": "NONE"})
        made.wire._past_plans = hides
        with pytest.raises(Unavailable, match="not shown"):
            await made.venue.fills(SYMBOL)
        made.wire._past_plans = shown
        fills = await made.venue.fills(SYMBOL)
        assert [fill.client_order_id for fill in fills] == ["in", "sl"]


@on_jumping_time
async def test_a_stop_that_is_in_neither_list_is_not_given_up_at_once(tmp_path):
    """Bitget's lists of plans lag by seconds."""
    async with rig("bitgetswap", tmp_path, loop.clock()) as made:
        await made.venue.create(body("in", "buy", "market", "0.1"))
        await made.venue.create(STOP)
        made.set_price("41000")
        made.wire._past_plans = lambda _: {"entrustedList": None, "endId": None}
        await asyncio.sleep(3)
        with pytest.raises(Unavailable, match="neither"):
            await made.venue.find(SYMBOL, "sl")
        await asyncio.sleep(2)
        assert await made.venue.find(SYMBOL, "sl") is None
