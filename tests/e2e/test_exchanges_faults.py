"""The main job on exchanges that answer badly, late or not at all, and in a process that is killed.

Judged by the fake exchange's own books; see `test_exchanges.py`.
"""

import time

import pytest

from guardian_core.domain.snapshot import LegsMode
from tests.e2e.alert_levels import levels
from tests.e2e.exchange_house import PROMISE_S, Account, ExchangeHouse
from tests.e2e.venue_books import STOP_LOSS
from tests.support.wait import eventually
from tests.venues.fake.server import HANGS, HTML

AT = levels(41000, 46000)
MOVED = levels(42000, 45000)
PAGE = {"Content-Type": "text/html"}
BAD_GATEWAY = (502, HTML, PAGE)
BLIND_S = 5.0
WAIT_S = 4
AWAY_S = 20.0


def legs_call(account: Account) -> str:
    """The call that places protective orders."""
    facts = account.exchange.facts
    return facts.pair if account.legs is LegsMode.PAIR else facts.leg


def one_entry(account: Account) -> None:
    """One order was taken, and the position is what it bought."""
    book = account.exchange.look()
    [entry] = book.entries()
    fee = entry.quantity / 100 if book.spot else 0
    assert entry.quantity - fee <= book.position <= entry.quantity


def test_an_entry_whose_answer_is_lost_is_one_order(exchange: ExchangeHouse) -> None:
    with exchange.account("lost-entry") as account:
        account.exchange.fault(account.exchange.facts.order, BAD_GATEWAY, executes=True)
        sent = account.buy(AT)
        eventually(lambda: account.exchange.look().position > 0, what="the entry to fill")
        account.repaired(AT)
        assert account.house.finished(sent.trace_id).status == "processed"
        one_entry(account)


def test_a_leg_whose_answer_is_lost_is_one_order(exchange: ExchangeHouse) -> None:
    with exchange.account("lost-leg") as account:
        account.opened(AT)
        before = len(account.exchange.look().stops())
        account.exchange.fault(legs_call(account), HANGS, executes=True)
        account.move(MOVED)
        account.repaired(MOVED)
        account.settled()
        assert account.exchange.look().is_guarded(MOVED, account.legs)
        assert len(account.exchange.look().stops()) == before + 1


def test_while_nothing_can_be_read_nothing_is_called_missing(exchange: ExchangeHouse) -> None:
    with exchange.account("blind") as account:
        opened = account.opened(AT)
        account.settled()
        before = account.exchange.count()
        for how in (BAD_GATEWAY, HANGS):
            account.exchange.heal()
            account.exchange.fault_reads(how)
            time.sleep(BLIND_S)
            assert account.exchange.writes(before) == []
        account.exchange.heal()
        account.settled()
        assert account.exchange.writes(before) == []
        assert account.exchange.look() == opened
        assert account.missed() == []
        state = account.state()
        assert state is not None
        assert state.naked_since is None


def test_a_naked_position_gets_its_stop_though_the_exchange_asks_to_wait(
    exchange: ExchangeHouse,
) -> None:
    with exchange.account("slow-down") as account:
        account.opened(AT)
        account.settled(3)
        answer = (429, HTML, {**PAGE, "Retry-After": str(WAIT_S)})
        account.exchange.fault(legs_call(account), answer, executes=False)
        before, lost_s = account.exchange.count(), time.monotonic()
        account.exchange.forget(STOP_LOSS)
        eventually(lambda: account.exchange.writes(before), within_s=PROMISE_S, what="a try")
        told_s, so_far = time.monotonic(), account.exchange.count()
        eventually(lambda: account.exchange.count() > so_far + 1, within_s=2 * WAIT_S)
        assert time.monotonic() - told_s >= WAIT_S / 2, "it was not left alone"
        account.repaired(AT, lost_s)


def test_an_exchange_that_is_away_for_long_finds_its_positions_guarded_soon_after(
    exchange: ExchangeHouse,
) -> None:
    with exchange.account("away", interval_s=3) as account:
        account.opened(AT)
        account.exchange.go_away()
        account.exchange.forget(STOP_LOSS)
        sent = account.move(MOVED)
        time.sleep(AWAY_S)
        assert account.house.is_running("engine")
        back_s = time.monotonic()
        account.exchange.open()
        account.repaired(MOVED, back_s)
        account.house.finished(sent.trace_id)


@pytest.mark.parametrize("arrives", [True, False], ids=["arrives", "is lost"])
def test_an_entry_under_way_when_the_process_is_killed_is_one_guarded_order(
    exchange: ExchangeHouse, *, arrives: bool
) -> None:
    with exchange.account(f"killed-entry-{arrives}".lower()) as account:
        call = account.exchange.facts.order
        account.exchange.fault(call, HANGS, executes=arrives)
        sent = account.buy(AT)
        eventually(account.exchange.writes, within_s=PROMISE_S, what="an order sent")
        ready_s = killed_and_started(account)
        if arrives:
            account.repaired(AT, ready_s)
        webhook = account.house.finished(sent.trace_id, within_s=60)
        assert webhook.status == "processed", webhook.message
        account.repaired(AT)
        one_entry(account)


def test_legs_under_way_when_the_process_is_killed_work_once(exchange: ExchangeHouse) -> None:
    with exchange.account("killed-leg") as account:
        account.opened(AT)
        before = len(account.exchange.look().stops())
        account.exchange.fault(legs_call(account), HANGS, executes=True, times=2)
        asked = account.exchange.count()
        account.move(MOVED)
        eventually(
            lambda: [a for a in account.exchange.writes(asked) if a.call == legs_call(account)],
            within_s=PROMISE_S,
            what="legs sent",
        )
        account.repaired(MOVED, killed_and_started(account))
        account.settled()
        book = account.exchange.look()
        assert book.is_guarded(MOVED, account.legs)
        assert len(book.stops()) == before + 1


def killed_and_started(account: Account) -> float:
    """SIGKILL, and a new process; since when it is ready, on the monotonic clock."""
    account.house.kill("engine")
    account.exchange.heal()
    print(f"{account.name}: ready after {account.house.restart('engine'):.2f} s")
    return time.monotonic()


def test_a_position_mode_that_cannot_be_guarded_is_told_and_survived(
    exchange: ExchangeHouse,
) -> None:
    with exchange.account("hedge") as account:
        if not set_hedge(account, on=False):
            pytest.skip("no position modes here")
        account.opened(AT)
        account.settled(3)
        set_hedge(account, on=True)
        account.exchange.forget(STOP_LOSS)
        refused = account.did("MAJ", PrixSL="42000")
        assert refused.status == "error"
        assert "switch to one-way mode" in refused.message
        before = account.exchange.count()
        time.sleep(BLIND_S)
        assert account.exchange.count() > before, "it looks no more"
        assert account.house.is_running("engine")
        told = exchange.guardian("accounts", "check", account.name)
        assert told.returncode == 1
        assert "switch to one-way mode" in told.stdout
        shown = exchange.guardian("status", "--account", account.name)
        assert "one-way" in shown.stdout, shown.stdout
        set_hedge(account, on=False)
        account.repaired(AT)


def set_hedge(account: Account, *, on: bool) -> bool:
    """As on the exchange's own page; False where there is no such switch."""
    wire = account.exchange.wire
    switches = {"hedge": on, "one_way": not on}
    found = [name for name in switches if hasattr(wire, name) and not account.exchange.spot]

    def switch() -> None:
        for name in found:
            setattr(wire, name, switches[name])

    account.exchange.do(switch)
    return bool(found)
