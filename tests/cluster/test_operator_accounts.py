"""ExchangeAccounts: the rows they become, what they show, and what deleting one means."""

import json
from typing import Any

from guardian_core.domain.orders import Role
from guardian_core.storage.accounts_store import AccountRow, get_account
from tests.cluster.cluster_house import ClusterHouse, condition_of
from tests.support.wait import eventually_async


async def applied(cluster: ClusterHouse, name: str = "main", **spec: Any) -> None:
    values = {"accountId": name, "guardIntervalSeconds": 0.5} | spec
    manifest = {
        "apiVersion": "guardian.trading/v1alpha1",
        "kind": "ExchangeAccount",
        "metadata": {"name": name},
        "spec": values,
    }
    await cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))


async def row(cluster: ClusterHouse, name: str = "main") -> AccountRow | None:
    return await cluster.house.run(lambda tx: get_account(tx, name))


async def taken(cluster: ClusterHouse, name: str = "main", **wish: Any) -> AccountRow:
    async def is_there() -> AccountRow | None:
        found = await row(cluster, name)
        assert found is not None
        assert found.namespace == cluster.namespace
        for field, value in wish.items():
            assert getattr(found.spec, field) == value, found.spec
        return found

    return await eventually_async(is_there, within_s=15, what=f"the row of {name}")


async def shows(cluster: ClusterHouse, kind: str, status: str, name: str = "main") -> Any:
    async def holds() -> Any:
        body = await cluster.get(name, kind="xacc")
        found = condition_of(body or {}, kind)
        assert found.get("status") == status, (body or {}).get("status")
        return body

    return await eventually_async(holds, within_s=20, what=f"{kind}={status}")


async def test_an_object_becomes_the_accounts_row_and_shows_how_it_stands(cluster: ClusterHouse):
    await applied(cluster, leverage="3")
    found = await taken(cluster)
    body = await shows(cluster, "Ready", "True")
    assert found.uid == body["metadata"]["uid"]
    assert str(found.spec.leverage) == "3"
    await shows(cluster, "Reachable", "True")
    await cluster.opened()

    async def counted() -> bool:
        status = (await cluster.get("main", kind="xacc") or {})["status"]
        return (status["openPositions"], status["nakedPositions"]) == (1, 0)

    await eventually_async(counted, within_s=15, what="one position is counted")


async def test_an_account_that_answers_to_anothers_alerts_is_not_ready(cluster: ClusterHouse):
    await applied(cluster, "second", accountId="main")
    body = await shows(cluster, "Ready", "False", name="second")
    ready = condition_of(body, "Ready")
    assert (ready["reason"], "already names another" in ready["message"]) == ("Invalid", True)
    assert await row(cluster, "second") is None
    await cluster.kubectl("delete", "xacc", "second", "--timeout=10s")
    await applied(cluster, "second")
    await taken(cluster, "second")
    await shows(cluster, "Ready", "True", name="second")


async def test_a_paused_account_enters_nothing_and_guards_on(cluster: ClusterHouse):
    await applied(cluster)
    await taken(cluster)
    await cluster.opened()
    await applied(cluster, paused=True)
    await taken(cluster, paused=True)
    stop = (await cluster.house.protected())[Role.STOP_LOSS]
    await cluster.house.cancel_by_hand(stop)
    await cluster.house.protected(within_s=10)
    await cluster.house.did("Close")
    again = await cluster.house.did("BuyMarket")
    assert (again.status, "paused" in again.message) == ("processed", True)
    assert await cluster.house.position() == 0


async def test_deleting_an_account_keeps_its_positions_guarded(cluster: ClusterHouse):
    await applied(cluster)
    await taken(cluster)
    await cluster.opened()
    await cluster.kubectl("delete", "xacc", "main", "--timeout=10s")
    found = await taken(cluster, paused=True)
    assert found.uid is None
    stop = (await cluster.house.protected())[Role.STOP_LOSS]
    await cluster.house.cancel_by_hand(stop)
    await cluster.house.protected(within_s=10)
    await cluster.house.did("MAJ", prix_sl="42500")
    await cluster.shows(stopLoss="42500")
    await applied(cluster)
    assert (await taken(cluster, paused=False)).uid is not None
