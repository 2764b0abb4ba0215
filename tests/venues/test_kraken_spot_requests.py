"""What leaves for Kraken spot, word for word: each allowed order, and each question asked."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from guardian_core.domain.errors import CallerError, Rejected, RejectReason
from tests.support.paper import body
from tests.venues import loop
from tests.venues.loop import EPOCH, on_jumping_time
from tests.venues.rigs import SYMBOL, rig

Call = tuple[str, dict[str, str]]
PRIVATE = "POST /0/private"
TICKER: Call = ("GET /0/public/Ticker", {"pair": "XBTUSDT"})


async def sent(made, asking) -> list[Call]:
    """The requests that a call makes, after clock and listings are known, without nonces."""
    before = len(made.wire.asked)
    await asking
    calls = [(asked.call, dict(asked.params)) for asked in made.wire.asked[before:]]
    for _, params in calls:
        params.pop("nonce", None)
    return calls


async def bought(made):
    await made.venue.create(body("in", "buy", "market", "0.1"))


def deadline(made) -> str:
    at = EPOCH + timedelta(seconds=asyncio.get_running_loop().time() + 5)
    off = timedelta(milliseconds=made.venue._client.skew_ms)
    return (at - off).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


EVERY = {"pair": "XBTUSDT", "volume": "0.01", "oflags": "fciq", "cl_ord_id": "an-id"}
SHAPES = {
    "a market entry": (
        body("an-id", "buy", "market", "0.010"),
        {"type": "buy", "ordertype": "market"},
    ),
    "a limit entry": (
        body("an-id", "buy", "limit", "0.01", "40000.10"),
        {"type": "buy", "ordertype": "limit", "price": "40000.1", "timeinforce": "GTC"},
    ),
    "an exit": (
        body("an-id", "sell", "market", "0.01"),
        {"type": "sell", "ordertype": "market"},
    ),
    "a stop-loss": (
        body("an-id", "sell", "stop_loss", "0.01", "42000"),
        {"type": "sell", "ordertype": "stop-loss", "price": "42000", "trigger": "last"},
    ),
}


@pytest.mark.parametrize(("order", "params"), SHAPES.values(), ids=SHAPES)
@on_jumping_time
async def test_each_order_is_sent_word_for_word(order, params, tmp_path):
    async with rig("kraken", tmp_path, loop.clock()) as made:
        await bought(made)
        asked = await sent(made, made.venue.create(order))
        expected = (f"{PRIVATE}/AddOrder", EVERY | params | {"deadline": deadline(made)})
        if order.type.is_conditional:
            assert asked == [TICKER, expected]
        else:
            found = await made.venue.find(SYMBOL, "an-id")
            assert found is not None
            number = found.ref.venue_order_id
            assert asked == [expected, (f"{PRIVATE}/QueryOrders", {"txid": number})]


@on_jumping_time
async def test_a_cancel_names_the_order_by_number_or_else_by_its_id(tmp_path):
    async with rig("kraken", tmp_path, loop.clock()) as made:
        order = await made.venue.create(body("rest", "buy", "limit", "0.01", "40000"))
        assert await sent(made, made.venue.cancel(order.ref)) == [
            (f"{PRIVATE}/CancelOrder", {"txid": order.ref.venue_order_id})
        ]
        order = await made.venue.create(body("more", "buy", "limit", "0.01", "40000"))
        assert await sent(made, made.venue.cancel(replace(order.ref, venue_order_id=""))) == [
            (f"{PRIVATE}/CancelOrder", {"cl_ord_id": "more"})
        ]


@on_jumping_time
async def test_at_rest_every_second_look_asks_for_orders_and_few_for_balances(tmp_path):
    async with rig("kraken", tmp_path, loop.clock()) as made:
        await bought(made)
        orders: Call = (f"{PRIVATE}/OpenOrders", {})
        money: Call = (f"{PRIVATE}/BalanceEx", {})

        async def look():
            await made.venue.open_orders()
            await made.venue.balances()

        async def asked(after_s):
            await asyncio.sleep(after_s)
            return await sent(made, look())

        assert await asked(3) == [orders, money]
        assert await asked(3) == []
        assert await asked(3) == [orders]
        assert await asked(3) == []
        # Looked at every 4 s, an account is asked about each time.
        assert [await asked(4) for _ in range(3)] == [[orders]] * 3
        await asyncio.sleep(60)
        assert await asked(0) == [orders, money]
        assert await sent(made, made.venue.price(SYMBOL)) == [TICKER]


@on_jumping_time
async def test_what_may_have_changed_is_asked_for_at_once(tmp_path):
    async with rig("kraken", tmp_path, loop.clock()) as made:
        await bought(made)

        async def look():
            return [one.ref.client_order_id for one in await made.venue.open_orders()]

        assert await look() == []
        order = await made.venue.create(body("rest", "buy", "limit", "0.01", "40000"))
        assert await look() == ["rest"]
        await made.venue.cancel(order.ref)
        assert await look() == []
        await made.venue.create(body("sl", "sell", "stop_loss", "0.1", "42000"))
        assert await look() == ["sl"]
        await asyncio.sleep(3)
        assert await look() == ["sl"]
        made.set_price("41000")
        # By itself: a look at the one symbol, or a look-up, tells it.
        assert await look() == ["sl"]
        assert await made.venue.open_orders(SYMBOL) == []
        assert await look() == []
        money = {one.currency for one in await made.venue.balances()}
        assert "BTC" not in money


@on_jumping_time
async def test_an_id_is_sought_among_working_orders_and_then_among_ended_ones(tmp_path):
    async with rig("kraken", tmp_path, loop.clock()) as made:
        await made.venue.create(body("rest", "buy", "limit", "0.01", "40000"))
        working = (f"{PRIVATE}/OpenOrders", {"cl_ord_id": "rest"})
        assert await sent(made, made.venue.find(SYMBOL, "rest")) == [working]
        assert await sent(made, made.venue.find(SYMBOL, "nobody")) == [
            (f"{PRIVATE}/OpenOrders", {"cl_ord_id": "nobody"}),
            (
                f"{PRIVATE}/ClosedOrders",
                {"cl_ord_id": "nobody", "closetime": "both", "without_count": "true"},
            ),
        ]


@on_jumping_time
async def test_fills_are_asked_for_from_a_second_before_their_start(tmp_path):
    async with rig("kraken", tmp_path, loop.clock()) as made:
        await bought(made)
        start = made.clock.now() - timedelta(minutes=5)
        assert await sent(made, made.venue.fills(SYMBOL, start)) == [
            (
                f"{PRIVATE}/TradesHistory",
                {
                    "type": "all",
                    "start": str(int(start.timestamp()) - 1),
                    "ofs": "0",
                    "consolidate_taker": "false",
                },
            )
        ]


@on_jumping_time
async def test_a_key_is_asked_about_its_rights(tmp_path):
    async with rig("kraken", tmp_path, loop.clock()) as made:
        await made.venue.open_orders()
        venue: Any = made.venue
        rights: Call = (f"{PRIVATE}/GetApiKeyInfo", {})
        assert await sent(made, venue.check()) == [rights]


@pytest.mark.parametrize(
    "order",
    [
        body("x", "sell", "market", "0.01", reduce_only=True),
        body("x", "sell", "stop_loss", "0.01", "42000", reduce_only=True),
        body("x", "sell", "take_profit", "0.01", "45000"),
    ],
)
@on_jumping_time
async def test_an_order_of_another_shape_is_never_sent(order, tmp_path):
    async with rig("kraken", tmp_path, loop.clock()) as made:
        with pytest.raises(CallerError, match="is not sent a"):
            await made.venue.create(order)
        with pytest.raises(CallerError, match="no pairs"):
            await made.venue.create_pair(order, order)
        assert made.wire.asked == []


@on_jumping_time
async def test_a_level_that_is_passed_is_refused_here_and_not_sent(tmp_path):
    async with rig("kraken", tmp_path, loop.clock()) as made:
        await bought(made)
        asked = len(made.wire.asked)
        with pytest.raises(Rejected) as refusal:
            await made.venue.create(body("sl", "sell", "stop_loss", "0.01", "43000"))
        assert refusal.value.reason is RejectReason.CROSSED
        assert [one.call for one in made.wire.asked[asked:]] == [TICKER[0]]
