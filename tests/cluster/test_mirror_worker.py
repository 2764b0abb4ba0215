"""Work that may wait: the latest wish counts, failures are tried again, nobody waits for it."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from guardian_core.clock import SystemClock
from guardian_core.cluster.worker import AT_ONCE, FIRST_RETRY_S, GAP_S, Worker
from guardian_core.domain.errors import Unavailable
from tests.support.wait import eventually_async


@asynccontextmanager
async def working(handle: Callable[[str], Awaitable[float | None]]) -> AsyncIterator[Worker[str]]:
    worker: Worker[str] = Worker("testing", handle, SystemClock())
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until_idle(worker: Worker[str]) -> None:
    await eventually_async(lambda: worker.is_idle, what="nothing is left to do")


async def test_a_key_added_many_times_is_handled_once():
    handled: list[str] = []

    async def handle(key: str) -> None:
        handled.append(key)

    worker: Worker[str] = Worker("testing", handle, SystemClock())
    for _ in range(100):
        worker.add("a")
    async with working(handle) as running:
        for _ in range(100):
            running.add("b")
        await until_idle(running)
    assert handled == ["b"]


async def test_a_key_added_while_it_is_handled_is_handled_once_more():
    begun, go_on, handled = asyncio.Event(), asyncio.Event(), []

    async def handle(key: str) -> None:
        handled.append(key)
        begun.set()
        await go_on.wait()

    async with working(handle) as worker:
        worker.add("a")
        await begun.wait()
        worker.add("a")
        worker.add("a")
        go_on.set()
        await until_idle(worker)
    assert handled == ["a", "a"]


async def test_what_fails_is_tried_again_with_a_pause_and_stops_nobody_else():
    tries: list[float] = []
    handled: list[str] = []
    loop = asyncio.get_running_loop()

    async def handle(key: str) -> None:
        if key == "bad":
            tries.append(loop.time())
            if len(tries) == 1:
                raise Unavailable("away")
            if len(tries) == 2:
                raise ValueError("a mistake")
        handled.append(key)

    async with working(handle) as worker:
        worker.add("bad")
        await eventually_async(lambda: tries, what="the first try")
        worker.add("bad")
        worker.add("good")
        await until_idle(worker)
    assert handled == ["good", "bad"]
    pauses = [after - before for before, after in itertools.pairwise(tries)]
    assert pauses[0] >= FIRST_RETRY_S * 0.9
    assert pauses[1] >= FIRST_RETRY_S * 1.9


async def test_a_key_that_is_added_for_ever_leaves_time_for_others():
    times: list[float] = []
    loop = asyncio.get_running_loop()

    async def handle(key: str) -> None:
        times.append(loop.time())
        if len(times) < 4:
            worker.add(key)

    async with working(handle) as worker:
        worker.add("a")
        await until_idle(worker)
    assert len(times) == 4
    assert times[-1] - times[0] >= 2 * GAP_S


async def test_no_more_than_so_many_are_under_way_at_once():
    now, most = 0, 0

    async def handle(_key: str) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        now -= 1

    async with working(handle) as worker:
        for number in range(50):
            worker.add(str(number))
        await until_idle(worker)
    assert most == AT_ONCE
