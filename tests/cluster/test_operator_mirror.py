"""A position is a TradingPosition: shown, moved by alerts, and moved by editing it."""

from decimal import Decimal

import pytest

from guardian_core.domain.orders import Role
from tests.cluster.cluster_house import ClusterHouse
from tests.support.wait import eventually_async

pytestmark = pytest.mark.parametrize("real_time_database", ["sqlite", "postgres"], indirect=True)


async def test_an_alert_makes_a_tradingposition_with_all_its_columns(cluster: ClusterHouse):
    body = await cluster.opened()
    name = body["metadata"]["name"]
    assert name.startswith("main-btcusdt-")
    spec = body["spec"]
    assert (spec["accountRef"], spec["symbol"], spec["side"]) == ("main", "BTCUSDT", "long")
    assert (spec["stopLoss"], spec["takeProfit"]) == ("42000", "45000")
    status = body["status"]
    position = await cluster.house.position()
    assert Decimal(status["quantity"]) == position
    assert (status["coverage"], status["repairs"], status["revision"]) == ("Protected", 0, 1)
    legs = await cluster.house.legs()
    assert status["stopLossOrder"] == legs[Role.STOP_LOSS].ref.venue_order_id
    assert status["takeProfitOrder"] == legs[Role.TAKE_PROFIT].ref.venue_order_id
    await cluster.kubectl("wait", "--for=condition=Protected", f"tpos/{name}", "--timeout=5s")
    await cluster.kubectl("wait", "--for=condition=Ready", f"tpos/{name}", "--timeout=5s")
    table = await cluster.kubectl("get", "tpos")
    for shown in ("main", "BTCUSDT", "long", "42000", "45000", "Protected"):
        assert shown in table
    await cluster.told("Opened")


async def test_an_alert_moves_the_objects_levels(cluster: ClusterHouse):
    await cluster.opened()
    await cluster.house.did("MAJ", prix_sl="42500")
    await cluster.shows(stopLoss="42500", takeProfit="45000")
    await cluster.told("LevelsChanged")


async def test_editing_the_object_moves_the_real_order(cluster: ClusterHouse):
    body = await cluster.opened()
    await cluster.patch(body["metadata"]["name"], {"stopLoss": "42400"})

    async def moved() -> bool:
        legs = await cluster.house.legs()
        return legs[Role.STOP_LOSS].trigger_price == Decimal(42_400)

    await eventually_async(moved, within_s=10, what="the stop moves")
    await cluster.shows(stopLoss="42400", takeProfit="45000")
    told = await cluster.told("EditMerged")
    assert "kubectl-patch" in told["message"]
    assert any("kubectl-patch" in text for text in await cluster.journal("edit_merged"))
    assert "LevelsChanged" not in await cluster.reasons()
