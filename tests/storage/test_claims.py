"""Claims on lanes, on every database: order, one at a time, take-over, and the fence."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from guardian_core.domain.alerts import WebhookStatus
from guardian_core.domain.errors import Conflict
from guardian_core.ports import Database, Tx
from guardian_core.storage import claims
from guardian_core.storage.claims import Claim
from guardian_core.storage.database import open_database
from guardian_core.storage.schema import Lane, Webhook
from tests.support import rows
from tests.support.clock import FakeClock
from tests.support.ids import SeededIds
from tests.support.rows import call

DONE = WebhookStatus.PROCESSED


@pytest.fixture
def ids() -> SeededIds:
    return SeededIds()


@pytest.fixture
def database(each_database: Database) -> Database:
    return each_database


async def enqueue(database: Database, ids: SeededIds, *symbols: str) -> list[UUID]:
    """One webhook per symbol, all of the same instant, in this order."""

    def insert(tx: Tx) -> list[UUID]:
        return [rows.webhook(tx, ids, rows.lane(tx, symbol), symbol=symbol) for symbol in symbols]

    return await database.run(insert)


async def claim(database: Database, holder: str = "engine-1") -> Claim | None:
    return await database.run(call(claims.claim_next, holder))


async def claimed(database: Database, holder: str = "engine-1") -> Claim:
    found = await claim(database, holder)
    assert found is not None
    return found


async def finish(database: Database, held: Claim) -> None:
    await database.run(call(claims.finish, held, DONE, "done"))


async def stored(database: Database, webhook_id: UUID) -> tuple[str, str, object]:
    def read(tx: Tx) -> tuple[str, str, object]:
        row = tx.get_one(Webhook, webhook_id)
        return row.status, row.message, row.processed_at

    return await database.run(read)


async def test_an_empty_queue_gives_no_claim(database: Database, ids: SeededIds):
    assert await claim(database) is None
    await database.run(lambda tx: rows.webhook(tx, ids, None, status="error"))
    assert await claim(database) is None


async def test_a_claim_carries_the_lane_and_the_webhook(database: Database, ids: SeededIds):
    def insert(tx: Tx) -> UUID:
        lane_id = rows.lane(tx)
        return rows.webhook(tx, ids, lane_id, symbol="BINANCE:BTCUSDT.P", prix_sl="42000")

    webhook_id = await database.run(insert)
    held = await claimed(database)
    assert (held.account_name, held.symbol, held.holder) == (rows.ACCOUNT, "BTCUSDT", "engine-1")
    assert (held.epoch, held.webhook_id) == (1, webhook_id)
    assert (held.webhook.symbol, held.webhook.prix_sl) == ("BINANCE:BTCUSDT.P", "42000")
    assert (await stored(database, webhook_id))[0] == "processing"


async def test_a_lane_is_worked_by_one_claim_at_a_time_even_of_one_holder(
    database: Database, ids: SeededIds
):
    first, second = await enqueue(database, ids, "A", "A")
    held = await claimed(database)
    assert held.webhook_id == first
    assert await claim(database) is None
    assert await claim(database, "engine-2") is None
    await finish(database, held)
    assert (await claimed(database)).webhook_id == second


async def test_lanes_do_not_wait_for_each_other_and_the_oldest_goes_first(
    database: Database, ids: SeededIds, clock: FakeClock
):
    (young,) = await enqueue(database, ids, "YOUNG")
    clock.advance(-60)
    (old,) = await enqueue(database, ids, "OLD")
    clock.advance(60)
    assert [(await claimed(database)).webhook_id for _ in range(2)] == [old, young]


async def test_alerts_of_one_instant_come_in_the_order_of_their_insertion(
    database: Database, ids: SeededIds
):
    inserted = await enqueue(database, ids, *["A"] * 20)
    seen = []
    while (held := await claim(database)) is not None:
        seen.append(held.webhook_id)
        await finish(database, held)
    assert seen == inserted


async def test_alerts_stored_by_one_statement_keep_their_order_too(
    database: Database, ids: SeededIds
):
    numbers = [f"{n:02}" for n in range(30)]

    def insert(tx: Tx) -> None:
        lane_id = rows.lane(tx)
        tx.add_all(rows.webhook_row(tx, ids, lane_id, message=number) for number in numbers)

    await database.run(insert)
    seen = []
    while (held := await claim(database)) is not None:
        seen.append(held.webhook.message)
        await finish(database, held)
    assert seen == numbers


async def test_finishing_stores_what_became_of_the_webhook(
    database: Database, ids: SeededIds, clock: FakeClock
):
    (webhook_id,) = await enqueue(database, ids, "A")
    held = await claimed(database)
    clock.advance(2)
    await database.run(call(claims.finish, held, WebhookStatus.ERROR, "refused"))
    assert await stored(database, webhook_id) == ("error", "refused", clock.now())
    assert await claim(database) is None


async def test_a_claim_is_finished_once(database: Database, ids: SeededIds):
    (webhook_id,) = await enqueue(database, ids, "A")
    held = await claimed(database)
    await finish(database, held)
    with pytest.raises(Conflict, match="claim_lost"):
        await database.run(call(claims.finish, held, WebhookStatus.ERROR, "again"))
    assert (await stored(database, webhook_id))[0] == "processed"


@pytest.mark.parametrize("status", [WebhookStatus.RECEIVED, WebhookStatus.PROCESSING])
async def test_only_an_end_finishes(database: Database, ids: SeededIds, status: WebhookStatus):
    await enqueue(database, ids, "A")
    held = await claimed(database)
    with pytest.raises(ValueError, match="does not end"):
        await database.run(call(claims.finish, held, status, ""))


async def test_a_webhook_put_back_comes_again_first_and_not_before_its_time(
    database: Database, ids: SeededIds, clock: FakeClock
):
    first, _ = await enqueue(database, ids, "A", "A")
    held = await claimed(database)
    later = clock.now() + timedelta(seconds=5)
    await database.run(call(claims.put_back, held, later, "the venue did not answer"))
    assert (await stored(database, first))[:2] == ("received", "the venue did not answer")
    clock.advance(4.9)
    assert await claim(database) is None
    clock.advance(0.1)
    again = await claimed(database)
    assert (again.webhook_id, again.epoch) == (first, held.epoch + 1)


class TestTakeOver:
    """A dead engine's lane after its claim has expired."""

    async def test_an_expired_claim_is_taken_over_with_the_webhook_it_left(
        self, database: Database, ids: SeededIds, clock: FakeClock
    ):
        first, _ = await enqueue(database, ids, "A", "A")
        dead = await claimed(database)
        clock.advance(14.9)
        assert await claim(database, "engine-2") is None
        clock.advance(0.1)
        taken = await claimed(database, "engine-2")
        assert (taken.webhook_id, taken.epoch) == (first, dead.epoch + 1)

    async def test_the_webhook_left_behind_comes_before_one_that_is_older(
        self, database: Database, ids: SeededIds, clock: FakeClock
    ):
        (begun,) = await enqueue(database, ids, "A")
        await claimed(database)
        clock.advance(-60)
        # Another receiver was slow to commit.
        await enqueue(database, ids, "A")
        clock.advance(60 + 15)
        assert (await claimed(database, "engine-2")).webhook_id == begun

    async def test_whoever_was_replaced_can_write_nothing(
        self, database: Database, ids: SeededIds, clock: FakeClock
    ):
        (webhook_id,) = await enqueue(database, ids, "A")
        replaced = await claimed(database)
        clock.advance(15)
        successor = await claimed(database, "engine-2")
        for write in (
            call(claims.renew, replaced),
            call(claims.check, replaced),
            call(claims.finish, replaced, DONE, "late"),
            call(claims.put_back, replaced, clock.now(), "late"),
        ):
            with pytest.raises(Conflict, match="claim_lost"):
                await database.run(write)
        assert (await stored(database, webhook_id))[:2] == ("processing", "")
        await database.run(call(claims.check, successor))

    async def test_a_holder_that_takes_its_own_lane_again_is_fenced_off_from_its_past(
        self, database: Database, ids: SeededIds, clock: FakeClock
    ):
        await enqueue(database, ids, "A")
        before = await claimed(database)
        clock.advance(15)
        await claimed(database)
        with pytest.raises(Conflict, match="claim_lost"):
            await finish(database, before)

    async def test_a_renewed_claim_is_not_taken_over(
        self, database: Database, ids: SeededIds, clock: FakeClock
    ):
        await enqueue(database, ids, "A")
        held = await claimed(database)
        clock.advance(10)
        await database.run(call(claims.renew, held))
        clock.advance(14.9)
        assert await claim(database, "engine-2") is None
        await database.run(call(claims.check, held))

    async def test_an_expired_claim_that_nobody_took_fails_its_check_and_can_be_finished(
        self, database: Database, ids: SeededIds, clock: FakeClock
    ):
        await enqueue(database, ids, "A")
        held = await claimed(database)
        clock.advance(15)
        with pytest.raises(Conflict, match="claim_lost"):
            await database.run(call(claims.check, held))
        await finish(database, held)

    async def test_claims_are_forgotten_when_no_engine_can_be_alive(
        self, database: Database, ids: SeededIds
    ):
        await enqueue(database, ids, "A", "B", "C")
        dead = [await claimed(database, "before the crash") for _ in range(2)]
        assert await database.run(claims.forget_claims) == 2
        taken = [await claimed(database) for _ in range(3)]
        assert [c.webhook_id for c in taken[:2]] == [c.webhook_id for c in dead]


async def test_another_epoch_or_holder_is_another_claim(database: Database, ids: SeededIds):
    await enqueue(database, ids, "A")
    held = await claimed(database)
    for other in (replace(held, epoch=2), replace(held, holder="engine-2")):
        with pytest.raises(Conflict, match="claim_lost"):
            await database.run(call(claims.check, other))


async def test_what_is_not_finished_is_pending(database: Database, ids: SeededIds):
    await enqueue(database, ids, "A", "A", "B")
    held = await claimed(database)
    assert await database.run(claims.pending_count) == 3
    await finish(database, held)
    assert await database.run(claims.pending_count) == 2


async def test_many_engines_work_every_webhook_once_and_each_lane_in_order(
    database_url: str, clock: FakeClock
):
    """Engines in their own processes have their own connections: so have these."""
    ids = SeededIds()
    engines = [open_database(database_url, clock=clock) for _ in range(3)]
    symbols = [f"S{n % 7}" for n in range(84)]
    expected: dict[str, list[UUID]] = {}
    for symbol, webhook_id in zip(symbols, await enqueue(engines[0], ids, *symbols), strict=True):
        expected.setdefault(symbol, []).append(webhook_id)
    worked: dict[str, list[UUID]] = {}
    at_work: Counter[str] = Counter()

    async def work(engine: Database, holder: str) -> None:
        while await engine.run(claims.pending_count):
            held = await claim(engine, holder)
            if held is None:
                await asyncio.sleep(0)
                continue
            at_work[held.symbol] += 1
            assert at_work[held.symbol] == 1
            worked.setdefault(held.symbol, []).append(held.webhook_id)
            await engine.run(call(claims.check, held))
            at_work[held.symbol] -= 1
            await finish(engine, held)

    await asyncio.gather(*(work(engine, f"e{n}") for n in range(2) for engine in engines))
    assert worked == expected
    for engine in engines:
        await engine.close()


async def test_a_lane_that_another_transaction_holds_is_skipped_not_waited_for(
    migrated_postgres_url: str, clock: FakeClock
):
    ids = SeededIds()
    database = open_database(migrated_postgres_url, clock=clock)
    first, second = await enqueue(database, ids, "A", "B")
    other = open_database(migrated_postgres_url, clock=clock)
    inside, go = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold_lane_a(tx: Tx) -> None:
        tx.execute(text("SELECT 1 FROM lane WHERE symbol = 'A' FOR NO KEY UPDATE"))
        loop.call_soon_threadsafe(inside.set)
        asyncio.run_coroutine_threadsafe(go.wait(), loop).result(10)

    holding = asyncio.ensure_future(other.run(hold_lane_a))
    await inside.wait()
    assert (await claimed(database)).webhook_id == second
    go.set()
    await holding
    assert (await claimed(database)).webhook_id == first
    await other.close()
    await database.close()


async def test_an_alert_that_is_just_being_stored_does_not_hide_its_lane(
    migrated_postgres_url: str, clock: FakeClock
):
    """Its foreign key locks the lane's row, in a mode that a claim does not mind."""
    ids = SeededIds()
    engine = open_database(migrated_postgres_url, clock=clock)
    (first,) = await enqueue(engine, ids, "A")
    receiver = open_database(migrated_postgres_url, clock=clock)
    inside, go = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def store(tx: Tx) -> None:
        rows.webhook(tx, ids, tx.query(Lane.id).scalar())
        loop.call_soon_threadsafe(inside.set)
        asyncio.run_coroutine_threadsafe(go.wait(), loop).result(10)

    storing = asyncio.ensure_future(receiver.run(store))
    await inside.wait()
    assert (await claimed(engine)).webhook_id == first
    go.set()
    await storing
    await receiver.close()
    await engine.close()
