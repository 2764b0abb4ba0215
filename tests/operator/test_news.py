"""The guardian's ear for news: whatever comes over the bus, or does not, it goes on guarding."""

import asyncio
from collections.abc import AsyncIterator

from guardian_core.domain.errors import Unavailable
from guardian_core.messaging.in_process import InProcessBus
from guardian_operator.news import AGAIN_AFTER_S, hear
from tests.venues.loop import on_jumping_time


@on_jumping_time
async def test_each_account_that_moved_is_named():
    bus = InProcessBus()
    named: list[str] = []
    task = asyncio.create_task(hear(bus, named.append))
    await asyncio.sleep(0)
    for message in ({"account": "one"}, {"account": "two"}, {"foreign": "x"}):
        await bus.publish(message)
    await asyncio.sleep(0.1)
    assert named == ["one", "two", ""]
    await bus.close()
    await task


class FallingBus(InProcessBus):
    """Falls over after its first message, as often as it is told."""

    falls = 2

    def subscribe(self) -> AsyncIterator[dict[str, str]]:
        if self.falls == 0:
            return super().subscribe()
        self.falls -= 1
        return self._fall()

    async def _fall(self) -> AsyncIterator[dict[str, str]]:
        yield {"account": "one"}
        raise Unavailable("away")


@on_jumping_time
async def test_a_bus_that_fails_is_heard_again():
    bus = FallingBus()
    named: list[str] = []
    task = asyncio.create_task(hear(bus, named.append))
    await asyncio.sleep(2 * AGAIN_AFTER_S + 0.5)
    await bus.publish({"account": "two"})
    await asyncio.sleep(0.1)
    assert named == ["one", "one", "two"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
