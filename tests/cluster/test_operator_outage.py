"""The API server away costs nothing but sight: trades and repairs go on, the mirror catches up."""

from collections.abc import AsyncIterator, Iterator

import pytest

from guardian_core.domain.orders import Role
from guardian_core.ports import Database
from tests.cluster.cluster_house import LEVELS, ClusterHouse, open_cluster_house
from tests.support.kube import KubeServer, running_kube


@pytest.fixture(scope="module")
def mortal_server() -> Iterator[KubeServer]:
    """One of this module's own, to be stopped. Its start holds up the loop for seconds, so leases
    are lost then as well."""
    with running_kube() as server:
        server.install_crds()
        yield server


@pytest.fixture
async def mortal(
    real_time_database: Database, mortal_server: KubeServer
) -> AsyncIterator[ClusterHouse]:
    """Nobody is at work yet."""
    namespace = mortal_server.fresh_namespace()
    async with open_cluster_house(
        real_time_database, mortal_server, namespace, start=False
    ) as cluster:
        yield cluster
        mortal_server.start()


async def test_while_it_is_away_trades_and_repairs_go_on(mortal: ClusterHouse):
    mortal.house.start("engine")
    mortal.house.start("guardian")
    name = (await mortal.opened())["metadata"]["name"]
    mortal.server.stop()
    moved = await mortal.house.did("MAJ", prix_sl="42500")
    assert moved.status == "processed"
    stop = (await mortal.house.protected())[Role.STOP_LOSS]
    await mortal.house.cancel_by_hand(stop)
    legs = await mortal.house.protected(within_s=10)
    assert legs[Role.STOP_LOSS].ref.venue_order_id != stop.ref.venue_order_id
    mortal.server.start()
    body = await mortal.shows(within_s=30, stopLoss="42500")
    assert body["metadata"]["name"] == name
    await mortal.condition(name, "Protected", "True", within_s=30)
    await mortal.told("Repaired", within_s=30)
    trades = await mortal.house.trades()
    assert len({trade.client_order_id for trade in trades}) == len(trades)


async def test_an_operator_that_starts_without_it_guards_and_catches_up(mortal: ClusterHouse):
    mortal.server.stop()
    mortal.house.start("engine")
    mortal.house.start("guardian")
    entered = await mortal.house.did("BuyMarket", **LEVELS)
    assert entered.status == "processed"
    stop = (await mortal.house.protected())[Role.STOP_LOSS]
    await mortal.house.cancel_by_hand(stop)
    await mortal.house.protected(within_s=10)
    mortal.server.start()
    body = await mortal.only(within_s=30)
    name = body["metadata"]["name"]
    await mortal.condition(name, "Protected", "True", within_s=30)
    assert (await mortal.only())["status"]["repairs"] == 1
    await mortal.patch(name, {"stopLoss": "42400"})
    await mortal.shows(within_s=30, stopLoss="42400")


async def test_what_was_deleted_while_it_could_not_be_seen_is_made_again(mortal: ClusterHouse):
    mortal.house.start("engine")
    mortal.house.start("guardian")
    name = (await mortal.opened())["metadata"]["name"]
    await mortal.house.stop("guardian")
    await mortal.kubectl(
        "patch", "tpos", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}'
    )
    await mortal.kubectl("delete", "tpos", "--all", "--timeout=10s")
    mortal.server.stop()
    mortal.house.start("guardian")
    await mortal.house.protected()
    mortal.server.start()
    assert (await mortal.only(within_s=30))["metadata"]["name"] == name
    await mortal.condition(name, "Protected", "True", within_s=30)
