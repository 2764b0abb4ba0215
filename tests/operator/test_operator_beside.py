"""What is done beside the guarding, slow or broken, does not touch it."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from prometheus_client import CollectorRegistry
from sqlalchemy import update

from guardian_core.clock import SystemClock
from guardian_core.domain.errors import Unavailable
from guardian_core.guarding import PassReport
from guardian_core.ids import SystemIds
from guardian_core.ports import Database, NoMirror, Tx
from guardian_core.protocol import CheckReport
from guardian_core.storage.inline import InlineDatabase
from guardian_core.storage.schema import Lease
from guardian_operator.build import build_guardian
from guardian_operator.guardian import Guardian
from tests.support import rows
from tests.support.wait import eventually_async


class Stubborn:
    """Fails, or does not end for long when it is asked to."""

    def __init__(self, *, fails: bool = False) -> None:
        self.began = 0
        self.ended = 0
        self.let_go = asyncio.Event()
        self.failures: list[str] = []
        self._fails = fails

    async def run(self, wake: Callable[[str], None]) -> None:
        self.began += 1
        if self._fails:
            raise ValueError("a mistake")
        try:
            await asyncio.Event().wait()
        finally:
            await self.let_go.wait()
            self.ended += 1

    def passed(self, report: PassReport) -> None:
        raise ValueError("a mistake")

    def failed(self, account: str, why: str) -> None:
        self.failures.append(why)
        raise ValueError("a mistake")

    def checked(self, account: str, report: CheckReport) -> None:
        raise ValueError("a mistake")


class Away:
    """A gateway that never answers."""

    async def snapshot(self, *_: object) -> None:
        raise Unavailable("away")


def guardian_with(database: Database, beside: Stubborn, gateway: Any = None) -> Guardian:
    return build_guardian(
        database=database,
        gateway=gateway,
        mirror=NoMirror(),
        clock=SystemClock(),
        ids=SystemIds(),
        installation="testin",
        registry=CollectorRegistry(),
        beside=beside,
    )


async def test_a_new_term_of_guarding_does_not_wait_for_what_ends_slowly() -> None:
    database = InlineDatabase(clock=SystemClock())
    beside = Stubborn()
    guardian = guardian_with(database, beside)
    terms: list[None] = []
    run = guardian.scheduler.run

    async def counted() -> None:
        terms.append(None)
        await run()

    guardian.scheduler.run = counted  # type: ignore[method-assign]
    running = asyncio.create_task(guardian.run())
    await eventually_async(lambda: beside.began and terms, what="the first term")

    def rob(tx: Tx) -> None:
        soon = tx.now() + timedelta(seconds=1)
        tx.execute(update(Lease).values(holder="another", epoch=Lease.epoch + 1, until=soon))

    await database.run(rob)
    await eventually_async(lambda: len(terms) == 2, within_s=10, what="the second term")
    assert (beside.began, beside.ended) == (1, 0)
    beside.let_go.set()
    await eventually_async(lambda: beside.began == 2, what="the second term beside it")
    assert beside.ended == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_fails_beside_the_guarding_does_not_end_it() -> None:
    database = InlineDatabase(clock=SystemClock())
    beside = Stubborn(fails=True)
    guardian = guardian_with(database, beside)
    running = asyncio.create_task(guardian.run())
    await eventually_async(lambda: beside.began, what="it was tried")
    await eventually_async(lambda: guardian.leads, what="it leads")
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_does_not_listen_beside_the_guarding_does_not_end_it() -> None:
    database = InlineDatabase(clock=SystemClock())
    await database.run(lambda tx: rows.account(tx, guard_interval_seconds=0.5))
    beside = Stubborn()
    guardian = guardian_with(database, beside, Away())
    running = asyncio.create_task(guardian.run())
    await eventually_async(lambda: len(beside.failures) > 2, what="passes go on")
    assert set(beside.failures) == {"away"}
    beside.let_go.set()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
