"""Group commit: who is answered when, and what one bad row, a lost COMMIT or a full queue do."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import delete

from guardian_core.domain.errors import Unavailable
from guardian_core.ids import SystemIds
from guardian_core.ports import Database, Tx
from guardian_core.storage.schema import Account, Lane, Webhook
from guardian_receiver.alert import parse_alert
from guardian_receiver.body import read_object
from guardian_receiver.committer import (
    BATCH_MAX,
    Committer,
    NotStorable,
    QueueFull,
    Waiting,
)
from guardian_receiver.directory import Target
from guardian_receiver.duplicates import dedup_key
from guardian_receiver.insert import NewWebhook, Stored
from guardian_receiver.metrics import ReceiverMetrics
from guardian_receiver.rows import accepted
from tests.support import rows
from tests.support.clock import FakeClock
from tests.support.receiver import alert

T = TypeVar("T")
IDS = SystemIds()


class LossyDatabase:
    """A real database whose answers get lost: before a COMMIT, or after it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.lose_before = 0
        self.lose_after = 0
        self.runs = 0

    async def run(self, fn: Callable[[Tx], T]) -> T:
        self.runs += 1
        if self.lose_before:
            self.lose_before -= 1
            raise Unavailable("the database is away, nothing was changed")
        value = await self._database.run(fn)
        if self.lose_after:
            self.lose_after -= 1
            raise Unavailable("the database is away, it may have committed or not")
        return value

    async def close(self) -> None:
        return None


class Desk:
    """A committer on a real database, driven by hand."""

    def __init__(self, database: Database, clock: FakeClock, queue_size: int = 2_000) -> None:
        self.database = LossyDatabase(database)
        self.heard: list[tuple[Waiting, Stored]] = []
        metrics = ReceiverMetrics(CollectorRegistry())
        self.committer = Committer(
            self.database, clock, metrics, queue_size=queue_size, on_stored=self.heard.extend
        )
        self._clock = clock

    def submit(self, number: int, **row: Any) -> Waiting:
        return self.submit_all([self.new(number, **row)])[0]

    def submit_all(self, news: list[NewWebhook]) -> list[Waiting]:
        return self.committer.submit(news)

    def new(self, number: int, symbol: str = "BTCUSDT", account: str = "main", **row: Any) -> Any:
        body = alert(note=number)
        asked = parse_alert(read_object(body)[0])
        dedup = dedup_key(asked, "token", account, body.encode(), self._clock.now())
        made = accepted(
            asked,
            Target(account, account, symbol),
            id_=IDS.uuid(),
            trace_id=IDS.trace_id(),
            dedup=dedup,
            payload=body,
        )
        return made._replace(row=made.row | row)


@pytest.fixture
async def desk(database: Database, clock: FakeClock) -> Desk:
    await database.run(lambda tx: rows.account(tx, "main"))
    return Desk(database, clock)


async def stored_ids(desk: Desk) -> set[Any]:
    return await desk.database.run(lambda tx: {row.id for row in tx.query(Webhook)})


async def test_what_waits_is_stored_in_one_transaction(desk: Desk) -> None:
    waiting = [desk.submit(n, symbol=f"S{n % 7}") for n in range(50)]
    await desk.committer.commit_next()
    assert desk.database.runs == 1
    assert [each.done.result().webhook_id for each in waiting] == [w.new.id for w in waiting]
    assert await stored_ids(desk) == {each.new.id for each in waiting}
    assert [each.new.id for each, _ in desk.heard] == [each.new.id for each in waiting]


async def test_a_batch_is_bounded_and_the_rest_comes_next(desk: Desk) -> None:
    waiting = [desk.submit(n) for n in range(BATCH_MAX + 3)]
    await desk.committer.commit_next()
    assert sum(each.done.done() for each in waiting) == BATCH_MAX
    await desk.committer.commit_next()
    assert all(each.done.done() for each in waiting)
    assert desk.committer.depth == 0


async def test_rows_keep_the_order_of_arrival_over_batches_of_one_instant(desk: Desk) -> None:
    waiting = []
    for batch in range(3):
        waiting += [desk.submit(batch * 10 + n) for n in range(10)]
        await desk.committer.commit_next()
    in_order = await desk.database.run(
        lambda tx: [row.id for row in tx.query(Webhook).order_by(Webhook.received_at)]
    )
    assert in_order == [each.new.id for each in waiting]


async def test_a_full_queue_takes_nothing_and_later_something(
    database: Database, clock: FakeClock
) -> None:
    await database.run(lambda tx: rows.account(tx, "main"))
    desk = Desk(database, clock, queue_size=3)
    news = [desk.new(n) for n in range(4)]
    with pytest.raises(QueueFull):
        desk.submit_all(news)
    assert desk.committer.depth == 0
    desk.submit_all(news[:3])
    with pytest.raises(QueueFull):
        desk.submit_all(news[3:])
    await desk.committer.commit_next()
    desk.submit_all(news[3:])


@pytest.mark.parametrize(
    "poison",
    [{"status": None}, {"raw_payload": None}, {"account_name": {"no": "text"}}],
    ids=["null", "null payload", "wrong type"],
)
async def test_a_row_that_the_database_refuses_fails_alone(
    desk: Desk, poison: dict[str, Any]
) -> None:
    if "account_name" in poison and "postgres" in type(desk.database._database).__name__.lower():
        poison = {"received_at": "never", "prix": "no number"}
    waiting = [desk.submit(n, **(poison if n in (3, 11) else {})) for n in range(20)]
    await desk.committer.commit_next()
    for number, each in enumerate(waiting):
        if number in (3, 11):
            assert isinstance(each.done.exception(), NotStorable)
        else:
            assert each.done.result().webhook_id == each.new.id
    assert len(await stored_ids(desk)) == 18


async def test_a_lane_whose_account_is_gone_does_not_stop_the_others(desk: Desk) -> None:
    await desk.database.run(lambda tx: rows.account(tx, "gone"))
    desk.submit(0, account="gone")
    await desk.committer.commit_next()

    def remove(tx: Tx) -> None:
        tx.execute(delete(Webhook))
        tx.execute(delete(Lane))
        tx.execute(delete(Account).where(Account.name == "gone"))

    await desk.database.run(remove)
    waiting = [desk.submit(1), desk.submit(2, account="gone"), desk.submit(3)]
    await desk.committer.commit_next()
    assert isinstance(waiting[1].done.exception(), NotStorable)
    assert await stored_ids(desk) == {waiting[0].new.id, waiting[2].new.id}


async def test_a_commit_whose_answer_got_lost_is_found_and_not_repeated(desk: Desk) -> None:
    desk.database.lose_after = 1
    waiting = [desk.submit(n) for n in range(5)]
    await desk.committer.commit_next()
    for each in waiting:
        assert each.done.result() == (each.new.id, each.new.row["trace_id"], 1, False)
    assert len(await stored_ids(desk)) == 5


async def test_a_database_that_stays_away_is_told_to_everybody(desk: Desk) -> None:
    desk.database.lose_before = 2
    waiting = [desk.submit(n) for n in range(5)]
    await desk.committer.commit_next()
    assert all(isinstance(each.done.exception(), Unavailable) for each in waiting)
    assert desk.heard == []
    again = desk.submit(9)
    await desk.committer.commit_next()
    assert again.done.result().webhook_id == again.new.id


async def test_an_alert_resent_after_a_lost_commit_is_a_duplicate_of_itself(desk: Desk) -> None:
    desk.database.lose_after = 2
    first = desk.submit(1)
    await desk.committer.commit_next()
    assert isinstance(first.done.exception(), Unavailable)
    again = desk.submit(1)
    await desk.committer.commit_next()
    assert again.done.result().is_duplicate
    assert again.done.result().trace_id == first.new.row["trace_id"]


async def test_whoever_stopped_waiting_is_not_stored(desk: Desk) -> None:
    gone, stays = desk.submit(1), desk.submit(2)
    gone.fail(TimeoutError())
    await desk.committer.commit_next()
    assert await stored_ids(desk) == {stays.new.id}


async def test_a_queue_of_nobody_costs_no_transaction(desk: Desk) -> None:
    desk.submit(1).fail(TimeoutError())
    await desk.committer.commit_next()
    assert desk.database.runs == 0


async def test_a_stopped_committer_has_stored_what_it_took(desk: Desk) -> None:
    running = asyncio.create_task(desk.committer.run())
    waiting = [desk.submit(n) for n in range(30)]
    await desk.committer.drained()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert all(each.done.result() for each in waiting)
