"""Objects that nobody of ours made: restores, seconds, and positions opened by hand."""

import json
from decimal import Decimal
from typing import Any

import pytest

from guardian_core.accounts import PaperSpec
from guardian_core.domain.money import MarketKind
from guardian_core.ports import Database
from tests.cluster.cluster_house import LEVELS, Body, ClusterHouse, open_cluster_house
from tests.support.kube import KubeServer


def manifest(name: str, **spec: Any) -> str:
    values = {
        "accountRef": "main",
        "symbol": "BTCUSDT",
        "side": "long",
        "stopLoss": "42000",
        "takeProfit": "45000",
    }
    return json.dumps(
        {
            "apiVersion": "guardian.trading/v1alpha1",
            "kind": "TradingPosition",
            "metadata": {"name": name},
            "spec": values | spec,
        }
    )


async def applied(cluster: ClusterHouse, name: str, **spec: Any) -> None:
    await cluster.kubectl("apply", "-f", "-", stdin=manifest(name, **spec))


async def test_a_restored_object_gets_the_databases_levels(cluster: ClusterHouse):
    body = await cluster.opened()
    name = body["metadata"]["name"]
    await cluster.house.did("MAJ", prix_sl="42500")
    await cluster.shows(stopLoss="42500")
    await cluster.house.stop("guardian")
    patch = json.dumps({"metadata": {"finalizers": None}})
    await cluster.kubectl("patch", "tpos", name, "--type=merge", "-p", patch)
    await cluster.kubectl("delete", "tpos", name)
    await applied(cluster, name, stopLoss="41000")
    cluster.house.start("guardian")
    await cluster.shows(stopLoss="42500", takeProfit="45000")
    await cluster.told("Restored")
    assert (await cluster.state()).levels.stop_loss == Decimal(42_500)
    await cluster.condition(name, "Synced", "True")


async def test_a_second_object_for_a_lane_is_in_conflict(cluster: ClusterHouse):
    first = (await cluster.opened())["metadata"]["name"]
    await applied(cluster, "mine", stopLoss="41000")
    synced = await cluster.condition("mine", "Synced", "False")
    assert (synced["reason"], first in synced["message"]) == ("Conflict", True)
    assert (await cluster.state()).levels.stop_loss == Decimal(42_000)
    await cluster.told("Conflict")
    await cluster.kubectl("delete", "tpos", "mine", "--timeout=20s")
    body = await cluster.only()
    assert body["metadata"]["name"] == first
    await cluster.condition(first, "Protected", "True")


async def by_hand(cluster: ClusterHouse) -> Decimal:
    """A long of 0.232 that nobody guards: opened here, and its books burnt."""
    await cluster.house.did("BuyMarket", **LEVELS)
    name = (await cluster.only())["metadata"]["name"]
    await cluster.patch(name, {"deletionPolicy": "Release"})
    await cluster.kubectl("delete", "tpos", name, "--timeout=20s")
    for order in (await cluster.house.legs()).values():
        await cluster.house.cancel_by_hand(order)
    return await cluster.house.position()


async def test_an_object_for_a_position_opened_by_hand_adopts_it(cluster: ClusterHouse):
    held = await by_hand(cluster)
    await applied(cluster, "mine", stopLoss="41000", takeProfit="46000")
    legs = await cluster.house.protected(within_s=20)
    assert {order.remaining for order in legs.values()} == {held}
    await cluster.condition("mine", "Protected", "True")
    await cluster.condition("mine", "Synced", "True")
    assert (await cluster.house.state()).source == "adopted"
    await cluster.told("Adopted")
    await cluster.house.did("MAJ", prix_sl="41500")
    await cluster.shows(stopLoss="41500", takeProfit="46000")
    for order in (await cluster.house.legs()).values():
        await cluster.house.cancel_by_hand(order)
    await cluster.house.protected()


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ({"side": "short", "stopLoss": "45000", "takeProfit": "42000"}, "is a long"),
        ({"symbol": "ETHUSDT"}, "no position of ETHUSDT"),
        ({"stopLoss": "44900"}, "wrong side"),
        ({"accountRef": "nobody"}, "does not exist"),
    ],
)
async def test_what_does_not_fit_the_venue_is_not_adopted(
    cluster: ClusterHouse, spec: Body, word: str
):
    await by_hand(cluster)
    await applied(cluster, "mine", **spec)
    synced = await cluster.condition("mine", "Synced", "False", within_s=25)
    assert synced["reason"] == "NotAdopted"
    assert word in synced["message"]
    assert (await cluster.house.state()).source == "webhook"
    await cluster.kubectl("delete", "tpos", "mine", "--timeout=20s")


async def test_on_spot_nothing_is_adopted(
    real_time_database: Database, kube_server: KubeServer, kube_namespace: str
):
    spot = PaperSpec(market=MarketKind.SPOT)
    opened = open_cluster_house(real_time_database, kube_server, kube_namespace, paper=spot)
    async with opened as cluster:
        await applied(cluster, "mine")
        synced = await cluster.condition("mine", "Synced", "False", within_s=25)
        assert "on spot" in synced["message"]
