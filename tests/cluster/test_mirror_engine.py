"""The engine and its mirror, with no cluster near: what it tells of, and what pins its hands."""

from decimal import Decimal
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from guardian_core.clock import SystemClock
from guardian_core.ids import SystemIds
from guardian_core.ports import Database, Tx
from guardian_core.storage import mirrors
from guardian_core.storage.inline import InlineDatabase
from guardian_core.storage.mirrors import Agreed, LevelPair, MirrorRow
from guardian_engine.build import build_engine
from tests.cluster.cluster_house import LEVELS
from tests.e2e.house import INSTALLATION, House, open_house

OLD = LevelPair(Decimal(42_000), Decimal(45_000))


class Listening:
    """A mirror that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[UUID] = []

    async def desire_changed(self, state_id: UUID) -> None:
        self.told.append(state_id)


def listened_to(house: House) -> Listening:
    mirror = Listening()
    house.starters["engine"] = build_engine(
        database=house.database,
        gateway=house.client,
        bus=house.bus,
        mirror=mirror,
        clock=SystemClock(),
        ids=SystemIds(),
        installation=INSTALLATION,
        registry=CollectorRegistry(),
    ).run
    house.start("engine")
    return mirror


async def mirrored(house: House, *, pinned: bool) -> None:
    state = await house.state()
    row = MirrorRow("trading", "one", "uid", Agreed(OLD, state.revision), pinned=pinned)
    assert await house.run(lambda tx: mirrors.agree(tx, state.id, row))


def real_time() -> Database:
    return InlineDatabase(clock=SystemClock())


async def test_the_mirror_hears_of_an_entry_and_of_every_change_of_levels() -> None:
    async with open_house(real_time(), start=False) as house:
        mirror = listened_to(house)
        await house.did("BuyMarket", **LEVELS)
        entered = list(mirror.told)
        await house.did("MAJ", prix_sl="42500")
        state = await house.state()
    assert entered == [state.id]
    assert mirror.told == [state.id, state.id]


async def test_an_alert_leaves_pinned_levels_alone() -> None:
    async with open_house(real_time()) as house:
        await house.did("BuyMarket", **LEVELS)
        await mirrored(house, pinned=True)
        webhook = await house.did("MAJ", prix_sl="42500")
        state = await house.state()
    assert (webhook.status, "pinned" in webhook.message) == ("processed", True)
    assert LevelPair(state.current_sl, state.current_tp) == OLD


async def test_levels_pinned_while_an_alert_is_checked_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def then_pinned(tx: Tx, state_id: UUID) -> bool:
        found = mirrors.is_pinned(tx, state_id)
        mirrors.pin(tx, state_id, pinned=True)
        return found

    monkeypatch.setattr("guardian_engine.update_sl_tp.is_pinned", then_pinned)
    async with open_house(real_time()) as house:
        await house.did("BuyMarket", **LEVELS)
        await mirrored(house, pinned=False)
        webhook = await house.did("MAJ", prix_sl="42500")
        state = await house.state()
    assert (webhook.status, "pinned" in webhook.message) == ("processed", True)
    assert (LevelPair(state.current_sl, state.current_tp), state.revision) == (OLD, 1)


async def test_an_entry_that_adds_leaves_pinned_levels_alone() -> None:
    async with open_house(real_time(), policy={"repeat_entry": "Add"}) as house:
        await house.did("BuyMarket", **LEVELS, pour_cent=Decimal(20))
        before = await house.position()
        await mirrored(house, pinned=True)
        webhook = await house.did("BuyMarket", prix_sl="42500", pour_cent=Decimal(20))
        state = await house.state()
        assert (webhook.status, await house.position() > before) == ("processed", True)
    assert LevelPair(state.current_sl, state.current_tp) == OLD
