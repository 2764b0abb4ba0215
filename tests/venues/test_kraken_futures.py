"""What is Kraken futures' own: names, answers as it writes them, and where orders are kept."""

import asyncio
import json
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import pytest

from guardian_core.domain.errors import Ambiguous, NotSent, OrderGone, Rejected, Unavailable
from guardian_core.domain.orders import OrderStatus, OrderType, TriggerBasis
from guardian_gateway.venue_calls import WRITE_WITHIN_S
from guardian_gateway.venues.exchange.errors import Answer, Refusal, Strange, of_write
from guardian_gateway.venues.exchange.markets import Markets
from guardian_gateway.venues.kraken import futures_history
from guardian_gateway.venues.kraken.codes import FUTURES, read_futures_code
from guardian_gateway.venues.kraken.futures_events import events_of, execution, statuses
from guardian_gateway.venues.kraken.futures_listing import balances, listings, position
from guardian_gateway.venues.kraken.futures_words import sent_order, working_orders
from tests.support.clock import FakeClock
from tests.support.paper import body
from tests.venues import loop
from tests.venues.fake.server import HANGS
from tests.venues.loop import on_jumping_time
from tests.venues.rigs import SYMBOL, rig

D = Decimal
JSON = {"Content-Type": "application/json"}
SEND = "POST /derivatives/api/v3/sendorder"

INSTRUMENTS = {
    "result": "success",
    "instruments": [
        {
            "symbol": "PF_XBTUSD",
            "pair": "XBT:USD",
            "base": "BTC",
            "quote": "USD",
            "type": "flexible_futures",
            "tickSize": "0.5",
            "contractSize": 1,
            "contractValueTradePrecision": 4,
            "tradeable": True,
        },
        {
            # An older listing, without its base and quote.
            "symbol": "PF_XDGUSD",
            "type": "flexible_futures",
            "tickSize": "0.000001",
            "contractSize": 1,
            "contractValueTradePrecision": 0,
            "tradeable": False,
        },
        {
            "symbol": "PF_SHIBUSD",
            "type": "flexible_futures",
            "tickSize": "0.00000001",
            "contractSize": 1,
            "contractValueTradePrecision": -4,
        },
        {"symbol": "PI_XBTUSD", "type": "futures_inverse", "tickSize": "0.5", "contractSize": 1},
        {
            "symbol": "FF_XBTUSD_261225",
            "type": "flexible_futures",
            "lastTradingTime": "2026-12-25T16:00:00.000Z",
            "tickSize": 1,
            "contractSize": 1,
            "contractValueTradePrecision": 4,
        },
        {"symbol": "in_xbtusd", "type": "spot index", "tradeable": False},
        {"symbol": "PF_ODD", "type": "flexible_futures", "tickSize": "no"},
    ],
}


def known_markets():
    async def ask(_symbol):
        return listings(INSTRUMENTS)

    markets = Markets(FakeClock(), ask, "krakenfutures")
    asyncio.run(markets.ready())
    return markets


def test_instruments_go_by_the_names_that_everybody_uses():
    found = listings(INSTRUMENTS)
    assert sorted(found) == ["BTCUSD", "DOGEUSD", "SHIBUSD"]
    bitcoin = found["BTCUSD"]
    assert bitcoin.name == "PF_XBTUSD"
    assert (bitcoin.instrument.base, bitcoin.instrument.quote) == ("BTC", "USD")
    assert (bitcoin.instrument.tick, bitcoin.instrument.step) == (D("0.5"), D("0.0001"))
    assert found["DOGEUSD"].instrument.step == 1
    assert found["SHIBUSD"].instrument.min_quantity == 10_000


def test_a_position_of_another_kind_keeps_the_venues_name():
    markets = known_markets()
    held = {"side": "short", "symbol": "pf_xbtusd", "price": "7533.5", "size": "0.25"}
    one = position(held, markets)
    assert one is not None
    assert (one.symbol, one.side.value, one.quantity) == ("BTCUSD", "short", D("0.25"))
    other = position(held | {"symbol": "pi_xrpusd"}, markets)
    assert other is not None
    assert other.symbol == "PI_XRPUSD"
    assert position(held | {"size": "0"}, markets) is None
    with pytest.raises(ValueError, match="position side"):
        position(held | {"side": "both"}, markets)


def test_the_multi_collateral_wallet_is_what_all_of_it_is_worth():
    flex = {
        "currencies": {
            "XBT": {"quantity": "0.5", "available": "0.4"},
            "USD": {"quantity": "100", "available": "100"},
        },
        "availableMargin": "34122.66",
        "marginEquity": "34132.11",
    }
    found = {one.currency: one for one in balances({"accounts": {"flex": flex}})}
    assert (found["USD"].free, found["USD"].total) == (D("34122.66"), D("34132.11"))
    assert (found["BTC"].free, found["BTC"].total) == (D("0.4"), D("0.5"))
    with pytest.raises(Strange):
        balances({"accounts": {"cash": {}}})


def test_open_orders_are_read_as_kraken_writes_them():
    shared = {"side": "sell", "filledSize": 0, "receivedTime": "2026-09-05T17:01:17.410Z"}
    answer = {
        "openOrders": [
            shared
            | {
                "order_id": "a",
                "symbol": "pi_xbtusd",
                "orderType": "lmt",
                "limitPrice": 10640,
                "unfilledSize": 304,
                "status": "untouched",
                "reduceOnly": False,
            },
            shared
            | {
                "order_id": "b",
                "cliOrdId": "ours",
                "symbol": "PF_XBTUSD",
                "orderType": "stop",
                "stopPrice": "42000.5",
                "triggerSignal": "mark",
                "unfilledSize": "0.25",
                "filledSize": "0.05",
                "status": "partiallyFilled",
                "reduceOnly": True,
            },
        ]
    }
    stop, limit = working_orders(answer, known_markets())
    assert (stop.ref.symbol, stop.ref.client_order_id, stop.type) == (
        "BTCUSD",
        "ours",
        OrderType.STOP_LOSS,
    )
    assert (stop.trigger_price, stop.trigger_basis) == (D("42000.5"), TriggerBasis.MARK)
    assert (stop.quantity, stop.filled_quantity, stop.reduce_only) == (D("0.3"), D("0.05"), True)
    assert (limit.ref.symbol, limit.ref.client_order_id) == ("PI_XBTUSD", None)


SENT = {
    "status": "placed",
    "order_id": "a133a4f9",
    "cliOrdId": "in",
    "receivedTime": "2026-03-02T06:10:31.954Z",
}
HALF = {"type": "EXECUTION", "executionId": "1", "price": "66596.0", "amount": "0.05"}


def test_a_sent_order_is_what_its_events_say():
    market = body("in", "buy", "market", "0.1")

    def told(order, *events, **fields):
        answer = {"sendStatus": SENT | {"orderEvents": list(events)} | fields}
        return sent_order(answer, order, D(1))

    whole = told(market, HALF, HALF | {"price": "66600"})
    assert (whole.status, whole.filled_quantity) == (OrderStatus.CLOSED, D("0.1"))
    assert whole.average_price == D(66598)
    half = told(market, HALF)
    assert (half.status, half.filled_quantity) == (OrderStatus.CANCELLED, D("0.05"))
    limit = body("in", "buy", "limit", "0.1", "66600")
    place = {"type": "PLACE", "order": {"orderId": "a133a4f9", "cliOrdId": "in"}}
    resting = told(limit, HALF, place)
    assert (resting.status, resting.filled_quantity) == (OrderStatus.OPEN, D("0.05"))
    assert told(limit, HALF).status is OrderStatus.CANCELLED
    for order in (market, limit):
        with pytest.raises(ValueError, match="neither rests nor filled"):
            told(order)
    with pytest.raises(ValueError, match="executed, and told as"):
        told(market, HALF, status="iocWouldNotExecute")


def test_a_stop_that_was_not_taken_as_reduce_only_is_no_answer():
    stop = body("sl", "sell", "stop_loss", "0.1", "42000", reduce_only=True)
    trigger = {
        "uid": "a133a4f9",
        "clientId": "sl",
        "triggerPrice": "42000",
        "triggerSignal": "last_price",
        "reduceOnly": True,
    }

    def told(**fields):
        event = {"type": "PLACE", "orderTrigger": trigger | fields}
        return sent_order({"sendStatus": SENT | {"orderEvents": [event]}}, stop, D(1))

    assert (told().status, told().trigger_basis) == (OrderStatus.OPEN, TriggerBasis.LAST)
    with pytest.raises(ValueError, match="not reduce-only"):
        told(reduceOnly=False)


# Refusals


def worded(code, reason=""):
    reason = f'[{{"type": "REJECT", "reason": "{reason}"}}]' if reason else "[]"
    return f'{{"result": "success", "sendStatus": {{"status": "{code}", "orderEvents": {reason}}}}}'


def enveloped(code):
    if code.isdecimal():
        return json.dumps(
            {"result": "error", "errors": [{"code": int(code), "message": "told so"}]}
        )
    return json.dumps({"result": "error", "error": code, "errors": ["told so"]})


ENVELOPED = {
    "accountInactive",
    "apiLimitExceeded",
    "authenticationError",
    "contractNotFound",
    "invalidArgument",
    "marketUnavailable",
    "requiredArgumentMissing",
}


@on_jumping_time
async def test_every_listed_word_is_that_refusal_through_ccxt(tmp_path):
    async with rig("krakenfutures", tmp_path, loop.clock()) as made:
        for code, reason in FUTURES.refused.items():
            inside = code not in ENVELOPED and not code.isdecimal()
            told = worded(code, "TOLD SO") if inside else enveloped(code)
            made.wire.fault(SEND, (200 if inside else 400, told, JSON), executes=False)
            with pytest.raises(Rejected, match=r"(?i)told so") as refusal:
                await made.venue.create(body("id", "buy", "market", "0.01"))
            assert refusal.value.reason is reason, code
        assert await made.venue.open_orders() == []


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (200, worded("cancelled")),
        (200, worded("somethingNew")),
        (200, worded("notFound")),
        (500, enveloped("92")),
        (500, '{"result": "error", "error": "Server Error"}'),
        (200, '{"result": "error", "error": "unknownError"}'),
        (200, '{"result": "error", "error": "Unavailable"}'),
        (500, worded("invalidSize")),
    ],
)
@on_jumping_time
async def test_what_is_not_listed_leaves_the_order_in_doubt(status, told, tmp_path):
    async with rig("krakenfutures", tmp_path, loop.clock()) as made:
        made.wire.fault(SEND, (status, told, JSON), executes=False)
        with pytest.raises(Ambiguous):
            await made.venue.create(body("id", "buy", "market", "0.01"))


def test_a_cancels_words_are_another_matter_than_a_new_orders():
    for word, kind in (
        ("cancel notFound", OrderGone),
        ("cancel filled", OrderGone),
        ("cancel wouldProcessAfterSpecifiedTime", NotSent),
        ("wouldProcessAfterSpecifiedTime", NotSent),
        ("notFound", Ambiguous),
        ("filled", Ambiguous),
    ):
        assert type(of_write(Refusal(Answer(200, word)), FUTURES, "a write")) is kind, word


def test_an_error_is_read_in_either_of_its_forms():
    assert read_futures_code({"error": "invalidArgument: size"}) == ("invalidArgument", "size")
    assert read_futures_code({"errors": [{"code": 11, "message": "invalid order type"}]}) == (
        "11",
        "invalid order type",
    )
    for none in ('{"status": "unauthorized"}', '{"errors": []}', "{}"):
        with pytest.raises(ValueError, match="no error"):
            read_futures_code(json.loads(none))


@pytest.mark.parametrize("name", ["krakenfutures", "kraken"])
@on_jumping_time
async def test_a_price_that_does_not_come_holds_no_stop_up(name, tmp_path):
    """The stop is still sent within what the gateway gives a write."""
    async with rig(name, tmp_path, loop.clock()) as made:
        await made.venue.create(body("in", "buy", "market", "0.1"))
        for ticker in ("GET /derivatives/api/v3/tickers", "GET /0/public/Ticker"):
            made.wire.fault(ticker, HANGS, executes=False)
        async with asyncio.timeout(WRITE_WITHIN_S):
            await made.venue.create(
                body("sl", "sell", "stop_loss", "0.1", "42000", reduce_only=not made.spot)
            )
        assert len(await made.venue.open_orders()) == 1


# Where orders are kept


def test_an_order_without_a_status_of_an_order_is_not_known():
    order = {
        "type": "ORDER",
        "orderId": "a",
        "cliOrdId": "in",
        "symbol": "PF_XBTUSD",
        "side": "buy",
        "quantity": "0",
        "filled": "0.1",
        "limitPrice": "40",
        "reduceOnly": False,
        "timestamp": "2026-02-13T12:09:03.738Z",
    }
    told = {"order": order, "status": "FULLY_EXECUTED", "updateReason": "FULL_FILL"}
    markets = known_markets()
    (found,) = statuses({"orders": [told]}, markets)
    assert (found.status, found.quantity, found.filled_quantity) == (
        OrderStatus.CLOSED,
        D("0.1"),
        D("0.1"),
    )
    for strange in (told | {"status": None}, {"error": "notFound"}, told | {"status": "NOT_FOUND"}):
        assert statuses({"orders": [strange]}, markets) == []


def test_an_execution_is_read_with_its_fee_or_not_at_all():
    order = {"uid": "o", "direction": "Sell", "clientId": "sl"}
    one = {
        "uid": "e",
        "order": order,
        "timestamp": 1604937694000,
        "quantity": "0.5",
        "price": "41900",
        "orderData": {"fee": "10.475"},
    }
    listing = listings(INSTRUMENTS)["BTCUSD"]
    for wrapped in ({"Execution": {"execution": one}}, {"execution": {"execution": one}}):
        fill = execution({"event": wrapped}, listing)
        assert (fill.fee, fill.fee_currency, fill.client_order_id) == (D("10.475"), "USD", "sl")
        assert (fill.side.value, fill.quantity) == ("sell", D("0.5"))
    with pytest.raises(ValueError, match="without its fee"):
        execution({"event": {"Execution": {"execution": one | {"orderData": None}}}}, listing)


def test_the_history_of_others_is_left_out():
    told = {"order": {"clientId": "other"}}
    element = {"uid": "1", "timestamp": 1604937694000, "event": {"OrderPlaced": told}}
    assert events_of("ours", [element, element | {"event": {"OrderNotFound": {}}}]) == []


async def sought(made, name):
    found = await made.venue.find(SYMBOL, name)
    assert found is not None
    return found


async def guarded(made):
    await made.venue.create(body("in", "buy", "market", "0.1"))
    await made.venue.create(body("sl", "sell", "stop_loss", "0.1", "42000", reduce_only=True))


@pytest.mark.parametrize("after_s", [0, 60])
@pytest.mark.parametrize("keeps_uid", [True, False])
@on_jumping_time
async def test_a_fired_stop_is_found_by_our_id_whatever_it_became(keeps_uid, after_s, tmp_path):
    async with rig("krakenfutures", tmp_path, loop.clock(), keeps_uid=keeps_uid) as made:
        await guarded(made)
        made.set_price("41900")
        await asyncio.sleep(after_s)
        found = await sought(made, "sl")
        assert (found.status, found.filled_quantity) == (OrderStatus.CLOSED, D("0.1"))
        assert found.average_price == 41900
        (sold,) = [f for f in await made.venue.fills(SYMBOL) if f.side.value == "sell"]
        assert sold.client_order_id == "sl"
        assert sold.venue_order_id in (found.ref.venue_order_id, found.child_id)
        assert await made.venue.open_orders() == []


@on_jumping_time
async def test_while_the_history_is_behind_an_order_that_filled_is_not_called_unknown(tmp_path):
    async with rig("krakenfutures", tmp_path, loop.clock(), history_lag_s=60) as made:
        await made.venue.create(body("in", "buy", "market", "0.1"))
        await asyncio.sleep(10)
        with pytest.raises(Unavailable, match="not in the history yet"):
            await sought(made, "in")
        await asyncio.sleep(60)
        found = await sought(made, "in")
        assert (found.status, found.filled_quantity) == (OrderStatus.CLOSED, D("0.1"))


@on_jumping_time
async def test_how_orders_ended_is_told_by_their_history(tmp_path):
    async with rig("krakenfutures", tmp_path, loop.clock()) as made:
        await guarded(made)
        limit = await made.venue.create(body("rest", "buy", "limit", "0.1", "40000"))
        stop = await sought(made, "sl")
        for order in (limit, stop):
            await made.venue.cancel(order.ref)
        await asyncio.sleep(60)
        for name, kind in (("rest", OrderType.LIMIT), ("sl", OrderType.STOP_LOSS)):
            found = await sought(made, name)
            assert (found.status, found.type) == (OrderStatus.CANCELLED, kind)
            assert found.filled_quantity == 0
        assert (await sought(made, "in")).average_price == 43000


@on_jumping_time
async def test_the_history_is_not_asked_more_often_than_it_allows(tmp_path, monkeypatch):
    monkeypatch.setattr(futures_history, "CALLS", 3 + futures_history.KEPT_FOR_LOOK_UPS)
    async with rig("krakenfutures", tmp_path, loop.clock()) as made:
        start = made.clock.now() - timedelta(minutes=1)
        for _ in range(3):
            await made.venue.fills(SYMBOL, start)
        with pytest.raises(Unavailable, match="too often"):
            await made.venue.fills(SYMBOL, start)
        # What else is asked is not held up.
        assert await made.venue.open_orders() == []
        await asyncio.sleep(200)
        await made.venue.fills(SYMBOL, start)


@on_jumping_time
async def test_looks_at_fills_leave_what_looking_orders_up_takes(tmp_path, monkeypatch):
    """An order that cannot be looked up is in doubt for ever, and holds up what replaces it."""
    monkeypatch.setattr(futures_history, "CALLS", 20)
    async with rig("krakenfutures", tmp_path, loop.clock()) as made:
        names = [f"rest{index}" for index in range(2)]
        for name in names:
            order = await made.venue.create(body(name, "buy", "limit", "0.01", "40000"))
            await made.venue.cancel(order.ref)
        start = made.clock.now()
        await asyncio.sleep(10)

        async def spent():
            with suppress(Unavailable):
                while True:
                    await made.venue.fills(SYMBOL, start)

        async def until_found(name):
            while True:
                try:
                    return await sought(made, name)
                except Unavailable:
                    await asyncio.sleep(1)

        await spent()
        for _ in range(4):
            await sought(made, names[0])
        with pytest.raises(Unavailable, match="too often"):
            await sought(made, names[0])

        async def asked_again_and_again():
            while True:
                await spent()
                await asyncio.sleep(3)

        asking = asyncio.create_task(asked_again_and_again())
        async with asyncio.timeout(250):
            found = await asyncio.gather(*map(until_found, names))
        asking.cancel()
        assert {order.status for order in found} == {OrderStatus.CANCELLED}
