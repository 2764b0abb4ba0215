"""Two guardians that both believe they lead, beside an engine: what the gateway's fence is for."""

from decimal import Decimal

import pytest
from sqlalchemy import select

from guardian_core.domain.orders import Role
from guardian_core.ports import Database, Tx
from guardian_core.protocol import FaultKind
from guardian_core.storage.schema import Lease
from guardian_operator import build
from tests.e2e.house import House, open_house
from tests.support.wait import eventually_async

LEVELS = [(Decimal(42_000), Decimal(45_000)), (Decimal(41_000), Decimal(46_000))]
ROUNDS = 6


async def both_lead(house: House) -> bool:
    def held(tx: Tx) -> set[str]:
        return set(tx.scalars(select(Lease.name).where(Lease.until > tx.now())))

    return {"guardian", "guardian-too"} <= await house.run(held)


async def stands_at(house: House, stop_loss: Decimal, take_profit: Decimal) -> None:
    async def both() -> bool:
        legs = await house.protected(within_s=10)
        levels = {role: order.trigger_price for role, order in legs.items()}
        return levels == {Role.STOP_LOSS: stop_loss, Role.TAKE_PROFIT: take_profit}

    await eventually_async(both, within_s=15, what=f"one order each at {stop_loss}, {take_profit}")


async def test_two_leaders_never_leave_two_orders_for_a_leg_nor_an_older_level(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(database, start=False) as house:
        house.start("engine")
        house.start("guardian")
        # A lease of its own makes the second one lead as well.
        monkeypatch.setattr(build, "LEASE", "guardian-too")
        house.starters["guardian too"] = house.starters["guardian"]
        house.start("guardian too")
        await eventually_async(lambda: both_lead(house), within_s=10, what="two leaders")
        stop_loss, take_profit = LEVELS[0]
        opened = await house.did(
            "BuyMarket", pour_cent=Decimal(50), prix_sl=str(stop_loss), prix_tp=str(take_profit)
        )
        assert opened.status == "processed", opened.message
        for number in range(1, ROUNDS + 1):
            stop_loss, take_profit = LEVELS[number % 2]
            await house.fault(FaultKind.FORGET_STOP)
            moved = await house.did("MAJ", prix_sl=str(stop_loss), prix_tp=str(take_profit))
            assert moved.status in ("processed", "error")
            await stands_at(house, stop_loss, take_profit)
        entries = [t for t in await house.trades() if t.role == Role.ENTRY.value]
        assert len(entries) == 1
