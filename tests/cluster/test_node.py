"""The whole product on a whole cluster of one node: `make test-cluster`.

Each test opens a position of its own through the Ingress and closes it. What this node cannot show:
its network plugin enforces no NetworkPolicy, so that part of the chart is only known to be accepted
(tests/helm); and with one node, nothing is ever moved elsewhere.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from tests.cluster.node.images import Images
from tests.cluster.node.ledger import STOP_LOSS, TAKE_PROFIT
from tests.cluster.node.node import Node, running_node
from tests.cluster.node.release import RELEASE, Release, refusal
from tests.support.wait import eventually

# The first test waits for the node, its images and the chart too.
pytestmark = [pytest.mark.node, pytest.mark.timeout(1200)]

MANIFESTS = Path(__file__).parent / "node/manifests"
PROMISE_S = 10.0
"""No open position stays without its stop for longer, while its exchange and database answer."""
STOP, TARGET = Decimal(42000), Decimal(45000)
LEVELS = {"PrixSL": "42000", "PrixTP": "45000"}


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A node that resolves names and has an Ingress controller."""
    archives = Images().build()
    with running_node() as started:
        started.load(archives)
        started.kubectl("apply", "-f", str(MANIFESTS))
        for namespace, name in (("kube-system", "coredns"), ("traefik", "traefik")):
            wait = ("rollout", "status", f"deployment/{name}", "--timeout=100s")
            started.kubectl("--namespace", namespace, *wait)
        yield started


@pytest.fixture(scope="module")
def installed(node: Node) -> Iterator[Release]:
    release = Release(node)
    try:
        release.prepare()
        release.install()
        eventually(lambda: release.request("GET", "/").status_code == 404, within_s=30)
        yield release
    finally:
        release.close()


@pytest.fixture
def release(installed: Release) -> Release:
    """The installed chart, all of its pods ready."""
    eventually(installed.is_whole, within_s=120, what="every pod to be ready")
    return installed


@contextmanager
def a_long(release: Release, symbol: str) -> Iterator[str]:
    """A guarded long position; yields the name of its resource, and closes it."""
    release.alert("BuyMarket", symbol, "43000", PourCent="20", **LEVELS)
    yield release.protected(symbol)["metadata"]["name"]
    release.alert("Close", symbol, "43000")
    eventually(lambda: release.ledger(symbol).position == 0, within_s=30, what="a flat position")


@contextmanager
def pings(release: Release) -> Iterator[list[str]]:
    """Meanwhile, one alert after the other through the Ingress; yields what was answered."""
    answers: list[str] = []
    done = threading.Event()

    def post() -> None:
        while not done.wait(0.1):
            try:
                answers.append(str(release.post("PING", "BTCUSDT", "43000").status_code))
            except httpx.TransportError as error:
                answers.append(repr(error))

    thread = threading.Thread(target=post)
    thread.start()
    try:
        yield answers
    finally:
        done.set()
        thread.join()


def works_at(release: Release, symbol: str, stop: Decimal, target: Decimal = TARGET) -> None:
    """Waits until exactly these two protective orders work, for all of the position."""

    def exactly() -> bool:
        ledger = release.ledger(symbol)
        assert ledger.levels() == {STOP_LOSS: [stop], TAKE_PROFIT: [target]}
        return ledger.working(STOP_LOSS)[0].quantity == ledger.position

    eventually(exactly, within_s=15, what=f"{symbol} guarded at {stop}")


def test_an_alert_becomes_a_protected_position_that_kubectl_shows(release: Release) -> None:
    with a_long(release, "BTCUSDT") as name:
        works_at(release, "BTCUSDT", STOP)
        header, row = release.kubectl("get", "tpos", name).splitlines()
        assert header.split()[1:] == [
            *("ACCOUNT", "SYMBOL", "SIDE", "QTY", "SL", "TP", "COVERAGE", "REPAIRS", "AGE")
        ]
        quantity = format(release.ledger("BTCUSDT").position, "f")
        shown = ["paper", "BTCUSDT", "long", quantity, "42000", "45000", "Protected", "0"]
        assert row.split()[1:-1] == shown
        told = release.kubectl("get", "events", "-o", "jsonpath={.items[*].reason}").split()
        assert "Opened" in told
        assert "Protected" in release.guardian("status")


def test_only_the_webhook_is_open_to_the_outside(release: Release) -> None:
    for path in ("/", "/metrics", "/healthz", "/docs", "/schema/alert.json"):
        assert release.request("GET", path).status_code == 404, path
    assert release.request("POST", "/webhook", {}, host="other.test").status_code == 404
    without = release.request("POST", "/webhook", {"Action": "PING", "Symbol": "BTCUSDT"})
    assert without.status_code == 401


def test_the_charts_own_test_passes(release: Release) -> None:
    assert "Succeeded" in release.helm("test", RELEASE, "--timeout=100s")


def test_new_levels_move_the_order_whether_by_alert_or_by_kubectl(release: Release) -> None:
    with a_long(release, "ETHUSDT") as name:
        release.alert("MAJ", "ETHUSDT", "43000", PrixSL="42100")
        works_at(release, "ETHUSDT", Decimal(42100))
        level = ("-o", "jsonpath={.spec.stopLoss}")
        shown = ("get", "tpos", name, *level)
        eventually(lambda: release.kubectl(*shown) == "42100", within_s=15, what="the alert's stop")
        patch = json.dumps({"spec": {"stopLoss": "42200"}})
        release.kubectl("patch", "tpos", name, "--type=merge", "-p", patch)
        works_at(release, "ETHUSDT", Decimal(42200))
        eventually(lambda: release.kubectl(*shown) == "42200", within_s=15, what="the patch stays")
        release.protected("ETHUSDT")


def test_an_open_position_cannot_be_deleted_by_mistake(release: Release) -> None:
    with a_long(release, "BNBUSDT"):
        said = refusal(lambda: release.kubectl("delete", "tpos", "--all", "--wait=false"))
        assert "deletionPolicy" in said
        works_at(release, "BNBUSDT", STOP)


@pytest.mark.parametrize(
    ("component", "symbol"), [("operator", "SOLUSDT"), ("gateway", "LINKUSDT")]
)
def test_a_stop_that_is_lost_as_the_acting_pod_dies_comes_back_in_time(
    release: Release, component: str, symbol: str
) -> None:
    with a_long(release, symbol) as name:
        doomed = release.acting(component)
        since = datetime.now(UTC)
        assert "forgot stop_loss" in release.guardian("paper", "fault", "forget-stop")
        release.kill(doomed)
        works_at(release, symbol, STOP)
        naked_s = release.ledger(symbol).naked_s(STOP_LOSS, since, datetime.now(UTC))
        assert 0 < naked_s <= PROMISE_S
        repairs = ("get", "tpos", name, "-o", "jsonpath={.status.repairs}")
        eventually(lambda: release.kubectl(*repairs) == "1", within_s=30, what="a told repair")
        eventually(release.is_whole, within_s=120, what="the dead pod's successor")
        assert release.acting(component)["metadata"]["uid"] != doomed["metadata"]["uid"]


def test_an_acknowledged_alert_outlives_every_engine(release: Release) -> None:
    with a_long(release, "BCHUSDT"):
        engines = release.pods("engine")
        assert len(engines) == 2
        trace = release.alert("MAJ", "BCHUSDT", "43000", PrixSL="42300")
        for each in engines:
            release.kill(each)
        assert release.post("PING", "BCHUSDT", "43000").status_code == 200, "nobody trades, yet"
        eventually(release.is_whole, within_s=120, what="the engines' successors")
        works_at(release, "BCHUSDT", Decimal(42300))
        assert trace[:12] in release.guardian("trace", trace)


def test_an_upgrade_leaves_no_position_naked_and_no_alert_unanswered(release: Release) -> None:
    with a_long(release, "ETCUSDT"):
        works_at(release, "ETCUSDT", STOP)
        before = {pod["metadata"]["uid"] for pod in release.pods("operator")}
        since = datetime.now(UTC)
        with pings(release) as answers:
            release.upgrade()
        for role in (STOP_LOSS, TAKE_PROFIT):
            assert release.ledger("ETCUSDT").naked_s(role, since, datetime.now(UTC)) == 0.0
        eventually(release.is_whole, within_s=60, what="the old pods' end")
        assert not before & {pod["metadata"]["uid"] for pod in release.pods("operator")}
        # 503 says honestly that the database has no time, as on a machine that has too much to do:
        # it is sent again. A refused or silent connection would be an alert lost.
        assert set(answers) <= {"200", "503"}
        assert answers.count("200") > max(20, 20 * answers.count("503"))
        release.alert("MAJ", "ETCUSDT", "43000", PrixSL="42400")
        works_at(release, "ETCUSDT", Decimal(42400))


def test_uninstalling_leaves_the_orders_and_reinstalling_guards_them_again(
    release: Release,
) -> None:
    with a_long(release, "COMPUSDT"):
        works_at(release, "COMPUSDT", STOP)
        before = release.ledger("COMPUSDT")
        release.uninstall()
        left = json.loads(release.kubectl("get", "tradingpositions", "-o", "json"))["items"]
        assert [each["metadata"].get("finalizers") for each in left] == [None] * len(left)
        release.kubectl("delete", "tradingpositions", "--all", "--timeout=30s")
        release.install()
        assert release.ledger("COMPUSDT") == before, "the same orders, never interrupted"
        release.protected("COMPUSDT")
        since = datetime.now(UTC)
        release.guardian("paper", "fault", "forget-stop")
        works_at(release, "COMPUSDT", STOP)
        naked_s = release.ledger("COMPUSDT").naked_s(STOP_LOSS, since, datetime.now(UTC))
        assert 0 < naked_s <= PROMISE_S
