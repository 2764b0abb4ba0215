"""The bus contract: the same tests for the in-process bus and for Redis (a real server)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import redis.asyncio

from guardian_core.domain.errors import Unavailable
from guardian_core.messaging import CHANNEL, NEWS_CHANNEL, open_bus
from guardian_core.messaging.in_process import WAITING_MAX, InProcessBus
from guardian_core.messaging.redis_bus import RedisBus
from guardian_core.ports import Bus
from tests.support.redis_server import RedisServer, running_redis
from tests.support.wait import eventually_async


class Reader:
    """Collects what one subscription yields."""

    def __init__(self, bus: Bus) -> None:
        self.messages: list[dict[str, str]] = []
        self._subscription = bus.subscribe()
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._subscription:
            self.messages.append(message)

    def numbers(self) -> list[int]:
        return [int(m["n"]) for m in self.messages if "n" in m]


@asynccontextmanager
async def listening(bus: Bus, count: int = 1) -> AsyncIterator[list[Reader]]:
    """Readers whose subscriptions surely stand: each has heard a first message."""
    readers = [Reader(bus) for _ in range(count)]

    async def all_heard() -> bool:
        await bus.publish({"hello": "there"})
        await asyncio.sleep(0)
        return all(reader.messages for reader in readers)

    await eventually_async(all_heard)
    try:
        yield readers
    finally:
        for reader in readers:
            reader.task.cancel()
        await asyncio.gather(*(r.task for r in readers), return_exceptions=True)


@pytest.fixture(params=["in process", "redis"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    made: Bus = (
        RedisBus(request.getfixturevalue("redis_url"), CHANNEL)
        if request.param == "redis"
        else InProcessBus()
    )
    yield made
    await made.close()


async def test_messages_arrive_whole_and_in_order(bus: Bus) -> None:
    async with listening(bus) as [reader]:
        for n in range(50):
            await bus.publish({"n": str(n), "text": "é \n {}"})
        await eventually_async(lambda: reader.numbers() == list(range(50)))
        assert reader.messages[-1] == {"n": "49", "text": "é \n {}"}


async def test_every_subscription_hears_every_message(bus: Bus) -> None:
    async with listening(bus, count=3) as readers:
        await bus.publish({"n": "1"})
        await eventually_async(lambda: all(r.numbers() == [1] for r in readers))


async def test_publishing_to_nobody_is_no_error(bus: Bus) -> None:
    await bus.publish({"n": "1"})


async def test_a_reader_that_left_hears_nothing_and_disturbs_nobody(bus: Bus) -> None:
    async with listening(bus, count=2) as [left, stays]:
        left.task.cancel()
        await asyncio.gather(left.task, return_exceptions=True)
        await bus.publish({"n": "7"})
        await eventually_async(lambda: stays.numbers() == [7])
        assert left.numbers() == []


async def test_a_subscription_ends_when_the_bus_is_closed(bus: Bus) -> None:
    async with listening(bus) as [reader]:
        await bus.close()
        await asyncio.wait_for(reader.task, timeout=5)


async def test_a_slow_reader_loses_the_oldest_messages_only() -> None:
    bus = InProcessBus()
    subscription = bus.subscribe()
    for n in range(WAITING_MAX + 5):
        await bus.publish({"n": str(n)})
    assert (await anext(subscription))["n"] == "5"


async def test_a_foreign_message_on_the_channel_is_passed_over(redis_url: str) -> None:
    bus = RedisBus(redis_url, CHANNEL)
    async with listening(bus) as [reader], redis.asyncio.Redis.from_url(redis_url) as other:
        for foreign in ("not json", "[1]", "\xff", "null"):
            await other.publish(CHANNEL, foreign)
        await bus.publish({"n": "1"})
        await eventually_async(lambda: reader.numbers() == [1])
    await bus.close()


@pytest.mark.parametrize("where", ["in process", "redis"])
async def test_alerts_and_news_of_accounts_do_not_mix(
    where: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("redis_url") if where == "redis" else None
    alerts, news = open_bus(url), open_bus(url, NEWS_CHANNEL)
    async with listening(alerts) as [hears_alerts], listening(news) as [hears_news]:
        await alerts.publish({"n": "1"})
        await news.publish({"n": "2"})
        await eventually_async(lambda: hears_alerts.numbers() == [1])
        await eventually_async(lambda: hears_news.numbers() == [2])
    await alerts.close()
    await news.close()


@pytest.fixture
def mortal_redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


async def test_publishing_while_redis_is_dead_is_unavailable(mortal_redis: RedisServer) -> None:
    bus = RedisBus(mortal_redis.url, CHANNEL)
    await bus.publish({"n": "1"})
    mortal_redis.kill()
    with pytest.raises(Unavailable, match="redis did not take the message"):
        await bus.publish({"n": "2"})
    mortal_redis.start()
    await bus.publish({"n": "3"})
    await bus.close()


async def test_a_subscription_outlives_redis_killed_and_restarted(
    mortal_redis: RedisServer,
) -> None:
    bus = RedisBus(mortal_redis.url, CHANNEL)
    async with listening(bus) as [reader]:
        for _ in range(2):
            mortal_redis.kill()
            mortal_redis.start()
            reader.messages.clear()

            async def heard_again() -> bool:
                await bus.publish({"n": "1"})
                await asyncio.sleep(0)
                return bool(reader.numbers())

            await eventually_async(heard_again, within_s=15)
    await bus.close()


async def test_a_redis_that_accepts_and_never_answers_is_unavailable_in_time() -> None:
    held: list[asyncio.StreamWriter] = []

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    bus = RedisBus(f"redis://127.0.0.1:{port}/0", CHANNEL)
    with pytest.raises(Unavailable):
        await asyncio.wait_for(bus.publish({"n": "1"}), timeout=5)
    await bus.close()
    for writer in held:
        writer.close()
    server.close()
