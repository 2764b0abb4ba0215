"""The faults themselves: each does what it says, and no more than a real venue or network could."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from guardian_core.accounts import AccountSpec
from guardian_core.domain.errors import Ambiguous, NotSent, Rejected, Unavailable
from guardian_core.domain.orders import OrderBody, OrderSide, OrderType, Role
from guardian_core.ports import Tx
from guardian_core.storage.inline import InlineDatabase
from guardian_gateway.venues.paper import Rules
from tests.simulation.eventlog import EventLog
from tests.simulation.faulty_database import FaultyDatabase
from tests.simulation.faulty_venue import VALID_S, Account, FaultyVenue
from tests.simulation.loop import VirtualClock, VirtualTimeLoop
from tests.simulation.mortal import Process, bury_all, task_factory
from tests.simulation.weather import CALM, Answers, Odds, Weather

SYMBOL = "BTCUSDT"
SURE = Odds(latency_s=0.02)


class Stage:
    """One account, one database, and the ways there."""

    def __init__(self, odds: Odds, *, seed: int = 1, delay_s: float = 0.0) -> None:
        self.loop = VirtualTimeLoop(seed)
        self.loop.set_task_factory(task_factory)
        self.log = EventLog(self.loop)
        self.answers = Answers(self.loop)
        self.weather = Weather("main", seed, odds)
        self.account = Account(
            "main",
            AccountSpec(account_id="main"),
            self.loop,
            self.log,
            self.weather,
            visibility_delay_s=delay_s,
            rules=Rules(),
        )
        self.account.set_price(SYMBOL, Decimal(60_000))
        self.venue = FaultyVenue(self.account, self.loop, self.log, self.answers)
        self.inner = InlineDatabase(clock=VirtualClock(self.loop))
        self.database = FaultyDatabase(
            self.inner, self.loop, self.log, Weather("database", seed, odds), self.answers
        )
        self.processes: list[Process] = []

    def play(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.loop.run_until_complete(work())
        self.loop.close()
        bury_all(self.processes)

    def process(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> Process:
        process = Process("client", self.loop)
        self.processes.append(process)
        process.start(main)
        return process

    @property
    def working(self) -> int:
        return len(self.account.exchange.open_orders())

    def epochs(self) -> list[int]:
        query = text("SELECT claim_epoch FROM lane ORDER BY id")
        return self.inner.run_now(lambda tx: [row[0] for row in tx.execute(query)])


def body(ident: str = "order-1") -> OrderBody:
    return OrderBody(
        client_order_id=ident,
        role=Role.ENTRY,
        symbol=SYMBOL,
        side=OrderSide.BUY,
        type=OrderType.LIMIT,
        quantity=Decimal("0.01"),
        revision=1,
        attempt=1,
        price=Decimal(50_000),
    )


async def error_of(call: Awaitable[object]) -> type[Exception] | None:
    try:
        await call
    except Exception as error:
        return type(error)
    return None


@pytest.mark.parametrize(
    ("odds", "errors", "works"),
    [
        pytest.param(CALM, {None}, {1}, id="calm"),
        pytest.param(replace(SURE, lost_answer=1), {Ambiguous}, {1}, id="answer lost"),
        pytest.param(replace(SURE, vanishes=1), {Ambiguous}, {0}, id="vanishes"),
        pytest.param(replace(SURE, late_effect=1), {Ambiguous}, {1}, id="late"),
        pytest.param(replace(SURE, hangs=1), {Ambiguous}, {0, 1}, id="hangs"),
        pytest.param(replace(SURE, not_sent=1), {NotSent, Ambiguous}, {0}, id="not sent"),
        pytest.param(replace(SURE, away=True), {NotSent, Ambiguous}, {0}, id="away"),
    ],
)
def test_a_write_ends_as_its_fault_says(
    odds: Odds, errors: set[type[Exception] | None], works: set[int]
) -> None:
    seen_errors, seen_works = set(), set()
    for seed in range(12):
        stage = Stage(odds, seed=seed)

        async def write(stage: Stage = stage) -> None:
            seen_errors.add(await error_of(stage.venue.create(body())))
            await asyncio.sleep(VALID_S)
            seen_works.add(stage.working)

        stage.play(write)
    assert seen_errors == errors
    assert seen_works == works


def test_a_late_effect_comes_after_its_error_and_within_the_request_s_validity() -> None:
    delays = []
    for seed in range(30):
        stage = Stage(replace(SURE, late_effect=1), seed=seed)

        async def write(stage: Stage = stage) -> None:
            assert await error_of(stage.venue.create(body())) is Ambiguous
            assert stage.working == 0
            while not stage.working:
                await asyncio.sleep(0.01)
            delays.append(stage.loop.time())

        stage.play(write)
    assert 2 < max(delays) <= VALID_S + 0.02


def test_a_request_arrives_though_its_sender_has_died() -> None:
    stage = Stage(replace(SURE, latency_s=0.5))

    async def watch() -> None:
        process = stage.process(lambda: stage.venue.create(body()))
        await asyncio.sleep(0.01)
        process.kill()
        await asyncio.sleep(5)
        assert stage.working == 1

    stage.play(watch)


def test_so_many_creates_of_a_role_are_refused_as_was_asked_for() -> None:
    stage = Stage(CALM)
    stage.weather.refusing["entry"] = 2

    async def write() -> None:
        errors = [await error_of(stage.venue.create(body(f"order-{i}"))) for i in range(3)]
        assert errors == [Rejected, Rejected, None]
        assert stage.answers.well_since("main") == 0
        assert stage.answers.well_since("main/entry") > 0

    stage.play(write)


def test_a_listing_lags_by_no_more_than_the_visibility_delay() -> None:
    stage = Stage(replace(SURE, stale=1), delay_s=1.5)

    async def look() -> None:
        await stage.venue.create(body())
        created_s = stage.loop.time()
        seen = [bool(await stage.venue.find(SYMBOL, "order-1")) for _ in range(20)]
        assert False in seen
        await asyncio.sleep(created_s + 1.6 - stage.loop.time())
        assert all([await stage.venue.find(SYMBOL, "order-1") for _ in range(20)])
        assert all([await stage.venue.open_orders() for _ in range(20)])

    stage.play(look)


def _new_lane(tx: Tx) -> None:
    tx.execute(
        text(
            "INSERT INTO account (name, namespace, user_id, account_id, venue, environment, spec,"
            " generation, created_at) VALUES ('a', '', '', 'a', 'paper', 'Paper', '{}', 1, '')"
            " ON CONFLICT DO NOTHING"
        )
    )
    tx.execute(text("INSERT INTO lane (account_name, symbol, claim_epoch) VALUES ('a', 'X', 0)"))


def _count(tx: Tx) -> None:
    tx.execute(text("UPDATE lane SET claim_epoch = claim_epoch + 1"))


@pytest.mark.parametrize(
    ("odds", "error", "count"),
    [
        pytest.param(CALM, None, 1, id="calm"),
        pytest.param(replace(SURE, lost_answer=1), Unavailable, 1, id="unknown outcome"),
        pytest.param(replace(SURE, not_sent=1), Unavailable, 0, id="not begun"),
        pytest.param(replace(SURE, away=True), Unavailable, 0, id="away"),
    ],
)
def test_a_transaction_ends_as_its_fault_says(
    odds: Odds, error: type[Exception] | None, count: int
) -> None:
    for seed in range(60):
        stage = Stage(odds, seed=seed)
        stage.inner.run_now(_new_lane)

        async def write(stage: Stage = stage) -> None:
            assert await error_of(stage.database.run(_count)) is error
            # Also where it was run twice: the first run was rolled back.
            assert stage.epochs() == [count]

        stage.play(write)


def test_a_transaction_of_a_process_that_died_is_done_or_not() -> None:
    seen = set()
    for seed in range(20):
        stage = Stage(replace(SURE, latency_s=0.5), seed=seed)
        stage.inner.run_now(_new_lane)

        async def watch(stage: Stage = stage) -> None:
            process = stage.process(lambda: stage.database.run(_count))
            await asyncio.sleep(0.01)
            process.kill()
            await asyncio.sleep(5)
            seen.update(stage.epochs())

        stage.play(watch)
    assert seen == {0, 1}


class TestAnswers:
    def test_a_call_of_more_than_a_second_is_no_answer(self) -> None:
        stage = Stage(CALM)

        async def call() -> None:
            with stage.answers.call("venue"):
                await asyncio.sleep(0.9)
            assert stage.answers.well_since("venue") == 0
            with stage.answers.call("venue"):
                await asyncio.sleep(1.5)
            assert stage.answers.well_since("venue") == stage.loop.time()

        stage.play(call)

    def test_nor_is_one_that_still_waits_unless_its_caller_has_died(self) -> None:
        stage = Stage(CALM)

        async def hang() -> None:
            with stage.answers.call("venue"):
                await asyncio.sleep(60)

        async def watch() -> None:
            process = stage.process(hang)
            await asyncio.sleep(0.8)
            assert stage.answers.well_since("venue") == 0
            await asyncio.sleep(1)
            assert stage.answers.well_since("venue") == stage.loop.time()
            process.kill()
            assert stage.answers.well_since("venue") == 0

        stage.play(watch)
