"""kill -9 of each service, of PostgreSQL and of Redis, under a stream of alerts.

`E2E_ROUNDS=10` makes it longer; `E2E_SEED=n` draws alerts and victims of an earlier run again.
"""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.installation import PARTS, Installation, services
from tests.e2e.judge import Judge
from tests.e2e.stream import Stream
from tests.e2e.under_fire import (
    SEED,
    SPECS,
    busy,
    charts,
    covered_again,
    judged_quiet,
    no_surprise,
)
from tests.support.postgres import PostgresServer, running_postgres
from tests.support.redis_server import RedisServer, running_redis
from tests.support.wait import eventually

VICTIMS = (*PARTS, *PARTS, "postgres", "redis")
ROUNDS = int(os.environ.get("E2E_ROUNDS", "1"))
RECOVERED_WITHIN_S = 60.0
"""Far above a dead engine's claim, which runs out after 15 s."""


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    """One of its own: it is killed, and must keep what it committed."""
    with running_postgres(durable=True) as server:
        yield server


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.mark.timeout(300 + 600 * ROUNDS)
def test_no_killed_service_or_server_loses_an_alert_or_trades_twice(
    tmp_path: Path, postgres: PostgresServer, redis: RedisServer
) -> None:
    lanes = charts()
    url = postgres.url(postgres.fresh_database())
    house = services(tmp_path / "home", url, redis.url, SPECS)
    stream, judge = Stream(house, lanes, SEED), Judge(house, lanes)
    dice = random.Random(f"victims/{SEED}")
    victims = [victim for _ in range(ROUNDS) for victim in dice.sample(VICTIMS, len(VICTIMS))]
    print(f"E2E_SEED={SEED}, kills {', '.join(victims)}")
    try:
        house.start()
        stream.start()
        for victim in victims:
            busy(stream, judge, dice)
            killed_and_back(house, victim, {"postgres": postgres, "redis": redis}, judge)
            stream.check()
            judge.acknowledged_are_stored(stream.sent)
            recovered(stream, judge)
        stream.stop()
        print(f"{len(stream.sent)} alerts, answers {dict(stream.statuses)}")
        judged_quiet(judge, stream)
    finally:
        print(house.logs())
        house.stop()
    no_surprise(house)


def killed_and_back(
    house: Installation,
    victim: str,
    servers: dict[str, PostgresServer | RedisServer],
    judge: Judge,
) -> None:
    """Kills it, starts it again, and expects every lane to be covered within the promise."""
    began_s = time.monotonic()
    if victim in servers:
        servers[victim].kill()
        servers[victim].start()
    else:
        house.kill(victim)
        house.restart(victim)
    ready_s = time.monotonic() - began_s
    naked = judge.uncovered()
    took_s = covered_again(judge, naked)
    print(f"{victim}: back after {ready_s:.1f} s, {len(naked)} lanes covered after {took_s:.1f} s")


def recovered(stream: Stream, judge: Judge) -> None:
    """Alerts are taken and carried out again, those from before the kill too."""
    taken, left = stream.acknowledged, judge.unfinished()
    eventually(
        lambda: stream.acknowledged >= taken + 3, within_s=RECOVERED_WITHIN_S, what="more alerts"
    )
    eventually(lambda: not left & judge.unfinished(), within_s=RECOVERED_WITHIN_S, what="their end")
