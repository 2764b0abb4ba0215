"""What is Kraken spot's own: names, texts of refusals, nonces, and what it leaves in doubt."""

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from guardian_core.domain.errors import (
    Ambiguous,
    NotSent,
    OrderGone,
    Rejected,
    RejectReason,
    Unavailable,
)
from guardian_core.domain.orders import OrderStatus, OrderType, TriggerBasis
from guardian_gateway.venues.exchange.errors import Answer, Refusal, Strange, of_write
from guardian_gateway.venues.exchange.markets import Markets
from guardian_gateway.venues.kraken import spot_trades
from guardian_gateway.venues.kraken.codes import SPOT, read_spot_code
from guardian_gateway.venues.kraken.spot_listing import balances, listings, symbol_of
from guardian_gateway.venues.kraken.spot_words import fills, orders, sent_number
from guardian_gateway.venues.kraken.turns import Turns
from guardian_gateway.venues.port import VenueFill
from tests.support.clock import FakeClock
from tests.support.paper import body
from tests.venues import loop
from tests.venues.fake.server import HANGS, Problem
from tests.venues.loop import LoopClock, on_jumping_time
from tests.venues.rigs import SYMBOL, rig

D = Decimal
ADD = "POST /0/private/AddOrder"
PAIR = {"lot_decimals": 8, "ordermin": "0.00005", "costmin": "0.5", "status": "online"}
PAIRS: Any = {
    "error": [],
    "result": {
        "XXBTZUSD": PAIR
        | {"altname": "XBTUSD", "wsname": "XBT/USD", "pair_decimals": 1, "tick_size": "0.1"},
        "XDGUSDT": PAIR | {"altname": "XDGUSDT", "wsname": "XDG/USDT", "pair_decimals": 7},
        "ZETAUSD": PAIR | {"altname": "ZETAUSD", "wsname": "ZETA/USD", "pair_decimals": 4},
        "XXBTZUSD.d": PAIR | {"altname": "XBTUSD.d", "pair_decimals": 1},
        "ODD": PAIR | {"altname": "ODD", "wsname": "O/DD", "pair_decimals": "no"},
    },
}


def known_markets() -> Markets:
    async def ask(_symbol: str) -> Any:
        return listings(PAIRS)

    markets = Markets(FakeClock(), ask, "kraken")
    asyncio.run(markets.ready())
    return markets


def test_pairs_go_by_the_names_that_everybody_uses():
    found = listings(PAIRS)
    assert sorted(found) == ["BTCUSD", "DOGEUSDT", "ZETAUSD"]
    bitcoin = found["BTCUSD"]
    assert (bitcoin.name, bitcoin.instrument.base) == ("XBTUSD", "BTC")
    assert (bitcoin.instrument.tick, bitcoin.instrument.step) == (D("0.1"), D("1E-8"))
    assert (bitcoin.instrument.min_quantity, bitcoin.instrument.min_notional) == (
        D("0.00005"),
        D("0.5"),
    )
    assert found["DOGEUSDT"].instrument.tick == D("1E-7")


def test_a_pair_is_known_by_either_of_its_names():
    markets = known_markets()
    assert symbol_of("XBTUSD", markets) == symbol_of("XXBTZUSD", markets) == "BTCUSD"
    assert symbol_of("ZETAUSD", markets) == "ZETAUSD"
    assert symbol_of("XETHZEUR", markets) == "XETHZEUR"


def test_coins_that_earn_by_themselves_count_with_the_others():
    held = {
        "XXBT": {"balance": "0.5000", "hold_trade": "0.2"},
        "XBT.F": {"balance": "0.1"},
        "ZETA": {"balance": "7", "hold_trade": "0"},
        "ZUSD": {"balance": "10", "hold_trade": "4"},
        "ADA.S": {"balance": "3"},
        "XETH": {"balance": "0"},
    }
    found = {one.currency: (one.free, one.total) for one in balances({"error": [], "result": held})}
    assert found == {
        "BTC": (D("0.4"), D("0.6")),
        "ZETA": (D(7), D(7)),
        "USD": (D(6), D(10)),
        "ADA.S": (D(3), D(3)),
    }


ORDER: Any = {
    "cl_ord_id": "sl",
    "status": "open",
    "opentm": "1616013280.9714",
    "descr": {"pair": "XBTUSD", "type": "sell", "ordertype": "stop-loss", "price": "42000.0"},
    "vol": "0.25000000",
    "vol_exec": "0.00000000",
    "cost": "0.00000",
    "price": "0.00000",
    "trigger": "last",
}


def read_one(**fields: Any) -> Any:
    answer = {"error": [], "result": {"open": {"OA": ORDER | fields}}}
    (found,) = orders(answer, "open", known_markets())
    return found


def test_an_order_is_read_as_kraken_writes_it():
    stop = read_one()
    assert (stop.ref.symbol, stop.ref.venue_order_id, stop.ref.conditional) == (
        "BTCUSD",
        "OA",
        True,
    )
    assert (stop.type, stop.trigger_price, stop.trigger_basis) == (
        OrderType.STOP_LOSS,
        D(42000),
        TriggerBasis.LAST,
    )
    done = read_one(status="closed", vol_exec="0.25", cost="10475.0")
    assert (done.status, done.average_price) == (OrderStatus.CLOSED, D(41900))
    assert read_one(status="expired").status is OrderStatus.CANCELLED
    assert read_one(trigger="index").trigger_basis is None
    trailing = ORDER["descr"] | {"ordertype": "trailing-stop", "price": "+5.0000%"}
    assert read_one(descr=trailing).trigger_price is None
    with pytest.raises(ValueError, match="order status"):
        read_one(status="new")


def test_a_trade_is_read_with_its_fee_in_the_quote_currency():
    trade = {
        "ordertxid": "OA",
        "pair": "XXBTZUSD",
        "time": 1616667796.8802,
        "type": "buy",
        "price": "30010.00000",
        "cost": "600.20000",
        "fee": "0.96032",
        "vol": "0.02000000",
    }
    told = json.loads(json.dumps(trade), parse_float=str)
    (fill,) = fills({"error": [], "result": {"trades": {"TA": told}}}, known_markets())
    assert (fill.venue_fill_id, fill.venue_order_id, fill.symbol) == ("TA", "OA", "BTCUSD")
    assert (fill.fee, fill.fee_currency, fill.quantity) == (D("0.96032"), "USD", D("0.02"))


@pytest.mark.parametrize(
    "answer",
    ['{"result": {"txid": ["OA"]}}', '{"error": [], "result": {"txid": ["OA", "OB"]}}', "{}"],
)
def test_an_answer_of_another_shape_is_no_answer(answer):
    with pytest.raises(Strange):
        sent_number(json.loads(answer))


# Refusals


@on_jumping_time
async def test_every_listed_text_is_that_refusal_through_ccxt(tmp_path):
    async with rig("kraken", tmp_path, loop.clock()) as made:
        await made.venue.open_orders()
        for code, reason in SPOT.refused.items():
            told = json.dumps({"error": [f"{code}:told so"]})
            made.wire.fault(ADD, (200, told, {}), executes=False)
            with pytest.raises(Rejected, match="told so") as refusal:
                await made.venue.create(body("id", "buy", "market", "0.01"))
            assert refusal.value.reason is reason, code
            await asyncio.sleep(10)
        assert await made.venue.open_orders() == []


@pytest.mark.parametrize(
    "text",
    [
        "EService:Timeout",
        "EService:Busy",
        "EService:Unavailable",
        "EService:Deadline elapsed",
        "EGeneral:Internal error",
        "EGeneral:Internal error:abc123",
        "EDatabase:Internal error",
        "EOrder:Something new",
    ],
)
@on_jumping_time
async def test_what_is_not_listed_leaves_the_order_in_doubt(text, tmp_path):
    async with rig("kraken", tmp_path, loop.clock()) as made:
        made.wire.fault(ADD, (200, json.dumps({"error": [text]}), {}), executes=False)
        with pytest.raises(Ambiguous):
            await made.venue.create(body("id", "buy", "market", "0.01"))


def test_a_text_is_read_up_to_its_detail():
    assert read_spot_code({"error": ["EGeneral:Invalid arguments:volume"]}) == (
        "EGeneral:Invalid arguments",
        "volume",
    )
    assert read_spot_code({"error": ["EService: Throttled: 171"]}) == ("EService:Throttled", "171")
    for none in ('{"error": []}', '{"error": "text"}', "{}"):
        with pytest.raises(ValueError, match="no error"):
            read_spot_code(json.loads(none))


def test_each_text_leads_to_its_own_kind_of_error():
    for code, message, kind in (
        ("EOrder:Unknown order", "", OrderGone),
        ("EAPI:Invalid nonce", "", NotSent),
        ("EGeneral:Invalid arguments", "price", Rejected),
        ("EService:Deadline elapsed", "", Ambiguous),
    ):
        error = Refusal(Answer(200, code, message))
        assert type(of_write(error, SPOT, "a write")) is kind, code
    repeated = of_write(
        Refusal(Answer(200, "EGeneral:Invalid arguments", "cl_ord_id")), SPOT, "a write"
    )
    assert isinstance(repeated, Rejected)
    assert repeated.reason.value == "duplicate_id"


@on_jumping_time
async def test_too_many_calls_are_answered_by_a_pause_that_holds_no_stop_back(tmp_path):
    async with rig("kraken", tmp_path, loop.clock()) as made:
        await made.venue.create(body("in", "buy", "market", "0.1"))
        told = '{"error": ["EAPI:Rate limit exceeded"]}'
        made.wire.fault("POST /0/private/OpenOrders", (200, told, {}), executes=False)
        for words in ("Rate limit", "asked to wait"):
            with pytest.raises(Unavailable, match=words):
                await made.venue.open_orders()
        await made.venue.create(body("sl", "sell", "stop_loss", "0.1", "42000"))
        await asyncio.sleep(5)
        assert len(await made.venue.open_orders()) == 1


@on_jumping_time
async def test_an_order_that_is_not_shown_yet_is_taken_all_the_same(tmp_path):
    async with rig("kraken", tmp_path, loop.clock(), lag_s=1.5) as made:
        order = await made.venue.create(body("in", "buy", "market", "0.1"))
        assert (order.status, order.filled_quantity) == (OrderStatus.OPEN, D(0))
        await asyncio.sleep(2)
        found = await made.venue.find(SYMBOL, "in")
        assert found is not None
        assert (found.status, found.ref) == (OrderStatus.CLOSED, order.ref)


@on_jumping_time
async def test_an_order_that_was_taken_and_cannot_be_read_back_is_in_doubt(tmp_path):
    async with rig("kraken", tmp_path, loop.clock()) as made:
        made.wire.fault("POST /0/private/QueryOrders", (502, "", {}), executes=False)
        with pytest.raises(Ambiguous):
            await made.venue.create(body("in", "buy", "market", "0.1"))
        assert await made.venue.find(SYMBOL, "in") is not None


@on_jumping_time
async def test_a_full_page_of_others_is_no_proof_of_absence(tmp_path, monkeypatch):
    monkeypatch.setattr("guardian_gateway.venues.kraken.spot.PAGE", 2)
    async with rig("kraken", tmp_path, loop.clock()) as made:
        for index in range(2):
            await made.venue.create(body(f"in{index}", "buy", "market", "0.01"))
        monkeypatch.setattr(made.wire, "_is_meant", lambda _order, _pairs: True)
        with pytest.raises(Unavailable, match="others were shown"):
            await made.venue.find(SYMBOL, "nobody")


# Nonces


@on_jumping_time
async def test_requests_at_the_same_moment_all_arrive_with_rising_nonces(tmp_path):
    async with rig("kraken", tmp_path, loop.clock()) as made:
        await made.venue.create(body("in", "buy", "market", "0.1"))
        before = len(made.wire.asked)
        ids = [f"rest{index}" for index in range(4)]
        asking = [made.venue.find(SYMBOL, name) for name in ids]
        writing = [made.venue.create(body(name, "buy", "limit", "0.01", "40000")) for name in ids]
        await asyncio.gather(*asking, *writing, made.venue.open_orders(), made.venue.balances())
        signed = [int(one.params["nonce"]) for one in made.wire.asked[before:]]
        assert signed == sorted(set(signed))


async def test_a_write_goes_before_what_waits_and_no_question_leaves_beside_it():
    turns, told = Turns(), []
    answered, written = asyncio.Event(), asyncio.Event()

    async def ask(name, until):
        async with turns.asking():
            told.append(name)
            await until.wait()

    async def write():
        async with turns.writing():
            told.append("write")
            await written.wait()

    under_way = asyncio.create_task(ask("question", answered))
    await asyncio.sleep(0)
    waits = asyncio.create_task(ask("later question", answered))
    writes = asyncio.create_task(write())
    for _ in range(5):
        await asyncio.sleep(0)
    assert told == ["question", "write"]
    answered.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert told == ["question", "write"]
    written.set()
    await asyncio.gather(under_way, waits, writes)
    assert told == ["question", "write", "later question"]


@on_jumping_time
async def test_a_slow_way_to_kraken_makes_no_deadline_too_near(tmp_path):
    """Kraken takes none that is nearer than two seconds when the order arrives, and its clock is
    known to half a second only."""
    async with rig("kraken", tmp_path, loop.clock()) as made:
        await made.venue.create(body("in", "buy", "market", "0.1"))
        made.wire.ahead_s = 2
        await made.venue.create(body("sl", "sell", "stop_loss", "0.1", "42000"))
        assert len(await made.venue.open_orders()) == 1


@on_jumping_time
async def test_a_deadline_that_was_too_near_all_the_same_means_not_sent(tmp_path):
    async with rig("kraken", tmp_path, loop.clock()) as made:
        await made.venue.create(body("in", "buy", "market", "0.1"))
        made.wire.ahead_s = 4
        with pytest.raises(Rejected) as refusal:
            await made.venue.create(body("sl", "sell", "stop_loss", "0.1", "42000"))
        assert refusal.value.reason is RejectReason.NOT_SENT


@on_jumping_time
async def test_a_write_whose_turn_does_not_come_soon_was_not_sent(tmp_path):
    """It says so, instead of leaving a stop in doubt that could be sent again at once; and none
    leaves so late that it is still valid when it counts as lost."""
    async with rig("kraken", tmp_path, loop.clock()) as made:
        await made.venue.create(body("in", "buy", "market", "0.1"))
        made.wire.fault(ADD, HANGS, executes=False)
        first = asyncio.create_task(made.venue.create(body("one", "buy", "limit", "0.01", "4000")))
        await asyncio.sleep(0.1)
        began_s = made.clock.monotonic()
        with pytest.raises(NotSent, match="its turn"):
            await made.venue.create(body("sl", "sell", "stop_loss", "0.1", "42000"))
        assert made.clock.monotonic() - began_s <= 1.5
        with pytest.raises(Ambiguous):
            await first
        await made.venue.create(body("sl", "sell", "stop_loss", "0.1", "42000"))


# What is kept of earlier answers


def holdings(found) -> set[str]:
    return {one.currency for one in found}


@on_jumping_time
async def test_coins_of_an_order_that_took_effect_late_are_shown_once_it_was_found(tmp_path):
    """Without them there is no position, and so no stop."""
    async with rig("kraken", tmp_path, loop.clock()) as made:
        await made.venue.open_orders()
        await asyncio.sleep(3)
        assert "BTC" not in holdings(await made.venue.balances())
        made.wire.place(body("late", "buy", "market", "0.1"), "late")
        assert await made.venue.find(SYMBOL, "late") is not None
        assert "BTC" in holdings(await made.venue.balances())


@on_jumping_time
async def test_balances_read_right_after_a_write_are_read_again(tmp_path):
    """Kraken may show them as they were before."""
    async with rig("kraken", tmp_path, loop.clock()) as made:
        before = made.wire._balances({})
        shown, made.wire._balances = made.wire._balances, lambda _: before
        await made.venue.create(body("in", "buy", "market", "0.1"))
        assert "BTC" not in holdings(await made.venue.balances())
        made.wire._balances = shown
        await asyncio.sleep(1)
        assert "BTC" in holdings(await made.venue.balances())


@on_jumping_time
async def test_balances_read_right_after_an_order_filled_by_itself_are_read_again(tmp_path):
    async with rig("kraken", tmp_path, loop.clock()) as made:
        await made.venue.create(body("rest", "buy", "limit", "0.1", "42000"))
        await asyncio.sleep(3)
        await made.venue.open_orders()
        before = made.wire._balances({})
        shown, made.wire._balances = made.wire._balances, lambda _: before
        made.set_price("41900")
        await asyncio.sleep(4)
        assert await made.venue.open_orders() == []
        assert "BTC" not in holdings(await made.venue.balances())
        made.wire._balances = shown
        await asyncio.sleep(3)
        assert "BTC" in holdings(await made.venue.balances())


@on_jumping_time
async def test_a_listing_that_lags_behind_a_cancel_is_not_shown_again_later(tmp_path):
    """Else an order that is gone would count as working again once the lag should be over."""
    async with rig("kraken", tmp_path, loop.clock()) as made:
        order = await made.venue.create(body("rest", "buy", "limit", "0.01", "40000"))
        before = made.wire._open({})
        shown, made.wire._open = made.wire._open, lambda _: before
        await made.venue.cancel(order.ref)
        assert len(await made.venue.open_orders()) == 1
        made.wire._open = shown
        await asyncio.sleep(3)
        assert await made.venue.open_orders() == []


# Trades


async def traded(made, count, symbol="BTCUSDT"):
    for _ in range(count):
        name = f"in{len(made.wire.names)}"
        await made.venue.create(body(name, "buy", "market", "0.01", symbol=symbol))
        await asyncio.sleep(2)


def trades_asked(made):
    return sum(one.call == "POST /0/private/TradesHistory" for one in made.wire.asked)


@on_jumping_time
async def test_a_lane_that_traded_long_ago_gets_its_fills_over_several_questions(
    tmp_path, monkeypatch
):
    """What one question had no time for is not asked again by the next one."""
    monkeypatch.setattr(spot_trades, "PAGE", 2)
    monkeypatch.setattr(spot_trades, "LATE", timedelta(seconds=1))
    async with rig("kraken", tmp_path, loop.clock()) as made:
        made.set_price("2000", "ETHUSDT")
        start = made.clock.now()
        await traded(made, 1)
        await traded(made, 9, "ETHUSDT")
        pages = 3
        answers = made.wire._trades
        left = 0
        found: Sequence[VenueFill] = []

        def until_time_is_over(pairs):
            nonlocal left
            left -= 1
            if left < 0:
                raise Problem(200, "EAPI:Rate limit exceeded", "")
            return answers(pairs)

        made.wire._trades = until_time_is_over
        for _ in range(4):
            left = pages
            try:
                found = await made.venue.fills(SYMBOL, start)
            except Unavailable:
                await asyncio.sleep(6)
            else:
                break
        assert [fill.client_order_id for fill in found] == ["in0"]
        left, before = pages, trades_asked(made)
        assert len(await made.venue.fills("ETHUSDT", start)) == 9
        assert trades_asked(made) - before == 1


@on_jumping_time
async def test_a_trade_that_is_listed_late_is_found_all_the_same(tmp_path):
    async with rig("kraken", tmp_path, loop.clock()) as made:
        start = made.clock.now()
        await made.venue.create(body("in", "buy", "market", "0.01"))
        shown, made.wire._trades = made.wire._trades, lambda _: {"trades": {}, "count": 0}
        assert await made.venue.fills(SYMBOL, start) == []
        await asyncio.sleep(60)
        made.wire._trades = shown
        assert len(await made.venue.fills(SYMBOL, start)) == 1


@pytest.mark.parametrize("ahead_s", [-600, 600])
@on_jumping_time
async def test_trades_are_asked_for_by_krakens_clock(ahead_s, tmp_path):
    async with rig("kraken", tmp_path, LoopClock(asyncio.get_running_loop(), ahead_s)) as made:
        start = loop.clock().now()
        for count in range(1, 4):
            await made.venue.create(body(f"in{count}", "buy", "market", "0.01"))
            await asyncio.sleep(10)
            assert len(await made.venue.fills(SYMBOL, start)) == count


@on_jumping_time
async def test_a_trade_is_nobodys_only_once_its_order_would_surely_be_shown(tmp_path):
    """Coins of a trade that counts as somebody else's would have no stop."""
    async with rig("kraken", tmp_path, loop.clock()) as made:
        start = made.clock.now()
        await made.venue.open_orders()
        made.wire.place(body("in", "buy", "market", "0.01"), "in")
        shown = made.wire._query

        def none_shown(_):
            raise made.wire.gone()

        def nothing(_):
            return {}

        for hidden in (none_shown, nothing):
            made.wire._query = hidden
            with pytest.raises(Unavailable, match="not shown yet"):
                await made.venue.fills(SYMBOL, start)
        made.wire._query = shown
        (fill,) = await made.venue.fills(SYMBOL, start)
        assert fill.client_order_id == "in"


@on_jumping_time
async def test_an_order_that_is_not_known_hides_no_other_ones_name(tmp_path):
    async with rig("kraken", tmp_path, loop.clock()) as made:
        start = made.clock.now()
        await made.venue.open_orders()
        for name in ("in", "old"):
            made.wire.place(body(name, "buy", "market", "0.01"), name)
        shown = made.wire._query
        old = made.wire.uid(made.wire.orders()[-1])

        def all_or_none(pairs):
            if old in pairs["txid"]:
                raise made.wire.gone()
            return shown(pairs)

        made.wire._query = all_or_none
        await asyncio.sleep(150)
        found = await made.venue.fills(SYMBOL, start)
        assert [fill.client_order_id for fill in found] == ["in", None]


@on_jumping_time
async def test_an_order_between_two_lists_is_asked_for_by_its_number(tmp_path):
    """Just ended, it may be shown among neither: that does not mean that Kraken forgot it."""
    async with rig("kraken", tmp_path, loop.clock()) as made:
        await made.venue.create(body("in", "buy", "market", "0.1"))
        placed = await made.venue.create(body("sl", "sell", "stop_loss", "0.1", "42000"))
        made.set_price("41900")
        made.wire._closed = lambda _: {"closed": {}}
        found = await made.venue.find(SYMBOL, "sl")
        assert found is not None
        assert (found.ref, found.status) == (placed.ref, OrderStatus.CLOSED)
        assert await made.venue.find(SYMBOL, "nobody") is None
