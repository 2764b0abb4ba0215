"""Wake-ups: after COMMIT, best effort, and never in the way of an alert."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from guardian_core.domain.errors import Unavailable
from guardian_core.ids import SystemIds
from guardian_core.messaging import CHANNEL
from guardian_core.messaging.in_process import InProcessBus
from guardian_core.messaging.redis_bus import RedisBus
from guardian_core.ports import Database
from guardian_receiver import publisher as module
from guardian_receiver.insert import Stored
from guardian_receiver.metrics import ReceiverMetrics
from guardian_receiver.publisher import LANES_WAITING_MAX, Publisher
from tests.support.clock import FakeClock
from tests.support.receiver import alert, serving
from tests.support.redis_server import running_redis
from tests.support.wait import eventually_async


def stored(lane_id: int | None, number: int = 0) -> Stored:
    return Stored(SystemIds().uuid(), f"{number:032x}", lane_id, is_duplicate=False)


class FailingBus:
    """Refuses what it is told to."""

    def __init__(self) -> None:
        self.messages: list[dict[str, str]] = []
        self.error: Exception | None = None
        self.hang = False

    async def publish(self, message: dict[str, str]) -> None:
        if self.hang:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        self.messages.append(message)

    def subscribe(self) -> AsyncIterator[dict[str, str]]:
        raise NotImplementedError

    async def close(self) -> None:
        return None


@pytest.fixture
def bus() -> FailingBus:
    return FailingBus()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def publisher(bus: FailingBus, registry: CollectorRegistry) -> Publisher:
    return Publisher(bus, ReceiverMetrics(registry))


def failures(registry: CollectorRegistry) -> float:
    return registry.get_sample_value("guardian_publish_failures_total") or 0.0


async def test_a_committed_alert_wakes_the_engine(database: Database, clock: FakeClock) -> None:
    bus = InProcessBus()
    messages = bus.subscribe()
    async with serving(database, clock, bus=bus) as service:
        answer = await service.post(alert())
        async with asyncio.timeout(5):
            message = await anext(messages)
        [row] = await service.rows()
        assert message == {
            "webhook_id": str(row.id),
            "trace_id": answer.json()["trace_id"],
            "lane_id": str(row.lane_id),
        }


async def test_neither_a_duplicate_nor_a_refused_alert_wakes_it(
    database: Database, clock: FakeClock
) -> None:
    bus = InProcessBus()
    messages = bus.subscribe()
    async with serving(database, clock, bus=bus) as service:
        await service.post(alert())
        await service.post(alert())
        await service.post(alert(Action="Nonsense"))
        last = await service.post(alert(Action="PING"))
        first, second = await anext(messages), await anext(messages)
    assert second["trace_id"] == last.json()["trace_id"]
    assert first["trace_id"] != second["trace_id"]


async def test_alerts_of_one_lane_share_a_wake_up(publisher: Publisher, bus: FailingBus) -> None:
    for number in range(10):
        publisher.offer(stored(number % 2 + 1, number))
    await publisher.publish_waiting()
    assert [message["lane_id"] for message in bus.messages] == ["1", "2"]
    assert bus.messages[1]["trace_id"] == f"{9:032x}"


async def test_an_alert_without_a_lane_wakes_nobody(publisher: Publisher, bus: FailingBus) -> None:
    publisher.offer(stored(None))
    await publisher.publish_waiting()
    assert bus.messages == []


@pytest.mark.parametrize("error", [Unavailable("away"), RuntimeError("odd")])
async def test_a_failing_bus_costs_the_wake_ups_and_nothing_else(
    publisher: Publisher, bus: FailingBus, registry: CollectorRegistry, error: Exception
) -> None:
    bus.error = error
    for lane in range(5):
        publisher.offer(stored(lane))
    await publisher.publish_waiting()
    assert failures(registry) == 5
    bus.error = None
    publisher.offer(stored(7))
    await publisher.publish_waiting()
    assert [message["lane_id"] for message in bus.messages] == ["7"]


async def test_a_hanging_bus_is_given_up(
    publisher: Publisher,
    bus: FailingBus,
    registry: CollectorRegistry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PUBLISH_WITHIN_S", 0.05)
    bus.hang = True
    publisher.offer(stored(1))
    async with asyncio.timeout(5):
        await publisher.publish_waiting()
    assert failures(registry) == 1


async def test_what_waits_is_bounded(
    publisher: Publisher, bus: FailingBus, registry: CollectorRegistry
) -> None:
    for lane in range(LANES_WAITING_MAX + 10):
        publisher.offer(stored(lane))
    await publisher.publish_waiting()
    assert len(bus.messages) == LANES_WAITING_MAX
    assert failures(registry) == 10


async def test_redis_dying_costs_no_alert_and_no_time(database: Database, clock: FakeClock) -> None:
    with running_redis() as server:
        bus = RedisBus(server.url, CHANNEL)
        async with serving(database, clock, bus=bus) as service:
            assert (await service.post(alert(note=0))).status_code == 200
            server.kill()
            for number in range(1, 20):
                async with asyncio.timeout(2):
                    assert (await service.post(alert(note=number))).status_code == 200
            server.start()
            messages = bus.subscribe()
            numbers = iter(range(20, 10_000))

            async def heard() -> bool:
                await service.post(alert(note=next(numbers)))
                try:
                    return bool(await asyncio.wait_for(asyncio.shield(hearing), 0.2))
                except TimeoutError:
                    return False

            hearing = asyncio.ensure_future(anext(messages))
            await eventually_async(heard, within_s=15)
        await bus.close()
