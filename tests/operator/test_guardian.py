"""The guardian leads, is told of what ends it, and forgets what is over."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import update

from guardian_core.clock import SystemClock
from guardian_core.ids import SystemIds
from guardian_core.ports import Database, NoMirror
from guardian_core.scheduler import Scheduler
from guardian_core.storage import leases
from guardian_core.storage.accounts_store import list_accounts
from guardian_core.storage.inline import InlineDatabase
from guardian_core.storage.schema import Account
from guardian_operator.build import LEASE, build_guardian
from guardian_operator.guardian import Guardian
from tests.support import rows
from tests.support.wait import eventually_async


def guardian_on(database: Database, gateway: Any = None) -> Guardian:
    return build_guardian(
        database=database,
        gateway=gateway,
        mirror=NoMirror(),
        clock=SystemClock(),
        ids=SystemIds(),
        installation="testin",
        registry=CollectorRegistry(),
        take_over=True,
    )


@pytest.fixture
def real_time_database() -> InlineDatabase:
    return InlineDatabase(clock=SystemClock())


async def test_a_leader_whose_scheduler_ends_ends_too(
    real_time_database: InlineDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ends(_self: Scheduler) -> None:
        raise ValueError("a mistake")

    monkeypatch.setattr(Scheduler, "run", ends)
    with pytest.raises(ExceptionGroup):
        async with asyncio.timeout(5):
            await guardian_on(real_time_database).run()


async def test_a_leader_that_resigns_leaves_its_lease_free(
    real_time_database: InlineDatabase,
) -> None:
    guardian = guardian_on(real_time_database)
    running = asyncio.create_task(guardian.run())

    async def leads() -> bool:
        return guardian.leads

    await eventually_async(leads, within_s=5, what="leads")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await guardian.resign()
    other = await real_time_database.run(
        lambda tx: leases.acquire(tx, LEASE, "another", "", ttl_s=4)
    )
    assert (guardian.leads, other.holder) == (False, "another")


async def test_accounts_that_cannot_be_read_do_not_end_the_passes_of_the_known(
    inline_database: Database,
) -> None:
    passed: list[str] = []
    answers: list[Mapping[str, float] | Exception] = [{"main": 0.1}, ValueError("a mistake")]

    async def run_pass(account: str) -> float | None:
        passed.append(account)
        return None

    async def intervals() -> Mapping[str, float]:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    scheduler = Scheduler(run_pass, intervals, SystemClock())
    running = asyncio.create_task(scheduler.run())

    async def many() -> bool:
        assert not running.done()
        return len(passed) > 25

    await eventually_async(many, within_s=10, what="passes after the failed reading")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_an_account_that_this_version_cannot_read_hides_no_other(
    inline_database: Database,
) -> None:
    def story(tx: Any) -> list[str]:
        rows.account(tx, "main")
        rows.account(tx, "newer")
        tx.flush()
        tx.execute(update(Account).where(Account.name == "newer").values(spec={"from": "later"}))
        tx.expire_all()
        return [account.name for account in list_accounts(tx)]

    assert await inline_database.run(story) == ["main"]
