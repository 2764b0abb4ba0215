"""The Order Monitor on real databases: rows in, results and found orders out."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, event, select
from sqlalchemy.engine import Engine

from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import MarketKind
from guardian_core.domain.orders import OrderSide, PositionSide, Role
from guardian_core.ports import Database
from guardian_core.storage.database import open_database
from guardian_core.storage.schema import Fill, Trade
from guardian_operator.order_monitor import GRACE, MonitorReport, monitor_account
from tests.support.books import ACCOUNT, TRACE, Books
from tests.support.clock import FakeClock

BUY, SELL = OrderSide.BUY, OrderSide.SELL
D = Decimal
Pass = Callable[[], Awaitable[MonitorReport]]


@pytest.fixture
async def books(database: Database, clock: FakeClock) -> Books:
    made = Books(database, clock)
    await made.account()
    return made


@pytest.fixture
def look(database: Database) -> Pass:
    async def run() -> MonitorReport:
        return await monitor_account(database, ACCOUNT)

    return run


@pytest.fixture
def after(clock: FakeClock) -> Callable[[float], None]:
    """Lets so many seconds go by."""
    return clock.advance


async def held_long(books: Books, quantity: str = "1", price: str = "100", fee: str = "0") -> UUID:
    """A long that an entry of ours opened."""
    state = await books.state(quantity=quantity)
    entry = await books.order(state, BUY, quantity=quantity, average_price=D(price))
    await books.fill(entry, quantity, price, fee=fee, fee_quote=fee)
    return state


async def test_a_closed_position_is_settled_to_the_last_digit(books, look, after):
    state = await books.state()
    entry = await books.order(state, BUY)
    await books.fill(entry, "0.3", "100.01", fee="0.0150015", fee_quote="0.0150015")
    await books.fill(entry, "0.7", "100.02", fee="0.035007", fee_quote="0.035007")
    after(60)
    exit_ = await books.order(state, SELL, Role.STOP_LOSS)
    await books.fill(exit_, "1", "99.5", fee="0.04975", fee_quote="0.04975")
    await books.close(state)
    report = await look()
    row = await books.state_row(state)
    cash = D("99.5") - D("0.3") * D("100.01") - D("0.7") * D("100.02")
    assert row.realized_pnl == cash - D("0.0150015") - D("0.035007") - D("0.04975")
    assert row.pnl_incomplete is False
    assert report.settled == (state,)
    first, last = [await books.trade_row(order.id) for order in (entry, exit_)]
    assert first.pnl_average == first.pnl_fifo == D("-0.0500085")
    assert first.pnl_average + last.pnl_average == row.realized_pnl
    assert first.pnl_fifo + last.pnl_fifo == row.realized_pnl


async def test_average_and_fifo_part_where_only_a_part_is_closed(books, look):
    state = await books.state(quantity="2")
    for price in ("100", "200"):
        await books.fill(await books.order(state, BUY), "1", price)
    exit_ = await books.order(state, SELL, Role.EXIT)
    await books.fill(exit_, "1", "180")
    await look()
    row = await books.trade_row(exit_.id)
    assert (row.pnl_average, row.pnl_fifo) == (D(30), D(80))
    assert (await books.state_row(state)).realized_pnl == 30


async def test_a_pass_that_finds_nothing_new_writes_nothing(books, look, after):
    await held_long(books, fee="0.1")
    await books.fill(None, "0.5", "110", side=SELL)
    assert (await look()).changed
    told = len(await books.journal())
    written: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_rest: object) -> None:
        by_test = "test_time.clock" in statement
        if not by_test and statement.split(maxsplit=1)[0].upper() in ("INSERT", "UPDATE", "DELETE"):
            written.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        for _ in range(3):
            after(3)
            assert not (await look()).changed
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert written == []
    assert len(await books.journal()) == told


async def test_a_live_position_shows_what_it_has_realized_so_far(books, look, after):
    state = await held_long(books, fee="0.1")
    await look()
    assert (await books.state_row(state)).realized_pnl == D("-0.1")
    assert await books.journal("pnl") == [], "an entry's fee is no news"
    after(60)
    exit_ = await books.order(state, SELL, Role.EXIT)
    await books.fill(exit_, "0.5", "120")
    await look()
    assert (await books.state_row(state)).realized_pnl == D("9.9")
    assert [row.detail for row in await books.journal("pnl")] == ["long BTCUSDT: realized 9.9"]


async def test_a_position_with_no_fill_has_no_result_until_it_is_over(books, look):
    state = await books.state(status="pending")
    assert not (await look()).changed
    assert (await books.state_row(state)).realized_pnl is None
    await books.close(state, "EntryNotFilled")
    await look()
    assert (await books.state_row(state)).realized_pnl == 0
    assert await books.journal() == []


class TestFoundOrders:
    async def test_a_close_by_hand_becomes_a_trade_and_the_states_exit(self, books, look, after):
        state = await held_long(books)
        after(30)
        one = await books.fill(None, "0.4", "110", side=SELL, venue_order_id="77")
        two = await books.fill(None, "0.6", "111", side=SELL, venue_order_id="77")
        report = await look()
        (trade_id,) = report.found
        trade = await books.trade_row(trade_id)
        assert (trade.source, trade.role, trade.side) == ("order_monitor", "exit", "sell")
        assert (trade.client_order_id, trade.exchange_order_id) == ("ext-BTCUSDT-77", "77")
        assert (trade.quantity, trade.filled_quantity) == (D(1), D(1))
        assert trade.average_price == D("110.6")
        assert (trade.webhook_state_id, trade.trace_id) == (state, TRACE)
        for fill in (one, two):
            row = await books.fill_row(fill)
            assert (row.trade_id, row.webhook_state_id) == (trade_id, state)
        assert trade.pnl_average == trade.pnl_fifo == D("10.6")
        assert (await books.state_row(state)).realized_pnl == D("10.6")
        (told,) = await books.journal("fill_found")
        assert told.detail == ("sell 1 BTCUSDT at 110 by order 77, which is not ours (exit)")
        assert (told.webhook_state_id, told.trade_id) == (state, trade_id)

    async def test_more_fills_of_the_same_order_join_its_row(self, books, look, after):
        state = await held_long(books, quantity="3")
        await books.fill(None, "1", "110", side=SELL, venue_order_id="77")
        (first,) = (await look()).found
        after(10)
        await books.fill(None, "1", "120", side=SELL, venue_order_id="77")
        report = await look()
        assert report.found == ()
        trade = await books.trade_row(first)
        assert (trade.quantity, trade.average_price, trade.pnl_average) == (D(2), D(115), D(30))
        assert len(await books.journal("fill_found")) == 1
        assert (await books.state_row(state)).realized_pnl == 30

    async def test_a_buy_by_hand_on_a_long_is_an_entry(self, books, look):
        state = await held_long(books)
        await books.fill(None, "1", "200", side=BUY)
        (found,) = (await look()).found
        trade = await books.trade_row(found)
        assert (trade.role, trade.webhook_state_id) == ("entry", state)

    @pytest.mark.parametrize("side", [PositionSide.LONG, PositionSide.SHORT])
    async def test_the_role_follows_the_position_side(self, books, look, side):
        state = await books.state(side)
        await books.fill(await books.order(state, side.entry_side), "1", "100")
        await books.fill(None, "1", "100", side=side.exit_side)
        (found,) = (await look()).found
        assert (await books.trade_row(found)).role == "exit"

    async def test_the_state_is_the_one_that_was_live_when_it_filled(self, books, look, after):
        first = await held_long(books)
        after(10)
        at = books.now
        after(10)
        await books.close(first, "FlatUnexplained", incomplete=True)
        after(10)
        between = books.now
        after(10)
        second = await held_long(books)
        after(10)
        await books.fill(None, "1", "150", side=SELL, venue_order_id="old", at=at)
        await books.fill(None, "1", "150", side=SELL, venue_order_id="none", at=between)
        await books.fill(None, "1", "150", side=SELL, venue_order_id="new")
        rows = [await books.trade_row(one) for one in (await look()).found]
        assert {row.exchange_order_id: row.webhook_state_id for row in rows} == {
            "old": first, "none": None, "new": second,
        }  # fmt: skip
        closed = await books.state_row(first)
        assert (closed.realized_pnl, closed.pnl_incomplete) == (D(50), False)

    async def test_the_same_order_number_on_two_symbols_is_two_orders(self, books, look):
        for symbol in ("BTCUSDT", "ETHUSDT"):
            await books.fill(None, "1", "100", side=BUY, symbol=symbol, venue_order_id="1")
        assert len(set((await look()).found)) == 2

    async def test_on_spot_a_users_own_coins_count_for_no_state(self, database, clock, look):
        books = Books(database, clock)
        await books.account(MarketKind.SPOT)
        state = await held_long(books)
        fill = await books.fill(None, "5", "150", side=SELL)
        (found,) = (await look()).found
        trade = await books.trade_row(found)
        assert trade is not None
        assert trade.webhook_state_id is None
        assert (await books.fill_row(fill)).webhook_state_id is None
        assert (await books.state_row(state)).realized_pnl == 0


class TestFillsThatMayYetBeOurs:
    async def test_a_fill_that_came_before_its_orders_id_is_given_to_that_order(self, books, look):
        state = await held_long(books)
        leg = await books.order(state, SELL, Role.STOP_LOSS, venue_id="parent")
        await books.change_trade(leg.id, child_order_id="child")
        fill = await books.fill(None, "1", "90", side=SELL, venue_order_id="child")
        report = await look()
        assert (report.found, report.attached) == ((), 1)
        row = await books.fill_row(fill)
        assert (row.trade_id, row.webhook_state_id) == (leg.id, state)
        assert (await books.trade_row(leg.id)).pnl_average == -10

    async def test_it_waits_while_an_order_of_ours_works_on_its_side(self, books, look, after):
        state = await held_long(books)
        await books.order(state, SELL, Role.STOP_LOSS, status="open", venue_id="parent")
        await books.fill(None, "1", "90", side=SELL, venue_order_id="stranger")
        report = await look()
        assert (report.found, report.attached) == ((), 0)
        after(GRACE.total_seconds() - 1)
        assert (await look()).found == ()
        after(1)
        assert len((await look()).found) == 1

    async def test_an_order_on_the_other_side_or_lane_makes_nothing_wait(self, books, look):
        state = await held_long(books)
        await books.order(state, BUY, status="open")
        await books.order(None, SELL, status="pending", symbol="ETHUSDT", venue_id="")
        await books.fill(None, "1", "90", side=SELL)
        assert len((await look()).found) == 1

    async def test_an_order_that_turns_up_late_takes_its_fills_back(self, books, look, after):
        state = await held_long(books)
        leg = await books.order(state, SELL, Role.STOP_LOSS, status="open", venue_id="parent")
        fill = await books.fill(None, "1", "90", side=SELL, venue_order_id="child")
        after(10)
        (found,) = (await look()).found
        await books.change_trade(leg.id, child_order_id="child", status="closed")
        report = await look()
        assert report.attached == 1
        assert await books.trade_row(found) is None
        assert (await books.fill_row(fill)).trade_id == leg.id
        assert (await books.trade_row(leg.id)).pnl_average == -10
        assert (await books.state_row(state)).realized_pnl == -10
        assert not (await look()).changed


class TestIncomplete:
    async def test_a_fee_of_unknown_worth_makes_the_result_incomplete(self, books, look):
        state = await held_long(books)
        exit_ = await books.order(state, SELL, Role.EXIT)
        await books.fill(exit_, "1", "110", fee="0.01", fee_currency="BNB", fee_quote=None)
        await books.close(state)
        await look()
        row = await books.state_row(state)
        assert (row.realized_pnl, row.pnl_incomplete) == (D(10), True)
        assert [r.detail for r in await books.journal("pnl")] == [
            "long BTCUSDT: realized 10, incomplete"
        ]

    async def test_a_fee_taken_out_of_the_coins_needs_no_price_but_the_fills(self, books, look):
        state = await books.state()
        entry = await books.order(state, BUY)
        await books.fill(
            entry, "1", "100", fee="0.001", fee_base="0.001", fee_currency="BTC", fee_quote=None
        )
        exit_ = await books.order(state, SELL, Role.EXIT, quantity="0.999")
        await books.fill(exit_, "0.999", "110")
        await books.close(state)
        await look()
        row = await books.state_row(state)
        assert (row.realized_pnl, row.pnl_incomplete) == (D("109.89") - 100, False)

    async def test_a_closing_that_fills_do_not_explain_is_incomplete_until_they_come(
        self, books, look, after
    ):
        state = await held_long(books)
        await books.close(state, "FlatUnexplained", incomplete=True)
        await look()
        assert (await books.state_row(state)).pnl_incomplete is True
        at = books.now
        after(2 * 3600)
        exit_ = await books.order(state, SELL, Role.STOP_LOSS)
        await books.fill(exit_, "1", "95", at=at)
        await look()
        row = await books.state_row(state)
        assert (row.realized_pnl, row.pnl_incomplete) == (D(-5), False)

    @pytest.mark.parametrize("reason", ["Flat", "Dust"])
    async def test_a_rest_too_small_to_trade_is_no_gap(self, books, look, reason):
        state = await held_long(books)
        exit_ = await books.order(state, SELL, Role.EXIT, filled_quantity=D("0.9999"))
        await books.fill(exit_, "0.9999", "110")
        await books.close(state, reason)
        await look()
        assert (await books.state_row(state)).pnl_incomplete is False

    @pytest.mark.parametrize(
        ("reason", "reported", "sold", "late_s"),
        [
            pytest.param("SideTurned", "0.5", "0.5", -1, id="another reason explains nothing"),
            pytest.param("Flat", "1", "0.5", -1, id="an order filled more than its fills tell"),
            pytest.param("Flat", "1.5", "1.5", -1, id="more sold than was there"),
            pytest.param("Flat", "0.5", "0.5", 60, id="a fill after the closing"),
        ],
    )
    async def test_any_other_rest_is_a_gap(
        self, books, look, after, reason, reported, sold, late_s
    ):
        state = await held_long(books)
        after(100)
        exit_ = await books.order(
            state, SELL, Role.EXIT, filled_quantity=D(reported), average_price=D(110)
        )
        at = books.now + timedelta(seconds=late_s)
        await books.fill(exit_, sold, "110", at=at)
        await books.close(state, reason)
        await look()
        assert (await books.state_row(state)).pnl_incomplete is True

    async def test_an_adopted_position_earns_from_the_venues_entry_price(self, books, look, after):
        state = await books.state(source="adopted", quantity="2", entry_price=D(100))
        exit_ = await books.order(state, SELL, Role.TAKE_PROFIT)
        await books.fill(exit_, "1", "130", fee="0.1", fee_quote="0.1")
        await look()
        row = await books.state_row(state)
        assert (row.realized_pnl, row.pnl_incomplete) == (D("29.9"), True)
        await books.change(state, quantity=D(1))
        after(60)
        await books.fill(exit_, "1", "90")
        await books.close(state)
        await look()
        row = await books.state_row(state)
        assert (row.realized_pnl, row.pnl_incomplete) == (D("19.9"), True)
        assert (await books.trade_row(exit_.id)).pnl_fifo == D("19.9")


async def test_funding_counts_for_the_state_that_held_the_position(books, look, after):
    first = await held_long(books)
    after(10)
    await books.funding("-0.25")
    after(10)
    exit_ = await books.order(first, SELL, Role.EXIT)
    await books.fill(exit_, "1", "101")
    await books.close(first)
    after(10)
    await books.funding("-5", symbol="ETHUSDT")
    second = await held_long(books)
    after(10)
    await books.funding("0.5", second)
    await look()
    assert (await books.state_row(first)).realized_pnl == D("0.75")
    assert (await books.state_row(second)).realized_pnl == D("0.5")


async def test_a_state_closed_long_ago_is_left_alone_once_settled(books, look, after):
    state = await held_long(books)
    exit_ = await books.order(state, SELL, Role.EXIT)
    await books.fill(exit_, "1", "110")
    await books.close(state)
    after(2 * 3600)
    assert (await look()).settled == (state,), "however late, a result is made once"
    await books.change(state, realized_pnl=D(7))
    assert not (await look()).changed


async def test_another_accounts_rows_are_not_touched(books, look, database):
    await books.account(name="other")
    state = await books.state(account="other")
    await books.close(state)
    assert not (await look()).changed
    assert (await monitor_account(database, "other")).settled == (state,)


async def test_an_account_that_does_not_exist_is_named(database):
    with pytest.raises(CallerError, match="nobody"):
        await monitor_account(database, "nobody")


async def test_passes_at_the_same_time_make_one_row_and_one_story(books, look, database):
    state = await held_long(books, quantity="5")
    for number in range(5):
        await books.fill(None, "1", "110", side=SELL, venue_order_id=f"hand-{number}")
    reports = await asyncio.gather(*(look() for _ in range(6)))
    assert sum(len(report.found) for report in reports) == 5
    assert len(await books.journal("fill_found")) == 5
    await look()
    assert (await books.state_row(state)).realized_pnl == 50
    details = [row.detail for row in await books.journal("pnl")]
    assert len(details) == len(set(details)), "each result is told once"
    rows = await database.run(lambda tx: list(tx.scalars(select(Trade.id))))
    assert len(rows) == 6
    assert not (await look()).changed
    loose = select(Fill.id).where(Fill.trade_id.is_(None))
    assert await database.run(lambda tx: list(tx.scalars(loose))) == []


async def test_no_query_of_a_pass_reads_a_table_from_end_to_end(
    migrated_sqlite_url: str, clock: FakeClock
):
    database = open_database(migrated_sqlite_url, clock=clock)
    books = Books(database, clock)
    await books.account()
    state = await held_long(books)
    await books.order(state, SELL, Role.STOP_LOSS, status="open")
    await books.fill(None, "0.5", "110", side=SELL)
    clock.advance(10)
    plans: list[str] = []

    def explain(conn: Connection, _cursor: object, sql: str, parameters: Any, *_: object) -> None:
        if sql.startswith("SELECT"):
            cursor = conn.connection.cursor()
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)
            plans.extend(row[3] for row in cursor.fetchall())

    event.listen(Engine, "before_cursor_execute", explain)
    try:
        assert (await monitor_account(database, ACCOUNT)).changed
    finally:
        event.remove(Engine, "before_cursor_execute", explain)
    await database.close()
    assert len(plans) > 10
    assert [plan for plan in plans if plan.startswith("SCAN")] == []
