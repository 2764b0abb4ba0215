"""The gateway's part in order streams: when it listens, what it says on the bus, and that nothing
of it touches the work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from guardian_core.accounts import AccountSpec, Environment
from guardian_core.domain.errors import Unavailable
from guardian_core.messaging.in_process import InProcessBus
from guardian_gateway.streams import PAUSES_S, STOOD_S, UNASKED_MAX_S
from guardian_gateway.venues.exchange.surroundings import Surroundings
from tests.gateway.world import ACCOUNT
from tests.support.paper import body
from tests.venues.loop import LoopClock, on_jumping_time
from tests.venues.rigs import ADAPTERS, rig, stored_keys
from tests.venues.wire_world import WireWorld

NAME = "binanceusdm"


class StreamWorld(WireWorld):
    """A gateway that tells its news to `heard`; the account's venue is made anew when its row
    changes. `looks`: whether somebody asks for the account every 3 s, as the guardian does."""

    def __init__(self, made: Any, around: Surroundings) -> None:
        super().__init__(made)
        self.news = InProcessBus()
        self.heard: list[str] = []
        self.looks = True
        self._around = around
        self.tasks = [asyncio.create_task(work()) for work in (self._hear, self._look)]

    def _make_venue(self, account: str, spec: AccountSpec) -> Any:
        return ADAPTERS[NAME].adapter(self._around)

    async def _hear(self) -> None:
        assert self.news is not None
        async for message in self.news.subscribe():
            self.heard.append(message["account"])

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(3)
            if self.looks and self.gateways and self.gateway.holder.is_held:
                await self.gateway.snapshot(ACCOUNT)

    @property
    def sockets(self) -> Any:
        return self.wire.sockets

    def value(self, metric: str) -> Any:
        return self.registry.get_sample_value(metric, {"account": ACCOUNT})

    async def news_within(self, seconds: float) -> int:
        self.heard.clear()
        await asyncio.sleep(seconds)
        return len(self.heard)


@asynccontextmanager
async def stream_world(folder: Any) -> AsyncIterator[StreamWorld]:
    clock = LoopClock(asyncio.get_running_loop())
    async with rig(NAME, folder, clock) as made:
        keys = stored_keys(folder, made.wire.key, made.wire.secret)
        around = Surroundings(Environment.LIVE, keys, clock, elsewhere=made.wire.url)
        world = StreamWorld(made, around)
        await world.open()
        try:
            await asyncio.sleep(1)
            assert len(world.sockets.listening) == 1
            yield world
        finally:
            for task in world.tasks:
                task.cancel()
            await asyncio.gather(*world.tasks, return_exceptions=True)
            await world.close()


@on_jumping_time
async def test_a_stream_that_stands_is_news_and_so_is_every_event(tmp_path):
    async with stream_world(tmp_path) as world:
        assert world.heard == [ACCOUNT]
        assert world.value("guardian_stream_connected") == 1
        assert await world.news_within(10) == 0
        await made_order(world, "in")
        assert await world.news_within(1) >= 1
        assert world.value("guardian_stream_events_total") >= 1


async def made_order(world, name):
    await world.rig.venue.create(body(name, "buy", "market", "0.001"))


@on_jumping_time
async def test_many_events_are_few_news(tmp_path):
    async with stream_world(tmp_path) as world:
        world.heard.clear()
        for index in range(40):
            await made_order(world, f"in{index}")
            await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        assert world.value("guardian_stream_events_total") >= 40
        assert 2 <= len(world.heard) <= 10


@on_jumping_time
async def test_a_stream_that_breaks_is_back_in_a_second_and_that_is_news(tmp_path):
    async with stream_world(tmp_path) as world:
        await asyncio.sleep(STOOD_S)
        for _ in range(3):
            world.sockets.drop()
            await asyncio.sleep(0.5)
            assert world.value("guardian_stream_connected") == 0
            assert await world.news_within(1) == 1
            assert world.value("guardian_stream_connected") == 1
            await asyncio.sleep(STOOD_S)


@on_jumping_time
async def test_a_venue_that_lets_nobody_in_is_asked_less_and_less_often(tmp_path):
    async with stream_world(tmp_path) as world:
        world.wire.asked.clear()
        world.sockets.away = True
        world.sockets.drop()
        began_s = world.clock.monotonic()
        await asyncio.sleep(150)
        knocks = [a for a in world.wire.asked if a.path.endswith("listenKey")]
        expected = [began_s + sum(PAUSES_S[: n + 1]) for n in range(len(PAUSES_S))]
        assert len(knocks) == len([at for at in expected if at < began_s + 150]) + 2
        world.sockets.away = False
        await asyncio.sleep(31)
        assert len(world.sockets.listening) == 1


@on_jumping_time
async def test_a_stream_that_falls_at_once_each_time_is_not_asked_for_each_second(tmp_path):
    async with stream_world(tmp_path) as world:
        joined = world.sockets.joined
        for _ in range(1000):
            world.sockets.drop()
            await asyncio.sleep(0.1)
        assert world.sockets.joined - joined <= 8


@on_jumping_time
async def test_a_changed_account_is_listened_to_anew(tmp_path):
    async with stream_world(tmp_path) as world:
        (old,) = world.sockets.connections
        await world.respec(guardIntervalSeconds=2)
        await world.gateway.snapshot(ACCOUNT)
        await asyncio.sleep(2)
        (new,) = world.sockets.connections
        assert new is not old
        assert world.value("guardian_stream_connected") == 1


@on_jumping_time
async def test_without_the_lease_nothing_is_listened_to(tmp_path):
    async with stream_world(tmp_path) as world:
        await world.start_gateway()
        await asyncio.sleep(5)
        # The new holder listens, the old one does not any more.
        assert len(world.sockets.listening) == 1
        world.stop_renewing()
        await asyncio.sleep(30)
        assert world.sockets.connections == []


@on_jumping_time
async def test_an_account_that_nobody_asks_for_is_left_and_taken_up_again(tmp_path):
    async with stream_world(tmp_path) as world:
        world.looks = False
        await asyncio.sleep(UNASKED_MAX_S + 5)
        assert world.sockets.connections == []
        world.looks = True
        await asyncio.sleep(5)
        assert len(world.sockets.listening) == 1


class BrokenBus(InProcessBus):
    async def publish(self, message: dict[str, str]) -> None:
        raise Unavailable("redis did not take the message: ConnectionError")


@on_jumping_time
async def test_a_bus_that_is_away_ends_no_stream_and_no_work(tmp_path):
    async with stream_world(tmp_path) as world:
        world.news = BrokenBus()
        await world.start_gateway()
        await asyncio.sleep(5)
        await made_order(world, "in")
        await asyncio.sleep(1)
        assert len(world.sockets.listening) == 1
        found = await world.gateway.snapshot(ACCOUNT)
        assert found.orders_section.ok
        assert found.positions_section.ok


@pytest.mark.parametrize("trouble", ["away", "stalls", "deaf", "refuses"])
@on_jumping_time
async def test_whatever_a_stream_does_the_account_is_served(trouble, tmp_path):
    async with stream_world(tmp_path) as world:
        setattr(world.sockets, trouble, True)
        world.sockets.drop()
        for index in range(10):
            began_s = world.clock.monotonic()
            found = await world.gateway.snapshot(ACCOUNT)
            assert found.orders_section.ok
            assert found.positions_section.ok
            assert world.clock.monotonic() - began_s < 0.5
            world.sockets.say("nonsense", "{", {"e": index})
            await asyncio.sleep(2)


@on_jumping_time
async def test_a_gateway_that_stops_leaves_no_stream(tmp_path):
    async with stream_world(tmp_path) as world:
        await world.gateway.close()
        await asyncio.sleep(0.5)
        assert world.sockets.connections == []


@on_jumping_time
async def test_without_a_bus_no_stream_is_listened_to(tmp_path):
    async with stream_world(tmp_path) as world:
        await world.gateway.close()
        world.news = None
        await world.start_gateway()
        await asyncio.sleep(5)
        assert world.sockets.connections == []
