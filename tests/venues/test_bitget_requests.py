"""What leaves for Bitget, word for word: each allowed order, and each question asked."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from guardian_core.accounts import Environment, MarginMode
from guardian_core.domain.errors import CallerError, Rejected
from guardian_core.domain.orders import TriggerBasis
from guardian_gateway.venues.bitget import BitgetSwap
from guardian_gateway.venues.bitget.recent import Recent
from guardian_gateway.venues.exchange.surroundings import Surroundings
from tests.support.paper import body
from tests.venues import loop
from tests.venues.loop import on_jumping_time
from tests.venues.rigs import ADAPTERS, SYMBOL, rig, stored_keys

D = Decimal

PRODUCT = {"productType": "USDT-FUTURES"}
COIN = {"marginCoin": "USDT"}
PLANS = {"planType": "profit_loss"}
FULL = {"limit": "100"}

ORDER = "POST /api/v2/mix/order/place-order"
PLAN = "POST /api/v2/mix/order/place-tpsl-order"
CANCEL = "POST /api/v2/mix/order/cancel-order"
CANCEL_PLAN = "POST /api/v2/mix/order/cancel-plan-order"
DETAIL = "GET /api/v2/mix/order/detail"
PENDING = "GET /api/v2/mix/order/orders-pending"
PLANS_PENDING = "GET /api/v2/mix/order/orders-plan-pending"
PLANS_PAST = "GET /api/v2/mix/order/orders-plan-history"
HELD = "GET /api/v2/mix/position/all-position"
STANDS = "GET /api/v2/mix/account/account"


async def sent(made: Any, writing: Any) -> list[tuple[str, dict[str, Any]]]:
    """The requests that a call makes, after the clock and the account's mode are known."""
    before = len(made.wire.asked)
    await writing
    return [(asked.call, dict(asked.params)) for asked in made.wire.asked[before:]]


async def bought(made, quantity="0.1"):
    await made.venue.create(body("in", "buy", "market", quantity))


SPOT_ORDER = "POST /api/v2/spot/trade/place-order"
SPOT_PLAN = "POST /api/v2/spot/trade/place-plan-order"
SPOT_CANCEL = "POST /api/v2/spot/trade/cancel-order"
SPOT_CANCEL_PLAN = "POST /api/v2/spot/trade/cancel-plan-order"
SPOT_LOOK = "GET /api/v2/spot/trade/orderInfo"
SPOT_PRICE = "GET /api/v2/spot/market/tickers"
SPOT_OPEN = "GET /api/v2/spot/trade/unfilled-orders"
SPOT_WAITING = "GET /api/v2/spot/trade/current-plan-order"
SPOT_PAST = "GET /api/v2/spot/trade/history-plan-order"

PLAIN = {"symbol": "BTCUSDT", **PRODUCT, **COIN, "marginMode": "crossed", "clientOid": "an-id"}
PROTECTIVE = {"symbol": "BTCUSDT", **PRODUCT, **COIN, "executePrice": "0", "clientOid": "an-id"}

SHAPES = {
    "a market entry": (
        body("an-id", "buy", "market", "0.010"),
        ORDER,
        {**PLAIN, "side": "buy", "orderType": "market", "size": "0.01", "reduceOnly": "NO"},
    ),
    "a limit entry": (
        body("an-id", "sell", "limit", "0.01", "44000.10"),
        ORDER,
        {
            **PLAIN,
            "side": "sell",
            "orderType": "limit",
            "size": "0.01",
            "price": "44000.1",
            "force": "gtc",
            "reduceOnly": "NO",
        },
    ),
    "an exit": (
        body("an-id", "sell", "market", "0.01", reduce_only=True),
        ORDER,
        {**PLAIN, "side": "sell", "orderType": "market", "size": "0.01", "reduceOnly": "YES"},
    ),
    "a long's stop-loss": (
        body("an-id", "sell", "stop_loss", "0.01", "42000", reduce_only=True),
        PLAN,
        {
            **PROTECTIVE,
            "planType": "loss_plan",
            "triggerPrice": "42000",
            "triggerType": "fill_price",
            "holdSide": "buy",
            "size": "0.01",
        },
    ),
    "a take-profit by the mark price": (
        replace(
            body("an-id", "sell", "take_profit", "0.01", "45000", reduce_only=True),
            trigger_basis=TriggerBasis.MARK,
        ),
        PLAN,
        {
            **PROTECTIVE,
            "planType": "profit_plan",
            "triggerPrice": "45000",
            "triggerType": "mark_price",
            "holdSide": "buy",
            "size": "0.01",
        },
    ),
}


@pytest.mark.parametrize(("order", "call", "params"), SHAPES.values(), ids=SHAPES)
@on_jumping_time
async def test_each_futures_order_is_sent_word_for_word(order, call, params, tmp_path):
    async with rig("bitgetswap", tmp_path, loop.clock()) as made:
        await bought(made)
        (first, *looks) = await sent(made, made.venue.create(order))
        assert first == (call, params)
        # A plain order is read back for what it filled; of a plan there is nothing to know yet.
        assert {call for call, _ in looks} == (set() if call == PLAN else {DETAIL})


@on_jumping_time
async def test_a_shorts_stop_loss_names_the_side_that_it_closes(tmp_path):
    async with rig("bitgetswap", tmp_path, loop.clock()) as made:
        await made.venue.create(body("in", "sell", "market", "0.1"))
        stop = body("sl", "buy", "stop_loss", "0.1", "44000", reduce_only=True)
        ((call, params),) = await sent(made, made.venue.create(stop))
        assert (call, params["planType"], params["holdSide"]) == (PLAN, "loss_plan", "sell")


@on_jumping_time
async def test_orders_of_an_isolated_account_say_so(tmp_path):
    async with rig("bitgetswap", tmp_path, loop.clock()) as made:
        keys = stored_keys(tmp_path, made.wire.key, made.wire.secret, made.wire.passphrase)
        around = Surroundings(
            Environment.DEMO, keys, made.clock, MarginMode.ISOLATED, made.wire.url
        )
        venue = ADAPTERS["bitgetswap"].adapter(around)
        try:
            await venue.set_leverage(SYMBOL, D(3))
            await venue.create(body("in", "buy", "market", "0.1"))
        finally:
            await venue.close()
        asked = {one.call: one for one in made.wire.asked}
        assert asked[ORDER].params["marginMode"] == "isolated"
        assert asked["POST /api/v2/mix/account/set-margin-mode"].params == {
            "symbol": "BTCUSDT",
            **PRODUCT,
            **COIN,
            "marginMode": "isolated",
        }
        # Play money has no address of its own, only a header.
        for call, one in asked.items():
            assert (one.headers.get("PAPTRADING") == "1") is (call != "GET /api/v2/public/time")


@on_jumping_time
async def test_a_cancel_names_the_order_by_number_or_else_by_its_id(tmp_path):
    async with rig("bitgetswap", tmp_path, loop.clock()) as made:
        await bought(made)
        limit = body("rest", "buy", "limit", "0.01", "40000")
        ref = (await made.venue.create(limit)).ref
        (first, *_) = await sent(made, made.venue.cancel(ref))
        assert first == (
            CANCEL,
            {"symbol": "BTCUSDT", **PRODUCT, **COIN, "orderId": ref.venue_order_id},
        )
        ref = replace(
            (await made.venue.create(replace(limit, client_order_id="more"))).ref, venue_order_id=""
        )
        (first, *_) = await sent(made, made.venue.cancel(ref))
        assert first == (CANCEL, {"symbol": "BTCUSDT", **PRODUCT, **COIN, "clientOid": "more"})


@pytest.mark.parametrize(
    ("kind", "level", "plan"),
    [("stop_loss", "42000", "loss_plan"), ("take_profit", "45000", "profit_plan")],
)
@on_jumping_time
async def test_a_plans_cancel_names_its_type_too(kind, level, plan, tmp_path):
    async with rig("bitgetswap", tmp_path, loop.clock()) as made:
        await bought(made)
        leg = body("leg", "sell", kind, "0.01", level, reduce_only=True)
        ref = (await made.venue.create(leg)).ref
        cancel = {"symbol": "BTCUSDT", **PRODUCT, **COIN, "planType": plan}
        by_number = {**cancel, "orderIdList": [{"orderId": ref.venue_order_id}]}
        assert await sent(made, made.venue.cancel(ref)) == [(CANCEL_PLAN, by_number)]
        again = replace(leg, client_order_id="again")
        ref = replace((await made.venue.create(again)).ref, venue_order_id="")
        by_name = {**cancel, "orderIdList": [{"clientOid": "again"}]}
        assert await sent(made, made.venue.cancel(ref)) == [(CANCEL_PLAN, by_name)]


@on_jumping_time
async def test_a_plan_of_a_type_that_nobody_remembers_is_tried_as_both(tmp_path):
    async with rig("bitgetswap", tmp_path, loop.clock()) as made:
        await bought(made)
        leg = body("tp", "sell", "take_profit", "0.01", "45000", reduce_only=True)
        ref = (await made.venue.create(leg)).ref
        # As after a restart.
        assert isinstance(made.venue, BitgetSwap)
        made.venue._kinds = Recent()
        asked = await sent(made, made.venue.cancel(ref))
        assert [(call, params["planType"]) for call, params in asked] == [
            (CANCEL_PLAN, "loss_plan"),
            (CANCEL_PLAN, "profit_plan"),
        ]
        assert await made.venue.open_orders() == []


@on_jumping_time
async def test_plans_are_listed_before_plain_orders(tmp_path):
    async with rig("bitgetswap", tmp_path, loop.clock()) as made:
        await bought(made)
        for symbol, where in ((SYMBOL, {"symbol": "BTCUSDT"}), (None, {})):
            assert await sent(made, made.venue.open_orders(symbol)) == [
                (PLANS_PENDING, {**PRODUCT, **PLANS, **where, **FULL}),
                (PENDING, {**PRODUCT, **where, **FULL}),
            ]
        stop = body("sl", "sell", "stop_loss", "0.01", "42000", reduce_only=True)
        await made.venue.create(stop)
        # What is open tells which side a plan closes.
        asked = await sent(made, made.venue.open_orders())
        assert [call for call, _ in asked] == [PLANS_PENDING, HELD, PENDING]


@on_jumping_time
async def test_an_id_is_sought_in_all_three_places_before_it_is_unknown(tmp_path):
    async with rig("bitgetswap", tmp_path, loop.clock()) as made:
        await bought(made)
        asked = await sent(made, made.venue.find(SYMBOL, "nobody"))
        which = {"symbol": "BTCUSDT", "clientOid": "nobody"}
        assert sorted(asked[:2]) == [
            (DETAIL, {**PRODUCT, **which}),
            (PLANS_PENDING, {**PRODUCT, **PLANS, **which, **FULL}),
        ]
        assert asked[2:] == [(PLANS_PAST, {**PRODUCT, **PLANS, **which, **FULL})]


@on_jumping_time
async def test_a_plan_that_was_there_is_sought_twice_before_it_is_unknown(tmp_path):
    """On its way from the list to the history it may be in neither for a moment."""
    async with rig("bitgetswap", tmp_path, loop.clock()) as made:
        await bought(made)
        stop = body("sl", "sell", "stop_loss", "0.1", "42000", reduce_only=True)
        await made.venue.create(stop)
        made.set_price("41000")
        nothing = '{"code": "00000", "data": {"entrustedList": null, "endId": null}}'
        made.wire.fault(PLANS_PAST, (200, nothing, {}), executes=False)
        found = await made.venue.find(SYMBOL, "sl")
        assert found is not None
        assert (found.status.value, found.filled_quantity) == ("closed", D("0.1"))


@on_jumping_time
async def test_leverage_is_set_and_read_back(tmp_path):
    async with rig("bitgetswap", tmp_path, loop.clock()) as made:
        await bought(made)
        look = (STANDS, {"symbol": "BTCUSDT", **PRODUCT, **COIN})
        setting = {"symbol": "BTCUSDT", **PRODUCT, **COIN, "leverage": "5"}
        assert await sent(made, made.venue.set_leverage(SYMBOL, D(5))) == [
            look,
            ("POST /api/v2/mix/account/set-leverage", setting),
            look,
        ]
        # What stands already is not set again.
        assert await sent(made, made.venue.set_leverage(SYMBOL, D(5))) == [look]
        with pytest.raises(CallerError, match="not whole"):
            await made.venue.set_leverage(SYMBOL, D("2.5"))


@on_jumping_time
async def test_a_margin_mode_that_may_not_change_now_is_a_refusal(tmp_path):
    async with rig("bitgetswap", tmp_path, loop.clock()) as made:
        await bought(made)
        made.wire.margin_modes["BTCUSDT"] = "isolated"
        with pytest.raises(Rejected, match="45117"):
            await made.venue.set_leverage(SYMBOL, D(1))


@pytest.mark.parametrize(
    "order",
    [
        body("x", "sell", "stop_loss", "0.01", "42000"),
        body("x", "sell", "take_profit", "0.01", "45000"),
        body("x", "sell", "limit", "0.01", "45000", reduce_only=True),
    ],
)
@on_jumping_time
async def test_an_order_of_another_shape_is_never_sent(order, tmp_path):
    async with rig("bitgetswap", tmp_path, loop.clock()) as made:
        with pytest.raises(CallerError, match="is not sent a"):
            await made.venue.create(order)
        assert made.wire.asked == []


# Spot

SPOT_PLAIN = {"symbol": "BTCUSDT", "clientOid": "an-id"}

SPOT_SHAPES = {
    "a market entry: bounded, for coins and not for money": (
        body("an-id", "buy", "market", "0.010"),
        SPOT_ORDER,
        {
            **SPOT_PLAIN,
            "side": "buy",
            "orderType": "limit",
            "force": "ioc",
            "price": "43430",
            "size": "0.01",
        },
    ),
    "a limit entry": (
        body("an-id", "buy", "limit", "0.01", "42000.10"),
        SPOT_ORDER,
        {
            **SPOT_PLAIN,
            "side": "buy",
            "orderType": "limit",
            "force": "gtc",
            "price": "42000.1",
            "size": "0.01",
        },
    ),
    "an exit": (
        body("an-id", "sell", "market", "0.01"),
        SPOT_ORDER,
        {**SPOT_PLAIN, "side": "sell", "orderType": "market", "force": "gtc", "size": "0.01"},
    ),
    "a stop-loss": (
        body("an-id", "sell", "stop_loss", "0.01", "42000"),
        SPOT_PLAN,
        {
            **SPOT_PLAIN,
            "side": "sell",
            "triggerPrice": "42000",
            "triggerType": "fill_price",
            "orderType": "market",
            "planType": "amount",
            "size": "0.01",
        },
    ),
}


@pytest.mark.parametrize(("order", "call", "params"), SPOT_SHAPES.values(), ids=SPOT_SHAPES)
@on_jumping_time
async def test_each_spot_order_is_sent_word_for_word(order, call, params, tmp_path):
    async with rig("bitget", tmp_path, loop.clock()) as made:
        await bought(made)
        now_ms = made.wire.now_ms()
        asked = await sent(made, made.venue.create(order))
        ((written, told),) = [one for one in asked if one[0].startswith("POST")]
        if call == SPOT_ORDER:
            assert abs(int(told.pop("requestTime")) - now_ms) < 50
            assert told.pop("receiveWindow") == "3000"
        assert (written, told) == (call, params)
        # The price comes first where it counts, and after a stop once more.
        others = [name for name, _ in asked if name != call]
        if call == SPOT_PLAN:
            assert others == [SPOT_PRICE, SPOT_PRICE]
        else:
            assert others == [*([SPOT_PRICE] if "ioc" in params.values() else []), SPOT_LOOK]


@on_jumping_time
async def test_a_spot_cancel_names_the_order_by_number_or_else_by_its_id(tmp_path):
    async with rig("bitget", tmp_path, loop.clock()) as made:
        await bought(made)
        limit = body("rest", "buy", "limit", "0.01", "40000")
        stop = body("sl", "sell", "stop_loss", "0.01", "42000")
        for order, call, symbol in (
            (limit, SPOT_CANCEL, {"symbol": "BTCUSDT"}),
            (stop, SPOT_CANCEL_PLAN, {}),
        ):
            ref = (await made.venue.create(order)).ref
            (first, *_) = await sent(made, made.venue.cancel(ref))
            assert first == (call, {**symbol, "orderId": ref.venue_order_id})
            again = replace(order, client_order_id=f"{order.client_order_id}2")
            ref = replace((await made.venue.create(again)).ref, venue_order_id="")
            (first, *_) = await sent(made, made.venue.cancel(ref))
            assert first == (call, {**symbol, "clientOid": again.client_order_id})
        assert await made.venue.open_orders() == []


@on_jumping_time
async def test_spot_plans_are_listed_before_plain_orders(tmp_path):
    async with rig("bitget", tmp_path, loop.clock()) as made:
        await bought(made)
        where = {"symbol": "BTCUSDT"}
        assert await sent(made, made.venue.open_orders()) == [
            (SPOT_WAITING, {**where, **FULL}),
            (SPOT_OPEN, FULL),
        ]
        await made.venue.create(body("sl", "sell", "stop_loss", "0.01", "42000"))
        # What a plan is meant for, only the price tells.
        assert await sent(made, made.venue.open_orders(SYMBOL)) == [
            (SPOT_WAITING, {**where, **FULL}),
            (SPOT_PRICE, where),
            (SPOT_OPEN, {**where, **FULL}),
        ]


@on_jumping_time
async def test_a_spot_id_is_sought_in_all_three_places_before_it_is_unknown(tmp_path):
    async with rig("bitget", tmp_path, loop.clock()) as made:
        await bought(made)
        asked = await sent(made, made.venue.find(SYMBOL, "nobody"))
        assert sorted(call for call, _ in asked) == sorted((SPOT_WAITING, SPOT_PAST, SPOT_LOOK))
        told = dict(asked)
        assert told[SPOT_LOOK] == {"clientOid": "nobody"}
        span = int(told[SPOT_PAST]["endTime"]) - int(told[SPOT_PAST]["startTime"])
        assert 89 < span / 86_400_000 <= 90


@pytest.mark.parametrize(
    "order",
    [
        body("x", "sell", "take_profit", "0.01", "45000"),
        body("x", "sell", "stop_loss", "0.01", "42000", reduce_only=True),
        body("x", "sell", "market", "0.01", reduce_only=True),
    ],
)
@on_jumping_time
async def test_a_spot_order_of_another_shape_is_never_sent(order, tmp_path):
    async with rig("bitget", tmp_path, loop.clock()) as made:
        with pytest.raises(CallerError, match="is not sent a"):
            await made.venue.create(order)
        assert made.wire.asked == []
