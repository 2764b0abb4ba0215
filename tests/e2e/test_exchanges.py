"""The main job on exchanges: alerts over HTTP into `guardian up`, out through the real gateway and
the real ccxt, to a fake exchange over HTTP, whose own books judge.

What becomes of it when the exchange or the process misbehaves: `test_exchanges_faults.py`.
"""

import json
import time
from decimal import Decimal

import pytest

from guardian_core.domain.money import ZERO
from guardian_core.domain.orders import OrderType
from guardian_core.domain.snapshot import LegsMode
from guardian_core.storage.schema import WebhookState
from guardian_gateway.venues.catalogue import EXCHANGES
from tests.e2e.alert_levels import levels
from tests.e2e.exchange_house import PATIENCE_S, Account, ExchangeHouse
from tests.e2e.installation import Installation
from tests.e2e.venue_books import LEGS, STOP_LOSS, TAKE_PROFIT
from tests.support.wait import eventually

AT = levels(41000, 46000)
MOVED = levels(42000, 45000)
QUIET_S = 3.5
REST_S = 10.0
WATCHED_WITHIN_S = 10.0
SHARE_AT_REST = Decimal("0.5")
"""Of what this address asks at most, requests of all kinds. What the looks cost by the exchange's
own count: `tests/venues/test_poll_costs.py`."""


def test_an_entry_is_protected_and_a_maj_moves_both_legs(exchange: ExchangeHouse) -> None:
    with exchange.account("moved") as account:
        opened = account.opened(AT)
        old = {order.order_id for order in opened.working}
        assert len(opened.entries()) == 1
        sent = account.move(MOVED)
        account.repaired(MOVED)
        webhook = account.house.finished(sent.trace_id)
        assert webhook.status == "processed", webhook.message
        book = account.rows_follow()
        assert not old & {order.order_id for order in book.working}
        assert book.position == opened.position
        assert account.missed() == []


def test_at_rest_nothing_is_sent_and_little_is_asked(exchange: ExchangeHouse) -> None:
    with exchange.account("at-rest", interval_s=3) as account:
        account.opened(AT)
        quiet(account.house)
        before, began_s = account.exchange.count(), time.monotonic()
        events, written = account.exchange.look().events, account.house.everything_written()
        passes = account.house.passes(account.name)
        time.sleep(REST_S)
        asked = account.exchange.asked(before)
        rate = Decimal(len(asked)) / Decimal(time.monotonic() - began_s)
        print(f"{exchange.venue}: {len(asked)} questions, {rate:.2f}/s")
        assert account.house.passes(account.name) >= passes + 3
        assert account.exchange.writes(before) == []
        assert account.exchange.look().events == events
        assert account.house.everything_written() == written
        allowed = Decimal(EXCHANGES[exchange.venue].rate.per_second)
        assert rate <= SHARE_AT_REST * allowed


def quiet(house: Installation) -> None:
    """Returns once nothing more is booked of the scenarios before."""

    def is_quiet() -> bool:
        written = house.everything_written()
        time.sleep(QUIET_S)
        return house.everything_written() == written

    eventually(is_quiet, within_s=40)


def test_a_refused_stop_is_repaired_at_the_level_that_was_committed(
    exchange: ExchangeHouse,
) -> None:
    with exchange.account("refused") as account:
        account.opened(AT)
        account.exchange.refuse(OrderType.STOP_LOSS, times=1)
        sent, sent_s = account.move(MOVED), time.monotonic()
        account.repaired(MOVED, sent_s)
        account.house.finished(sent.trace_id)
        refused = account.house.trades(account.name, status="rejected", role=STOP_LOSS)
        assert [row.reject_reason for row in refused] == ["insufficient_funds"]
        state = account.state()
        assert state is not None
        assert (state.current_sl, state.current_tp) == (MOVED[STOP_LOSS], MOVED[TAKE_PROFIT])


def test_a_stop_that_the_exchange_forgot_is_made_again(exchange: ExchangeHouse) -> None:
    with exchange.account("forgotten") as account:
        old = account.opened(AT).leg(STOP_LOSS)
        # As long as an order is so young, that it is not listed proves nothing.
        account.settled(3)
        account.exchange.forget(STOP_LOSS)
        book = account.repaired(AT)
        assert book.leg(STOP_LOSS).order_id != old.order_id
        assert any(STOP_LOSS in line for line in account.missed())


def test_a_take_profit_cancelled_by_hand_is_made_again(exchange: ExchangeHouse) -> None:
    with exchange.account("by-hand") as account:
        opened = account.opened(AT)
        if account.legs is LegsMode.STOP_ONLY:
            assert TAKE_PROFIT not in opened.legs()
            return
        account.exchange.cancel_by_hand(TAKE_PROFIT)
        book = account.repaired(AT)
        assert book.leg(TAKE_PROFIT).order_id != opened.leg(TAKE_PROFIT).order_id


def test_a_part_that_is_sold_shrinks_the_legs_and_the_rest_takes_them_away(
    exchange: ExchangeHouse,
) -> None:
    with exchange.account("exits") as account:
        opened = account.opened(AT)
        half = account.did("Close", PourCent="50")
        assert half.status == "processed", half.message
        account.repaired(AT)
        rest = account.exchange.look().position
        assert 0 <= rest - opened.position / 2 <= opened.step
        whole = account.did("Close")
        assert whole.status == "processed", whole.message
        account.flat()
        check_profit(account)


def test_a_stop_that_fires_closes_the_state_and_takes_its_sibling_away(
    exchange: ExchangeHouse,
) -> None:
    with exchange.account("fired") as account:
        account.opened(AT)
        account.exchange.price(40900)
        book = account.flat(within_s=10)
        assert [event for event in book.events if event.kind.value == "triggered"]
        assert check_profit(account) < 0
        assert len(book.entries()) == 1


def test_a_take_profit_that_is_reached_closes_the_position(exchange: ExchangeHouse) -> None:
    with exchange.account("reached") as account:
        account.opened(AT)
        account.exchange.price(46100)
        account.flat(within_s=10)
        assert check_profit(account) > 0
        for order in account.house.trades(account.name):
            assert order.status in ("closed", "cancelled"), order


def test_where_the_stop_stands_alone_the_take_profit_is_watched(exchange: ExchangeHouse) -> None:
    with exchange.account("watched") as account:
        if account.legs is LegsMode.INDEPENDENT:
            pytest.skip("both legs are orders here")
        if account.legs is LegsMode.PAIR:
            # A refused pair is tried again and again, each time later.
            account.exchange.refuse(OrderType.TAKE_PROFIT, times=1000)
            account.legs = LegsMode.STOP_ONLY
        account.buy(AT)
        account.guarded(AT)

        def is_told() -> bool:
            [line] = json.loads(status(exchange, account, "--json"))["positions"]
            return (line["coverage"], line["take_profit_watched"]) == ("Protected", True)

        eventually(is_told, within_s=PATIENCE_S)
        eventually(lambda: "46000 Watched" in status(exchange, account), within_s=PATIENCE_S)
        assert account.exchange.look().legs().keys() <= {STOP_LOSS}
        account.exchange.price(46100)
        account.flat(within_s=WATCHED_WITHIN_S)
        assert check_profit(account) > 0


def status(exchange: ExchangeHouse, account: Account, *options: str) -> str:
    return exchange.guardian("status", "--account", account.name, *options).stdout


def test_a_short_is_protected_too_where_the_market_has_shorts(exchange: ExchangeHouse) -> None:
    with exchange.account("short") as account:
        at = {STOP_LOSS: AT[TAKE_PROFIT], TAKE_PROFIT: AT[STOP_LOSS]}
        sent = account.alert(
            "SellMarket", PourCent="50", PrixSL=str(at[STOP_LOSS]), PrixTP=str(at[TAKE_PROFIT])
        )
        webhook = account.house.finished(sent.trace_id)
        assert webhook.status == "processed", webhook.message
        if account.exchange.spot:
            assert "only goes long" in webhook.message
            assert account.exchange.look().accepted() == []
            return
        account.repaired(at)
        assert account.exchange.look().position < 0
        account.exchange.price(46100)
        account.flat(within_s=10)
        assert check_profit(account) < 0


def check_profit(account: Account) -> Decimal:
    """What the closed state says was won or lost: what the exchange's own balance says, but for
    the part of a step that is left on spot."""
    account.over()
    book, won = account.exchange.look(), account.exchange.money() - 10_000
    left = (book.position * 43_000).copy_abs() if book.spot else ZERO

    def booked() -> WebhookState:
        """Its last fills are booked after it is closed."""
        state = account.house.states(account.name)[-1]
        assert state.realized_pnl is not None
        assert abs(state.realized_pnl - won) <= left, (state.realized_pnl, won)
        return state

    state = eventually(booked, within_s=10)
    assert not state.pnl_incomplete
    assert state.realized_pnl is not None
    return state.realized_pnl


def test_every_leg_that_ever_worked_was_ours_and_covered_the_position(
    exchange: ExchangeHouse,
) -> None:
    """Over all scenarios so far."""
    for account in exchange.opened:
        for event in account.exchange.look().accepted():
            if event.type.value in LEGS and not account.exchange.spot:
                assert event.reduce_only, event
