"""What is OKX's own: writes that are only taken, lists without what triggered, account modes."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian_core.accounts import Environment, MarginMode
from guardian_core.domain.errors import (
    Ambiguous,
    CallerError,
    ConfigurationError,
    GuardianError,
    NotSent,
    OrderGone,
    Rejected,
    Unavailable,
)
from guardian_core.domain.orders import OrderSide, OrderStatus, OrderType, TriggerBasis
from guardian_gateway.venues.exchange.checks import Finding
from guardian_gateway.venues.exchange.surroundings import Surroundings
from guardian_gateway.venues.okx import pairs, words
from guardian_gateway.venues.port import VenueOrder
from tests.support.paper import body
from tests.venues import loop
from tests.venues.fake.server import HANGS
from tests.venues.families import okx
from tests.venues.loop import on_jumping_time
from tests.venues.rigs import SYMBOL, rig, stored_keys

D = Decimal
JSON = {"Content-Type": "application/json"}
BUY = body("in", "buy", "market", "0.1")
each_market = pytest.mark.parametrize("name", list(okx.UNDER_TEST))


def leg(made, name="sl", kind="stop_loss", level="42000", quantity="0.05"):
    return body(name, "sell", kind, quantity, level, reduce_only=not made.spot)


def own_rules(name, **rules) -> dict[str, Any]:
    return {"rules": replace(okx.UNDER_TEST[name].fake(clock=loop.clock()).rules, **rules)}


async def found_as(made, client_order_id) -> VenueOrder:
    found: VenueOrder | None = await made.venue.find(SYMBOL, client_order_id)
    assert found is not None
    return found


async def findings(made) -> dict[str, Finding]:
    venue: Any = made.venue
    return {one.what: one for one in await venue.check()}


# Writes that are only taken


@each_market
@on_jumping_time
async def test_an_order_that_does_not_show_yet_is_open_until_it_does(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        made.wire.lag_s = 1.5
        placed = await made.venue.create(BUY)
        assert (placed.status, placed.filled_quantity) == (OrderStatus.OPEN, D(0))
        made.wire.lag_s = 0
        found = await found_as(made, "in")
        assert (found.ref, found.status) == (placed.ref, OrderStatus.CLOSED)


@each_market
@on_jumping_time
async def test_an_order_that_cannot_be_read_back_is_open(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        await made.venue.positions()
        await made.venue.instrument(SYMBOL)
        made.wire.fault("GET /api/v5/trade/order", (500, "", {}), executes=False)
        placed = await made.venue.create(BUY)
        assert (placed.status, placed.ref.client_order_id) == (OrderStatus.OPEN, "in")


@each_market
@on_jumping_time
async def test_a_cancel_that_was_taken_is_not_a_cancelled_order(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        order = await made.venue.create(body("rest", "buy", "limit", "0.01", "40000"))
        stop = await made.venue.create(leg(made))
        for ref, call in (
            (order.ref, "POST /api/v5/trade/cancel-order"),
            (stop.ref, "POST /api/v5/trade/cancel-algos"),
        ):
            item = {"ordId": "1", "algoId": "1", "sCode": "0", "sMsg": ""}
            taken = json.dumps({"code": "0", "msg": "", "data": [item]})
            made.wire.fault(call, (200, taken, JSON), executes=False)
            with pytest.raises(Ambiguous, match="still works"):
                await made.venue.cancel(ref)
        assert len(await made.venue.open_orders()) == 2


@each_market
@on_jumping_time
async def test_a_cancel_that_comes_after_the_trigger_is_told_as_gone(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        stop = await made.venue.create(leg(made))
        made.set_price("41000")
        item = {"algoId": "1", "sCode": "0", "sMsg": ""}
        taken = json.dumps({"code": "0", "msg": "", "data": [item]})
        made.wire.fault("POST /api/v5/trade/cancel-algos", (200, taken, JSON), executes=False)
        with pytest.raises(OrderGone):
            await made.venue.cancel(stop.ref)


# Conditional orders that have triggered


@pytest.mark.parametrize("how", [{}, {"child_id_list": False}, {"hides_algos": True}])
@each_market
@on_jumping_time
async def test_a_fired_stop_is_found_however_okx_shows_it(name, how, tmp_path):
    async with rig(name, tmp_path, loop.clock(), **how) as made:
        await made.venue.create(BUY)
        stop = await made.venue.create(leg(made))
        made.set_price("41000")
        found = await found_as(made, "sl")
        assert (found.ref, found.status) == (stop.ref, OrderStatus.CLOSED)
        assert (found.filled_quantity, found.average_price) == (D("0.05"), D(41000))
        (sold,) = [f for f in await made.venue.fills(SYMBOL) if f.side is OrderSide.SELL]
        assert (sold.client_order_id, sold.venue_order_id) == ("sl", found.child_id)


@each_market
@on_jumping_time
async def test_a_triggered_stop_stays_listed_as_itself_until_it_is_done(name, tmp_path):
    rules = own_rules(name, child_waits=True)
    async with rig(name, tmp_path, loop.clock(), **rules) as made:
        await made.venue.create(BUY)
        stop = await made.venue.create(leg(made))
        made.set_price("41000")
        (listed,) = await made.venue.open_orders()
        assert (listed.ref, listed.status) == (stop.ref, OrderStatus.OPEN)
        assert listed.child_id
        assert listed.trigger_price == 42000
        assert await made.venue.find(SYMBOL, "sl") == listed
        made.set_price("40900")
        assert await made.venue.open_orders() == []
        assert (await found_as(made, "sl")).status is OrderStatus.CLOSED


@each_market
@on_jumping_time
async def test_fills_of_an_earlier_run_are_named_by_asking(name, tmp_path):
    """Nothing of it is remembered: as after a restart."""
    async with rig(name, tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        await made.venue.create(leg(made))
        made.set_price("41000")
        keys = stored_keys(tmp_path, made.wire.key, made.wire.secret, made.wire.passphrase)
        around = Surroundings(Environment.LIVE, keys, made.clock, elsewhere=made.wire.url)
        again = okx.UNDER_TEST[name].adapter(around)
        try:
            found = await again.fills(SYMBOL)
            assert [fill.client_order_id for fill in found] == ["in", "sl"]
        finally:
            await again.close()


@each_market
@on_jumping_time
async def test_a_triggered_order_that_hides_what_it_became_is_unknown_not_empty(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        await made.venue.create(leg(made))
        made.set_price("41000")
        shown = made.wire.shown_algo
        made.wire.shown_algo = lambda *of: shown(*of) | {"ordId": "", "ordIdList": []}
        with pytest.raises(Unavailable, match="became"):
            await made.venue.find(SYMBOL, "sl")
        made.wire.shown_algo = shown
        gone = json.dumps({"code": "51603", "msg": "Order does not exist", "data": []})
        made.wire.fault("GET /api/v5/trade/order", (200, gone, JSON), executes=False, times=9)
        made.wire.faults[-1].after = 2
        with pytest.raises(Unavailable, match="became"):
            await made.venue.find(SYMBOL, "sl")


def row(**fields) -> dict[str, Any]:
    return {
        "instId": "BTC-USDT-SWAP",
        "algoId": "77",
        "algoClOrdId": "",
        "ordType": "conditional",
        "state": "live",
        "sz": "5",
        "side": "sell",
        "reduceOnly": "true",
        "slTriggerPx": "42000",
        "slTriggerPxType": "last",
        "slOrdPx": "-1",
        "cTime": "1764000000000",
    } | fields


def read(**fields) -> words.Algo:
    return words.algo(row(**fields), lambda name: words.Unit(name, D("0.01")))


def test_somebody_elses_stops_are_shown_as_what_they_are():
    (by_index,) = read(slTriggerPxType="index", slOrdPx="41900").legs
    assert (by_index.trigger_basis, by_index.price) == (None, D(41900))
    (whole,) = read(sz="", closeFraction="1").legs
    assert (whole.whole_position, whole.quantity) == (True, D(0))
    (trigger,) = read(
        ordType="trigger", slTriggerPx="", triggerPx="41000", triggerPxType="mark"
    ).legs
    assert (trigger.type, trigger.trigger_price) == (OrderType.STOP_LOSS, D(41000))
    assert trigger.trigger_basis is TriggerBasis.MARK
    (trailing,) = read(ordType="move_order_stop", slTriggerPx="", moveTriggerPx="").legs
    assert (trailing.type, trailing.trigger_price) == (OrderType.STOP_LOSS, None)
    # Of a single order with both levels, OKX carries out the stop-loss alone.
    (both,) = read(tpTriggerPx="45000", tpOrdPx="-1").legs
    assert both.type is OrderType.STOP_LOSS
    assert read(slTriggerPx="", slOrdPx="").legs == ()


def test_both_orders_of_somebody_elses_pair_are_shown_without_an_id_of_ours():
    pair = read(ordType="oco", algoClOrdId="byHand", tpTriggerPx="45000", tpOrdPx="-1")
    assert [one.type for one in pair.legs] == [OrderType.STOP_LOSS, OrderType.TAKE_PROFIT]
    assert {one.ref.client_order_id for one in pair.legs} == {None}
    assert {one.pair_id for one in pair.legs} == {"77"}
    assert len({one.ref.venue_order_id for one in pair.legs}) == 2
    assert {words.algo_number(one.ref) for one in pair.legs} == {"77"}


def test_an_order_that_failed_to_trigger_is_over():
    (failed,) = read(state="order_failed", failCode="51008", actualSide="sl").legs
    assert (failed.status, failed.filled_quantity) == (OrderStatus.CANCELLED, D(0))


def test_what_a_big_order_became_counts_together():
    algo = read(state="effective", actualSide="sl", ordIdList=["1", "2"])
    (stop,) = algo.legs
    part = replace(stop, filled_quantity=D("0.02"), average_price=D(41000), child_id=None)
    rest = replace(part, average_price=D(40000), status=OrderStatus.CLOSED)
    (both,) = algo.with_children([part, rest]).legs
    assert (both.status, both.filled_quantity) == (OrderStatus.OPEN, D("0.04"))
    assert both.average_price == 40500
    done = replace(part, status=OrderStatus.CLOSED)
    assert algo.with_children([done, rest]).legs[0].status is OrderStatus.CLOSED
    cut = replace(part, status=OrderStatus.CANCELLED)
    assert algo.with_children([cut, rest]).legs[0].status is OrderStatus.CANCELLED


def test_an_order_that_was_sized_in_quote_counts_what_it_filled():
    source = {
        "instId": "BTC-USDT",
        "ordId": "1",
        "clOrdId": "",
        "state": "partially_filled",
        "ordType": "market",
        "side": "buy",
        "tgtCcy": "quote_ccy",
        "sz": "1000",
        "accFillSz": "0.01",
        "avgPx": "43000",
        "cTime": "1764000000000",
    }
    order = words.plain_order(source, lambda name: words.Unit(name, D(1)))
    assert (order.quantity, order.filled_quantity) == (D("0.01"), D("0.01"))


# Lists


@each_market
@on_jumping_time
async def test_every_page_of_every_list_is_read(name, tmp_path, monkeypatch):
    monkeypatch.setattr(okx.PAGE, 3)
    async with rig(name, tmp_path, loop.clock()) as made:
        await made.venue.create(body("in", "buy", "market", "0.2"))
        plain_ones = [f"rest{index}" for index in range(7)]
        for one in plain_ones:
            await made.venue.create(body(one, "buy", "limit", "0.001", "40000"))
        stops = [f"sl{index}" for index in range(7)]
        for one in stops:
            await made.venue.create(leg(made, one, quantity="0.01"))
        listed = [o.ref.client_order_id or "" for o in await made.venue.open_orders()]
        assert sorted(listed) == sorted(plain_ones + stops)
        assert set(listed[:7]) == set(stops)
        made.wire.hides_algos = True
        made.set_price("41000")
        for one in stops:
            assert (await found_as(made, one)).status is OrderStatus.CLOSED


@each_market
@on_jumping_time
async def test_an_instrument_that_is_not_traded_here_keeps_its_name(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        await made.venue.create(body("rest", "buy", "limit", "0.01", "40000"))
        shown = made.wire.shown
        made.wire.shown = lambda order: shown(order) | {"instId": "BTC-USD-SWAP", "sz": "3"}
        (listed,) = await made.venue.open_orders()
        assert (listed.ref.symbol, listed.quantity) == ("BTC-USD-SWAP", D(3))


# Spot: two orders of ours in one of OKX


def ids(stop, profit):
    return pairs.pair_name(stop, profit), pairs.names_of(pairs.pair_name(stop, profit))


def test_a_pairs_one_id_carries_both_of_ours():
    stop, profit = "guardnabcdefghijkl", "guardn234567mnopqr"
    assert ids(stop, profit) == ("guardnabcdefghijklT234567mnopqr", (stop, profit))
    # Ids that do not start alike, or are short.
    for one, other in (
        ("sl", "tp"),
        ("guardna", "otherinstall"),
        ("guardn", "x"),
        ("guard", "guard"),
    ):
        name, read = ids(one, other)
        assert name == f"{one}X{other}"
        assert read == (one, other)
    assert ids("guardn", "guardnab") == ("guardnTab", ("guardn", "guardnab"))


@given(
    st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=18),
    st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=18),
)
def test_whatever_fits_comes_back(stop, profit):
    try:
        name, read = ids(stop, profit)
    except CallerError:
        assert len(stop) + len(profit) > 25
        return
    assert len(name) <= 32
    assert name.isalnum()
    assert read == (stop, profit)


@pytest.mark.parametrize(("stop", "profit"), [("a" * 28, "a" * 28), ("Sl", "tp"), ("s-l", "tp")])
def test_ids_that_no_name_can_carry_are_refused(stop, profit):
    with pytest.raises(CallerError):
        pairs.pair_name(stop, profit)


@pytest.mark.parametrize(
    "name", [None, "", "byhand", "byHand", "aTbTc", "abTc", "X", "Xtp", "slX", "aXbTc"]
)
def test_somebody_elses_name_is_no_pair_of_ours(name):
    assert pairs.names_of(name) is None


@asynccontextmanager
async def paired(tmp_path, **rules):
    async with rig("okx", tmp_path, loop.clock(), **own_rules("okx", **rules)) as made:
        await made.venue.create(BUY)
        stop, profit = leg(made), leg(made, "tp", "take_profit", "45000")
        yield made, await made.venue.create_pair(stop, profit)


@pytest.mark.parametrize(
    ("price", "acts", "over"),
    [("41900", "sl", "tp"), ("45100", "tp", "sl")],
    ids=["stop", "profit"],
)
@on_jumping_time
async def test_one_leg_acts_and_the_other_is_over(price, acts, over, tmp_path):
    async with paired(tmp_path) as (made, pair):
        made.set_price(price)
        done, rest = await found_as(made, acts), await found_as(made, over)
        assert (done.status, done.filled_quantity) == (OrderStatus.CLOSED, D("0.05"))
        assert (rest.status, rest.filled_quantity) == (OrderStatus.CANCELLED, D(0))
        assert rest.child_id is None
        assert {done.ref, rest.ref} == {order.ref for order in pair}
        assert await made.venue.open_orders() == []
        (sold,) = [f for f in await made.venue.fills(SYMBOL) if f.side is OrderSide.SELL]
        assert (sold.client_order_id, sold.venue_order_id) == (acts, done.child_id)


@on_jumping_time
async def test_a_pair_whose_leg_is_at_work_shows_that_leg_alone(tmp_path):
    async with paired(tmp_path, child_waits=True) as (made, pair):
        made.set_price("41900")
        (listed,) = await made.venue.open_orders()
        assert listed.ref == pair[0].ref
        assert listed.child_id
        assert (await found_as(made, "tp")).status is OrderStatus.CANCELLED


@on_jumping_time
async def test_a_leg_that_was_taken_out_of_its_pair_is_missing_and_the_other_stands(tmp_path):
    """As on OKX's own page, where either level can be deleted."""
    async with paired(tmp_path) as (made, _):
        shown = made.wire.shown_algo
        made.wire.shown_algo = lambda *of: shown(*of) | {"slTriggerPx": "", "slOrdPx": ""}
        (listed,) = await made.venue.open_orders()
        assert listed.ref.client_order_id == "tp"
        assert await made.venue.find(SYMBOL, "sl") is None
        assert await found_as(made, "tp") == listed


@on_jumping_time
async def test_a_pair_is_found_after_a_restart_by_the_id_of_either_leg(tmp_path):
    async with paired(tmp_path) as (made, pair):
        keys = stored_keys(tmp_path, made.wire.key, made.wire.secret, made.wire.passphrase)
        around = Surroundings(Environment.LIVE, keys, made.clock, elsewhere=made.wire.url)
        again = okx.UNDER_TEST["okx"].adapter(around)
        try:
            for order in pair:
                found = await again.find(SYMBOL, order.ref.client_order_id)
                assert found is not None
                assert (found.ref, found.pair_id) == (order.ref, order.pair_id)
            assert await again.find("ETHUSDT", "sl") is None
            await again.cancel(replace(pair[1].ref, venue_order_id=""))
            for order in pair:
                found = await again.find(SYMBOL, order.ref.client_order_id)
                assert found is not None
                assert found.status is OrderStatus.CANCELLED
        finally:
            await again.close()


@pytest.mark.parametrize("level", ["3", "4"])
@on_jumping_time
async def test_an_account_that_trades_spot_on_margin_is_found(level, tmp_path):
    async with rig("okx", tmp_path, loop.clock(), level=level) as made:
        found = await findings(made)
        assert not found["trading"].ok
        assert "trades spot on margin only: switch it to" in found["trading"].found
        with pytest.raises(Rejected):
            await made.venue.create(BUY)


# Swaps


@pytest.mark.parametrize(
    ("how", "words_"),
    [
        ({"one_way": False}, "switch to one-way mode"),
        ({"level": "1"}, "Spot mode, which trades no swaps: switch it to Futures mode"),
        ({"level": "4"}, "Portfolio margin mode, which has no reduce-only orders"),
        ({"level": "9"}, "account mode 9"),
    ],
)
@on_jumping_time
async def test_an_account_that_cannot_be_guarded_is_refused_with_what_to_do(how, words_, tmp_path):
    async with rig("okxswap", tmp_path, loop.clock(), **how) as made:
        for ask in (made.venue.positions(), made.venue.create(BUY)):
            with pytest.raises(ConfigurationError, match=words_):
                await ask
        assert made.exchange.events == []
        found = await findings(made)
        assert words_ in found["position mode"].found
        assert not found["position mode"].ok
        assert found["trading"].ok


@on_jumping_time
async def test_isolated_margin_needs_a_mode_that_has_it(tmp_path):
    async with rig("okxswap", tmp_path, loop.clock(), level="3") as made:
        await made.venue.create(BUY)
        keys = stored_keys(tmp_path, made.wire.key, made.wire.secret, made.wire.passphrase)
        around = Surroundings(
            Environment.LIVE, keys, made.clock, MarginMode.ISOLATED, made.wire.url
        )
        isolated = okx.UNDER_TEST["okxswap"].adapter(around)
        try:
            with pytest.raises(ConfigurationError, match="set marginMode to Cross"):
                await isolated.positions()
        finally:
            await isolated.close()


@on_jumping_time
async def test_a_switch_of_the_position_mode_is_noticed_at_the_next_order(tmp_path):
    async with rig("okxswap", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        made.wire.one_way = False
        with pytest.raises(Rejected):
            await made.venue.create(body("more", "buy", "market", "0.01"))
        with pytest.raises(ConfigurationError, match="one-way mode"):
            await made.venue.positions()


@on_jumping_time
async def test_what_reduces_a_position_is_sent_in_the_margin_mode_that_it_has(tmp_path):
    """As after the account's margin mode was changed, or for a position that was opened by hand."""
    async with rig("okxswap", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        made.wire.held_in["BTC-USDT-SWAP"] = "isolated"
        with pytest.raises(Rejected):
            await made.venue.create(leg(made))
        assert len(await made.venue.positions()) == 1
        await made.venue.create(leg(made))
        assert made.wire.asked[-1].params["tdMode"] == "isolated"
        # What opens one is the account's own matter.
        await made.venue.create(body("more", "buy", "market", "0.01"))
        posted = [one for one in made.wire.asked if one.method == "POST"]
        assert posted[-1].params["tdMode"] == "cross"


@on_jumping_time
async def test_one_symbol_in_both_margin_modes_cannot_be_told_apart(tmp_path):
    async with rig("okxswap", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        held = {"instId": "BTC-USDT-SWAP", "posSide": "net", "pos": "1", "avgPx": "43000"}
        two = [held | {"mgnMode": mode} for mode in ("cross", "isolated")]
        answer = json.dumps({"code": "0", "msg": "", "data": two})
        made.wire.fault("GET /api/v5/account/positions", (200, answer, JSON), executes=False)
        with pytest.raises(ConfigurationError, match="close one of the two"):
            await made.venue.positions()


@on_jumping_time
async def test_a_quantity_that_no_number_of_contracts_makes_is_never_sent(tmp_path):
    async with rig("okxswap", tmp_path, loop.clock()) as made:
        listed = made.wire.listed
        made.wire.listed = lambda one: listed(one) | {"ctVal": "0.03", "lotSz": "1", "minSz": "1"}
        assert (await made.venue.instrument(SYMBOL)).step == D("0.03")
        with pytest.raises(CallerError, match="contracts"):
            await made.venue.create(BUY)
        assert [one for one in made.wire.asked if one.method == "POST"] == []


OTHERS = {
    "inverse": {"instId": "BTC-USD-SWAP", "ctType": "inverse", "settleCcy": "BTC"},
    "sized in dollars": {"ctValCcy": "USD"},
    "settled in another coin": {"settleCcy": "BTC"},
    "without a lot": {"lotSz": ""},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
@on_jumping_time
async def test_contracts_of_other_kinds_are_not_traded(other, tmp_path):
    async with rig("okxswap", tmp_path, loop.clock()) as made:
        listed = made.wire.listed
        made.wire.listed = lambda one: listed(one) | (other if one.base == "BTC" else {})
        with pytest.raises(GuardianError, match="does not trade"):
            await made.venue.instrument(SYMBOL)
        assert (await made.venue.instrument("ETHUSDT")).base == "ETH"


@on_jumping_time
async def test_a_key_whose_rights_are_not_told_may_withdraw(tmp_path):
    async with rig("okxswap", tmp_path, loop.clock()) as made:
        setup = {"acctLv": "2", "posMode": "net_mode"}
        answer = json.dumps({"code": "0", "msg": "", "data": [setup]})
        made.wire.fault("GET /api/v5/account/config", (200, answer, JSON), executes=False, times=2)
        found = await findings(made)
        assert not found["withdrawal"].ok
        assert not found["trading"].ok


@each_market
@on_jumping_time
async def test_a_missing_passphrase_is_told_as_missing_keys(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        stored_keys(tmp_path, made.wire.key, made.wire.secret, "")
        with pytest.raises(ConfigurationError, match="has no passphrase"):
            await made.venue.balances()
        stored_keys(tmp_path, made.wire.key, made.wire.secret, "another")
        with pytest.raises(Unavailable, match="PASSPHRASE"):
            await made.venue.balances()


@pytest.mark.parametrize("answer", [HANGS, (500, "", {})])
@on_jumping_time
async def test_modes_that_are_not_told_anew_take_nothing_from_a_position(answer, tmp_path):
    async with rig("okxswap", tmp_path, loop.clock()) as made:
        await made.venue.positions()
        await made.venue.create(BUY)
        no = json.dumps({"code": "1", "msg": "", "data": [{"sCode": "51010", "sMsg": "mode"}]})
        made.wire.fault("POST /api/v5/trade/order$", (200, no, JSON), executes=False)
        with pytest.raises(Rejected):
            await made.venue.create(body("more", "buy", "market", "0.01"))
        made.wire.fault("GET /api/v5/account/config", answer, executes=False, times=99)
        async with asyncio.timeout(2):
            assert len(await made.venue.positions()) == 1
        async with asyncio.timeout(2):
            await made.venue.create(leg(made))
        with pytest.raises(NotSent):
            async with asyncio.timeout(2):
                await made.venue.create(body("again", "buy", "market", "0.01"))


# Whose a fill is, and what a fired order is, while it is not shown


@each_market
@on_jumping_time
async def test_a_fill_of_an_order_that_does_not_show_yet_is_not_nobodys(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        await made.venue.create(leg(made))
        made.set_price("41000")
        venue: Any = made.venue
        venue._orders._names._names.clear()
        gone = json.dumps({"code": "51603", "msg": "Order does not exist", "data": []})
        made.wire.fault("GET /api/v5/trade/order$", (200, gone, JSON), executes=False)
        with pytest.raises(Unavailable, match="not shown"):
            await made.venue.fills(SYMBOL)
        assert [f.client_order_id for f in await made.venue.fills(SYMBOL)] == ["in", "sl"]


@pytest.mark.parametrize("hidden", [{"state": "live", "ordId": "", "ordIdList": []}, {"ordId": ""}])
@each_market
@on_jumping_time
async def test_a_fill_is_a_stops_that_does_not_tell_yet_that_it_fired(name, hidden, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        await made.venue.create(leg(made))
        made.set_price("41000")
        shown = made.wire.shown_algo
        made.wire.shown_algo = lambda *of: shown(*of) | {"ordIdList": []} | hidden
        assert [f.client_order_id for f in await made.venue.fills(SYMBOL)] == ["in", "sl"]


@on_jumping_time
async def test_a_pair_between_two_lists_is_asked_for_by_its_number(tmp_path):
    """Just fired, it may be shown in neither: that does not mean that OKX forgot it."""
    async with rig("okx", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        legs = (
            body("sl", "sell", "stop_loss", "0.05", "42000"),
            body("tp", "sell", "take_profit", "0.05", "45000"),
        )
        placed = await made.venue.create_pair(*legs)
        made.set_price("41000")
        made.wire._ended_algos = lambda _: []
        assert [(await found_as(made, name)).ref for name in ("sl", "tp")] == [
            one.ref for one in placed
        ]
        assert (await found_as(made, "sl")).status is OrderStatus.CLOSED
        # It is not asked for by lists, which may be long.
        lists = [one for one in made.wire.asked if "orders-algo" in one.path]
        assert lists == []
        assert await made.venue.find(SYMBOL, "nobody") is None


@on_jumping_time
async def test_an_order_that_somebody_elses_slow_order_sends_is_listed(tmp_path):
    async with rig(
        "okxswap", tmp_path, loop.clock(), **own_rules("okxswap", child_waits=True)
    ) as made:
        await made.venue.create(BUY)
        await made.venue.create(leg(made))
        made.set_price("41000")
        shown = made.wire.shown_algo
        slow = {"ordType": "twap", "state": "live", "slTriggerPx": "", "slOrdPx": ""}
        made.wire.shown_algo = lambda *of: shown(*of) | slow
        (listed,) = await made.venue.open_orders()
        assert (listed.ref.client_order_id, listed.ref.conditional) == (None, False)
