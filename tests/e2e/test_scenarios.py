"""The issue's scenarios with real processes over HTTP, judged by the venue's own books.

Every scenario plays on an account of its own, in both forms of an installation.
"""

import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import func, select

from guardian_core.accounts import AccountSpec, PaperSpec
from guardian_core.domain.money import MarketKind
from guardian_core.storage.schema import Webhook, WebhookState
from tests.e2e.alert_levels import fields, levels
from tests.e2e.installation import Answer, Installation, one_machine, services
from tests.e2e.on_cluster import FORM, accounts_imported, cluster
from tests.e2e.venue_books import ENTRY, LEGS, STOP_LOSS, TAKE_PROFIT
from tests.support.kube import KubeServer
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer
from tests.support.wait import eventually

SYMBOL = "BTCUSDT"
PRICE = "43000"
PROMISE_S = 10.0
QUICKLY_GUARDED = ("normal", "lost-stop")
"""Scenarios that wait for passes which find nothing to do."""
TRIES = 12
"""A kill must land within a few milliseconds; it is tried so often."""

LINEAR, SPOT = MarketKind.LINEAR, MarketKind.SPOT
STEPS = {LINEAR: Decimal("0.001"), SPOT: Decimal("0.00001")}
MARKETS = {
    "normal": LINEAR,
    "quick": LINEAR,
    "refused": LINEAR,
    "refused-spot": SPOT,
    "forgotten": LINEAR,
    "by-hand": LINEAR,
    "between": LINEAR,
    "between-spot": SPOT,
    "filled": LINEAR,
    "filled-spot": SPOT,
    "lost-entry": LINEAR,
    "lost-stop": LINEAR,
}
ACCOUNTS = {
    name: AccountSpec(
        account_id=name,
        guard_interval_seconds=1 if name in QUICKLY_GUARDED else 3,
        paper=PaperSpec(market=market),
    )
    for name, market in MARKETS.items()
}
both_markets = pytest.mark.parametrize("market", [LINEAR, SPOT])


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("one machine", marks=pytest.mark.xdist_group("scenarios on one machine")),
        pytest.param("services", marks=pytest.mark.xdist_group("scenarios of services")),
        pytest.param("cluster", marks=pytest.mark.xdist_group("kube")),
    ],
)
def started(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    home: Path = tmp_path_factory.mktemp("installation") / "home"
    if request.param == "one machine":
        installation = one_machine(home, ACCOUNTS)
    else:
        postgres: PostgresServer = request.getfixturevalue("postgres_server")
        redis: RedisServer = request.getfixturevalue("redis_server")
        url = postgres.url(postgres.fresh_database())
        if request.param == "services":
            installation = services(home, url, redis.url, ACCOUNTS)
        else:
            kube: KubeServer = request.getfixturevalue("kube_server")
            kube.install_crds()
            installation = cluster(home, url, redis.url, kube, kube.fresh_namespace(), ACCOUNTS)
    try:
        installation.start()
        if installation.form == FORM:
            accounts_imported(installation, len(ACCOUNTS))
        yield installation
    finally:
        print(installation.logs())
        installation.stop()


@pytest.fixture
def house(started: Installation) -> Iterator[Installation]:
    """All processes run at a test's beginning, whatever the one before did to them."""
    started.ensure_running()
    yield started
    print(started.logs())


def account_of(name: str, market: MarketKind) -> str:
    return name if market is LINEAR else f"{name}-spot"


def step_of(account: str) -> Decimal:
    return STEPS[MARKETS[account]]


def is_guarded(house: Installation, account: str, at: dict[str, Decimal]) -> bool:
    return house.books(account).is_guarded(SYMBOL, at, step_of(account))


def guarded(
    house: Installation, account: str, at: dict[str, Decimal], since_s: float | None = None
) -> float:
    """Seconds since then (now) until the venue's books show both legs for all of the position."""
    began_s = time.monotonic() if since_s is None else since_s
    eventually(
        lambda: is_guarded(house, account, at),
        within_s=began_s + 3 * PROMISE_S - time.monotonic(),
        what=f"{account} guarded at {at}, it has {house.books(account).working(SYMBOL)}",
    )
    return time.monotonic() - began_s


def repaired(
    house: Installation, account: str, at: dict[str, Decimal], since_s: float | None = None
) -> None:
    took_s = guarded(house, account, at, since_s)
    print(f"{house.form}: {account} repaired after {took_s:.2f} s")
    assert took_s <= PROMISE_S


def row_follows(house: Installation, account: str) -> WebhookState:
    """The live state, once it names the orders that work."""

    def follows() -> WebhookState | None:
        state = house.state(account)
        legs = house.books(account).legs(SYMBOL)
        assert state is not None
        ids = {role: [order.id for order in orders] for role, orders in legs.items()}
        stored = {STOP_LOSS: [state.sl_order_id], TAKE_PROFIT: [state.tp_order_id]}
        return state if ids == stored else None

    state = eventually(follows, what="the row to name the orders that work")
    assert state is not None
    return state


def settled(house: Installation, account: str) -> None:
    """Returns once the guardian has passed over the account twice more."""
    before = house.passes(account)
    eventually(
        lambda: house.passes(account) >= before + 2, within_s=60, what=f"two passes of {account}"
    )


def opened(house: Installation, account: str, at: dict[str, Decimal]) -> Answer:
    """A long that is open, and guarded at these levels."""
    sent = house.alert("BuyMarket", account, Close=PRICE, PourCent="50", **fields(at))
    assert sent.status == 200, sent
    guarded(house, account, at)
    assert house.finished(sent.trace_id).status == "processed"
    return sent


def closed(house: Installation, account: str) -> None:
    sent = house.alert("Close", account)
    assert house.finished(sent.trace_id).status == "processed"
    eventually(lambda: house.state(account) is None, what="the state to be closed")


def the_one_entry(house: Installation, account: str, since: int = 0) -> None:
    """Of the entries after the first `since`, the venue took one, and the position is its."""
    books = house.books(account)
    [entry] = books.entries(SYMBOL)[since:]
    fees = entry.filled / 100 if MARKETS[account] is SPOT else Decimal(0)
    assert entry.filled > 0
    assert entry.filled - fees <= books.position(SYMBOL) <= entry.filled + step_of(account)


def test_an_alert_is_committed_before_its_answer_and_answered_within_100_ms(
    house: Installation,
) -> None:
    account, first, moved = "quick", levels(41000, 46000), levels(42000, 45000)
    opened(house, account, first)
    answers = []
    for at in (moved, first, moved, first, moved):
        answer = house.alert("MAJ", account, **fields(at))
        row = house.webhook(answer.trace_id)
        assert (answer.status, answer.body["status"]) == (200, "received")
        assert row is not None
        assert row.status in ("received", "processing", "processed")
        answers.append(answer)
        assert house.finished(answer.trace_id).status == "processed"
    print(f"{house.form}: answered in {', '.join(f'{a.ms:.1f}' for a in answers)} ms")
    assert min(answer.ms for answer in answers) < 100


def test_an_alert_waits_as_received_while_no_engine_runs(house: Installation) -> None:
    if house.form == "one machine":
        pytest.skip("there the receiver dies with the engine")
    account = "quick"
    house.kill("engine")
    sent = house.alert("PING", account)
    row = house.webhook(sent.trace_id)
    assert row is not None
    assert row.status == "received"
    house.restart("engine")
    assert house.finished(sent.trace_id).status == "processed"


def test_a_maj_replaces_both_legs_and_at_rest_nothing_is_written(house: Installation) -> None:
    account, moved = "normal", levels(42000, 45000)
    opened(house, account, levels(41000, 46000))
    old = {order.id for order in house.books(account).working(SYMBOL)}
    sent = house.alert("MAJ", account, **fields(moved))
    assert house.finished(sent.trace_id).status == "processed"
    books = house.books(account)
    assert books.is_guarded(SYMBOL, moved, step_of(account))
    assert {order.side for order in books.working(SYMBOL)} == {"sell"}
    assert all(order.reduce_only for order in books.working(SYMBOL))
    assert not old & {order.id for order in books.working(SYMBOL)}
    state = row_follows(house, account)
    assert (state.current_sl, state.current_tp) == (moved[STOP_LOSS], moved[TAKE_PROFIT])
    at_rest(house, account)
    seen = house.snapshot(account)
    assert {o["ref"]["venue_order_id"] for o in seen["orders"]} == {
        order.id for order in books.working(SYMBOL)
    }


def at_rest(house: Installation, account: str) -> None:
    """Over several passes no row of any table is written, not even with what it held before."""
    settled(house, account)
    before, written = house.passes(account), house.everything_written()
    eventually(
        lambda: house.passes(account) >= before + 4, within_s=60, what="four passes of the guardian"
    )
    assert house.everything_written() == written


@both_markets
def test_a_refused_stop_is_repaired_at_the_level_that_was_committed(
    house: Installation, market: MarketKind
) -> None:
    account, moved = account_of("refused", market), levels(42000, 45000)
    opened(house, account, levels(41000, 46000))
    house.fault(account, "refuse-create", role=STOP_LOSS, count=1)
    sent = house.alert("MAJ", account, **fields(moved))
    sent_s = time.monotonic()
    repaired(house, account, moved, sent_s)
    webhook = house.finished(sent.trace_id)
    assert webhook.status == "error"
    assert "refused" in webhook.message
    state = row_follows(house, account)
    assert (state.current_sl, state.current_tp) == (moved[STOP_LOSS], moved[TAKE_PROFIT])
    errors = [line for line in house.log_lines("engine") if line["level"] == "ERROR"]
    assert sent.trace_id in {line["trace_id"] for line in errors}
    [repair] = [line for line in house.journal(account, "T7.3") if STOP_LOSS in line.detail]
    assert repair.trace_id == sent.trace_id
    settled(house, account)
    assert is_guarded(house, account, moved)
    assert len(house.journal(account, "T7.3")) == (1 if market is LINEAR else 2)


def test_a_stop_that_the_venue_forgot_is_made_again(house: Installation) -> None:
    account, at = "forgotten", levels(41000, 46000)
    opened(house, account, at)
    [old] = house.books(account).working(SYMBOL, STOP_LOSS)
    forgotten_s = time.monotonic()
    house.fault(account, "forget-stop")
    assert not house.books(account).working(SYMBOL, STOP_LOSS)
    repaired(house, account, at, forgotten_s)
    assert row_follows(house, account).sl_order_id != old.id
    [line] = house.journal(account, "T7.3")
    assert STOP_LOSS in line.detail


def test_a_take_profit_cancelled_by_hand_is_made_again(house: Installation) -> None:
    account, at = "by-hand", levels(41000, 46000)
    opened(house, account, at)
    [old] = house.books(account).working(SYMBOL, TAKE_PROFIT)
    cancelled_s = time.monotonic()
    house.paper(account, "cancel", order_id=old.id)
    repaired(house, account, at, cancelled_s)
    assert row_follows(house, account).tp_order_id != old.id
    [line] = house.journal(account, "T7.3")
    assert TAKE_PROFIT in line.detail


@both_markets
def test_an_engine_killed_between_commit_and_create_leaves_the_new_levels_working(
    house: Installation, market: MarketKind
) -> None:
    account = account_of("between", market)
    opened(house, account, levels(41000, 46000))
    for attempt in range(TRIES):
        moved = levels(41100 + 10 * attempt, 45900 - 10 * attempt)
        sent = house.alert("MAJ", account, **fields(moved))
        kill_when(house, partial(committed, house, account, moved))
        hit = not stops_at(house, account, moved[STOP_LOSS])
        repaired_after_restart(house, account, moved)
        row_follows(house, account)
        if market is LINEAR:
            replayed(house, sent)
            assert is_guarded(house, account, moved)
        if hit:
            print(f"{house.form}: hit at kill {attempt + 1}")
            return
    pytest.fail(f"none of {TRIES} kills fell between commit and create")


def repaired_after_restart(house: Installation, account: str, at: dict[str, Decimal]) -> None:
    """The promise counts from when the process is ready again: how long Python takes to load is
    the machine's. Where the operator is a process of its own, it needs no engine to repair."""
    if house.form != "one machine":
        repaired(house, account, at)
    print(f"{house.form}: ready again after {house.restart('engine'):.2f} s")
    repaired(house, account, at)


def replayed(house: Installation, sent: Answer) -> None:
    """The alert that the dead engine had begun ends well, once its claim has run out."""
    webhook = house.finished(sent.trace_id)
    assert webhook.status == "processed", webhook.message


def kill_when(house: Installation, condition: Callable[[], bool]) -> None:
    """Kills the engine's process as soon as the condition holds."""
    deadline_s = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline_s, "there was nothing to kill in the middle of"
    house.kill("engine")


def committed(house: Installation, account: str, at: dict[str, Decimal]) -> bool:
    state = house.state(account)
    return state is not None and state.current_sl == at[STOP_LOSS]


def has_entered(house: Installation, account: str, before: int) -> bool:
    return len(house.books(account).entries(SYMBOL)) > before


def stops_at(house: Installation, account: str, level: Decimal) -> bool:
    stops = house.books(account).working(SYMBOL, STOP_LOSS)
    return any(order.trigger_price == level for order in stops)


@both_markets
def test_a_position_whose_entry_filled_as_the_process_died_is_guarded(
    house: Installation, market: MarketKind
) -> None:
    account, at = account_of("filled", market), levels(41000, 46000)
    for attempt in range(TRIES):
        sent = house.alert("BuyMarket", account, Close=PRICE, PourCent="50", **fields(at))
        kill_when(house, partial(has_entered, house, account, attempt))
        hit = not house.books(account).legs(SYMBOL)
        repaired_after_restart(house, account, at)
        if market is LINEAR:
            replayed(house, sent)
        the_one_entry(house, account, since=attempt)
        row_follows(house, account)
        if hit:
            print(f"{house.form}: hit at kill {attempt + 1}")
            return
        closed(house, account)
    pytest.fail(f"none of {TRIES} kills fell between the fill and the first leg")


def test_an_entry_whose_answer_is_lost_is_one_order_on_the_venue(house: Installation) -> None:
    account, at = "lost-entry", levels(41000, 46000)
    house.price(account, 43000)
    house.fault(account, "lose-answer", role=ENTRY, count=1)
    sent = house.alert("BuyMarket", account, Close=PRICE, PourCent="50", **fields(at))
    eventually(lambda: house.books(account).position(SYMBOL) > 0, what="the entry to fill")
    repaired(house, account, at)
    assert house.finished(sent.trace_id).status == "processed"
    the_one_entry(house, account)
    [row] = house.trades(account, role=ENTRY)
    assert row.status == "closed"


@pytest.mark.parametrize("role", LEGS)
def test_a_leg_whose_answer_is_lost_is_one_order_on_the_venue(
    house: Installation, role: str
) -> None:
    account = "lost-stop"
    if house.state(account) is None:
        opened(house, account, levels(41000, 46000))
    moved = levels(41100, 45900) if role == STOP_LOSS else levels(41200, 45800)
    before = {order.id for order in house.books(account).orders}
    house.fault(account, "lose-answer", role=role, count=1)
    house.alert("MAJ", account, **fields(moved))
    repaired(house, account, moved)
    row_follows(house, account)
    settled(house, account)
    made = [order for order in house.books(account).orders if order.id not in before]
    assert sorted(order.role for order in made) == sorted(LEGS)


def test_in_the_end_every_alert_of_these_tests_was_carried_out(house: Installation) -> None:
    unfinished = select(func.count()).where(Webhook.status.in_(("received", "processing")))
    eventually(
        lambda: house.read(lambda session: session.scalar(unfinished)) == 0,
        within_s=60,
        what="every alert to be finished",
    )
