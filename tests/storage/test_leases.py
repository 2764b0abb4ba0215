"""Leases by the database's clock, and keepers that believe in them for less time than it does."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

import pytest

from guardian_core.domain.errors import Conflict, Unavailable
from guardian_core.ports import Database, Tx
from guardian_core.storage import leases
from guardian_core.storage.database import open_database
from guardian_core.storage.leases import LeaseKeeper, LeaseView
from tests.support.clock import FakeClock
from tests.support.rows import call
from tests.support.wait import eventually_async

T = TypeVar("T")

NAME = "gateway"
TTL_S = 4.0


@pytest.fixture
def database(each_database: Database) -> Database:
    return each_database


async def acquire(database: Database, holder: str, *, take_over: bool = False) -> LeaseView:
    url = f"http://{holder}"
    view: LeaseView = await database.run(
        call(leases.acquire, NAME, holder, url, TTL_S, take_over=take_over)
    )
    return view


async def test_a_free_lease_is_taken(database: Database, clock: FakeClock):
    assert await database.run(call(leases.read, NAME)) is None
    view = await acquire(database, "a")
    assert view == LeaseView(NAME, "a", "http://a", 1, _after(clock, TTL_S))
    assert await database.run(call(leases.read, NAME)) == view


async def test_a_held_lease_is_shown_to_the_others_and_stays(database: Database):
    held = await acquire(database, "a")
    assert await acquire(database, "b") == held


async def test_its_holder_extends_it_under_the_same_epoch(database: Database, clock: FakeClock):
    await acquire(database, "a")
    clock.advance(3)
    assert await database.run(call(leases.renew, NAME, "a", TTL_S)) == await acquire(database, "a")
    clock.advance(3)
    view = await acquire(database, "b")
    assert (view.holder, view.epoch, view.until) == ("a", 1, _after(clock, 1))


async def test_an_expired_lease_is_taken_under_the_next_epoch(database: Database, clock: FakeClock):
    await acquire(database, "a")
    clock.advance(TTL_S - 0.001)
    assert (await acquire(database, "b")).holder == "a"
    clock.advance(0.001)
    view = await acquire(database, "b")
    assert (view.holder, view.url, view.epoch) == ("b", "http://b", 2)
    with pytest.raises(Conflict, match="lease_lost"):
        await database.run(call(leases.renew, NAME, "a", TTL_S))


async def test_an_expired_lease_that_nobody_took_goes_on_under_its_epoch(
    database: Database, clock: FakeClock
):
    await acquire(database, "a")
    clock.advance(60)
    assert (await database.run(call(leases.renew, NAME, "a", TTL_S))).epoch == 1


async def test_a_released_lease_is_free_at_once(database: Database):
    await acquire(database, "a")
    await database.run(call(leases.release, NAME, "a"))
    assert (await acquire(database, "b")).epoch == 2


async def test_only_the_holder_releases(database: Database):
    await acquire(database, "a")
    await database.run(call(leases.release, NAME, "b"))
    assert (await acquire(database, "b")).holder == "a"


async def test_a_take_over_does_not_wait(database: Database):
    await acquire(database, "a")
    view = await acquire(database, "b", take_over=True)
    assert (view.holder, view.epoch) == ("b", 2)


async def test_leases_of_other_names_do_not_matter(database: Database):
    await acquire(database, "a")
    other = await database.run(call(leases.acquire, "guardian", "b", "", TTL_S))
    assert (other.holder, other.epoch) == ("b", 1)


async def test_of_many_who_ask_at_once_one_gets_it(database_url: str, clock: FakeClock):
    """Each with connections of its own, for a lease that has no row yet."""
    replicas = [open_database(database_url, clock=clock) for _ in range(4)]
    views = await asyncio.gather(
        *(acquire(replica, f"r{n}-{m}") for m in range(3) for n, replica in enumerate(replicas))
    )
    assert len({view.holder for view in views}) == 1
    assert {view.epoch for view in views} == {1}
    for replica in replicas:
        await replica.close()


def _after(clock: FakeClock, seconds: float) -> datetime:
    later = FakeClock(clock.now())
    later.advance(seconds)
    return later.now()


class Flaky:
    """A database that can be away, or slow to answer."""

    def __init__(self, database: Database, clock: FakeClock) -> None:
        self._database = database
        self._clock = clock
        self.away = False
        self.answer_takes_s = 0.0

    async def run(self, fn: Callable[[Tx], T]) -> T:
        if self.away:
            raise Unavailable("away")
        value = await self._database.run(fn)
        self._clock.advance(self.answer_takes_s)
        return value

    async def close(self) -> None:
        await self._database.close()


class TestKeeper:
    """On the simulator's database; time moves when a test says so."""

    @pytest.fixture
    def flaky(self, inline_database: Database, clock: FakeClock) -> Flaky:
        return Flaky(inline_database, clock)

    @staticmethod
    def keeper(
        database: Database, clock: FakeClock, holder: str, *, take_over: bool = False
    ) -> LeaseKeeper:
        return LeaseKeeper(
            database, clock, name=NAME, holder=holder, url=f"http://{holder}", take_over=take_over
        )

    async def test_of_two_keepers_one_holds_and_the_other_knows_where(
        self, flaky: Flaky, clock: FakeClock
    ):
        first, second = self.keeper(flaky, clock, "a"), self.keeper(flaky, clock, "b")
        assert not first.is_held
        assert first.epoch == 0
        assert await first.look()
        assert not await second.look()
        assert second.view is not None
        assert (second.view.url, second.epoch) == ("http://a", 1)

    async def test_a_lease_is_believed_in_from_before_the_question_was_asked(
        self, flaky: Flaky, clock: FakeClock
    ):
        keeper = self.keeper(flaky, clock, "a")
        flaky.answer_takes_s = 1.5
        await keeper.look()
        clock.advance(2.4)
        assert keeper.is_held
        clock.advance(0.1)
        assert not keeper.is_held

    async def test_an_answer_that_took_as_long_as_the_lease_gives_nothing(
        self, flaky: Flaky, clock: FakeClock
    ):
        keeper = self.keeper(flaky, clock, "a")
        flaky.answer_takes_s = TTL_S
        assert not await keeper.look()

    async def test_belief_ends_before_anybody_else_can_hold(self, flaky: Flaky, clock: FakeClock):
        first, second = self.keeper(flaky, clock, "a"), self.keeper(flaky, clock, "b")
        await first.look()
        for _ in range(50):
            clock.advance(0.1)
            await second.look()
            assert not (first.is_held and second.is_held)
        assert second.is_held
        assert second.epoch == 2

    async def test_a_database_that_is_away_costs_the_lease_only_after_its_time(
        self, flaky: Flaky, clock: FakeClock
    ):
        keeper = self.keeper(flaky, clock, "a")
        await keeper.look()
        flaky.away = True
        clock.advance(3.9)
        assert await keeper.look()
        clock.advance(0.1)
        assert not await keeper.look()
        flaky.away = False
        assert await keeper.look()
        assert keeper.epoch == 1

    async def test_a_wall_clock_that_jumps_does_not_prolong_belief(
        self, flaky: Flaky, clock: FakeClock
    ):
        keeper = self.keeper(flaky, clock, "a")
        await keeper.look()
        wall = clock.now()
        clock.advance(TTL_S)
        clock.set_wall_time(wall)
        assert not keeper.is_held

    async def test_gain_and_loss_wake_those_who_wait(self, flaky: Flaky, clock: FakeClock):
        first, second = self.keeper(flaky, clock, "a"), self.keeper(flaky, clock, "b")
        await first.look()
        gained = asyncio.ensure_future(second.wait_held())
        lost = asyncio.ensure_future(first.wait_lost(1))
        await second.look()
        await asyncio.sleep(0)
        assert not gained.done()
        assert not lost.done()
        await first.release()
        await lost
        await second.look()
        assert await gained == 2

    async def test_a_lost_term_stays_lost_when_the_lease_comes_back(
        self, flaky: Flaky, clock: FakeClock
    ):
        first, second = self.keeper(flaky, clock, "a"), self.keeper(flaky, clock, "b")
        await first.look()
        await flaky.run(call(leases.release, NAME, "a"))
        await second.look()
        await second.release()
        assert await first.look()
        assert first.epoch == 3
        await asyncio.wait_for(first.wait_lost(1), 1)

    async def test_release_frees_the_lease_for_the_next(self, flaky: Flaky, clock: FakeClock):
        first, second = self.keeper(flaky, clock, "a"), self.keeper(flaky, clock, "b")
        await first.look()
        await first.release()
        assert not first.is_held
        assert await second.look()

    async def test_release_does_not_need_the_database(self, flaky: Flaky, clock: FakeClock):
        keeper = self.keeper(flaky, clock, "a")
        await keeper.look()
        flaky.away = True
        await keeper.release()
        assert not keeper.is_held

    async def test_a_take_over_is_for_the_start_only(self, flaky: Flaky, clock: FakeClock):
        dead = self.keeper(flaky, clock, "dead")
        await dead.look()
        keeper = self.keeper(flaky, clock, "a", take_over=True)
        assert await keeper.look()
        rival = self.keeper(flaky, clock, "b", take_over=True)
        assert await rival.look()
        assert not await keeper.look()

    async def test_waiting_for_loss_ends_when_time_runs_out_without_any_answer(
        self, flaky: Flaky, clock: FakeClock
    ):
        keeper = LeaseKeeper(flaky, clock, name=NAME, holder="a", ttl_s=0.05)
        await keeper.look()
        waiting = asyncio.ensure_future(keeper.wait_lost(1))
        await asyncio.sleep(0)
        clock.advance(0.05)
        await asyncio.wait_for(waiting, 1)


async def test_a_running_keeper_takes_renews_and_hands_over(database_url: str, clock: FakeClock):
    database = open_database(database_url, clock=clock)
    first = LeaseKeeper(database, clock, name=NAME, holder="a", renew_every_s=0.01)
    second = LeaseKeeper(database, clock, name=NAME, holder="b", renew_every_s=0.01)
    running = asyncio.ensure_future(first.run())
    assert await first.wait_held() == 1
    standing_by = asyncio.ensure_future(second.run())
    for _ in range(3):
        clock.advance(3)
        await eventually_async(lambda: _renewed(first, clock))
        assert not second.is_held
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await first.release()
    assert await asyncio.wait_for(second.wait_held(), 5) == 2
    standing_by.cancel()
    await asyncio.gather(standing_by, return_exceptions=True)
    await database.close()


def _renewed(keeper: LeaseKeeper, clock: FakeClock) -> bool:
    return keeper.view is not None and keeper.view.until == _after(clock, TTL_S)
