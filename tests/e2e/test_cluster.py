"""What is true of a cluster alone, with real processes, API server, PostgreSQL and Redis."""

import json
import os
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from guardian_core.accounts import AccountSpec, PaperSpec
from guardian_core.cluster.resources import GROUP, VERSION
from guardian_core.domain.money import MarketKind
from tests.e2e.alert_levels import fields, levels
from tests.e2e.installation import Installation
from tests.e2e.on_cluster import accounts_imported, cluster, positions, standby
from tests.e2e.venue_books import STOP_LOSS, TAKE_PROFIT
from tests.support.chart import CHART
from tests.support.kube import KubectlFailed, KubeServer, running_kube
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer
from tests.support.wait import eventually

SYMBOL = "BTCUSDT"
PRICE = 43000
PROMISE_S = 10.0
SENT_WITHIN_S = 6.0
"""A lease runs for 4 s."""
AWAY_S = float(os.environ.get("E2E_AWAY_S", "90"))
ACCOUNTS = {
    name: AccountSpec(account_id=name, paper=PaperSpec(market=MarketKind.LINEAR))
    for name in (
        "shown",
        "edited",
        "raced",
        "outage",
        "late",
        "led",
        "deleted",
        "undefined",
        "midway",
    )
}
STEP = Decimal("0.001")

pytestmark = pytest.mark.xdist_group("kube")


@pytest.fixture(scope="module")
def kube() -> Iterator[KubeServer]:
    """One of its own: it is stopped and started."""
    with running_kube() as server:
        server.install_crds()
        yield server


@pytest.fixture(scope="module")
def namespace(kube: KubeServer) -> str:
    return kube.fresh_namespace()


@pytest.fixture(scope="module")
def started(
    kube: KubeServer,
    namespace: str,
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: PostgresServer,
    redis_server: RedisServer,
) -> Iterator[Installation]:
    home: Path = tmp_path_factory.mktemp("cluster") / "home"
    url = postgres_server.url(postgres_server.fresh_database())
    installation = cluster(home, url, redis_server.url, kube, namespace, ACCOUNTS)
    try:
        installation.start()
        accounts_imported(installation, len(ACCOUNTS))
        for name in ACCOUNTS:
            installation.price(name, PRICE)
        yield installation
    finally:
        print(installation.logs())
        installation.stop()


@pytest.fixture
def house(started: Installation) -> Iterator[Installation]:
    started.ensure_running()
    yield started
    print(started.logs())


FIRST, MOVED = levels(41000, 46000), levels(42000, 45000)


def guarded(house: Installation, account: str, at: dict[str, Decimal]) -> float:
    """Seconds until the venue's books show both legs for all of the position."""
    began_s = time.monotonic()
    eventually(
        lambda: house.books(account).is_guarded(SYMBOL, at, STEP),
        within_s=3 * PROMISE_S,
        what=f"{account} guarded at {at}, it has {house.books(account).working(SYMBOL)}",
    )
    return time.monotonic() - began_s


def opened(house: Installation, account: str, at: dict[str, Decimal] = FIRST) -> None:
    sent = house.alert("BuyMarket", account, Close=str(PRICE), PourCent="50", **fields(at))
    assert sent.status == 200, sent
    guarded(house, account, at)
    assert house.finished(sent.trace_id).status == "processed"


def shown(kube: KubeServer, namespace: str, account: str) -> dict[str, Any]:
    """The account's one TradingPosition."""

    def one() -> dict[str, Any]:
        [found] = positions(kube, namespace, account)
        return found

    return eventually(lambda: _asserted(one), within_s=30, what=f"{account}'s TradingPosition")


def _asserted(look: Any) -> Any:
    try:
        return look()
    except ValueError as error:
        raise AssertionError(str(error)) from error


def says(kube: KubeServer, namespace: str, account: str, at: dict[str, Decimal]) -> bool:
    spec = shown(kube, namespace, account)["spec"]
    told = {STOP_LOSS: Decimal(spec["stopLoss"]), TAKE_PROFIT: Decimal(spec["takeProfit"])}
    return told == at


def desired(house: Installation, account: str) -> dict[str, Decimal]:
    state = house.state(account)
    assert state is not None
    assert state.current_sl is not None
    assert state.current_tp is not None
    return {STOP_LOSS: state.current_sl, TAKE_PROFIT: state.current_tp}


def patched(kube: KubeServer, namespace: str, name: str, spec: dict[str, Any]) -> None:
    change = json.dumps({"spec": spec})
    kube.kubectl("-n", namespace, "patch", "tpos", name, "--type=merge", "-p", change)


def test_kubectl_shows_the_position_waits_for_it_and_tells_its_story(
    house: Installation, kube: KubeServer, namespace: str
) -> None:
    opened(house, "shown")
    name = shown(kube, namespace, "shown")["metadata"]["name"]
    kube.kubectl(
        "-n", namespace, "wait", "--for=condition=Protected", f"tpos/{name}", "--timeout=30s"
    )
    house.fault("shown", "forget-stop")

    def repaired() -> bool:
        header, row = kube.kubectl("-n", namespace, "get", "tpos", name).splitlines()
        told = dict(zip(header.split(), row.split(), strict=True))
        account, side, stop = told["ACCOUNT"], told["SIDE"], told["SL"]
        assert (account, told["SYMBOL"], side, stop) == ("shown", SYMBOL, "long", "41000")
        return told["COVERAGE"] == "Protected" and told["REPAIRS"] == "1"

    eventually(repaired, within_s=30, what="the repair to be shown")

    def story() -> bool:
        text = kube.kubectl("-n", namespace, "describe", "tpos", name)
        return all(word in text for word in ("Opened", "LegMissing", "Repaired"))

    eventually(story, within_s=30, what="the events")


def test_an_edit_moves_the_real_order_and_the_row(
    house: Installation, kube: KubeServer, namespace: str
) -> None:
    opened(house, "edited")
    name = shown(kube, namespace, "edited")["metadata"]["name"]
    patched(kube, namespace, name, {"stopLoss": "41500"})
    guarded(house, "edited", levels(41500, 46000))
    assert desired(house, "edited") == levels(41500, 46000)


def test_an_edit_and_a_maj_at_one_moment_end_in_one_desire(
    house: Installation, kube: KubeServer, namespace: str
) -> None:
    account = "raced"
    opened(house, account)
    name = shown(kube, namespace, account)["metadata"]["name"]
    for step in range(1, 4):
        edit = threading.Thread(
            target=patched, args=(kube, namespace, name, {"stopLoss": str(41000 + 100 * step)})
        )
        edit.start()
        sent = house.alert("MAJ", account, **fields(levels(41050 + 100 * step, 45000 - step)))
        edit.join()
        assert house.finished(sent.trace_id).status == "processed"

        agreed = partial(one_desire, house, kube, namespace, account, 45000 - step)
        eventually(agreed, within_s=30, what="row, resource and venue to agree")


def one_desire(
    house: Installation, kube: KubeServer, namespace: str, account: str, take_profit: int
) -> bool:
    """Whether row, resource and venue say the same, and the alert's take-profit is in it."""
    at = desired(house, account)
    guarded = house.books(account).is_guarded(SYMBOL, at, STEP)
    return guarded and says(kube, namespace, account, at) and at[TAKE_PROFIT] == take_profit


def test_with_the_api_server_away_all_goes_on_and_the_mirror_catches_up(
    house: Installation, kube: KubeServer, namespace: str
) -> None:
    opened(house, "outage")
    shown(kube, namespace, "outage")
    house.kill("operator")
    kube.stop()
    until_s = time.monotonic() + AWAY_S
    try:
        house.restart("operator")
        opened(house, "late")
        house.fault("outage", "forget-stop")
        assert guarded(house, "outage", FIRST) <= PROMISE_S
        sent = house.alert("MAJ", "outage", **fields(MOVED))
        guarded(house, "outage", MOVED)
        assert house.finished(sent.trace_id).status == "processed"
        while time.monotonic() < until_s:
            time.sleep(min(10.0, max(0.0, until_s - time.monotonic())))
            house.fault("late", "forget-stop")
            assert guarded(house, "late", FIRST) <= PROMISE_S
    finally:
        kube.start()
    for account, at in (("outage", MOVED), ("late", FIRST)):
        told = partial(says, kube, namespace, account, at)
        eventually(told, within_s=60, what=f"the mirror of {account}")
        assert len(positions(kube, namespace, account)) == 1
        assert len(house.books(account).entries(SYMBOL)) == 1


def test_a_leader_killed_as_a_stop_goes_is_followed_within_the_promise(
    house: Installation, kube: KubeServer, namespace: str
) -> None:
    opened(house, "led")
    second = standby(house, "operator")
    second.process.start()
    try:
        eventually(second.is_ready, within_s=60, what="the standby to be ready")
        house.fault("led", "forget-stop")
        house.kill("operator")
        assert guarded(house, "led", FIRST) <= PROMISE_S
        # The killed one is back, as the standby of its standby: nothing is doubled.
        house.restart("operator")
        assert len(house.books("led").working(SYMBOL)) == 2
    finally:
        second.process.stop()


def test_a_gateway_killed_mid_order_is_followed_within_6_s_and_the_order_is_one(
    house: Installation,
) -> None:
    account = "midway"
    second = standby(house, "gateway")
    second.process.start()
    try:
        eventually(second.is_ready, within_s=60, what="the standby to be ready")
        sent = house.alert("BuyMarket", account, Close=str(PRICE), PourCent="50", **fields(FIRST))
        eventually(lambda: house.trades(account), within_s=20, what="the entry to be written down")
        house.kill("gateway")
        killed_s = time.monotonic()
        guarded(house, account, FIRST)
        took_s = time.monotonic() - killed_s
        print(f"guarded {took_s:.1f} s after the kill")
        assert took_s <= SENT_WITHIN_S
        assert len(house.books(account).entries(SYMBOL)) == 1
        house.finished(sent.trace_id, within_s=60)
        house.restart("gateway")
    finally:
        second.process.stop()
    eventually(partial(answers, house, account), within_s=30, what="the first gateway to send")


def answers(house: Installation, account: str) -> bool:
    """Whether the first gateway holds the lease again: another one's is a 421."""
    try:
        return bool(house.snapshot(account)["positions"])
    except httpx.HTTPStatusError:
        return False


def test_deleting_positions_is_refused_and_past_the_guard_takes_nothing_from_the_venue(
    house: Installation, kube: KubeServer, namespace: str
) -> None:
    opened(house, "deleted")
    uid = shown(kube, namespace, "deleted")["metadata"]["uid"]
    orders = {order.id for order in house.books("deleted").working(SYMBOL)}
    eventually(
        lambda: shown(kube, namespace, "deleted").get("status", {}).get("quantity"),
        within_s=30,
        what="the status",
    )
    with pytest.raises(KubectlFailed, match="deletionPolicy is Keep"):
        kube.kubectl("-n", namespace, "delete", "tpos", "--all", "--wait=false")
    kube.kubectl(
        "-n", namespace, "annotate", "tpos", "--all", "guardian.trading/allow-deletion=true"
    )
    kube.kubectl("-n", namespace, "delete", "tpos", "--all", "--wait=false")

    def made_again() -> bool:
        found = shown(kube, namespace, "deleted")
        return found["metadata"]["uid"] != uid and says(kube, namespace, "deleted", FIRST)

    eventually(made_again, within_s=60, what="the resource to be made again")
    assert {order.id for order in house.books("deleted").working(SYMBOL)} == orders


def test_with_the_definition_deleted_positions_stay_guarded_and_come_back_with_it(
    house: Installation, kube: KubeServer, namespace: str
) -> None:
    account = "undefined"
    opened(house, account)
    shown(kube, namespace, account)
    kube.kubectl("delete", "crd", "tradingpositions.guardian.trading", "--wait=false")

    def gone() -> bool:
        answer = kube.request("GET", f"/apis/{GROUP}/{VERSION}/tradingpositions")
        return answer.status_code == 404

    eventually(gone, within_s=60, what="the definition to be gone")
    house.fault(account, "forget-stop")
    assert guarded(house, account, FIRST) <= PROMISE_S
    sent = house.alert("MAJ", account, **fields(MOVED))
    guarded(house, account, MOVED)
    assert house.finished(sent.trace_id).status == "processed"
    orders = {order.id for order in house.books(account).working(SYMBOL)}
    kube.kubectl("apply", "--server-side", "-f", str(CHART / "crds"))
    eventually(
        partial(says, kube, namespace, account, MOVED), within_s=90, what="the resource to be back"
    )
    assert {order.id for order in house.books(account).working(SYMBOL)} == orders
