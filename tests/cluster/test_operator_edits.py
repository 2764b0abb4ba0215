"""Edits: which win, which are refused, and that nobody loses silently."""

import asyncio
from decimal import Decimal

from guardian_core.domain.orders import Role
from tests.cluster.cluster_house import ClusterHouse
from tests.support.wait import eventually_async


async def stop_level(cluster: ClusterHouse) -> Decimal | None:
    return (await cluster.house.legs())[Role.STOP_LOSS].trigger_price


async def test_an_edit_and_an_alert_that_meet_end_equal_and_the_edit_wins(
    cluster: ClusterHouse,
):
    name = (await cluster.opened())["metadata"]["name"]
    await cluster.house.stop("guardian")
    await cluster.patch(name, {"stopLoss": "41500"})
    await cluster.house.did("MAJ", prix_sl="42500", prix_tp="46000")
    cluster.house.start("guardian")
    await cluster.shows(stopLoss="41500", takeProfit="46000")
    await cluster.house.protected()
    assert await stop_level(cluster) == Decimal(41_500)
    told = await cluster.told("EditMerged")
    assert "an alert had moved stopLoss too" in told["message"]
    (journalled,) = await cluster.journal("edit_merged")
    assert "kubectl-patch: stopLoss 42500 -> 41500" in journalled


async def test_edits_and_alerts_at_the_same_moment_end_equal(cluster: ClusterHouse):
    name = (await cluster.opened())["metadata"]["name"]
    for n in range(5):
        await asyncio.gather(
            cluster.patch(name, {"stopLoss": str(41_000 + n)}),
            cluster.house.did("MAJ", prix_sl=str(42_000 + n), prix_tp=str(45_000 + n)),
        )

    async def agree() -> bool:
        state, body = await cluster.state(), await cluster.only()
        spec = body["spec"]
        assert Decimal(spec["stopLoss"]) == state.levels.stop_loss
        assert Decimal(spec["takeProfit"]) == state.levels.take_profit == Decimal(45_004)
        assert state.levels.stop_loss in (Decimal(41_004), Decimal(42_004))
        assert await stop_level(cluster) == state.levels.stop_loss
        return True

    await eventually_async(agree, within_s=20, what="object, database and venue say the same")


async def test_a_level_on_the_wrong_side_is_refused_and_said_so(cluster: ClusterHouse):
    name = (await cluster.opened())["metadata"]["name"]
    await cluster.patch(name, {"stopLoss": "44900"})
    synced = await cluster.condition(name, "Synced", "False")
    assert synced["reason"] == "EditRefused"
    assert "wrong side" in synced["message"]
    await cluster.condition(name, "Ready", "False")
    await cluster.condition(name, "Protected", "True")
    assert (await cluster.state()).levels.stop_loss == Decimal(42_000)
    assert await stop_level(cluster) == Decimal(42_000)
    await cluster.told("EditRefused")
    await cluster.patch(name, {"stopLoss": "42100"})
    await cluster.shows(stopLoss="42100")
    await cluster.condition(name, "Synced", "True")
    assert (await cluster.reasons()).count("EditRefused") == 1


async def test_while_the_entry_waits_its_own_price_is_what_levels_are_checked_against(
    cluster: ClusterHouse,
) -> None:
    await cluster.house.did("BuyLimit", prix=Decimal(42_500), prix_sl="42000", prix_tp="45000")
    name = (await cluster.only())["metadata"]["name"]
    await cluster.patch(name, {"stopLoss": "42600"})
    synced = await cluster.condition(name, "Synced", "False")
    assert (synced["reason"], "42500" in synced["message"]) == ("EditRefused", True)
    assert (await cluster.state()).levels.stop_loss == Decimal(42_000)


async def test_a_refused_edit_stays_refused_for_a_new_leader(cluster: ClusterHouse):
    name = (await cluster.opened())["metadata"]["name"]
    await cluster.patch(name, {"stopLoss": "44900"})
    await cluster.condition(name, "Synced", "False")
    await cluster.house.stop("guardian")
    # The level would be right by now; whoever wrote it has long turned away.
    await cluster.house.price(44_950)
    cluster.house.start("guardian")
    await cluster.told("EditRefused")
    before = (await cluster.only())["status"]["revision"]
    await cluster.house.did("MAJ", prix_tp="47000")
    await eventually_async(
        lambda: revision_after(cluster, before), within_s=15, what="the status goes on"
    )
    assert (await cluster.state()).levels.stop_loss == Decimal(42_000)
    assert (await cluster.reasons()).count("EditRefused") == 1


async def revision_after(cluster: ClusterHouse, before: int) -> bool:
    return bool((await cluster.only())["status"]["revision"] > before)


async def test_a_level_is_removed_only_where_the_account_allows_it(cluster: ClusterHouse):
    name = (await cluster.opened())["metadata"]["name"]
    await cluster.patch(name, {"takeProfit": None})
    synced = await cluster.condition(name, "Synced", "False")
    assert "does not allow" in synced["message"]
    assert len(await cluster.house.protected()) == 2


async def test_alerts_leave_pinned_levels_alone(cluster: ClusterHouse):
    name = (await cluster.opened())["metadata"]["name"]
    await cluster.patch(name, {"levels": "Pinned", "stopLoss": "41800"})
    await cluster.shows(stopLoss="41800")
    await cluster.told("Pinned")
    webhook = await cluster.house.did("MAJ", prix_sl="42500")
    assert (webhook.status, "pinned" in webhook.message) == ("processed", True)
    assert (await cluster.state()).levels.stop_loss == Decimal(41_800)
    await cluster.patch(name, {"levels": "FollowAlerts"})
    await cluster.told("Unpinned")
    await cluster.house.did("MAJ", prix_sl="42500")
    await cluster.shows(stopLoss="42500")
