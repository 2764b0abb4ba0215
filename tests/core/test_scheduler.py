"""How news of an account become passes: at once, and never too many."""

import asyncio
from contextlib import asynccontextmanager
from itertools import pairwise

from guardian_core.pace import BURST, GAP_S, ONE_EVERY_S
from guardian_core.scheduler import Scheduler
from tests.venues import loop
from tests.venues.loop import on_jumping_time

INTERVAL_S = 4.0


class Passes:
    """When each pass began. `takes_s`: how long one does."""

    def __init__(self, clock):
        self.clock = clock
        self.at_s = []
        self.takes_s = 0.0
        self.then = None

    async def run(self, account):
        self.at_s.append(self.clock.monotonic())
        await asyncio.sleep(self.takes_s)
        if self.then is not None:
            self.then()

    def since(self, from_s):
        return [at - from_s for at in self.at_s if at >= from_s]


@asynccontextmanager
async def scheduled():
    """Right after the first pass."""
    clock = loop.clock()
    passes = Passes(clock)

    async def intervals():
        return {"main": INTERVAL_S}

    scheduler = Scheduler(passes.run, intervals, clock)
    task = asyncio.create_task(scheduler.run())
    await asyncio.sleep(1)
    assert len(passes.at_s) == 1
    try:
        yield scheduler, passes, clock.monotonic()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@on_jumping_time
async def test_news_bring_a_pass_at_once():
    async with scheduled() as (scheduler, passes, now_s):
        scheduler.nudge("main")
        await asyncio.sleep(0.1)
        (waited_s,) = passes.since(now_s)
        assert waited_s < 0.05


@on_jumping_time
async def test_news_during_a_pass_bring_another_one():
    async with scheduled() as (scheduler, passes, now_s):
        passes.takes_s = 0.3
        scheduler.nudge("main")
        await asyncio.sleep(0.1)
        scheduler.nudge("main")
        await asyncio.sleep(1)
        first_s, second_s = passes.since(now_s)
        assert first_s < 0.05
        assert 0.3 <= second_s <= GAP_S + 0.05


@on_jumping_time
async def test_many_news_are_few_passes_and_the_last_of_them_is_seen():
    async with scheduled() as (scheduler, passes, now_s):
        for _ in range(20):
            scheduler.nudge("main")
            await asyncio.sleep(0.02)
        told_s = asyncio.get_running_loop().time() - now_s
        await asyncio.sleep(1)
        began_s = passes.since(now_s)
        assert len(began_s) == 2
        assert began_s[-1] >= told_s - 0.02


@on_jumping_time
async def test_news_without_end_are_no_more_passes_than_the_pace():
    async with scheduled() as (scheduler, passes, now_s):
        for _ in range(600):
            scheduler.nudge("main")
            await asyncio.sleep(0.1)
        began_s = passes.since(now_s)
        gaps_s = [later - earlier for earlier, later in pairwise(began_s)]
        assert min(gaps_s) >= GAP_S - 0.01
        assert len(began_s) <= BURST + 60 / ONE_EVERY_S + 2
        # And no fewer than without any news.
        assert max(gaps_s) <= INTERVAL_S


@on_jumping_time
async def test_a_pass_that_causes_news_does_not_go_round_for_ever():
    """As one that writes does: the next one has nothing to write."""
    async with scheduled() as (scheduler, passes, now_s):
        passes.then = lambda: passes.since(now_s)[1:] or scheduler.nudge("main")
        scheduler.nudge("main")
        await asyncio.sleep(INTERVAL_S - 0.5)
        assert len(passes.since(now_s)) == 2


@on_jumping_time
async def test_news_of_an_unknown_account_are_nothing():
    async with scheduled() as (scheduler, passes, now_s):
        for name in ("", "other", "main "):
            scheduler.nudge(name)
        await asyncio.sleep(1)
        assert passes.since(now_s) == []
