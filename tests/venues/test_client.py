"""The way to an exchange: its clock, its wish to be left alone, and the account's keys."""

import asyncio
import io
import logging
import traceback
from datetime import timedelta
from typing import Any

import pytest
from loguru import logger

from guardian_core.accounts import Environment
from guardian_core.domain.errors import (
    Ambiguous,
    ConfigurationError,
    GuardianError,
    NotSent,
    Rejected,
    Unavailable,
)
from guardian_core.domain.snapshot import Position
from guardian_gateway.venues.binance import usdm, usdm_words
from guardian_gateway.venues.exchange.client import Client
from guardian_gateway.venues.exchange.keys import KeyFiles, KeyFolder, Keys
from guardian_gateway.venues.exchange.surroundings import Surroundings
from tests.support.clock import FakeClock
from tests.support.paper import body
from tests.venues import loop
from tests.venues.fake.troubles import troubles
from tests.venues.loop import JumpingLoop, LoopClock, on_jumping_time
from tests.venues.rigs import ACCOUNT, ADAPTERS, DERIVATIVES, SYMBOL, rig, stored_keys

each_adapter = pytest.mark.parametrize("name", ADAPTERS)
BUY = body("in", "buy", "market", "0.01")
MARKER_KEY = "MARKER-key-4711"
MARKER_SECRET = "MARKER-secret-4712"


# The clock


@pytest.mark.parametrize("ahead_s", [-300, -5, 5, 300])
@each_adapter
@on_jumping_time
async def test_a_wrong_clock_on_this_machine_does_no_harm(name, ahead_s, tmp_path):
    async with rig(name, tmp_path, loop.clock(), ahead_s=ahead_s) as made:
        await made.venue.create(BUY)
        assert (await made.venue.find(SYMBOL, "in")) is not None


@each_adapter
@on_jumping_time
async def test_a_clock_that_jumps_is_measured_anew_after_one_refusal(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        await made.venue.open_orders()
        made.wire.ahead_s = 60
        with pytest.raises(Ambiguous if ADAPTERS[name].late_is_doubtful else NotSent):
            await made.venue.create(BUY)
        await made.venue.create(BUY)


@each_adapter
@on_jumping_time
async def test_a_request_that_arrives_too_late_is_refused_by_the_venue(name, tmp_path):
    """So that an unanswered write is surely over in time."""
    clock = LoopClock(asyncio.get_running_loop())
    async with rig(name, tmp_path, clock) as made:
        await made.venue.open_orders()
        clock.ahead_s = -max(3.0, made.venue.capabilities().valid_for_s) - 0.5
        with pytest.raises(Ambiguous if ADAPTERS[name].late_is_doubtful else NotSent):
            await made.venue.create(BUY)
        assert made.exchange.events == []


# Asked to wait


@pytest.mark.parametrize("status", [429, 418])
@each_adapter
@on_jumping_time
async def test_asked_to_wait_reads_and_entries_stop_and_protection_goes_on(name, status, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        await made.venue.create(body("first", "buy", "market", "0.1"))
        asks = ADAPTERS[name].reads
        made.wire.fault(asks, (status, "", {"Retry-After": "20"}), executes=False)
        with pytest.raises(Unavailable):
            await made.venue.open_orders()
        heard = len(made.wire.asked)
        with pytest.raises(Unavailable, match="asked to wait"):
            await made.venue.open_orders()
        with pytest.raises(NotSent, match="asked to wait"):
            await made.venue.create(BUY)
        assert len(made.wire.asked) == heard
        stop = body("sl", "sell", "stop_loss", "0.05", "42000", reduce_only=not made.spot)
        await made.venue.create(stop)
        await asyncio.sleep(20)
        assert [order.ref.client_order_id for order in await made.venue.open_orders()] == ["sl"]


# Keys


@each_adapter
@on_jumping_time
async def test_changed_keys_are_taken_up_without_a_restart(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        await made.venue.open_orders(SYMBOL)
        made.wire.key, made.wire.secret = "another-key", "anotherSecret000"
        with pytest.raises(Unavailable):
            await made.venue.open_orders(SYMBOL)
        stored_keys(tmp_path, "another-key", "anotherSecret000", made.wire.passphrase)
        await made.venue.open_orders(SYMBOL)


@each_adapter
@on_jumping_time
async def test_wrong_keys_are_a_refusal_not_a_doubt(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        for key, secret in (("wrong", made.wire.secret), (made.wire.key, "wrongSecret0")):
            stored_keys(tmp_path, key, secret, made.wire.passphrase)
            # Where the account's position mode is asked first, that fails before anything is sent.
            with pytest.raises((Rejected, NotSent)):
                await made.venue.create(BUY)


@each_adapter
@on_jumping_time
async def test_without_keys_the_account_says_where_they_belong(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        for file in (tmp_path / ACCOUNT).iterdir():
            file.unlink()
        # What is public stays readable.
        await made.venue.instrument(SYMBOL)
        public = len(made.wire.asked)
        for ask in (made.venue.open_orders(), made.venue.create(BUY)):
            with pytest.raises(ConfigurationError, match="has no exchange keys"):
                await ask
        assert len(made.wire.asked) == public


def test_keys_that_others_may_read_are_refused(tmp_path):
    files = stored_keys(tmp_path, "k", "s")
    assert files.current() == Keys("k", "s")
    (tmp_path / ACCOUNT / "api-secret").chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        KeyFiles(ACCOUNT, tmp_path / ACCOUNT).current()
    mounted = KeyFolder(tmp_path, private=False).of(ACCOUNT)
    assert mounted.current() == Keys("k", "s")


def test_stored_keys_are_for_their_owner_only(tmp_path):
    KeyFolder(tmp_path / "accounts").of(ACCOUNT).store(Keys("k", "s", "p"))
    files = sorted((tmp_path / "accounts" / ACCOUNT).iterdir())
    assert [file.name for file in files] == ["api-key", "api-secret", "passphrase"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert (tmp_path / "accounts" / ACCOUNT).stat().st_mode & 0o777 == 0o700


def test_a_mounted_secret_that_moves_its_link_is_read_again(tmp_path):
    """As Kubernetes changes a Secret's volume."""
    for version, key in (("1", "old"), ("2", "new")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "api-key").write_text(key)
        (tmp_path / version / "api-secret").write_text("s")
    (tmp_path / ACCOUNT).mkdir()
    data = tmp_path / ACCOUNT / "..data"
    data.symlink_to(tmp_path / "1")
    for name in ("api-key", "api-secret"):
        (tmp_path / ACCOUNT / name).symlink_to(f"..data/{name}")
    files = KeyFolder(tmp_path, private=False).of(ACCOUNT)
    assert files.current().key == "old"
    data.unlink()
    data.symlink_to(tmp_path / "2")
    assert files.current().key == "new"


def test_keys_that_are_no_text_are_not_quoted(tmp_path):
    stored_keys(tmp_path, "k", "s")
    (tmp_path / ACCOUNT / "api-key").write_bytes(b"\xffMARKER")
    with pytest.raises(ConfigurationError) as error:
        KeyFiles(ACCOUNT, tmp_path / ACCOUNT).current()
    assert "MARKER" not in "".join(traceback.format_exception(error.value))


def test_keys_are_not_shown(tmp_path):
    files = stored_keys(tmp_path, MARKER_KEY, MARKER_SECRET)
    shown = [repr(files.current()), str(files.current()), f"{files.current()}", repr(files)]
    around = Surroundings(Environment.LIVE, files, FakeClock())
    client = Client(usdm.WIRING, around)
    shown += [repr(client), str(vars(client)), repr(around)]
    assert not any("MARKER" in text for text in shown)


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_planted_key_appears_nowhere(name, tmp_path, caplog):
    """Every trouble, everything logged at the lowest level, every error as it would be printed."""
    told = io.StringIO()
    caplog.set_level(logging.DEBUG)
    sink = logger.add(told, level="TRACE", diagnose=False, backtrace=True)
    try:
        play_every_trouble(name, tmp_path, told)
    finally:
        logger.remove(sink)
    heard = told.getvalue() + caplog.text
    assert "code " in heard
    assert "MARKER" not in heard
    assert "signature" not in heard


@on_jumping_time
async def play_every_trouble(name, tmp_path, told):
    marked: dict[str, Any] = {"key": MARKER_KEY, "secret": MARKER_SECRET}
    async with rig(name, tmp_path, loop.clock(), **marked) as made:
        await made.venue.open_orders()
        quoting = f'{{"code": -9999, "msg": "you sent {MARKER_KEY}, {MARKER_SECRET}"}}'
        answers = [trouble.answer for trouble in troubles(ADAPTERS[name].words).values()]
        answers += [(400, quoting, {}), (400, f"no {MARKER_KEY}", {}), (200, quoting, {})]
        for answer in answers:
            for call, ask in (
                ("GET ", lambda: made.venue.find(SYMBOL, "in")),
                (ADAPTERS[name].order, lambda: made.venue.create(BUY)),
            ):
                made.wire.fault(call, answer, executes=False)
                await heard(ask(), told)
                made.wire.faults.clear()
                await asyncio.sleep(10)


async def heard(asking, told):
    try:
        await asking
    except GuardianError as error:
        told.write("".join(traceback.format_exception(error)))
        logger.opt(exception=error).error("it failed: {}", error)


# What an account must be like


@on_jumping_time
async def test_hedge_mode_is_refused_with_what_to_do(tmp_path):
    async with rig("binanceusdm", tmp_path, loop.clock(), hedge=True) as made:
        for ask in (made.venue.positions(), made.venue.create(BUY)):
            with pytest.raises(ConfigurationError, match="switch to one-way mode"):
                await ask
        assert made.exchange.events == []


@on_jumping_time
async def test_a_switch_to_hedge_mode_is_noticed_at_the_next_order(tmp_path):
    async with rig("binanceusdm", tmp_path, loop.clock()) as made:
        await made.venue.create(BUY)
        made.wire.hedge = True
        with pytest.raises(Rejected):
            await made.venue.create(body("more", "buy", "market", "0.01"))
        with pytest.raises(ConfigurationError, match="one-way mode"):
            await made.venue.positions()


@on_jumping_time
async def test_inverse_contracts_are_not_traded(tmp_path):
    inverse = {"symbol": "BTCUSD", "contractType": "PERPETUAL", "quoteAsset": "USD"}
    dated = {"symbol": "BTCUSDT_270326", "contractType": "CURRENT_QUARTER", "quoteAsset": "USDT"}
    async with rig("binanceusdm", tmp_path, loop.clock()) as made:
        listed = made.wire.listed

        def with_others(one):
            return listed(one) | (inverse if one.base == "BTC" else dated)

        made.wire.listed = with_others
        for symbol in ("BTCUSD", "BTCUSDT_270326"):
            with pytest.raises(GuardianError, match="does not trade"):
                await made.venue.instrument(symbol)


# What futures tell of a triggered order


@pytest.mark.parametrize("child_name", ["autoclose", "same"])
@pytest.mark.parametrize("hides_ended", [False, True])
@on_jumping_time
async def test_a_fired_stop_is_found_wherever_binance_keeps_it(child_name, hides_ended, tmp_path):
    how = {"child_name": child_name, "hides_ended": hides_ended}
    async with rig("binanceusdm", tmp_path, loop.clock(), **how) as made:
        await made.venue.create(body("in", "buy", "market", "0.1"))
        await made.venue.create(body("sl", "sell", "stop_loss", "0.1", "42000", reduce_only=True))
        made.set_price("41000")
        found = await made.venue.find(SYMBOL, "sl")
        assert found is not None
        assert (found.status.value, found.filled_quantity) == ("closed", found.quantity)
        (sold,) = [f for f in await made.venue.fills(SYMBOL) if f.side.value == "sell"]
        assert sold.client_order_id == "sl"
        # Where only its child is left to be seen, that is what shows.
        assert sold.venue_order_id == (found.child_id or found.ref.venue_order_id)


@on_jumping_time
async def test_an_ended_order_whose_child_is_not_shown_is_unknown_not_empty(tmp_path):
    async with rig("binanceusdm", tmp_path, loop.clock()) as made:
        await made.venue.create(body("in", "buy", "market", "0.1"))
        await made.venue.create(body("sl", "sell", "stop_loss", "0.1", "42000", reduce_only=True))
        made.set_price("41000")
        gone = '{"code": -2013, "msg": "Order does not exist."}'
        made.wire.fault("GET /fapi/v1/order", (400, gone, {}), executes=False, times=2)
        with pytest.raises(Unavailable, match="child"):
            await made.venue.find(SYMBOL, "sl")


# Long histories


async def days_pass(days):
    """At once: connections that are kept alive would count the seconds. They end with it."""
    loop_ = asyncio.get_running_loop()
    assert isinstance(loop_, JumpingLoop)
    loop_.jump(days * 24 * 3600)
    await asyncio.sleep(1)


@each_adapter
@on_jumping_time
async def test_no_fill_is_left_out_of_a_long_time(name, tmp_path):
    clock = LoopClock(asyncio.get_running_loop())
    async with rig(name, tmp_path, clock) as made:
        start = clock.now()
        for index in range(4):
            await made.venue.create(body(f"in{index}", "buy", "market", "0.01"))
            await days_pass(5)
        found = await made.venue.fills(SYMBOL, start - timedelta(days=1))
        assert [fill.client_order_id for fill in found] == ["in0", "in1", "in2", "in3"]


@each_adapter
@on_jumping_time
async def test_no_fill_is_left_out_of_a_full_page(name, tmp_path, monkeypatch):
    monkeypatch.setattr(ADAPTERS[name].page, 3)
    async with rig(name, tmp_path, loop.clock()) as made:
        for index in range(8):
            await made.venue.create(body(f"in{index}", "buy", "market", "0.01"))
        found = await made.venue.fills(SYMBOL, made.clock.now() - timedelta(hours=1))
        assert [fill.client_order_id for fill in found] == [f"in{index}" for index in range(8)]


@each_adapter
@on_jumping_time
async def test_a_strange_order_is_not_read_as_something_else(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        shown = made.wire.shown
        made.wire.shown = lambda order: shown(order) | dict(ADAPTERS[name].strange)
        with pytest.raises(Ambiguous, match="SOMETHING_NEW"):
            await made.venue.create(body("in", "buy", "limit", "0.1", "40000"))
        with pytest.raises(Unavailable, match="SOMETHING_NEW"):
            await made.venue.open_orders()


def test_a_position_is_never_guessed():
    source = {"symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": "-0.5", "entryPrice": "0"}
    position = usdm_words.position(source)
    assert isinstance(position, Position)
    assert (position.side.value, position.entry_price) == ("short", None)
    assert usdm_words.position(source | {"positionAmt": "0.000"}) is None
    with pytest.raises(ValueError, match="positionAmt"):
        usdm_words.position(source | {"positionAmt": "much"})


@each_adapter
def test_an_adapter_is_made_without_a_connection(name, tmp_path):
    keys = KeyFiles(ACCOUNT, tmp_path)
    around = Surroundings(Environment.LIVE, keys, FakeClock(), elsewhere="http://127.0.0.1:1")
    venue = ADAPTERS[name].adapter(around)
    assert venue.name == name
    assert venue.capabilities().reports_positions is (name in DERIVATIVES)
