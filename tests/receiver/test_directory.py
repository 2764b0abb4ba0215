"""Tokens and accounts in memory: fresh ones count at once, gone ones within a second."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import pytest

from guardian_core.domain.errors import Unavailable
from guardian_core.ids import SystemIds
from guardian_core.ports import Database, Tx
from guardian_core.storage.tokens import create_token, revoke_token
from guardian_receiver.directory import Directory
from tests.support import rows
from tests.support.clock import FakeClock
from tests.support.receiver import Service, alert
from tests.support.wait import eventually_async

T = TypeVar("T")


class CountingDatabase:
    def __init__(self, database: Database) -> None:
        self._database = database
        self.runs = 0
        self.away = False

    async def run(self, fn: Callable[[Tx], T]) -> T:
        self.runs += 1
        if self.away:
            raise Unavailable("away")
        return await self._database.run(fn)

    async def close(self) -> None:
        return None


@pytest.fixture
def counted(inline_database: Database) -> CountingDatabase:
    return CountingDatabase(inline_database)


async def make_token(database: Database, name: str, *accounts: str) -> str:
    secret, _ = await database.run(lambda tx: create_token(tx, SystemIds(), name, accounts))
    return secret


async def test_a_token_counts_as_soon_as_it_is_made(service: Service) -> None:
    await service.post(alert())
    service.tokens["new"] = await make_token(service.database, "new")
    assert (await service.post(alert(), token="new")).status_code == 200


async def test_an_account_counts_as_soon_as_it_is_made(service: Service) -> None:
    await service.post(alert())
    await service.database.run(lambda tx: rows.account(tx, "new"))
    assert (await service.post(alert(UserExchangeID="new"))).status_code == 200


async def test_a_revoked_token_is_refused_soon(service: Service) -> None:
    assert (await service.post(alert(), token="for-main")).status_code == 200
    await service.database.run(lambda tx: revoke_token(tx, "for-main"))

    async def refused() -> bool:
        return (await service.post(alert(), token="for-main")).status_code == 401

    await eventually_async(refused, within_s=10)


async def test_a_known_token_costs_no_read(counted: CountingDatabase, clock: FakeClock) -> None:
    secret = await make_token(counted, "t")
    directory = Directory(counted, clock)
    assert await directory.caller(secret)
    before = counted.runs
    for _ in range(100):
        assert await directory.caller(secret)
    assert counted.runs == before


async def test_many_guesses_at_once_share_one_read(
    counted: CountingDatabase, clock: FakeClock
) -> None:
    directory = Directory(counted, clock)
    guesses = [directory.caller(f"guess {n}") for n in range(200)]
    assert await asyncio.gather(*guesses) == [None] * 200
    assert counted.runs <= 2


async def test_one_guess_after_another_waits_for_its_turn(
    counted: CountingDatabase, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock.advance(seconds)

    monkeypatch.setattr("guardian_receiver.directory.asyncio.sleep", sleep)
    directory = Directory(counted, clock)
    for number in range(10):
        await directory.caller(f"guess {number}")
    assert sum(waits) == pytest.approx(9 * 0.2)


async def test_while_the_database_is_away_known_tokens_stay_known_and_others_are_not_refused(
    counted: CountingDatabase, clock: FakeClock
) -> None:
    secret = await make_token(counted, "t")
    directory = Directory(counted, clock)
    assert await directory.caller(secret)
    counted.away = True
    assert await directory.caller(secret)
    with pytest.raises(Unavailable):
        await directory.caller("perhaps made a moment ago")


async def test_what_a_caller_may_not_command_is_not_named_to_it(service: Service) -> None:
    answer = await service.post(alert(UserExchangeID="nobody"), token="for-main")
    assert "main" in answer.text
    assert "other" not in answer.text
