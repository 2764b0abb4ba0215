"""What leaves for Kraken futures, word for word: each allowed order, and each question asked."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from guardian_core.accounts import Environment, MarginMode
from guardian_core.domain.errors import CallerError, Rejected, RejectReason
from guardian_core.domain.orders import TriggerBasis
from guardian_gateway.venues.exchange.surroundings import Surroundings
from guardian_gateway.venues.kraken import KrakenFutures
from tests.support.paper import body
from tests.venues import loop
from tests.venues.loop import EPOCH, on_jumping_time
from tests.venues.rigs import SYMBOL, rig, stored_keys

D = Decimal
V3 = "/derivatives/api/v3"
Call = tuple[str, dict[str, str]]
TICKER: Call = (f"GET {V3}/tickers/PF_XBTUSDT", {})
LEVERAGE: Call = (f"GET {V3}/leveragepreferences", {})
RIGHTS: Call = ("GET /api/auth/v1/api-keys/v3/check", {})


async def sent(made, asking):
    """The requests that a call makes, after clock and listings are known."""
    before = len(made.wire.asked)
    await asking
    return [(asked.call, dict(asked.params)) for asked in made.wire.asked[before:]]


async def bought(made):
    await made.venue.create(body("in", "buy", "market", "0.1"))


def in_three_seconds():
    at = EPOCH + timedelta(seconds=asyncio.get_running_loop().time() + 3)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


EVERY = {"symbol": "PF_XBTUSDT", "size": "0.01", "cliOrdId": "an-id"}
SHAPES = {
    "a market entry": (
        body("an-id", "buy", "market", "0.010"),
        {"orderType": "mkt", "side": "buy", "reduceOnly": "false"},
    ),
    "a limit entry": (
        body("an-id", "sell", "limit", "0.01", "44000.10"),
        {"orderType": "lmt", "side": "sell", "reduceOnly": "false", "limitPrice": "44000.1"},
    ),
    "an exit": (
        body("an-id", "sell", "market", "0.01", reduce_only=True),
        {"orderType": "mkt", "side": "sell", "reduceOnly": "true"},
    ),
    "a stop-loss": (
        body("an-id", "sell", "stop_loss", "0.01", "42000", reduce_only=True),
        {
            "orderType": "stp",
            "side": "sell",
            "reduceOnly": "true",
            "stopPrice": "42000",
            "triggerSignal": "last",
        },
    ),
    "a take-profit by the mark price": (
        replace(
            body("an-id", "sell", "take_profit", "0.01", "45000", reduce_only=True),
            trigger_basis=TriggerBasis.MARK,
        ),
        {
            "orderType": "take_profit",
            "side": "sell",
            "reduceOnly": "true",
            "stopPrice": "45000",
            "triggerSignal": "mark",
        },
    ),
}


@pytest.mark.parametrize(("order", "params"), SHAPES.values(), ids=SHAPES)
@on_jumping_time
async def test_each_order_is_sent_word_for_word(order, params, tmp_path):
    async with rig("krakenfutures", tmp_path, loop.clock()) as made:
        await bought(made)
        asked = await sent(made, made.venue.create(order))
        until = {"processBefore": in_three_seconds()}
        expected = (f"POST {V3}/sendorder", EVERY | params | until)
        assert asked == ([TICKER] if order.type.is_conditional else []) + [expected]


@on_jumping_time
async def test_a_cancel_names_the_order_by_its_id_or_else_by_ours(tmp_path):
    async with rig("krakenfutures", tmp_path, loop.clock()) as made:
        order = await made.venue.create(body("rest", "buy", "limit", "0.01", "40000"))
        until = {"processBefore": in_three_seconds()}
        assert await sent(made, made.venue.cancel(order.ref)) == [
            (f"POST {V3}/cancelorder", {"order_id": order.ref.venue_order_id} | until)
        ]
        order = await made.venue.create(body("more", "buy", "limit", "0.01", "40000"))
        nameless = replace(order.ref, venue_order_id="")
        until = {"processBefore": in_three_seconds()}
        assert await sent(made, made.venue.cancel(nameless)) == [
            (f"POST {V3}/cancelorder", {"cliOrdId": "more"} | until)
        ]


@on_jumping_time
async def test_a_look_at_rest_is_two_calls_whatever_the_symbols(tmp_path):
    async with rig("krakenfutures", tmp_path, loop.clock()) as made:
        await bought(made)
        assert await sent(made, made.venue.open_orders()) == [(f"GET {V3}/openorders", {})]
        assert await sent(made, made.venue.open_orders(SYMBOL)) == [(f"GET {V3}/openorders", {})]
        assert await sent(made, made.venue.positions()) == [(f"GET {V3}/openpositions", {})]
        assert await sent(made, made.venue.balances()) == [(f"GET {V3}/accounts", {})]
        assert await sent(made, made.venue.price(SYMBOL)) == [TICKER]


@on_jumping_time
async def test_an_id_is_sought_everywhere_before_it_is_unknown(tmp_path):
    async with rig("krakenfutures", tmp_path, loop.clock()) as made:
        await bought(made)
        asked = await sent(made, made.venue.find(SYMBOL, "nobody"))
        assert sorted(asked[:2]) == [
            (f"GET {V3}/openorders", {}),
            (f"GET {V3}/orders/status", {"cliOrdIds": "nobody"}),
        ]
        now = EPOCH + timedelta(seconds=asyncio.get_running_loop().time())
        history = {
            "tradeable": "PF_XBTUSDT",
            "since": str(int((now - timedelta(days=7)).timestamp() * 1000)),
            "sort": "asc",
            "count": "1000",
            "opened": "true",
            "closed": "true",
        }
        assert asked[2:] == [
            ("GET /api/history/v3/triggers", history),
            ("GET /api/history/v3/orders", history),
            (f"GET {V3}/fills", {}),
        ]


@on_jumping_time
async def test_fills_are_asked_for_with_their_fees(tmp_path):
    async with rig("krakenfutures", tmp_path, loop.clock()) as made:
        await bought(made)
        start = made.clock.now() - timedelta(minutes=1)
        assert await sent(made, made.venue.fills(SYMBOL, start)) == [
            (
                "GET /api/history/v3/executions",
                {
                    "tradeable": "PF_XBTUSDT",
                    "since": str(int(start.timestamp() * 1000)),
                    "sort": "asc",
                    "count": "1000",
                },
            )
        ]


@on_jumping_time
async def test_a_crossed_account_has_no_leverage_preference(tmp_path):
    async with rig("krakenfutures", tmp_path, loop.clock()) as made:
        await bought(made)
        assert await sent(made, made.venue.set_leverage(SYMBOL, D(5))) == [LEVERAGE]
        made.wire.preferences["PF_XBTUSDT"] = "3"
        assert await sent(made, made.venue.set_leverage(SYMBOL, D(5))) == [
            LEVERAGE,
            (f"PUT {V3}/leveragepreferences", {"symbol": "PF_XBTUSDT"}),
            LEVERAGE,
        ]
        assert made.wire.preferences == {}


@on_jumping_time
async def test_an_isolated_account_sets_its_leverage_and_reads_it_back(tmp_path):
    async with rig("krakenfutures", tmp_path, loop.clock()) as made:
        keys = stored_keys(tmp_path, made.wire.key, made.wire.secret)
        around = Surroundings(
            Environment.DEMO, keys, made.clock, MarginMode.ISOLATED, elsewhere=made.wire.url
        )
        venue = KrakenFutures(around)
        await venue.set_leverage(SYMBOL, D("2.5"))
        assert made.wire.preferences == {"PF_XBTUSDT": "2.5"}
        assert await sent(made, venue.set_leverage(SYMBOL, D("2.5"))) == [LEVERAGE]
        asked = await sent(made, venue.set_leverage(SYMBOL, D(4)))
        change = {"symbol": "PF_XBTUSDT", "maxLeverage": "4"}
        assert asked == [LEVERAGE, (f"PUT {V3}/leveragepreferences", change), LEVERAGE]
        await venue.close()


@on_jumping_time
async def test_a_key_is_asked_about_its_rights(tmp_path):
    async with rig("krakenfutures", tmp_path, loop.clock()) as made:
        await made.venue.open_orders()
        venue: Any = made.venue
        assert await sent(made, venue.check()) == [RIGHTS]


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
    async with rig("krakenfutures", tmp_path, loop.clock()) as made:
        with pytest.raises(CallerError, match="is not sent a"):
            await made.venue.create(order)
        assert made.wire.asked == []


@on_jumping_time
async def test_a_level_that_is_passed_is_refused_here_and_not_sent(tmp_path):
    async with rig("krakenfutures", tmp_path, loop.clock()) as made:
        await bought(made)
        stop = body("sl", "sell", "stop_loss", "0.01", "43000", reduce_only=True)
        asked = len(made.wire.asked)
        with pytest.raises(Rejected) as refusal:
            await made.venue.create(stop)
        assert refusal.value.reason is RejectReason.CROSSED
        assert [one.call for one in made.wire.asked[asked:]] == [TICKER[0]]


@on_jumping_time
async def test_a_price_that_cannot_be_asked_for_holds_no_stop_back(tmp_path):
    async with rig("krakenfutures", tmp_path, loop.clock()) as made:
        await bought(made)
        made.wire.fault(TICKER[0], (503, "", {}), executes=False)
        stop = body("sl", "sell", "stop_loss", "0.01", "42000", reduce_only=True)
        assert (await made.venue.create(stop)).ref.client_order_id == "sl"
