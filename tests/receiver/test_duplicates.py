"""The same alert again: answered like the first, stored once, carried out once."""

import asyncio
import threading
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from guardian_core.ids import SystemIds
from guardian_core.ports import Tx
from guardian_core.storage.database import open_database
from guardian_receiver.alert import parse_alert
from guardian_receiver.body import read_object
from guardian_receiver.directory import Target
from guardian_receiver.duplicates import BUCKET_S, dedup_key
from guardian_receiver.insert import Inserted, NewWebhook, insert_batch
from guardian_receiver.rows import accepted
from tests.support import rows
from tests.support.clock import FakeClock
from tests.support.receiver import Service, alert, serving
from tests.support.wait import eventually_async

UNTIMED = alert(Action="BuyMarket", BarTime=None)


@pytest.mark.parametrize("later_s", [0, 29, 3600, 30 * 86400])
async def test_a_timed_alert_is_the_same_for_ever(
    service: Service, clock: FakeClock, later_s: float
) -> None:
    first = await service.post(alert())
    clock.advance(later_s)
    again = await service.post(alert())
    assert again.status_code == 200
    assert again.json() == {"status": "duplicate", "trace_id": first.json()["trace_id"]}
    assert len(await service.rows()) == 1


@pytest.mark.parametrize(
    ("later_s", "status"),
    [(0, "duplicate"), (5, "duplicate"), (30, "duplicate"), (61, "received"), (86400, "received")],
)
async def test_an_untimed_alert_is_the_same_for_a_while(
    service: Service, clock: FakeClock, later_s: float, status: str
) -> None:
    first = await service.post(UNTIMED)
    clock.advance(later_s)
    again = await service.post(UNTIMED)
    assert again.json()["status"] == status
    assert (again.json()["trace_id"] == first.json()["trace_id"]) is (status == "duplicate")


async def test_an_untimed_alert_across_the_edge_of_a_bucket_is_the_same(
    service: Service, clock: FakeClock
) -> None:
    clock.advance(29.5)
    await service.post(UNTIMED)
    clock.advance(1)
    assert (await service.post(UNTIMED)).json()["status"] == "duplicate"


async def test_a_replica_whose_clock_is_behind_sees_the_same_alert(
    service: Service, clock: FakeClock
) -> None:
    await service.post(UNTIMED)
    behind = FakeClock(clock.now())
    behind.advance(-20)
    async with serving(service.database, behind, tokens=service.tokens) as second:
        assert (await second.post(UNTIMED)).json()["status"] == "duplicate"


async def test_two_replicas_at_once_store_an_alert_once_across_the_edge_of_a_bucket(
    service: Service, clock: FakeClock
) -> None:
    ahead = FakeClock(clock.now())
    ahead.advance(BUCKET_S)
    async with serving(service.database, ahead, tokens=service.tokens) as second:
        bodies = [alert(note=n) for n in range(40)]
        bodies += [alert(BarTime=None, note=n) for n in range(40)]
        both = [one.post(body) for body in bodies for one in (service, second)]
        answers = await asyncio.gather(*both)
    statuses = [answer.json()["status"] for answer in answers]
    assert statuses.count("received") == statuses.count("duplicate") == 80
    assert len(await service.rows()) == 80


async def test_the_same_alert_many_times_at_once_is_stored_once(service: Service) -> None:
    for body in (alert(), UNTIMED):
        answers = await asyncio.gather(*(service.post(body) for _ in range(20)))
        statuses = sorted(answer.json()["status"] for answer in answers)
        assert statuses == ["duplicate"] * 19 + ["received"]
        assert len({answer.json()["trace_id"] for answer in answers}) == 1
    assert len(await service.rows()) == 2


@pytest.mark.parametrize(
    "other",
    [
        alert(PrixSL=42001),
        alert() + " ",
        alert(UserExchangeID="other"),
        alert(BarTime="2025-06-01T12:01:00Z"),
    ],
)
async def test_another_text_is_another_alert(service: Service, other: str) -> None:
    await service.post(alert())
    assert (await service.post(other)).json()["status"] == "received"


async def test_another_token_is_another_sender(service: Service) -> None:
    await service.post(alert())
    assert (await service.post(alert(), token="for-main")).json()["status"] == "received"


async def test_an_idempotency_key_counts_whatever_else_the_alert_says(
    service: Service, clock: FakeClock
) -> None:
    first = await service.post(alert(IdempotencyKey="k1", BarTime=None))
    clock.advance(86400)
    again = await service.post(alert(IdempotencyKey="k1", PrixSL=1))
    assert again.json() == {"status": "duplicate", "trace_id": first.json()["trace_id"]}
    other = await service.post(alert(IdempotencyKey="k2", BarTime=None))
    assert other.json()["status"] == "received"


async def test_several_accounts_sent_again_complete_what_is_missing(service: Service) -> None:
    await service.post(alert(UserExchangeID=["main", "other"], IdempotencyKey="k"))
    again = await service.post(alert(UserExchangeID=["main", "other"], IdempotencyKey="k"))
    assert again.json()["status"] == "duplicate"
    await service.database.run(lambda tx: rows.account(tx, "third"))
    more = await service.post(alert(UserExchangeID=["main", "third"], IdempotencyKey="k"))
    assert more.json()["status"] == "received"
    assert sorted(str(row.account_name) for row in await service.rows()) == [
        "main",
        "other",
        "third",
    ]


async def test_a_refused_body_is_answered_each_time_and_stored_once_a_while(
    service: Service, clock: FakeClock
) -> None:
    first = await service.post(alert(Action="Nonsense"))
    again = await service.post(alert(Action="Nonsense"))
    assert first.status_code == again.status_code == 400
    assert first.json() == again.json()
    assert len(await service.rows()) == 1
    clock.advance(31)
    assert (await service.post(alert(Action="Nonsense"))).status_code == 400
    assert len(await service.rows()) == 2


async def test_an_alert_that_was_refused_is_carried_out_once_its_account_is_there(
    service: Service,
) -> None:
    body = alert(UserExchangeID="late")
    assert (await service.post(body)).status_code == 400
    await service.database.run(lambda tx: rows.account(tx, "late"))
    assert (await service.post(body)).json()["status"] == "received"


async def test_an_uncommitted_twin_in_the_next_bucket_is_waited_for(
    migrated_postgres_url: str, clock: FakeClock
) -> None:
    """Two replicas on either side of an edge, the second while the first has not committed."""
    database = open_database(migrated_postgres_url, clock=clock)
    await database.run(lambda tx: rows.lane(tx, "BTCUSDT"))
    first, second = (untimed_twin(clock.now() + timedelta(seconds=s)) for s in (0, BUCKET_S))
    assert first.dedup.key != second.dedup.key
    inserted, may_commit = threading.Event(), threading.Event()

    def insert_and_hold(tx: Tx) -> Inserted:
        result = insert_batch(tx, [first], None)
        inserted.set()
        assert may_commit.wait(5)
        return result

    holding = asyncio.create_task(database.run(insert_and_hold))
    await eventually_async(inserted.is_set)
    following = asyncio.create_task(database.run(lambda tx: insert_batch(tx, [second], None)))

    async def waits_or_is_done() -> bool:
        query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        waiting = await database.run(lambda tx: tx.execute(text(query)).scalar_one())
        return bool(waiting) or following.done()

    await eventually_async(waits_or_is_done)
    may_commit.set()
    [own], [found] = (await holding).stored, (await following).stored
    assert not own.is_duplicate
    assert found == (own.webhook_id, own.trace_id, own.lane_id, True)
    await database.close()


def untimed_twin(now: datetime) -> NewWebhook:
    asked = parse_alert(read_object(UNTIMED)[0])
    return accepted(
        asked,
        Target("main", "main", "BTCUSDT"),
        id_=SystemIds().uuid(),
        trace_id=SystemIds().trace_id(),
        dedup=dedup_key(asked, "token", "main", UNTIMED.encode(), now),
        payload=UNTIMED,
    )
