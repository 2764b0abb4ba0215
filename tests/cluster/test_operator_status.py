"""Statuses that cannot be written stop nothing; and at rest nothing is written at all."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import event

from guardian_core.domain.orders import Role
from guardian_core.ports import Database
from tests.cluster.cluster_house import ClusterHouse, open_cluster_house
from tests.cluster.faulty_api import Door, door_before, until_refused
from tests.support.kube import KubeServer
from tests.support.wait import eventually_async

LONG_OUTAGE_S = 65.0


@pytest.fixture
def door(kube_server: KubeServer) -> Iterator[Door]:
    with door_before(kube_server) as opened:
        yield opened


@pytest.fixture
async def cluster(
    real_time_database: Database, kube_server: KubeServer, kube_namespace: str, door: Door
) -> AsyncIterator[ClusterHouse]:
    """All of whose services go through the door."""
    async with open_cluster_house(
        real_time_database,
        kube_server,
        kube_namespace,
        configuration=door.configuration(kube_server),
    ) as opened:
        yield opened


def refuses_statuses(status: int):
    return lambda method, path: status if method == "PATCH" and "/status" in path else None


@pytest.mark.parametrize("status", [422, 409, 500, 429, 403])
async def test_a_status_that_is_refused_is_written_later_and_guarding_goes_on(
    cluster: ClusterHouse, door: Door, status: int
):
    door.refuse = refuses_statuses(status)
    await cluster.house.did("BuyMarket", prix_sl="42000", prix_tp="45000")
    name = (await cluster.only())["metadata"]["name"]
    await until_refused(door, 3)
    stop = (await cluster.house.protected())[Role.STOP_LOSS]
    await cluster.house.cancel_by_hand(stop)
    await cluster.house.protected(within_s=10)
    assert "status" not in (await cluster.only())
    door.refuse = lambda _method, _path: None
    await cluster.condition(name, "Protected", "True")
    assert (await cluster.only())["status"]["repairs"] == 1


async def test_every_write_refused_for_a_while_stops_nothing(cluster: ClusterHouse, door: Door):
    name = (await cluster.opened())["metadata"]["name"]
    door.refuse = lambda method, _path: 500 if method != "GET" else None
    await cluster.house.did("MAJ", prix_sl="42500")
    await until_refused(door, 5)
    stop = (await cluster.house.protected())[Role.STOP_LOSS]
    await cluster.house.cancel_by_hand(stop)
    await cluster.house.protected(within_s=10)
    await cluster.patch(name, {"takeProfit": "46000"})
    door.refuse = lambda _method, _path: None
    await cluster.shows(stopLoss="42500", takeProfit="46000")


async def test_server_errors_for_65_s_stop_neither_guarding_nor_later_statuses(
    cluster: ClusterHouse, door: Door
):
    """So long an outage ends a kopf timer that writes by itself, for good."""
    began_s = time.monotonic()
    name = (await cluster.opened())["metadata"]["name"]
    await cluster.condition(name, "Protected", "True")
    door.refuse = refuses_statuses(500)
    repairs = 0
    while time.monotonic() - began_s < LONG_OUTAGE_S:
        stop = (await cluster.house.protected())[Role.STOP_LOSS]
        await cluster.house.cancel_by_hand(stop)
        await cluster.house.protected(within_s=10)
        repairs += 1
        await until_refused(door, repairs)
        await asyncio.sleep(5)  # The outage has to last: there is nothing to wait for.
    door.refuse = lambda _method, _path: None

    async def told() -> bool:
        return bool((await cluster.only())["status"]["repairs"] == repairs)

    await eventually_async(told, within_s=30, what=f"{repairs} repairs in the status")


async def test_at_rest_nothing_is_written(
    cluster: ClusterHouse, door: Door, real_time_database: Database
):
    await cluster.opened()
    await cluster.told("Opened")
    stood = await at_rest(cluster, door)
    writes: list[str] = []
    engine = real_time_database._engine  # type: ignore[attr-defined]

    def noted(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.lstrip().upper().startswith(("SELECT", "SAVEPOINT", "RELEASE", "BEGIN")):
            writes.append(statement)

    event.listen(engine, "before_cursor_execute", noted)
    before = cluster.passes()
    await eventually_async(
        lambda: cluster.passes() >= before + 30, within_s=40, what="thirty passes"
    )
    event.remove(engine, "before_cursor_execute", noted)
    # Leases are renewed each second, by whoever holds one.
    assert [each for each in writes if " lease " not in each] == []
    assert len(door.writes) == stood


async def at_rest(cluster: ClusterHouse, door: Door) -> int:
    """How many writes there were once no more came for some passes."""
    seen: list[tuple[int, int]] = []

    async def quiet() -> int | None:
        seen.append((len(door.writes), cluster.passes()))
        since = min(at for count, at in seen if count == seen[-1][0])
        return seen[-1][0] if cluster.passes() >= since + 10 else None

    return await eventually_async(quiet, within_s=40, what="no more writes")
