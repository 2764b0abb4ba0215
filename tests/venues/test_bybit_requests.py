"""What leaves for Bybit, word for word: each allowed order, and each question asked."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from guardian_core.accounts import AccountSpec, Environment
from guardian_core.domain.errors import CallerError
from guardian_core.domain.orders import TriggerBasis
from guardian_gateway.venues.bybit import BybitLinear
from guardian_gateway.venues.catalogue import EXCHANGES
from guardian_gateway.venues.exchange.keys import KeyFolder
from guardian_gateway.venues.exchange.surroundings import Surroundings
from guardian_gateway.venues.factory import make_exchange
from guardian_gateway.venues.paper.rules import Rules
from tests.support.clock import FakeClock
from tests.support.paper import body
from tests.venues import loop
from tests.venues.fake.bybit_linear import FakeBybitLinear
from tests.venues.fake.server import Wire
from tests.venues.families import bybit
from tests.venues.loop import EPOCH, on_jumping_time
from tests.venues.rigs import SYMBOL, rig, stored_keys

D = Decimal
BYBITS = list(bybit.UNDER_TEST)
LIMIT = body("rest", "buy", "limit", "0.01", "40000")


async def sent(made, writing) -> list[tuple[str, dict]]:
    """The requests that a call makes, after clock and contracts are known."""
    wire: Wire = made.wire
    before = len(wire.asked)
    await writing
    return [(asked.call, dict(asked.params)) for asked in wire.asked[before:]]


async def bought(made):
    await made.venue.create(body("in", "buy", "market", "0.1"))


LINEAR_EVERYWHERE = {
    "category": "linear",
    "symbol": "BTCUSDT",
    "qty": "0.01",
    "positionIdx": 0,
    "orderLinkId": "anid",
}
LINEAR_SHAPES = {
    "a market entry": (
        body("anid", "buy", "market", "0.010"),
        {"side": "Buy", "orderType": "Market", "timeInForce": "IOC", "reduceOnly": False},
    ),
    "a limit entry": (
        body("anid", "sell", "limit", "0.01", "44000.10"),
        {
            "side": "Sell",
            "orderType": "Limit",
            "price": "44000.1",
            "timeInForce": "GTC",
            "reduceOnly": False,
        },
    ),
    "an exit": (
        body("anid", "sell", "market", "0.01", reduce_only=True),
        {"side": "Sell", "orderType": "Market", "timeInForce": "IOC", "reduceOnly": True},
    ),
    "a stop-loss": (
        body("anid", "sell", "stop_loss", "0.01", "42000", reduce_only=True),
        {
            "side": "Sell",
            "orderType": "Market",
            "timeInForce": "IOC",
            "triggerPrice": "42000",
            "triggerDirection": 2,
            "triggerBy": "LastPrice",
            "reduceOnly": True,
            "closeOnTrigger": True,
        },
    ),
    "a take-profit by the mark price": (
        replace(
            body("anid", "sell", "take_profit", "0.01", "45000", reduce_only=True),
            trigger_basis=TriggerBasis.MARK,
        ),
        {
            "side": "Sell",
            "orderType": "Market",
            "timeInForce": "IOC",
            "triggerPrice": "45000",
            "triggerDirection": 1,
            "triggerBy": "MarkPrice",
            "reduceOnly": True,
            "closeOnTrigger": True,
        },
    ),
}


@pytest.mark.parametrize(("order", "params"), LINEAR_SHAPES.values(), ids=LINEAR_SHAPES)
@on_jumping_time
async def test_each_linear_order_is_sent_word_for_word_and_looked_at(order, params, tmp_path):
    async with rig("bybitlinear", tmp_path, loop.clock()) as made:
        await bought(made)
        look = {"category": "linear", "symbol": "BTCUSDT", "orderLinkId": "anid"}
        assert await sent(made, made.venue.create(order)) == [
            ("POST /v5/order/create", LINEAR_EVERYWHERE | params),
            ("GET /v5/order/realtime", look),
        ]


SPOT_EVERYWHERE = {
    "category": "spot",
    "symbol": "BTCUSDT",
    "qty": "0.01",
    "isLeverage": 0,
    "orderLinkId": "anid",
}
SPOT_SHAPES = {
    "a market entry": (
        body("anid", "buy", "market", "0.010"),
        {
            "side": "Buy",
            "orderType": "Market",
            "timeInForce": "IOC",
            "orderFilter": "Order",
            "marketUnit": "baseCoin",
        },
    ),
    "a limit entry": (
        body("anid", "buy", "limit", "0.01", "40000.10"),
        {
            "side": "Buy",
            "orderType": "Limit",
            "price": "40000.1",
            "timeInForce": "GTC",
            "orderFilter": "Order",
        },
    ),
    "an exit": (
        body("anid", "sell", "market", "0.01"),
        {
            "side": "Sell",
            "orderType": "Market",
            "timeInForce": "IOC",
            "orderFilter": "Order",
            "marketUnit": "baseCoin",
        },
    ),
    "a stop-loss": (
        body("anid", "sell", "stop_loss", "0.01", "42000"),
        {
            "side": "Sell",
            "orderType": "Market",
            "timeInForce": "IOC",
            "orderFilter": "tpslOrder",
            "marketUnit": "baseCoin",
            "triggerPrice": "42000",
        },
    ),
}


@pytest.mark.parametrize(("order", "params"), SPOT_SHAPES.values(), ids=SPOT_SHAPES)
@on_jumping_time
async def test_each_spot_order_is_sent_word_for_word_and_looked_at(order, params, tmp_path):
    async with rig("bybit", tmp_path, loop.clock()) as made:
        await bought(made)
        where = {"category": "spot", "symbol": "BTCUSDT"}
        before = [("GET /v5/market/tickers", where)] if order.trigger_price else []
        assert await sent(made, made.venue.create(order)) == [
            *before,
            ("POST /v5/order/create", SPOT_EVERYWHERE | params),
            ("GET /v5/order/realtime", where | {"orderLinkId": "anid"}),
        ]


@on_jumping_time
async def test_a_spot_order_is_cancelled_as_the_kind_that_it_is(tmp_path):
    async with rig("bybit", tmp_path, loop.clock()) as made:
        await bought(made)
        for order, kind in (
            (LIMIT, "Order"),
            (body("stop", "sell", "stop_loss", "0.01", "42000"), "tpslOrder"),
        ):
            ref = (await made.venue.create(order)).ref
            which = {"category": "spot", "symbol": "BTCUSDT", "orderId": ref.venue_order_id}
            assert await sent(made, made.venue.cancel(ref)) == [
                ("POST /v5/order/cancel", which | {"orderFilter": kind}),
                ("GET /v5/order/realtime", which),
            ]


@on_jumping_time
async def test_spot_stops_are_listed_before_all_kinds(tmp_path):
    async with rig("bybit", tmp_path, loop.clock()) as made:
        await bought(made)
        paging = {"category": "spot", "openOnly": "0", "limit": "50"}
        for symbol, where in ((SYMBOL, {"symbol": "BTCUSDT"}), (None, {})):
            assert await sent(made, made.venue.open_orders(symbol)) == [
                ("GET /v5/order/realtime", paging | where | {"orderFilter": "tpslOrder"}),
                ("GET /v5/order/realtime", paging | where),
            ]


@pytest.mark.parametrize(
    ("kind", "level", "direction"), [("stop_loss", "44000", 1), ("take_profit", "42000", 2)]
)
@on_jumping_time
async def test_a_shorts_legs_fire_the_other_way(kind, level, direction, tmp_path):
    async with rig("bybitlinear", tmp_path, loop.clock()) as made:
        await made.venue.create(body("in", "sell", "market", "0.1"))
        leg = body("anid", "buy", kind, "0.1", level, reduce_only=True)
        (_, params), _ = await sent(made, made.venue.create(leg))
        assert (params["side"], params["triggerDirection"]) == ("Buy", direction)
        (listed,) = await made.venue.open_orders(SYMBOL)
        assert listed.type.value == kind


@on_jumping_time
async def test_a_usdc_contract_goes_by_its_own_name(tmp_path):
    wire = FakeBybitLinear(clock=loop.clock(), rules=Rules(quote="USDC"))
    await wire.start()
    wire.set_price("43000", "BTCUSDC")
    keys = stored_keys(tmp_path, wire.key, wire.secret)
    venue = BybitLinear(Surroundings(Environment.LIVE, keys, loop.clock(), elsewhere=wire.url))
    try:
        await venue.create(replace(LIMIT, symbol="BTCUSDC"))
        (asked,) = [asked for asked in wire.asked if asked.call == "POST /v5/order/create"]
        assert asked.params["symbol"] == "BTCPERP"
        (listed,) = await venue.open_orders()
        assert listed.ref.symbol == "BTCUSDC"
        assert await venue.open_orders("BTCUSDC") == [listed]
        await venue.create(body("in", "buy", "market", "0.1", symbol="BTCUSDC"))
        (held,) = await venue.positions()
        assert held.symbol == "BTCUSDC"
        (fill,) = await venue.fills("BTCUSDC")
        assert (fill.symbol, fill.fee_currency) == ("BTCUSDC", "USDC")
    finally:
        await venue.close()
        await wire.stop()


@on_jumping_time
async def test_a_cancel_names_the_order_by_number_or_else_by_its_id(tmp_path):
    async with rig("bybitlinear", tmp_path, loop.clock()) as made:
        await bought(made)
        where = {"category": "linear", "symbol": "BTCUSDT"}
        ref = (await made.venue.create(body("rest", "buy", "limit", "0.01", "40000"))).ref
        by_number = {"orderId": ref.venue_order_id}
        assert await sent(made, made.venue.cancel(ref)) == [
            ("POST /v5/order/cancel", where | by_number),
            ("GET /v5/order/realtime", where | by_number),
        ]
        stop = body("stop", "sell", "stop_loss", "0.01", "42000", reduce_only=True)
        ref = replace((await made.venue.create(stop)).ref, venue_order_id="")
        by_name = {"orderLinkId": "stop"}
        assert await sent(made, made.venue.cancel(ref)) == [
            ("POST /v5/order/cancel", where | by_name),
            ("GET /v5/order/realtime", where | by_name),
        ]


@on_jumping_time
async def test_conditional_orders_are_listed_before_all_kinds_by_symbol_or_settle_coin(tmp_path):
    async with rig("bybitlinear", tmp_path, loop.clock()) as made:
        await bought(made)
        paging = {"category": "linear", "openOnly": "0", "limit": "50"}
        call = "GET /v5/order/realtime"
        of_symbol = paging | {"symbol": "BTCUSDT"}
        assert await sent(made, made.venue.open_orders(SYMBOL)) == [
            (call, of_symbol | {"orderFilter": "StopOrder"}),
            (call, of_symbol),
        ]
        assert await sent(made, made.venue.open_orders()) == [
            (call, paging | {"settleCoin": coin} | kind)
            for coin in ("USDT", "USDC")
            for kind in ({"orderFilter": "StopOrder"}, {})
        ]


@on_jumping_time
async def test_an_id_is_sought_among_current_orders_and_in_the_history(tmp_path):
    async with rig("bybitlinear", tmp_path, loop.clock()) as made:
        await bought(made)
        which = {"category": "linear", "symbol": "BTCUSDT", "orderLinkId": "nobody"}
        assert await sent(made, made.venue.find(SYMBOL, "nobody")) == [
            ("GET /v5/order/realtime", which),
            ("GET /v5/order/history", which),
        ]


@on_jumping_time
async def test_fills_are_asked_for_by_the_week(tmp_path):
    async with rig("bybitlinear", tmp_path, loop.clock()) as made:
        await made.venue.open_orders()
        since = EPOCH - timedelta(days=10)
        asked = await sent(made, made.venue.fills(SYMBOL, since))
        week = timedelta(days=7)
        assert asked == [
            (
                "GET /v5/execution/list",
                {
                    "category": "linear",
                    "symbol": "BTCUSDT",
                    "startTime": str(int(start.timestamp() * 1000)),
                    "endTime": str(int((start + week).timestamp() * 1000)),
                    "limit": "100",
                },
            )
            for start in (since, since + week)
        ]


@on_jumping_time
async def test_what_is_held_is_asked_for_by_settle_coin(tmp_path):
    async with rig("bybitlinear", tmp_path, loop.clock()) as made:
        await made.venue.open_orders()
        assert await sent(made, made.venue.positions()) == [
            ("GET /v5/position/list", {"category": "linear", "settleCoin": coin, "limit": "200"})
            for coin in ("USDT", "USDC")
        ]
        assert await sent(made, made.venue.balances()) == [
            ("GET /v5/account/wallet-balance", {"accountType": "UNIFIED"})
        ]
        assert await sent(made, made.venue.price(SYMBOL)) == [
            ("GET /v5/market/tickers", {"category": "linear", "symbol": "BTCUSDT"})
        ]


@on_jumping_time
async def test_leverage_is_set_where_it_is_another_and_read_back(tmp_path):
    async with rig("bybitlinear", tmp_path, loop.clock()) as made:
        await bought(made)
        mode: tuple[str, dict] = ("GET /v5/account/info", {})
        where = {"category": "linear", "symbol": "BTCUSDT"}
        look = ("GET /v5/position/list", where)
        assert await sent(made, made.venue.set_leverage(SYMBOL, D("2.5"))) == [
            mode,
            look,
            (
                "POST /v5/position/set-leverage",
                where | {"buyLeverage": "2.5", "sellLeverage": "2.5"},
            ),
            look,
        ]
        assert await sent(made, made.venue.set_leverage(SYMBOL, D("2.5"))) == [mode, look]


@pytest.mark.parametrize("name", BYBITS)
@on_jumping_time
async def test_every_signed_request_is_valid_for_three_seconds_at_most(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        await bought(made)
        await made.venue.open_orders()
        signed = [asked for asked in made.wire.asked if "X-BAPI-SIGN" in asked.headers]
        assert {asked.method for asked in signed} == {"GET", "POST"}
        for asked in signed:
            assert asked.headers["X-BAPI-RECV-WINDOW"] == "3000"
            assert asked.headers["X-BAPI-API-KEY"] == made.wire.key


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("bybitlinear", body("x", "sell", "stop_loss", "0.01", "42000")),
        ("bybitlinear", body("x", "sell", "take_profit", "0.01", "45000")),
        ("bybitlinear", body("x", "sell", "limit", "0.01", "45000", reduce_only=True)),
        ("bybit", body("x", "sell", "market", "0.01", reduce_only=True)),
        ("bybit", body("x", "sell", "stop_loss", "0.01", "42000", reduce_only=True)),
        ("bybit", body("x", "sell", "take_profit", "0.01", "45000")),
    ],
)
@on_jumping_time
async def test_an_order_of_another_shape_is_never_sent(name, order, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        with pytest.raises(CallerError, match="is not sent a"):
            await made.venue.create(order)
        assert made.wire.asked == []


@pytest.mark.parametrize("name", BYBITS)
def test_each_world_has_an_address_of_its_own(name, tmp_path):
    seen = {}
    for environment in EXCHANGES[name].practice:
        told = {"accountId": "main", "venue": name, "environment": environment}
        spec = AccountSpec.model_validate(told)
        made = make_exchange("main", spec, KeyFolder(tmp_path), FakeClock())
        exchange = made._client._opened()  # type: ignore[attr-defined]
        url = exchange.implode_hostname(exchange.urls["api"]["private"])
        seen[environment.value] = url
    assert seen == {
        "Demo": "https://api-demo.bybit.com",
        "Testnet": "https://api-testnet.bybit.com",
    }
