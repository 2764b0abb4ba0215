"""What leaves for Binance, word for word: each allowed order, and each question asked."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from guardian_core.domain.errors import CallerError, Rejected
from guardian_core.domain.orders import TriggerBasis
from tests.support.paper import body
from tests.venues import loop
from tests.venues.fake.server import Wire
from tests.venues.loop import EPOCH, on_jumping_time
from tests.venues.rigs import SYMBOL, rig

D = Decimal


async def sent(made, writing) -> list[tuple[str, dict[str, str]]]:
    """The requests that a call makes, after the clock and the account's mode are known."""
    wire: Wire = made.wire
    before = len(wire.asked)
    await writing
    return [(asked.call, dict(asked.params)) for asked in wire.asked[before:]]


async def bought(made):
    await made.venue.create(body("in", "buy", "market", "0.1"))


USDM_SHAPES = {
    "a market entry": (
        body("an-id", "buy", "market", "0.010"),
        "POST /fapi/v1/order",
        {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "MARKET",
            "quantity": "0.01",
            "newClientOrderId": "an-id",
            "newOrderRespType": "RESULT",
            "reduceOnly": "false",
        },
    ),
    "a limit entry": (
        body("an-id", "sell", "limit", "0.01", "44000.10"),
        "POST /fapi/v1/order",
        {
            "symbol": "BTCUSDT",
            "side": "SELL",
            "type": "LIMIT",
            "quantity": "0.01",
            "price": "44000.1",
            "timeInForce": "GTC",
            "newClientOrderId": "an-id",
            "newOrderRespType": "RESULT",
            "reduceOnly": "false",
        },
    ),
    "an exit": (
        body("an-id", "sell", "market", "0.01", reduce_only=True),
        "POST /fapi/v1/order",
        {
            "symbol": "BTCUSDT",
            "side": "SELL",
            "type": "MARKET",
            "quantity": "0.01",
            "newClientOrderId": "an-id",
            "newOrderRespType": "RESULT",
            "reduceOnly": "true",
        },
    ),
    "a stop-loss": (
        body("an-id", "sell", "stop_loss", "0.01", "42000", reduce_only=True),
        "POST /fapi/v1/algoOrder",
        {
            "algoType": "CONDITIONAL",
            "symbol": "BTCUSDT",
            "side": "SELL",
            "type": "STOP_MARKET",
            "quantity": "0.01",
            "triggerPrice": "42000",
            "workingType": "CONTRACT_PRICE",
            "reduceOnly": "true",
            "priceProtect": "FALSE",
            "clientAlgoId": "an-id",
        },
    ),
    "a take-profit by the mark price": (
        replace(
            body("an-id", "sell", "take_profit", "0.01", "45000", reduce_only=True),
            trigger_basis=TriggerBasis.MARK,
        ),
        "POST /fapi/v1/algoOrder",
        {
            "algoType": "CONDITIONAL",
            "symbol": "BTCUSDT",
            "side": "SELL",
            "type": "TAKE_PROFIT_MARKET",
            "quantity": "0.01",
            "triggerPrice": "45000",
            "workingType": "MARK_PRICE",
            "reduceOnly": "true",
            "priceProtect": "FALSE",
            "clientAlgoId": "an-id",
        },
    ),
}

SPOT_SHAPES = {
    "a market entry": (
        body("an-id", "buy", "market", "0.010"),
        {"side": "BUY", "type": "MARKET", "quantity": "0.01"},
    ),
    "a limit entry": (
        body("an-id", "buy", "limit", "0.01", "40000.10"),
        {
            "side": "BUY",
            "type": "LIMIT",
            "quantity": "0.01",
            "price": "40000.1",
            "timeInForce": "GTC",
        },
    ),
    "a lone stop-loss": (
        body("an-id", "sell", "stop_loss", "0.01", "42000"),
        {"side": "SELL", "type": "STOP_LOSS", "quantity": "0.01", "stopPrice": "42000"},
    ),
    "a lone take-profit": (
        body("an-id", "sell", "take_profit", "0.01", "45000"),
        {"side": "SELL", "type": "TAKE_PROFIT", "quantity": "0.01", "stopPrice": "45000"},
    ),
}


@pytest.mark.parametrize(("order", "call", "params"), USDM_SHAPES.values(), ids=USDM_SHAPES)
@on_jumping_time
async def test_each_futures_order_is_sent_word_for_word(order, call, params, tmp_path):
    async with rig("binanceusdm", tmp_path, loop.clock()) as made:
        await bought(made)
        assert await sent(made, made.venue.create(order)) == [(call, params)]


@pytest.mark.parametrize(("order", "params"), SPOT_SHAPES.values(), ids=SPOT_SHAPES)
@on_jumping_time
async def test_each_spot_order_is_sent_word_for_word(order, params, tmp_path):
    everywhere = {
        "symbol": "BTCUSDT",
        "newClientOrderId": "an-id",
        "newOrderRespType": "RESULT",
    }
    async with rig("binance", tmp_path, loop.clock()) as made:
        await bought(made)
        assert await sent(made, made.venue.create(order)) == [
            ("POST /api/v3/order", everywhere | params)
        ]


@pytest.mark.parametrize(
    ("profit", "above"),
    [
        (
            body("tp", "sell", "take_profit", "0.01", "45000"),
            {"aboveType": "TAKE_PROFIT", "aboveStopPrice": "45000"},
        ),
        (
            body("tp", "sell", "limit", "0.01", "45000"),
            {"aboveType": "LIMIT_MAKER", "abovePrice": "45000"},
        ),
    ],
    ids=["at market", "at a limit"],
)
@on_jumping_time
async def test_a_spot_pair_is_one_list_word_for_word(profit, above, tmp_path):
    async with rig("binance", tmp_path, loop.clock()) as made:
        await bought(made)
        stop = body("sl", "sell", "stop_loss", "0.01", "42000")
        assert await sent(made, made.venue.create_pair(stop, profit)) == [
            (
                "POST /api/v3/orderList/oco",
                {
                    "symbol": "BTCUSDT",
                    "side": "SELL",
                    "quantity": "0.01",
                    "listClientOrderId": "slp",
                    "aboveClientOrderId": "tp",
                    "belowType": "STOP_LOSS",
                    "belowStopPrice": "42000",
                    "belowClientOrderId": "sl",
                    "newOrderRespType": "RESULT",
                }
                | above,
            )
        ]


@on_jumping_time
async def test_a_cancel_names_the_order_by_number_or_else_by_its_id(tmp_path):
    async with rig("binanceusdm", tmp_path, loop.clock()) as made:
        await bought(made)
        limit = body("rest", "buy", "limit", "0.01", "40000")
        stop = body("stop", "sell", "stop_loss", "0.01", "42000", reduce_only=True)
        for order, by_number, by_name in (
            (limit, ("DELETE /fapi/v1/order", "orderId"), "origClientOrderId"),
            (stop, ("DELETE /fapi/v1/algoOrder", "algoId"), "clientAlgoId"),
        ):
            call, number = by_number
            where = {} if order is stop else {"symbol": "BTCUSDT"}
            ref = (await made.venue.create(order)).ref
            assert await sent(made, made.venue.cancel(ref)) == [
                (call, where | {number: ref.venue_order_id})
            ]
            ref = replace((await made.venue.create(order)).ref, venue_order_id="")
            assert await sent(made, made.venue.cancel(ref)) == [
                (call, where | {by_name: order.client_order_id})
            ]
    async with rig("binance", tmp_path, loop.clock()) as made:
        ref = (await made.venue.create(limit)).ref
        assert await sent(made, made.venue.cancel(ref)) == [
            ("DELETE /api/v3/order", {"symbol": "BTCUSDT", "orderId": ref.venue_order_id})
        ]


@on_jumping_time
async def test_conditional_orders_are_listed_before_plain_ones(tmp_path):
    async with rig("binanceusdm", tmp_path, loop.clock()) as made:
        await bought(made)
        assert await sent(made, made.venue.open_orders(SYMBOL)) == [
            ("GET /fapi/v1/openAlgoOrders", {"symbol": "BTCUSDT"}),
            ("GET /fapi/v1/openOrders", {"symbol": "BTCUSDT"}),
        ]
        assert await sent(made, made.venue.open_orders()) == [
            ("GET /fapi/v1/openAlgoOrders", {}),
            ("GET /fapi/v1/openOrders", {}),
        ]


@on_jumping_time
async def test_an_id_is_sought_in_all_three_places_before_it_is_unknown(tmp_path):
    async with rig("binanceusdm", tmp_path, loop.clock()) as made:
        await bought(made)
        asked = await sent(made, made.venue.find(SYMBOL, "nobody"))
        assert sorted(asked[:2]) == [
            ("GET /fapi/v1/algoOrder", {"clientAlgoId": "nobody"}),
            ("GET /fapi/v1/order", {"symbol": "BTCUSDT", "origClientOrderId": "nobody"}),
        ]
        start = EPOCH + timedelta(seconds=asyncio.get_running_loop().time()) - timedelta(days=3)
        ((call, params),) = asked[2:]
        assert call == "GET /fapi/v1/allAlgoOrders"
        assert params == {
            "symbol": "BTCUSDT",
            "startTime": str(int(start.timestamp() * 1000)),
            "limit": "1000",
        }


@on_jumping_time
async def test_leverage_is_set_and_read_back(tmp_path):
    async with rig("binanceusdm", tmp_path, loop.clock()) as made:
        await bought(made)
        assert await sent(made, made.venue.set_leverage(SYMBOL, D(5))) == [
            ("GET /fapi/v1/symbolConfig", {"symbol": "BTCUSDT"}),
            ("POST /fapi/v1/leverage", {"symbol": "BTCUSDT", "leverage": "5"}),
            ("GET /fapi/v1/symbolConfig", {"symbol": "BTCUSDT"}),
        ]
        # What stands already is not set again.
        assert await sent(made, made.venue.set_leverage(SYMBOL, D(5))) == [
            ("GET /fapi/v1/symbolConfig", {"symbol": "BTCUSDT"}),
        ]
        with pytest.raises(CallerError, match="not whole"):
            await made.venue.set_leverage(SYMBOL, D("2.5"))


@on_jumping_time
async def test_the_margin_mode_is_set_where_it_is_another(tmp_path):
    async with rig("binanceusdm", tmp_path, loop.clock()) as made:
        made.wire.margin_types["BTCUSDT"] = "ISOLATED"
        asked = await sent(made, made.venue.set_leverage(SYMBOL, D(1)))
        assert ("POST /fapi/v1/marginType", {"symbol": "BTCUSDT", "marginType": "CROSSED"}) in asked
        await bought(made)
        made.wire.margin_types["BTCUSDT"] = "ISOLATED"
        with pytest.raises(Rejected, match="cannot be changed"):
            await made.venue.set_leverage(SYMBOL, D(1))


@pytest.mark.parametrize("name", ["binanceusdm", "binance"])
@on_jumping_time
async def test_every_signed_request_is_valid_for_three_seconds_at_most(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        await bought(made)
        await made.venue.open_orders()
        signed = [asked for asked in made.wire.asked if "signature=" in asked.raw]
        assert signed
        for asked in signed:
            assert "recvWindow=3000&" in asked.raw
            assert asked.headers["X-MBX-APIKEY"] == made.wire.key


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("binanceusdm", body("x", "sell", "stop_loss", "0.01", "42000")),
        ("binanceusdm", body("x", "sell", "take_profit", "0.01", "45000")),
        ("binanceusdm", body("x", "sell", "limit", "0.01", "45000", reduce_only=True)),
        ("binance", body("x", "sell", "market", "0.01", reduce_only=True)),
        ("binance", body("x", "sell", "stop_loss", "0.01", "42000", reduce_only=True)),
    ],
)
@on_jumping_time
async def test_an_order_of_another_shape_is_never_sent(name, order, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        with pytest.raises(CallerError, match="is not sent a"):
            await made.venue.create(order)
        assert made.wire.asked == []


@on_jumping_time
async def test_what_is_no_pair_of_sells_is_never_sent(tmp_path):
    stop = body("sl", "sell", "stop_loss", "0.01", "42000")
    async with rig("binance", tmp_path, loop.clock()) as made:
        for profit in (
            body("tp", "sell", "take_profit", "0.02", "45000"),
            body("tp", "buy", "take_profit", "0.01", "45000"),
            body("tp", "sell", "market", "0.01"),
        ):
            with pytest.raises(CallerError):
                await made.venue.create_pair(stop, profit)
        assert made.wire.asked == []
