"""Rate tokens: nobody gets more than there are, and writes get theirs first."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from guardian_core.domain.errors import NotSent
from guardian_core.metrics import GatewayMetrics
from guardian_gateway.budget import WRITE_RESERVE, Bucket, Budget, Budgets, Rate
from guardian_gateway.venue_calls import TOKENS_WITHIN_S, VenueCalls
from guardian_gateway.venues.catalogue import EXCHANGES
from tests.gateway.world import ACCOUNT, World, on_virtual_time

RATE = Rate(per_second=10, capacity=10)


def now_s() -> float:
    return asyncio.get_running_loop().time()


@on_virtual_time
async def test_tokens_come_back_evenly() -> None:
    budget = Budget(Bucket(RATE))
    since_s = now_s()
    for _ in range(30):
        await budget.spend(writing=True)
    assert now_s() - since_s == pytest.approx(2.0, abs=0.1)


@on_virtual_time
async def test_reads_leave_the_reserve_to_writes() -> None:
    budget = Budget(Bucket(RATE))
    for _ in range(round(10 * (1 - WRITE_RESERVE))):
        await budget.spend(writing=False)
    reading = asyncio.create_task(budget.spend(writing=False))
    since_s = now_s()
    for _ in range(3):
        await budget.spend(writing=True)
    assert now_s() == since_s
    assert not reading.done()
    await reading
    assert now_s() - since_s >= 0.3


@on_virtual_time
async def test_accounts_of_one_venue_share_its_tokens() -> None:
    budgets = Budgets()
    first, second = budgets.of_account("binance", RATE), budgets.of_account("binance", RATE)
    other = budgets.of_account("bybit", RATE)
    await first.spend(10, writing=True)
    since_s = now_s()
    await other.spend(10, writing=True)
    assert now_s() == since_s
    await second.spend(1, writing=True)
    assert now_s() > since_s


@on_virtual_time
async def test_more_than_a_bucket_holds_takes_all_it_holds() -> None:
    budget = Budget(Bucket(RATE))
    since_s = now_s()
    await budget.spend(50, writing=True)
    await budget.spend(1, writing=True)
    assert now_s() - since_s == pytest.approx(4.1, abs=0.1)


@on_virtual_time
async def test_a_write_without_tokens_in_time_is_not_sent() -> None:
    bucket = Bucket(Rate(per_second=0.1, capacity=1))
    calls = VenueCalls("main", Budget(bucket), GatewayMetrics(CollectorRegistry()))
    await calls.reserve()
    since_s = now_s()
    with pytest.raises(NotSent, match="token"):
        await calls.reserve()
    assert now_s() - since_s == pytest.approx(TOKENS_WITHIN_S, abs=0.1)


@on_virtual_time
async def test_an_account_that_moves_to_another_venue_asks_by_its_rate() -> None:
    world = await World.virtual()

    async def took_s() -> float:
        since_s = now_s()
        for _ in range(100):
            await world.gateway.balances(ACCOUNT)
        return now_s() - since_s

    assert await took_s() < 1
    await world.respec(venue="binanceusdm", environment="Demo")
    rate = EXCHANGES["binanceusdm"].rate
    assert await took_s() > (100 - rate.capacity) / rate.per_second
    await world.respec(venue="paper", environment="Paper")
    assert await took_s() < 1
