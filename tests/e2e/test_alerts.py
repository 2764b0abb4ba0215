"""Every action of an alert, end to end on the paper venue: SQLite and PostgreSQL."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from guardian_core.accounts import PaperSpec
from guardian_core.domain.errors import Unavailable
from guardian_core.domain.money import MarketKind
from guardian_core.domain.orders import OrderSide, OrderType, Role
from guardian_core.ports import Database
from guardian_core.protocol import PaperCommand, PaperReport
from tests.e2e.house import House, open_house
from tests.support.wait import eventually_async

LEVELS = {"prix_sl": "42000", "prix_tp": "45000"}
SHORT_LEVELS = {"prix_sl": "45000", "prix_tp": "42000"}
HALF = Decimal(50)
SL, TP = Role.STOP_LOSS, Role.TAKE_PROFIT
SPOT = PaperSpec(market=MarketKind.SPOT)


async def opened(house: House, action: str = "BuyMarket", **columns: Any) -> Decimal:
    """Opens a protected position with half of the balance; returns its signed quantity."""
    levels = LEVELS if action.startswith("Buy") else SHORT_LEVELS
    webhook = await house.did(action, **{"pour_cent": HALF, **levels, **columns})
    assert webhook.status == "processed", webhook.message
    await house.protected(within_s=3)
    return await house.position()


async def flat(house: House) -> None:
    """Until the venue holds nothing of ours and the state is closed."""

    async def nothing() -> bool:
        snapshot = await house.snapshot()
        state = await house.state()
        return not snapshot.positions and not snapshot.orders and state.status == "closed"

    await eventually_async(nothing, within_s=10, what="flat and closed")


class TestEntries:
    async def test_a_buy_opens_a_long_with_both_legs(self, database: Database) -> None:
        async with open_house(database) as house:
            assert await opened(house) > 0
            legs = await house.legs()
            state = await house.state()
            assert legs[SL].trigger_price == 42000
            assert legs[TP].trigger_price == 45000
            assert legs[SL].side is OrderSide.SELL
            assert state.status == "open"
            assert state.sl_order_id == legs[SL].ref.venue_order_id
            assert state.tp_order_id == legs[TP].ref.venue_order_id
            assert state.repairs == 0

    async def test_an_entry_waits_for_the_bar_that_the_gateway_did_not_take(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with open_house(database) as house:
            feed, failures = house.client.paper, iter([Unavailable("no answer")] * 2)

            async def feed_late(account: str, command: PaperCommand) -> PaperReport:
                for failure in failures:
                    raise failure
                return await feed(account, command)

            monkeypatch.setattr(house.client, "paper", feed_late)
            webhook = await house.did("BuyMarket", pour_cent=HALF, bar_close=Decimal(44000))
            assert webhook.status == "processed", webhook.message
            [held] = (await house.snapshot()).positions
            assert held.entry_price == 44000

    async def test_a_sell_opens_a_short_with_both_legs(self, database: Database) -> None:
        async with open_house(database) as house:
            assert await opened(house, "SellMarket") < 0
            legs = await house.legs()
            assert legs[SL].trigger_price == 45000
            assert legs[TP].trigger_price == 42000
            assert legs[SL].side is OrderSide.BUY

    async def test_a_spot_buy_is_protected_by_a_pair(self, database: Database) -> None:
        async with open_house(database, paper=SPOT) as house:
            await opened(house)
            legs = await house.legs()
            assert legs[SL].pair_id is not None
            assert legs[SL].pair_id == legs[TP].pair_id

    async def test_a_spot_account_never_goes_short(self, database: Database) -> None:
        async with open_house(database, paper=SPOT) as house:
            webhook = await house.did("SellMarket", pour_cent=HALF, **SHORT_LEVELS)
            assert webhook.status == "processed"
            assert "only goes long" in webhook.message
            assert not (await house.snapshot()).positions

    async def test_a_limit_entry_waits_and_is_guarded_from_its_fill(
        self, database: Database
    ) -> None:
        async with open_house(database) as house:
            webhook = await house.did("BuyLimit", prix=Decimal(42800), pour_cent=HALF, **LEVELS)
            assert webhook.status == "processed", webhook.message
            assert (await house.state()).status == "pending"
            assert list(await house.legs()) == [Role.ENTRY]
            await house.price(42790)
            await house.protected()
            state = await house.state()
            assert state.status == "open"
            assert state.entry_price == 42800

    async def test_a_newer_entry_replaces_one_that_waits(self, database: Database) -> None:
        async with open_house(database) as house:
            await house.did("BuyLimit", prix=Decimal(42800), pour_cent=HALF, **LEVELS)
            second = await house.did("BuyLimit", prix=Decimal(42500), pour_cent=HALF, **LEVELS)
            assert second.status == "processed", second.message
            legs = await house.legs()
            assert legs[Role.ENTRY].price == 42500

    async def test_a_repeated_entry_is_ignored_by_default(self, database: Database) -> None:
        async with open_house(database) as house:
            live = await opened(house)
            again = await house.did("BuyMarket", pour_cent=HALF, **LEVELS)
            assert (again.status, await house.position()) == ("processed", live)

    async def test_a_repeated_entry_adds_where_the_account_says_so(
        self, database: Database
    ) -> None:
        async with open_house(database, policy={"repeat_entry": "Add"}) as house:
            live = await opened(house)
            again = await house.did("BuyMarket", pour_cent=HALF, **LEVELS)
            assert again.status == "processed", again.message
            grown = await house.position()
            assert grown > live
            legs = await house.protected()
            assert legs[SL].remaining == grown

    async def test_an_entry_too_old_is_not_sent(self, database: Database) -> None:
        async with open_house(database) as house:
            late = datetime.now(UTC) - timedelta(seconds=61)
            webhook = await house.did("BuyMarket", received_at=late, **LEVELS)
            assert webhook.status == "error"
            assert "expired" in webhook.message
            assert not await house.trades()

    async def test_one_bars_entry_runs_once(self, database: Database) -> None:
        async with open_house(database) as house:
            bar_time = datetime.now(UTC)
            await opened(house, bar_time=bar_time)
            await house.did("Close")
            await flat(house)
            again = await house.did("BuyMarket", bar_time=bar_time, **LEVELS)
            assert "already executed" in again.message
            assert not (await house.snapshot()).positions

    @pytest.mark.parametrize(
        ("columns", "named"),
        [
            pytest.param({"prix_sl": "46000", "prix_tp": "45000"}, "PrixSL", id="inverted"),
            pytest.param({"prix_sl": "43500", "prix_tp": "45000"}, "PrixSL", id="stop crossed"),
            pytest.param({"prix_sl": "42000", "prix_tp": "42900"}, "PrixTP", id="target crossed"),
            pytest.param({"pour_cent": Decimal("0.001")}, "PourCent", id="too small"),
        ],
    )
    async def test_an_entry_that_cannot_be_right_is_an_error_that_names_the_field(
        self, inline_database: Database, columns: dict[str, Any], named: str
    ) -> None:
        async with open_house(inline_database) as house:
            webhook = await house.did("BuyMarket", **{**LEVELS, **columns})
            assert webhook.status == "error"
            assert named in webhook.message
            assert not await house.trades()


class TestExits:
    @pytest.mark.parametrize("paper", [PaperSpec(), SPOT], ids=["derivatives", "spot"])
    async def test_close_sells_everything_and_leaves_no_order(
        self, database: Database, paper: PaperSpec
    ) -> None:
        async with open_house(database, paper=paper) as house:
            await opened(house)
            webhook = await house.did("Close")
            assert webhook.status == "processed", webhook.message
            await flat(house)

    @pytest.mark.parametrize("paper", [PaperSpec(), SPOT], ids=["derivatives", "spot"])
    async def test_a_partial_exit_sells_its_part_and_protects_the_rest(
        self, database: Database, paper: PaperSpec
    ) -> None:
        async with open_house(database, paper=paper) as house:
            live = await opened(house)
            webhook = await house.did("SellMarket", pour_cent=Decimal(25))
            assert webhook.status == "processed", webhook.message
            rest = await house.position()
            assert live * Decimal("0.74") < rest < live * Decimal("0.76")
            legs = await house.protected()
            assert legs[SL].remaining == rest

    async def test_close_with_nothing_open_says_so(self, database: Database) -> None:
        async with open_house(database) as house:
            webhook = await house.did("Close")
            assert (webhook.status, webhook.message) == ("processed", "nothing is open")

    async def test_close_cancels_an_entry_that_waits(self, database: Database) -> None:
        async with open_house(database) as house:
            await house.did("BuyLimit", prix=Decimal(42800), pour_cent=HALF, **LEVELS)
            await house.did("Close")
            await flat(house)

    async def test_an_exit_after_the_stop_already_filled_opens_nothing(
        self, database: Database
    ) -> None:
        async with open_house(database) as house:
            await opened(house)
            bar_time = datetime.now(UTC)
            await house.price(41900)
            await flat(house)
            webhook = await house.did("SellMarket", bar_time=bar_time, **SHORT_LEVELS)
            assert webhook.status == "processed"
            assert "already closed" in webhook.message
            assert not (await house.snapshot()).positions

    async def test_a_filled_stop_cancels_its_sibling_and_books_the_loss(
        self, database: Database
    ) -> None:
        async with open_house(database) as house:
            await opened(house)
            await house.price(41900)
            await flat(house)

            async def booked() -> Decimal | None:
                return (await house.state()).realized_pnl

            pnl: Decimal = await eventually_async(booked, within_s=5, what="P&L booked")
            assert pnl < 0

    async def test_on_spot_the_users_other_coins_are_never_sold(self, database: Database) -> None:
        async with open_house(database, paper=SPOT) as house:
            await house.did("BuyMarket", pour_cent=HALF, **LEVELS)
            first = await house.position()
            await house.did("Close")
            await flat(house)
            balances = await house.client.balances("main")
            dust = balances.free("BTC")
            await opened(house)
            assert await house.position() <= first + dust
            await house.did("Close")
            await flat(house)
            assert (await house.client.balances("main")).free("BTC") >= dust


class TestMaj:
    @pytest.mark.parametrize(
        "paper",
        [PaperSpec(), PaperSpec(amend=True), SPOT],
        ids=["derivatives", "amending", "spot"],
    )
    async def test_a_maj_moves_both_legs(self, database: Database, paper: PaperSpec) -> None:
        async with open_house(database, paper=paper) as house:
            live = await opened(house)
            webhook = await house.did("MAJ", prix_sl="42500", prix_tp="44500")
            assert webhook.status == "processed", webhook.message
            legs = await house.protected(within_s=1)
            assert legs[SL].trigger_price == 42500
            assert legs[TP].trigger_price == 44500
            assert legs[SL].remaining == live
            state = await house.state()
            assert state.current_sl == 42500
            assert state.current_tp == 44500
            assert state.sl_order_id == legs[SL].ref.venue_order_id

    async def test_a_leg_that_the_maj_leaves_out_stays(self, database: Database) -> None:
        async with open_house(database) as house:
            await opened(house)
            before = await house.legs()
            await house.did("MAJ", prix_sl="42500")
            after = await house.legs()
            assert after[SL].trigger_price == 42500
            assert after[TP] == before[TP]

    async def test_a_maj_with_no_position_is_processed_and_says_so(
        self, database: Database
    ) -> None:
        async with open_house(database) as house:
            webhook = await house.did("MAJ", **LEVELS)
            assert webhook.status == "processed"
            assert "no guarded position" in webhook.message

    async def test_a_maj_of_an_older_bar_is_superseded(self, database: Database) -> None:
        async with open_house(database) as house:
            await opened(house)
            await house.did("MAJ", prix_sl="42500")
            old = datetime.now(UTC) - timedelta(hours=1)
            webhook = await house.did("MAJ", prix_sl="42100", bar_time=old)
            assert "superseded" in webhook.message
            assert (await house.state()).current_sl == 42500

    @pytest.mark.parametrize(
        ("levels", "named"),
        [
            pytest.param({"prix_sl": "45500"}, "PrixSL", id="inverted"),
            pytest.param({"prix_sl": "44500"}, "PrixSL", id="crossed by more than 2 %"),
            pytest.param({"prix_tp": "42100"}, "PrixTP", id="target crossed by more than 2 %"),
            pytest.param({"prix_sl": "REMOVE"}, "PrixSL", id="remove not allowed"),
        ],
    )
    async def test_levels_that_cannot_be_right_leave_the_old_protection(
        self, inline_database: Database, levels: dict[str, str], named: str
    ) -> None:
        async with open_house(inline_database) as house:
            await opened(house)
            before = await house.legs()
            webhook = await house.did("MAJ", **levels)
            assert webhook.status == "error"
            assert named in webhook.message
            assert await house.legs() == before
            assert (await house.state()).current_sl == 42000

    async def test_remove_takes_a_leg_away_where_the_account_allows(
        self, database: Database
    ) -> None:
        async with open_house(database, policy={"allow_remove": True}) as house:
            await opened(house)
            await house.did("MAJ", prix_tp="REMOVE")
            assert list(await house.legs()) == [SL]

    async def test_a_stop_moved_just_past_the_price_closes(self, database: Database) -> None:
        async with open_house(database) as house:
            await opened(house)
            await house.did("MAJ", prix_sl="43100")
            await flat(house)
            exits = [t for t in await house.trades() if t.role == "exit"]
            assert [t.type for t in exits] == [OrderType.MARKET]

    async def test_a_stop_moved_just_past_the_price_is_only_reported_under_alert(
        self, database: Database
    ) -> None:
        policy = {"on_crossed_stop": "Alert"}
        async with open_house(database, policy=policy) as house:
            live = await opened(house)
            await house.did("MAJ", prix_sl="43100")
            assert await house.position() == live


async def test_a_position_opened_by_hand_is_left_alone(inline_database: Database) -> None:
    async with open_house(inline_database) as house:
        await opened(house)
        await house.did("Close")
        await flat(house)
        ping = await house.did("PING")
        assert ping.status == "processed"
