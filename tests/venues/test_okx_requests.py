"""What leaves for OKX, word for word: each allowed order, and each question asked."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from guardian_core.accounts import Environment, MarginMode
from guardian_core.domain.errors import CallerError
from guardian_core.domain.orders import TriggerBasis
from guardian_gateway.venues.exchange.keys import KeyFolder
from guardian_gateway.venues.exchange.surroundings import Surroundings
from guardian_gateway.venues.okx import OkxSwap
from tests.support.clock import FakeClock
from tests.support.paper import body
from tests.venues import loop
from tests.venues.fake.okx_swap import FakeOkxSwap
from tests.venues.fake.server import Asked
from tests.venues.families import okx
from tests.venues.loop import EPOCH, on_jumping_time
from tests.venues.rigs import SYMBOL, rig, stored_keys

D = Decimal
each_market = pytest.mark.parametrize("name", list(okx.UNDER_TEST))
ORDER, ALGO = "POST /api/v5/trade/order", "POST /api/v5/trade/order-algo"
INSTRUMENTS = {"okxswap": ("SWAP", "BTC-USDT-SWAP"), "okx": ("SPOT", "BTC-USDT")}
PENDING_ALGOS = "GET /api/v5/trade/orders-algo-pending"
LISTS = [
    (PENDING_ALGOS, {"ordType": "conditional,oco"}),
    (PENDING_ALGOS, {"ordType": "trigger"}),
    (PENDING_ALGOS, {"ordType": "move_order_stop"}),
    ("GET /api/v5/trade/orders-pending", {}),
]


async def asked_of(made, calling) -> list[Asked]:
    before = len(made.wire.asked)
    await calling
    found: list[Asked] = made.wire.asked[before:]
    return found


async def sent(made, calling) -> list[tuple[str, Any]]:
    """Each request: what a question asks for, or the JSON that a write carries."""
    asked = await asked_of(made, calling)
    return [
        (one.call, json.loads(one.raw) if one.method == "POST" else dict(one.params))
        for one in asked
    ]


async def bought(made):
    await made.venue.create(body("in", "buy", "market", "0.1"))


def leg(made, name, kind, level, quantity="0.05"):
    return body(name, "sell", kind, quantity, level, reduce_only=not made.spot)


SWAP_SHAPES = {
    "a market entry": (
        body("anid", "buy", "market", "0.010"),
        {"side": "buy", "ordType": "market", "sz": "1", "reduceOnly": False, "clOrdId": "anid"},
    ),
    "a limit entry": (
        body("anid", "sell", "limit", "0.015", "44000.10"),
        {
            "side": "sell",
            "ordType": "limit",
            "sz": "1.5",
            "px": "44000.1",
            "reduceOnly": False,
            "clOrdId": "anid",
        },
    ),
    "an exit": (
        body("anid", "sell", "market", "0.01", reduce_only=True),
        {"side": "sell", "ordType": "market", "sz": "1", "reduceOnly": True, "clOrdId": "anid"},
    ),
    "a stop-loss": (
        body("anid", "sell", "stop_loss", "0.01", "42000", reduce_only=True),
        {
            "side": "sell",
            "ordType": "conditional",
            "sz": "1",
            "reduceOnly": True,
            "algoClOrdId": "anid",
            "slTriggerPx": "42000",
            "slTriggerPxType": "last",
            "slOrdPx": "-1",
        },
    ),
    "a take-profit by the mark price": (
        replace(
            body("anid", "sell", "take_profit", "0.01", "45000", reduce_only=True),
            trigger_basis=TriggerBasis.MARK,
        ),
        {
            "side": "sell",
            "ordType": "conditional",
            "sz": "1",
            "reduceOnly": True,
            "algoClOrdId": "anid",
            "tpTriggerPx": "45000",
            "tpTriggerPxType": "mark",
            "tpOrdPx": "-1",
        },
    ),
}


@pytest.mark.parametrize(("order", "params"), SWAP_SHAPES.values(), ids=SWAP_SHAPES)
@on_jumping_time
async def test_each_order_on_a_swap_is_sent_word_for_word(order, params, tmp_path):
    everywhere = {"instId": "BTC-USDT-SWAP", "tdMode": "cross", "posSide": "net"}
    async with rig("okxswap", tmp_path, loop.clock()) as made:
        await bought(made)
        asked = await sent(made, made.venue.create(order))
        if order.type.is_conditional:
            assert asked == [(ALGO, everywhere | params)]
        else:
            look = {"instId": "BTC-USDT-SWAP", "clOrdId": "anid"}
            assert asked == [
                (ORDER, everywhere | params),
                ("GET /api/v5/trade/order", look),
            ]


SPOT_SHAPES = {
    "a market entry": (
        body("anid", "buy", "market", "0.010"),
        {
            "side": "buy",
            "ordType": "market",
            "sz": "0.01",
            "tgtCcy": "base_ccy",
            "banAmend": True,
            "clOrdId": "anid",
        },
    ),
    "a limit entry": (
        body("anid", "buy", "limit", "0.015", "40000.10"),
        {"side": "buy", "ordType": "limit", "sz": "0.015", "px": "40000.1", "clOrdId": "anid"},
    ),
    "an exit": (
        body("anid", "sell", "market", "0.01"),
        {
            "side": "sell",
            "ordType": "market",
            "sz": "0.01",
            "tgtCcy": "base_ccy",
            "banAmend": True,
            "clOrdId": "anid",
        },
    ),
    "a lone stop-loss": (
        body("anid", "sell", "stop_loss", "0.01", "42000"),
        {
            "side": "sell",
            "ordType": "conditional",
            "sz": "0.01",
            "algoClOrdId": "anid",
            "slTriggerPx": "42000",
            "slTriggerPxType": "last",
            "slOrdPx": "-1",
        },
    ),
    "a lone take-profit": (
        body("anid", "sell", "take_profit", "0.01", "45000"),
        {
            "side": "sell",
            "ordType": "conditional",
            "sz": "0.01",
            "algoClOrdId": "anid",
            "tpTriggerPx": "45000",
            "tpTriggerPxType": "last",
            "tpOrdPx": "-1",
        },
    ),
}


@pytest.mark.parametrize(("order", "params"), SPOT_SHAPES.values(), ids=SPOT_SHAPES)
@on_jumping_time
async def test_each_order_on_spot_is_sent_word_for_word(order, params, tmp_path):
    everywhere = {"instId": "BTC-USDT", "tdMode": "cash"}
    async with rig("okx", tmp_path, loop.clock()) as made:
        await bought(made)
        asked = await sent(made, made.venue.create(order))
        if order.type.is_conditional:
            assert asked == [(ALGO, everywhere | params)]
        else:
            look = {"instId": "BTC-USDT", "clOrdId": "anid"}
            assert asked == [(ORDER, everywhere | params), ("GET /api/v5/trade/order", look)]


@on_jumping_time
async def test_a_spot_pair_is_one_order_word_for_word(tmp_path):
    async with rig("okx", tmp_path, loop.clock()) as made:
        await bought(made)
        stop = body("guardnabcdefghijkl", "sell", "stop_loss", "0.01", "42000")
        profit = body("guardnmnopqrstuvwx", "sell", "take_profit", "0.01", "45000")
        assert await sent(made, made.venue.create_pair(stop, profit)) == [
            (
                ALGO,
                {
                    "instId": "BTC-USDT",
                    "tdMode": "cash",
                    "side": "sell",
                    "ordType": "oco",
                    "sz": "0.01",
                    "algoClOrdId": "guardnabcdefghijklTmnopqrstuvwx",
                    "slTriggerPx": "42000",
                    "slTriggerPxType": "last",
                    "slOrdPx": "-1",
                    "tpTriggerPx": "45000",
                    "tpTriggerPxType": "last",
                    "tpOrdPx": "-1",
                },
            )
        ]


@on_jumping_time
async def test_either_leg_of_a_pair_cancels_the_one_order(tmp_path):
    async with rig("okx", tmp_path, loop.clock()) as made:
        await bought(made)
        pair = (leg(made, "sl", "stop_loss", "42000"), leg(made, "tp", "take_profit", "45000"))
        for index in (0, 1):
            order = (await made.venue.create_pair(*pair))[index]
            asked = await sent(made, made.venue.cancel(order.ref))
            which = {"instId": "BTC-USDT", "algoId": order.pair_id}
            assert asked[0] == ("POST /api/v5/trade/cancel-algos", [which])
            assert await made.venue.open_orders() == []


@on_jumping_time
async def test_the_other_questions_on_spot_are_word_for_word(tmp_path):
    async with rig("okx", tmp_path, loop.clock()) as made:
        await bought(made)
        assert await sent(made, made.venue.balances()) == [("GET /api/v5/account/balance", {})]
        assert await sent(made, made.venue.price(SYMBOL)) == [
            ("GET /api/v5/market/ticker", {"instId": "BTC-USDT"})
        ]
        assert await sent(made, made.venue.positions()) == []


@on_jumping_time
async def test_what_is_no_pair_of_sells_is_never_sent(tmp_path):
    stop = body("sl", "sell", "stop_loss", "0.01", "42000")
    async with rig("okx", tmp_path, loop.clock()) as made:
        for profit in (
            body("tp", "sell", "take_profit", "0.02", "45000"),
            body("tp", "buy", "take_profit", "0.01", "45000"),
            body("tp", "sell", "limit", "0.01", "45000"),
        ):
            with pytest.raises(CallerError):
                await made.venue.create_pair(stop, profit)
        with pytest.raises(CallerError, match="conditional buy"):
            await made.venue.create(body("sl", "buy", "stop_loss", "0.01", "44000"))
        assert [one for one in made.wire.asked if one.method == "POST"] == []


@on_jumping_time
async def test_an_isolated_account_trades_isolated(tmp_path):
    wire = FakeOkxSwap(clock=loop.clock())
    await wire.start()
    wire.set_price("43000")
    keys = stored_keys(tmp_path, wire.key, wire.secret, wire.passphrase)
    around = Surroundings(Environment.LIVE, keys, loop.clock(), MarginMode.ISOLATED, wire.url)
    venue = OkxSwap(around)
    try:
        await venue.create(body("in", "buy", "market", "0.1"))
        await venue.create(body("sl", "sell", "stop_loss", "0.1", "42000", reduce_only=True))
        modes = [one.params["tdMode"] for one in wire.asked if one.method == "POST"]
        assert modes == ["isolated", "isolated"]
    finally:
        await venue.close()
        await wire.stop()


@each_market
@on_jumping_time
async def test_a_plain_order_has_three_seconds_and_a_conditional_one_no_such_limit(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        await bought(made)
        now_ms = made.wire.now_ms()
        plain_one, _ = await asked_of(made, made.venue.create(body("x", "buy", "market", "0.01")))
        assert now_ms <= int(plain_one.headers["expTime"]) - 3000 < now_ms + 1000
        for asked in await asked_of(made, made.venue.create(leg(made, "sl", "stop_loss", "42000"))):
            assert "expTime" not in asked.headers


@each_market
@on_jumping_time
async def test_no_broker_is_named(name, tmp_path):
    """ccxt would add its own id to an order without one, and its tag."""
    async with rig(name, tmp_path, loop.clock()) as made:
        await bought(made)
        await made.venue.create(leg(made, "sl", "stop_loss", "42000"))
        for asked in made.wire.asked:
            assert "tag" not in asked.params
            if asked.call == ALGO:
                assert "clOrdId" not in asked.params


@pytest.mark.parametrize(
    ("environment", "header"), [(Environment.DEMO, "1"), (Environment.LIVE, None)]
)
@each_market
@on_jumping_time
async def test_play_money_is_named_by_a_header(name, environment, header, tmp_path):
    under_test = okx.UNDER_TEST[name]
    wire = under_test.fake(clock=loop.clock())
    await wire.start()
    wire.set_price("43000")
    keys = stored_keys(tmp_path, wire.key, wire.secret, wire.passphrase)
    venue = under_test.adapter(Surroundings(environment, keys, loop.clock(), elsewhere=wire.url))
    try:
        await venue.create(body("in", "buy", "market", "0.1"))
        assert {asked.headers.get("x-simulated-trading") for asked in wire.asked} == {header}
    finally:
        await venue.close()
        await wire.stop()


@each_market
def test_each_world_is_at_okxs_own_address(name, tmp_path):
    keys = KeyFolder(tmp_path).of("main")
    made: Any = okx.UNDER_TEST[name].adapter(Surroundings(Environment.DEMO, keys, FakeClock()))
    exchange = made._client._opened()
    assert exchange.implode_hostname(exchange.urls["api"]["rest"]) == "https://www.okx.com"


@each_market
@on_jumping_time
async def test_a_cancel_names_the_order_by_number_or_else_by_its_id(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        await bought(made)
        instrument = INSTRUMENTS[name][1]
        ref = (await made.venue.create(body("rest", "buy", "limit", "0.01", "40000"))).ref
        which = {"instId": instrument, "ordId": ref.venue_order_id}
        assert await sent(made, made.venue.cancel(ref)) == [
            ("POST /api/v5/trade/cancel-order", which),
            ("GET /api/v5/trade/order", which),
        ]
        await made.venue.create(body("rest", "buy", "limit", "0.01", "40000"))
        which = {"instId": instrument, "clOrdId": "rest"}
        assert await sent(made, made.venue.cancel(replace(ref, venue_order_id=""))) == [
            ("POST /api/v5/trade/cancel-order", which),
            ("GET /api/v5/trade/order", which),
        ]


@each_market
@on_jumping_time
async def test_the_cancel_of_a_leg_is_a_list_of_one(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        await bought(made)
        ref = (await made.venue.create(leg(made, "sl", "stop_loss", "42000"))).ref
        which = {"instId": INSTRUMENTS[name][1], "algoId": ref.venue_order_id}
        gone = [
            ("POST /api/v5/trade/cancel-algos", [which]),
            ("GET /api/v5/trade/order-algo", {"algoId": ref.venue_order_id}),
        ]
        assert await sent(made, made.venue.cancel(ref)) == gone
        ref = (await made.venue.create(leg(made, "sl", "stop_loss", "42000"))).ref
        asked = await sent(made, made.venue.cancel(replace(ref, venue_order_id="")))
        cancels = [body_ for call, body_ in asked if call == "POST /api/v5/trade/cancel-algos"]
        assert cancels == [[which | {"algoId": ref.venue_order_id}]]
        assert await made.venue.open_orders() == []


@each_market
@on_jumping_time
async def test_stops_of_every_kind_are_listed_before_plain_orders(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        await bought(made)
        kind, instrument = INSTRUMENTS[name]
        for symbol, where in ((SYMBOL, {"instId": instrument}), (None, {})):
            everywhere = {"instType": kind, "limit": "100", **where}
            asked = await sent(made, made.venue.open_orders(symbol))
            assert {call for call, _ in asked[:3]} == {PENDING_ALGOS}
            for call, params in LISTS:
                assert (call, everywhere | params) in asked
            assert asked[3] == (LISTS[3][0], everywhere)
            assert len(asked) == len(LISTS)


@each_market
@on_jumping_time
async def test_an_id_is_sought_everywhere_before_it_is_unknown(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        await bought(made)
        kind, instrument = INSTRUMENTS[name]
        asked = await sent(made, made.venue.find(SYMBOL, "nobody"))
        where = {"instType": kind, "instId": instrument, "limit": "100"}
        where["ordType"] = "conditional,oco"
        history = "GET /api/v5/trade/orders-algo-history"
        assert sorted(asked[:2], key=str) == [
            ("GET /api/v5/trade/order", {"instId": instrument, "clOrdId": "nobody"}),
            ("GET /api/v5/trade/order-algo", {"algoClOrdId": "nobody"}),
        ]
        assert asked[2:] == [
            (PENDING_ALGOS, where),
            (history, where | {"state": "effective"}),
            (history, where | {"state": "canceled"}),
            (history, where | {"state": "order_failed"}),
        ]


@each_market
@on_jumping_time
async def test_fills_of_more_than_three_days_are_asked_for_in_both_places(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        await bought(made)
        await made.venue.fills(SYMBOL)
        now = EPOCH + timedelta(seconds=asyncio.get_running_loop().time())
        kind, instrument = INSTRUMENTS[name]
        recent, older = "GET /api/v5/trade/fills", "GET /api/v5/trade/fills-history"
        for days, calls in ((1, [recent]), (5, [older, recent]), (400, [older, recent])):
            asked = await sent(made, made.venue.fills(SYMBOL, now - timedelta(days=days)))
            assert [call for call, _ in asked] == calls
            start_ms = int((now - timedelta(days=min(days, 89))).timestamp() * 1000)
            for _, params in asked:
                begin_ms = int(params.pop("begin"))
                assert abs(begin_ms - start_ms) < 1000
                assert params == {"instType": kind, "instId": instrument, "limit": "100"}


@on_jumping_time
async def test_leverage_is_set_for_the_accounts_margin_mode_and_read_back(tmp_path):
    which = {"instId": "BTC-USDT-SWAP", "mgnMode": "cross"}
    async with rig("okxswap", tmp_path, loop.clock()) as made:
        await bought(made)
        look = ("GET /api/v5/account/leverage-info", which)
        assert await sent(made, made.venue.set_leverage(SYMBOL, D(5))) == [
            look,
            ("POST /api/v5/account/set-leverage", which | {"lever": "5"}),
            look,
        ]
        # What stands already is not set again.
        assert await sent(made, made.venue.set_leverage(SYMBOL, D("5.0"))) == [look]


@on_jumping_time
async def test_the_other_questions_on_swaps_are_word_for_word(tmp_path):
    async with rig("okxswap", tmp_path, loop.clock()) as made:
        await bought(made)
        assert await sent(made, made.venue.positions()) == [
            ("GET /api/v5/account/positions", {"instType": "SWAP"})
        ]
        assert await sent(made, made.venue.balances()) == [("GET /api/v5/account/balance", {})]
        assert sorted(await sent(made, made.venue.price(SYMBOL)), key=str) == [
            ("GET /api/v5/market/ticker", {"instId": "BTC-USDT-SWAP"}),
            (
                "GET /api/v5/public/mark-price",
                {"instType": "SWAP", "instId": "BTC-USDT-SWAP"},
            ),
        ]


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("okxswap", body("x", "sell", "stop_loss", "0.01", "42000")),
        ("okxswap", body("x", "sell", "take_profit", "0.01", "45000")),
        ("okxswap", body("x", "sell", "limit", "0.01", "45000", reduce_only=True)),
        ("okx", body("x", "sell", "market", "0.01", reduce_only=True)),
        ("okx", body("x", "sell", "stop_loss", "0.01", "42000", reduce_only=True)),
    ],
)
@on_jumping_time
async def test_an_order_of_another_shape_is_never_sent(name, order, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        with pytest.raises(CallerError, match="is not sent a"):
            await made.venue.create(order)
        assert made.wire.asked == []
