"""What is Bybit's own: writes that are only taken up, pages with cursors, modes of an account."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from guardian_core.domain.errors import (
    Ambiguous,
    ConfigurationError,
    GuardianError,
    NotSent,
    OrderGone,
    Rejected,
    Unavailable,
)
from guardian_core.domain.orders import OrderStatus, OrderType
from guardian_gateway.venues.bybit import calls, words
from guardian_gateway.venues.exchange.markets import Markets
from tests.support.clock import FakeClock
from tests.support.paper import body
from tests.venues import loop
from tests.venues.fake.server import Fault
from tests.venues.families import bybit
from tests.venues.loop import on_jumping_time
from tests.venues.rigs import SYMBOL, rig

D = Decimal
BUY = body("in", "buy", "market", "0.1")
REST = body("rest", "buy", "limit", "0.1", "40000")
JSON = {"Content-Type": "application/json"}
each_market = pytest.mark.parametrize("name", list(bybit.UNDER_TEST))


def stop(made, name="sl"):
    return body(name, "sell", "stop_loss", "0.05", "42000", reduce_only=not made.spot)


async def findings(made):
    venue: Any = made.venue
    return {one.what: one for one in await venue.check()}


# Writes that are only taken up


@pytest.mark.parametrize("order", [BUY, REST], ids=["market", "limit"])
@each_market
@on_jumping_time
async def test_an_order_that_shows_late_is_waited_for(name, order, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        made.wire.lag_s = 1.5
        placed = await made.venue.create(order)
        expected = OrderStatus.CLOSED if order is BUY else OrderStatus.OPEN
        assert (placed.status, placed.quantity) == (expected, D("0.1"))


@each_market
@on_jumping_time
async def test_an_order_that_does_not_show_is_not_told_as_anything(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        made.wire.lag_s = 5
        began_s = asyncio.get_running_loop().time()
        with pytest.raises(Ambiguous, match="does not show"):
            await made.venue.create(BUY)
        assert asyncio.get_running_loop().time() - began_s < 3


@each_market
@on_jumping_time
async def test_a_stop_that_was_taken_up_and_cannot_be_read_is_open(name, tmp_path):
    """What protects is not held up by reads that fail; the next listing tells whether it stands."""
    async with rig(name, tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        made.wire.fault("GET /v5/order", (500, "", {}), executes=False)
        placed = await made.venue.create(stop(made))
        assert placed.status is OrderStatus.OPEN
        found = await made.venue.find(SYMBOL, "sl")
        assert found is not None
        assert found.ref == placed.ref
        assert found.trigger_price == placed.trigger_price


@each_market
@on_jumping_time
async def test_a_plain_order_that_was_taken_up_and_cannot_be_read_is_ambiguous(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        await made.venue.instrument(SYMBOL)
        made.wire.fault("GET /v5/order", (500, "", {}), executes=False)
        with pytest.raises(Ambiguous, match="cannot be read"):
            await made.venue.create(BUY)
        found = await made.venue.find(SYMBOL, "in")
        assert found is not None
        assert found.filled_quantity == D("0.1")


@each_market
@on_jumping_time
async def test_a_look_that_is_refused_refuses_no_order_that_was_taken_up(name, tmp_path):
    told = '{"retCode": 10001, "retMsg": "params error: symbol invalid", "result": {}}'
    async with rig(name, tmp_path, loop.clock()) as made:
        await made.venue.instrument(SYMBOL)
        made.wire.fault("GET /v5/order", (200, told, JSON), executes=False)
        with pytest.raises(Ambiguous, match="cannot be read"):
            await made.venue.create(BUY)
        order = await made.venue.create(REST)
        made.wire.fault("GET /v5/order", (200, told, JSON), executes=False)
        with pytest.raises(Ambiguous, match="cannot be read"):
            await made.venue.cancel(order.ref)
        found = await made.venue.find(SYMBOL, "rest")
        assert found is not None
        assert found.status is OrderStatus.CANCELLED


@each_market
@on_jumping_time
async def test_an_order_that_the_engine_refuses_after_all_is_told_as_refused(name, tmp_path):
    async with rig(name, tmp_path, loop.clock(), refuses_late=True) as made:
        placed = await made.venue.create(BUY)
        assert (placed.status, placed.filled_quantity) == (OrderStatus.REJECTED, D(0))


@each_market
@on_jumping_time
async def test_a_cancel_that_was_only_taken_up_is_not_done(name, tmp_path):
    async with rig(name, tmp_path, loop.clock(), cancels=False) as made:
        order = await made.venue.create(REST)
        with pytest.raises(Ambiguous, match="taken up, and the order is open"):
            await made.venue.cancel(order.ref)
        made.wire.fault("GET /v5/order", (500, "", {}), executes=False)
        with pytest.raises(Ambiguous, match="cannot be read"):
            await made.venue.cancel(order.ref)


@each_market
@on_jumping_time
async def test_a_cancel_that_a_fill_came_before_finds_the_order_gone(name, tmp_path):
    async with rig(name, tmp_path, loop.clock(), cancels=False) as made:
        order = await made.venue.create(REST)

        async def falls():
            await asyncio.sleep(0.3)
            made.set_price("39000")

        falling = asyncio.create_task(falls())
        with pytest.raises(OrderGone, match="closed"):
            await made.venue.cancel(order.ref)
        await falling


# Where orders are


@each_market
@on_jumping_time
async def test_an_ended_order_is_found_in_the_history_after_a_restart(name, tmp_path):
    async with rig(name, tmp_path, loop.clock(), hides_ended=True) as made:
        assert (await made.venue.create(BUY)).status is OrderStatus.CLOSED
        await made.venue.create(stop(made))
        made.set_price("41900")
        found = await made.venue.find(SYMBOL, "sl")
        assert found is not None
        assert (found.type, found.status) == (OrderType.STOP_LOSS, OrderStatus.CLOSED)
        assert (found.filled_quantity, found.average_price) == (D("0.05"), D(41900))


@each_market
@on_jumping_time
async def test_no_order_is_left_out_of_a_full_page(name, tmp_path, monkeypatch):
    monkeypatch.setattr("guardian_gateway.venues.bybit.orders.PAGE", 2)
    async with rig(name, tmp_path, loop.clock()) as made:
        for index in range(5):
            await made.venue.create(body(f"in{index}", "buy", "limit", "0.01", "40000"))
        for where in (SYMBOL, None):
            names = [
                order.ref.client_order_id or "" for order in await made.venue.open_orders(where)
            ]
            assert sorted(names) == [f"in{index}" for index in range(5)]


@on_jumping_time
async def test_pages_without_an_end_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(calls, "MOST_PAGES", 3)
    monkeypatch.setattr("guardian_gateway.venues.bybit.orders.PAGE", 1)
    async with rig("bybitlinear", tmp_path, loop.clock()) as made:
        for index in range(5):
            await made.venue.create(body(f"in{index}", "buy", "limit", "0.01", "40000"))
        with pytest.raises(Unavailable, match="more than 3 pages"):
            await made.venue.open_orders()


@on_jumping_time
async def test_what_a_symbol_that_is_not_traded_here_shows_keeps_its_name(tmp_path):
    """A dated contract of somebody else's."""
    async with rig("bybitlinear", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        await made.venue.create(REST)
        made.wire.name_of = lambda symbol: f"{symbol}-26MAR27"
        (listed,) = await made.venue.open_orders()
        (held,) = await made.venue.positions()
        assert listed.ref.symbol == held.symbol == "BTCUSDT-26MAR27"


@each_market
@on_jumping_time
async def test_fills_of_long_ago_are_asked_for_over_several_questions(name, tmp_path):
    """Weeks that are over are kept when a question ends half-way: with spot, fills that never come
    leave an account without positions, and so without stops."""
    async with rig(name, tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        since = made.clock.now() - timedelta(weeks=9, days=1)
        before = len(made.wire.asked)
        made.wire.faults.append(Fault("GET /v5/execution/list", False, (500, "", {}), 1, 6))
        with pytest.raises(Unavailable):
            await made.venue.fills(SYMBOL, since)
        for _ in range(2):
            (fill,) = await made.venue.fills(SYMBOL, since)
            assert fill.client_order_id == "in"
        asked = len(made.wire.asked) - before
        # The week that has a fill takes a second page.
        assert asked == 7 + 5 + 2


@on_jumping_time
async def test_a_funding_is_no_fill(tmp_path):
    async with rig("bybitlinear", tmp_path, loop.clock(), funding=True) as made:
        await made.venue.create(BUY)
        (fill,) = await made.venue.fills(SYMBOL)
        assert fill.client_order_id == "in"


def test_a_stop_of_the_exchanges_own_page_covers_the_whole_position():
    source = {
        "orderId": "x",
        "orderLinkId": "",
        "symbol": "BTCUSDT",
        "side": "Buy",
        "orderType": "Market",
        "orderStatus": "Untriggered",
        "stopOrderType": "StopLoss",
        "qty": "0",
        "cumExecQty": "0",
        "triggerPrice": "44000",
        "triggerDirection": 1,
        "triggerBy": "IndexPrice",
        "reduceOnly": True,
        "createdTime": "1684738540559",
    }
    order = words.order(source, Markets(FakeClock(), None, "bybitlinear"))  # type: ignore[arg-type]
    assert order.whole_position
    assert (order.type, order.trigger_basis) == (OrderType.STOP_LOSS, None)
    assert order.ref.client_order_id is None
    assert order.ref.symbol == "BTCUSDT"


# What an account must be like


@on_jumping_time
async def test_hedge_mode_is_refused_with_what_to_do(tmp_path):
    async with rig("bybitlinear", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        made.wire.hedge = True
        for ask in (
            made.venue.positions(),
            made.venue.create(body("more", "buy", "market", "0.01")),
            made.venue.set_leverage(SYMBOL, D(5)),
        ):
            with pytest.raises(ConfigurationError, match="switch to one-way mode"):
                await ask
        found = await findings(made)
        assert not found["position mode"].ok
        assert found["trading"].ok


@pytest.mark.parametrize(
    ("mode", "told"), [("ISOLATED_MARGIN", "Isolated"), ("PORTFOLIO_MARGIN", "Portfolio")]
)
@on_jumping_time
async def test_another_margin_mode_of_the_account_is_refused_not_switched(mode, told, tmp_path):
    async with rig("bybitlinear", tmp_path, loop.clock(), margin_mode=mode) as made:
        with pytest.raises(ConfigurationError, match=f"margin mode is {told}, and Cross is set"):
            await made.venue.set_leverage(SYMBOL, D(5))
        assert all(asked.method == "GET" for asked in made.wire.asked)


@on_jumping_time
async def test_leverage_that_somebody_else_set_first_is_as_good(tmp_path):
    async with rig("bybitlinear", tmp_path, loop.clock()) as made:
        await made.venue.instrument(SYMBOL)
        told = '{"retCode": 110043, "retMsg": "leverage not modified", "result": {}}'
        made.wire.fault("POST /v5/position/set-leverage", (200, told, JSON), executes=True)
        await made.venue.set_leverage(SYMBOL, D(5))
        with pytest.raises(Rejected, match="cannot set leverage"):
            await made.venue.set_leverage(SYMBOL, D(1000))
        ok = '{"retCode": 0, "retMsg": "OK", "result": {}}'
        made.wire.fault("POST /v5/position/set-leverage", (200, ok, JSON), executes=False)
        with pytest.raises(NotSent, match="is 5x, not 7x"):
            await made.venue.set_leverage(SYMBOL, D(7))


@each_market
@on_jumping_time
async def test_an_account_of_the_old_kind_is_found(name, tmp_path):
    async with rig(name, tmp_path, loop.clock(), is_unified=False) as made:
        found = await findings(made)
        assert not found["trading"].ok
        assert "unified" in found["trading"].found


@on_jumping_time
async def test_dated_inverse_and_unlisted_contracts_are_not_traded(tmp_path):
    others: tuple[dict[str, Any], ...] = (
        {"symbol": "BTCUSDT-26MAR27", "contractType": "LinearFutures"},
        {"contractType": "InversePerpetual", "settleCoin": "BTC"},
        {"settleCoin": "BTC"},
        {"isPreListing": True},
        {"priceFilter": {}},
    )
    for other in others:
        async with rig("bybitlinear", tmp_path, loop.clock()) as made:
            listed = made.wire.listed
            made.wire.listed = lambda one, listed=listed, other=other: (
                listed(one) | (other if one.base == "BTC" else {})
            )
            with pytest.raises(GuardianError, match="does not trade"):
                await made.venue.instrument(SYMBOL)
            await made.venue.instrument("ETHUSDT")
