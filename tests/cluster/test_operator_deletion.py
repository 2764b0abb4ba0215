"""Deleting an object never silently means "stop protecting"."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import update

from guardian_core.domain.errors import Conflict
from guardian_core.domain.snapshot import AccountSnapshot
from guardian_core.ports import Tx
from guardian_core.protocol import DecisionRequest, DecisionResult
from guardian_core.storage.mirrors import shown_states
from guardian_core.storage.schema import WebhookState
from guardian_operator.errand import ApiServer
from guardian_operator.uninstall import Namespace
from tests.cluster.cluster_house import Body, ClusterHouse, configuration_of
from tests.support.wait import eventually_async


async def deleted(cluster: ClusterHouse, name: str) -> None:
    await cluster.kubectl("delete", "tpos", name, "--wait=false")


async def gone(cluster: ClusterHouse, within_s: float = 20.0) -> None:
    async def none() -> bool:
        return await cluster.all_of() == []

    await eventually_async(none, within_s=within_s, what="no TradingPosition is left")


async def test_under_keep_it_is_made_again_and_its_orders_stay(cluster: ClusterHouse):
    body = await cluster.opened()
    name, uid = body["metadata"]["name"], body["metadata"]["uid"]
    orders = {o.ref.venue_order_id for o in (await cluster.house.protected()).values()}
    await deleted(cluster, name)

    async def again() -> Body | None:
        found = await cluster.get(name)
        return found if found is not None and found["metadata"]["uid"] != uid else None

    made = await eventually_async(again, within_s=20, what="made again")
    assert made["spec"]["stopLoss"] == "42000"
    await cluster.condition(name, "Protected", "True")
    kept = {o.ref.venue_order_id for o in (await cluster.house.protected()).values()}
    assert kept == orders
    await cluster.told("Kept")
    await cluster.house.did("MAJ", prix_sl="42500")
    await cluster.shows(stopLoss="42500")


async def test_under_keep_an_edit_that_goes_with_its_object_is_told(cluster: ClusterHouse):
    name = (await cluster.opened())["metadata"]["name"]
    await cluster.house.stop("guardian")
    await cluster.patch(name, {"stopLoss": "42500"})
    await deleted(cluster, name)
    cluster.house.start("guardian")
    kept = await cluster.told("Kept", within_s=20)
    assert "stopLoss 42000 -> 42500" in kept["message"]
    assert (await cluster.state()).levels.stop_loss == Decimal(42_000)


async def test_under_release_its_orders_stay_and_nobody_guards_it(cluster: ClusterHouse):
    name = (await cluster.opened())["metadata"]["name"]
    orders = await cluster.house.protected()
    await cluster.patch(name, {"deletionPolicy": "Release"})
    await deleted(cluster, name)
    await gone(cluster)
    assert (await cluster.house.state()).status == "released"
    assert len(await cluster.house.protected()) == len(orders)
    assert await cluster.journal("released")


async def test_under_close_it_is_sold_before_the_object_goes(cluster: ClusterHouse):
    name = (await cluster.opened())["metadata"]["name"]
    await cluster.patch(name, {"deletionPolicy": "Close"})
    await deleted(cluster, name)
    await gone(cluster)
    assert await cluster.house.position() == 0
    state = await cluster.house.state()
    assert (state.status, state.target_reason) == ("closed", "Deleted")


async def test_under_close_a_waiting_entry_is_cancelled(cluster: ClusterHouse):
    await cluster.house.did("BuyLimit", prix=Decimal(42_500), prix_sl="42000", prix_tp="45000")
    name = (await cluster.only())["metadata"]["name"]
    await cluster.patch(name, {"deletionPolicy": "Close"})
    await deleted(cluster, name)
    await gone(cluster)
    assert (await cluster.house.snapshot()).orders == ()
    assert (await cluster.house.state()).status == "closed"


async def test_under_close_the_venue_is_not_asked_on_and_on_for_an_entry_that_waits(
    cluster: ClusterHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = cluster.house
    submit, snapshot = house.client.submit, house.client.snapshot
    looks: list[str] = []

    async def no_entries(account: str, symbol: str, request: DecisionRequest) -> DecisionResult:
        if any(action.kind == "enter" for action in request.actions):
            raise Conflict("working", "an entry works already")
        return await submit(account, symbol, request)

    async def counted(account: str, symbol: str | None = None) -> AccountSnapshot:
        if symbol is not None:
            looks.append(symbol)
        return await snapshot(account, symbol)

    monkeypatch.setattr(house.client, "submit", no_entries)
    await house.alert("BuyMarket", prix_sl="42000", prix_tp="45000")
    name = (await cluster.only())["metadata"]["name"]
    await house.stop("engine")
    await cluster.patch(name, {"deletionPolicy": "Close"})
    monkeypatch.setattr(house.client, "snapshot", counted)
    await deleted(cluster, name)
    before = cluster.passes()

    async def time_has_passed() -> bool:
        return cluster.passes() >= before + 8

    await eventually_async(time_has_passed, within_s=30, what="passes")
    assert (await house.state()).target_reason == "Deleted"
    assert 1 <= len(looks) <= 8


async def test_a_deletion_while_no_operator_runs_is_carried_out_later(cluster: ClusterHouse):
    name = (await cluster.opened())["metadata"]["name"]
    await cluster.patch(name, {"deletionPolicy": "Close"})
    await cluster.house.stop("guardian")
    await deleted(cluster, name)
    assert await cluster.get(name) is not None
    assert await cluster.house.position() > 0
    cluster.house.start("guardian")
    await gone(cluster)
    assert await cluster.house.position() == 0


async def test_a_closed_position_is_shown_for_a_day(cluster: ClusterHouse):
    name = (await cluster.opened())["metadata"]["name"]
    await cluster.house.did("Close")
    told = await cluster.told("Closed")
    assert "realized" in told["message"]
    ready = await cluster.condition(name, "Ready", "True")
    assert ready["reason"] == "Closed"
    body = await cluster.only()
    assert (body["status"]["quantity"], body["status"]["coverage"]) == ("0", "Flat")

    def age(tx: Tx) -> None:
        tx.execute(update(WebhookState).values(closed_at=datetime.now(UTC) - timedelta(hours=25)))

    await cluster.house.run(age)
    await gone(cluster, within_s=30)

    async def forgotten() -> bool:
        return await cluster.house.run(shown_states) == []

    await eventually_async(forgotten, within_s=15, what="the mirror's row goes too")


async def test_an_entry_that_was_refused_leaves_no_object(cluster: ClusterHouse):
    await cluster.house.did("BuyLimit", prix=Decimal(42_500), prix_sl="42000", prix_tp="45000")
    await cluster.only()
    await cluster.house.did("Close")
    await gone(cluster)


async def test_what_uninstalls_us_leaves_no_finalizer_that_nobody_takes_off(
    cluster: ClusterHouse,
):
    name = (await cluster.opened())["metadata"]["name"]

    async def both() -> bool:
        return len((await cluster.only())["metadata"]["finalizers"]) == 2

    await eventually_async(both, within_s=15, what="kopf adds its own")
    await cluster.house.stop("guardian")
    errand = Namespace(cluster.namespace, ApiServer(configuration_of(cluster.server)))
    for position in await asyncio.to_thread(errand.finalized):
        await asyncio.to_thread(errand.strip, position)
    await cluster.kubectl("delete", "tpos", name, "--timeout=10s")
    assert len(await cluster.house.protected()) == 2
