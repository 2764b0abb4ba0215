"""What every adapter's order stream keeps: it tells of whatever moves, ends when it does not, and
leaves nothing behind."""

import asyncio
import io
import logging
import traceback
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from loguru import logger

from guardian_core.accounts import Environment
from guardian_core.domain.errors import Unavailable
from guardian_gateway.venues.catalogue import EXCHANGES
from guardian_gateway.venues.exchange.keys import KeyFiles
from guardian_gateway.venues.exchange.stream import OPEN_WITHIN_S, PING_EVERY_S, SILENT_MAX_S
from guardian_gateway.venues.exchange.surroundings import Surroundings
from tests.support.paper import body
from tests.venues import loop
from tests.venues.loop import JumpingLoop, on_jumping_time
from tests.venues.rigs import ACCOUNT, ADAPTERS, STREAMING, SYMBOL, rig, stored_keys

each_stream = pytest.mark.parametrize("name", STREAMING)
MARKER_KEY = "MARKER-key-4711"
MARKER_SECRET = "MARKER-secret-4712"


@dataclass
class Ear:
    """Listens to a rig's stream. `heard`: how often it was called so far."""

    made: Any
    heard: int = 0
    task: Any = None

    def begin(self):
        self.task = asyncio.create_task(self.made.venue.listen(self._moved))

    def _moved(self):
        self.heard += 1

    async def connected(self):
        self.begin()
        await asyncio.sleep(1)
        assert self.heard == 1, self.task
        assert self.listeners() == 1

    def listeners(self):
        return len(self.made.wire.sockets.listening) / self.made.wire.sockets.each_has

    async def hears(self):
        """Whether anything was told since the last time."""
        await asyncio.sleep(0.1)
        told, self.heard = self.heard, 0
        return told > 0

    async def end(self, within_s=1.0):
        """What it ended with."""
        done, _ = await asyncio.wait((self.task,), timeout=within_s)
        assert done, "it goes on"
        with pytest.raises(Unavailable) as ended:
            await self.task
        return str(ended.value)


@asynccontextmanager
async def listening(name, folder, *, connected=True, **how):
    async with rig(name, folder, loop.clock(), **how) as made:
        ear = Ear(made)
        if connected:
            await ear.connected()
        yield ear
        if ear.task is not None:
            ear.task.cancel()
            await asyncio.gather(ear.task, return_exceptions=True)


@dataclass
class Logs:
    """Everything that is logged, by whichever library."""

    text: io.StringIO = field(default_factory=io.StringIO)

    def __enter__(self):
        self._handler = logging.StreamHandler(self.text)
        logging.getLogger().addHandler(self._handler)
        self._sink = logger.add(self.text, level="TRACE", backtrace=True, diagnose=True)
        return self.text

    def __exit__(self, *_):
        logging.getLogger().removeHandler(self._handler)
        logger.remove(self._sink)


@each_stream
@on_jumping_time
async def test_whatever_happens_to_an_order_is_told(name, tmp_path):
    async with listening(name, tmp_path) as ear:
        made = ear.made
        ear.heard = 0
        await made.venue.create(body("in", "buy", "market", "0.1"))
        assert await ear.hears()
        stop = body("sl", "sell", "stop_loss", "0.05", "42000", reduce_only=not made.spot)
        order = await made.venue.create(stop)
        assert await ear.hears()
        await made.venue.cancel(order.ref)
        assert await ear.hears()
        await made.venue.create(body("deep", "buy", "limit", "0.05", "41000"))
        assert await ear.hears()
        made.set_price("40900")
        assert await ear.hears()


@pytest.mark.parametrize(
    ("name", "environment"),
    [
        (name, environment)
        for name in STREAMING
        for environment in (Environment.DEMO, Environment.TESTNET)
        if environment in EXCHANGES[name].environments
    ],
)
@on_jumping_time
async def test_so_it_is_where_no_money_is_real(name, environment, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        keys = KeyFiles(ACCOUNT, tmp_path / ACCOUNT)
        around = Surroundings(environment, keys, made.clock, elsewhere=made.wire.url)
        made.venue = ADAPTERS[name].adapter(around)
        ear = Ear(made)
        await ear.connected()
        ear.heard = 0
        await made.venue.create(body("in", "buy", "market", "0.1"))
        assert await ear.hears()
        ear.task.cancel()
        await asyncio.gather(ear.task, return_exceptions=True)
        await made.venue.close()


@each_stream
@on_jumping_time
async def test_a_cancel_by_somebody_else_is_told(name, tmp_path):
    async with listening(name, tmp_path, connected=False) as ear:
        await ear.made.venue.create(body("in", "buy", "market", "0.1"))
        spot = ear.made.spot
        await ear.made.venue.create(
            body("sl", "sell", "stop_loss", "0.05", "42000", reduce_only=not spot)
        )
        await ear.connected()
        ear.heard = 0
        (order,) = ear.made.exchange.open_orders()
        ear.made.exchange.cancel_by_hand(order.ref.venue_order_id, ear.made.clock.now())
        assert await ear.hears()


@each_stream
@on_jumping_time
async def test_reading_tells_nothing_and_silence_is_no_end(name, tmp_path):
    async with listening(name, tmp_path) as ear:
        ear.heard = 0
        await ear.made.venue.balances()
        await ear.made.venue.positions()
        await ear.made.venue.open_orders()
        await ear.made.venue.price(SYMBOL)
        await asyncio.sleep(120)
        assert ear.heard == 0
        assert not ear.task.done()


@each_stream
@on_jumping_time
async def test_a_connection_that_breaks_is_the_end(name, tmp_path):
    async with listening(name, tmp_path) as ear:
        ear.made.wire.sockets.drop()
        assert "the connection broke" in await ear.end()


@each_stream
@on_jumping_time
async def test_a_venue_that_answers_no_ping_is_the_end(name, tmp_path):
    async with listening(name, tmp_path) as ear:
        ear.made.wire.sockets.deaf = True
        assert "does not answer pings" in await ear.end(SILENT_MAX_S + 2 * PING_EVERY_S)


@pytest.mark.parametrize("frame", ["nonsense", "{nonsense", "[]", "[1]", "7", '{"a": ', "\x00"])
@each_stream
@on_jumping_time
async def test_nonsense_is_the_end(name, frame, tmp_path):
    async with listening(name, tmp_path) as ear:
        ear.made.wire.sockets.say(frame)
        await ear.end()


@pytest.mark.parametrize("frame", [{}, {"a": 1}, {"id": "x", "result": None}, {"data": "text"}])
@each_stream
@on_jumping_time
async def test_a_strange_object_ends_it_or_is_passed_over(name, frame, tmp_path):
    async with listening(name, tmp_path) as ear:
        ear.made.wire.sockets.say(frame)
        await asyncio.sleep(1)
        if ear.task.done():
            await ear.end()
        else:
            ear.heard = 0
            await ear.made.venue.create(body("in", "buy", "market", "0.1"))
            assert await ear.hears()


@each_stream
@on_jumping_time
async def test_a_refused_login_is_the_end(name, tmp_path):
    async with listening(name, tmp_path, connected=False) as ear:
        ear.made.wire.sockets.refuses = True
        ear.begin()
        await ear.end()
        assert ear.heard == 0


@each_stream
@on_jumping_time
async def test_wrong_keys_are_the_end(name, tmp_path):
    async with listening(name, tmp_path, connected=False) as ear:
        await ear.made.venue.balances()
        stored_keys(tmp_path, "wrong", "wrongSecret0", ear.made.wire.passphrase)
        ear.begin()
        await ear.end()
        assert ear.heard == 0


@each_stream
@on_jumping_time
async def test_a_venue_that_lets_nobody_in_is_the_end(name, tmp_path):
    async with listening(name, tmp_path, connected=False) as ear:
        ear.made.wire.sockets.away = True
        ear.begin()
        await ear.end()


@each_stream
@on_jumping_time
async def test_a_door_that_nobody_answers_is_the_end(name, tmp_path):
    async with listening(name, tmp_path, connected=False) as ear:
        ear.made.wire.sockets.stalls = True
        ear.begin()
        await ear.end(OPEN_WITHIN_S + 1)


@each_stream
@on_jumping_time
async def test_a_login_that_is_never_answered_is_the_end(name, tmp_path):
    async with listening(name, tmp_path, connected=False) as ear:
        ear.made.wire.sockets.deaf = True
        ear.begin()
        # Where the address alone subscribes, the first ping finds out.
        await ear.end(max(OPEN_WITHIN_S, SILENT_MAX_S + PING_EVERY_S) + 1)


@each_stream
@on_jumping_time
async def test_changed_keys_end_what_listens_with_the_old_ones(name, tmp_path):
    async with listening(name, tmp_path) as ear:
        stored_keys(tmp_path, "another-key", "anotherSecret000", ear.made.wire.passphrase)
        assert "keys have changed" in await ear.end(PING_EVERY_S + 1)


@pytest.mark.parametrize("ahead_s", [-300, 300])
@each_stream
@on_jumping_time
async def test_a_wrong_clock_on_this_machine_does_no_harm(name, ahead_s, tmp_path):
    async with listening(name, tmp_path, ahead_s=ahead_s):
        pass


@each_stream
@on_jumping_time
async def test_asked_to_wait_nothing_is_connected(name, tmp_path):
    async with listening(name, tmp_path, connected=False) as ear:
        await ear.made.venue.create(body("first", "buy", "market", "0.1"))
        ear.made.wire.fault("GET ", (429, "", {"Retry-After": "20"}), executes=False)
        with pytest.raises(Unavailable):
            await ear.made.venue.open_orders()
        ear.begin()
        assert "asked to wait" in await ear.end()
        assert ear.made.wire.sockets.joined == 0


@each_stream
@on_jumping_time
async def test_two_streams_know_nothing_of_one_another(name, tmp_path):
    async with listening(name, tmp_path) as ear:
        other = Ear(ear.made)
        other.begin()
        await asyncio.sleep(1)
        assert ear.listeners() == 2
        other.task.cancel()
        await asyncio.gather(other.task, return_exceptions=True)
        await asyncio.sleep(3 * PING_EVERY_S)
        ear.heard = 0
        await ear.made.venue.create(body("in", "buy", "market", "0.1"))
        assert await ear.hears()


@each_stream
@on_jumping_time
async def test_who_stops_listening_leaves_nothing_behind(name, tmp_path):
    async with listening(name, tmp_path, connected=False) as ear:
        await ear.made.venue.balances()
        before = asyncio.all_tasks()
        await ear.connected()
        ear.task.cancel()
        await asyncio.gather(ear.task, return_exceptions=True)
        await asyncio.sleep(1)
        assert ear.made.wire.sockets.connections == []
        assert asyncio.all_tasks() <= before


@each_stream
@on_jumping_time
async def test_a_stream_that_hangs_is_left_in_a_second(name, tmp_path):
    async with listening(name, tmp_path) as ear:
        ear.made.wire.sockets.deaf = True
        left_at_s = ear.made.clock.monotonic()
        ear.task.cancel()
        await asyncio.gather(ear.task, return_exceptions=True)
        assert ear.made.clock.monotonic() - left_at_s < 1.5


@each_stream
@on_jumping_time
async def test_whatever_becomes_of_a_stream_orders_go_on(name, tmp_path):
    async with listening(name, tmp_path) as ear:
        sockets = ear.made.wire.sockets
        for trouble in ("drop", "nonsense", "refuses", "away"):
            if trouble == "nonsense":
                sockets.say("{")
            else:
                sockets.drop()
            await ear.end()
            if trouble in ("refuses", "away"):
                setattr(sockets, trouble, True)
                ear.begin()
                await ear.end()
            order = await ear.made.venue.create(body(trouble, "buy", "market", "0.01"))
            assert order.filled_quantity > 0
            sockets.refuses = sockets.away = False
            ear.heard = 0
            await ear.connected()


@each_stream
@on_jumping_time
async def test_keys_show_nowhere(name, tmp_path, capfd):
    how = {"key": MARKER_KEY, "secret": MARKER_SECRET}
    said = []
    with Logs() as logs:
        async with listening(name, tmp_path, connected=False, **how) as ear:
            sockets = ear.made.wire.sockets
            for trouble in ("", "refuses", "away", "stalls"):
                if trouble:
                    setattr(sockets, trouble, True)
                ear.heard = 0
                ear.begin()
                await asyncio.sleep(1)
                sockets.drop()
                await asyncio.wait((ear.task,), timeout=30)
                error = ear.task.exception()
                said += ["".join(traceback.format_exception(error)), repr(error)]
                sockets.refuses = sockets.away = sockets.stalls = False
        out = capfd.readouterr()
        said += [logs.getvalue(), out.out, out.err]
    for text in said:
        assert "MARKER" not in text
        assert "listenKey=" not in text
        assert "signature" not in text


# Binance's listen key


@pytest.fixture
def minutes_pass(monkeypatch):
    """At once: nothing is told meanwhile, so silence must not count."""
    monkeypatch.setattr("guardian_gateway.venues.exchange.stream.SILENT_MAX_S", 1e6)

    async def pass_(minutes):
        running = asyncio.get_running_loop()
        assert isinstance(running, JumpingLoop)
        running.jump(minutes * 60)
        await asyncio.sleep(2 * PING_EVERY_S)

    return pass_


@on_jumping_time
async def test_a_listen_key_is_kept_alive(minutes_pass, tmp_path):
    async with listening("binanceusdm", tmp_path) as ear:
        sockets = ear.made.wire.sockets
        key = sockets.key
        for _ in range(10):
            await minutes_pass(21)
            left_s = sockets.key_until_s - ear.made.clock.monotonic()
            assert left_s > 30 * 60
        assert sockets.key == key
        assert len(sockets.listening) == 1
        assert not ear.task.done()
        calls = [asked.call for asked in ear.made.wire.asked if "listenKey" in asked.path]
        assert len(calls) <= 2 * 10 + 1, calls


@on_jumping_time
async def test_a_listen_key_that_expires_is_the_end_and_the_next_has_another(tmp_path):
    async with listening("binanceusdm", tmp_path) as ear:
        first = ear.made.wire.sockets.key
        ear.made.wire.sockets.expire_key()
        assert "has ended it" in await ear.end()
        ear.heard = 0
        await ear.connected()
        assert ear.made.wire.sockets.key != first


@on_jumping_time
async def test_a_listen_key_that_cannot_be_kept_alive_is_the_end(minutes_pass, tmp_path):
    async with listening("binanceusdm", tmp_path) as ear:
        ear.made.wire.sockets.key = ""
        await minutes_pass(21)
        await ear.end()


@on_jumping_time
async def test_a_spot_stream_that_is_terminated_is_the_end(tmp_path):
    async with listening("binance", tmp_path) as ear:
        ear.made.wire.sockets.say({"subscriptionId": 0, "event": {"e": "eventStreamTerminated"}})
        assert "has ended it" in await ear.end()
