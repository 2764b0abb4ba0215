"""The chart on the node, and what one does with it: install, alert, look, kill, upgrade, remove."""

import base64
import json
import os
import signal
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine, create_engine, select

from guardian_core.storage.schema import Lease
from tests.cluster.node.configuration import NAME as NODE_NAME
from tests.cluster.node.configuration import NODE_IP
from tests.cluster.node.images import CHART, ChartImages
from tests.cluster.node.ledger import Ledger
from tests.cluster.node.node import CommandFailed, Node
from tests.support.wait import eventually

RELEASE, NAMESPACE, ACCOUNT, HOST = "guardian", "trading", "paper", "alerts.test"
FULL_NAME = f"{RELEASE}-position-guardian"
COMPONENTS = ("receiver", "engine", "gateway", "operator")

_READY_WITHIN = "--timeout=240s"
_POSTGRESQL_UID = 999
_VALUES = {
    f"accounts.{ACCOUNT}.accountId": ACCOUNT,
    "webhook.host": HOST,
    "ingress.enabled": "true",
}

Body = dict[str, Any]


class Release:
    """`prepare` once, then `install`. Alerts go through the Ingress, by TLS, as TradingView's."""

    def __init__(self, node: Node) -> None:
        self._node = node
        trusted = ssl.create_default_context(cafile=str(node.keys.authority))
        self._http = httpx.Client(verify=trusted, timeout=10.0, trust_env=False)
        self._engine: Engine | None = None

    def prepare(self) -> None:
        """What a cluster has before: a namespace of the restricted standard, a certificate for the
        webhook's name, and a volume for the database."""
        self._node.kubectl("create", "namespace", NAMESPACE)
        standard = "pod-security.kubernetes.io/enforce=restricted"
        self._node.kubectl("label", "namespace", NAMESPACE, standard)
        self._node.keys.make("webhook", f"/CN={HOST}", f"DNS:{HOST}")
        certificate, key = self._node.keys.certificate("webhook"), self._node.keys.key("webhook")
        secret = ("create", "secret", "tls", f"{FULL_NAME}-receiver-tls")
        self.kubectl(*secret, f"--cert={certificate}", f"--key={key}")
        folder = self._node.volumes / "database"
        folder.mkdir()
        os.chown(folder, _POSTGRESQL_UID, _POSTGRESQL_UID)
        self._node.kubectl("apply", "-f", "-", stdin=json.dumps(_volume(folder)))

    def install(self) -> None:
        """Returns once every pod is ready."""
        options = [f"--set={name}={value}" for name, value in _VALUES.items()]
        self.helm("install", RELEASE, str(CHART), *options, "--wait", _READY_WITHIN)
        self._connect()

    def upgrade(self) -> None:
        """To the same image under another name, so that every pod is another one afterwards."""
        images = ChartImages.read()
        image = f"{images.services}:upgraded"
        self._node.tag(f"{images.services}:{images.version}", image)
        options = ("--reuse-values", "--set=image.tag=upgraded", "--wait", _READY_WITHIN)
        self.helm("upgrade", RELEASE, str(CHART), *options)

    def uninstall(self) -> None:
        """Returns once its pods are gone."""
        self.helm("uninstall", RELEASE, "--wait", _READY_WITHIN)
        everything = f"app.kubernetes.io/instance={RELEASE}"
        self.kubectl("wait", "--for=delete", "pod", "-l", everything, "--timeout=90s")

    def close(self) -> None:
        """Leaves the connections, not the cluster."""
        self._http.close()
        if self._engine is not None:
            self._engine.dispose()

    # By kubectl and helm

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self._node.kubectl("--namespace", NAMESPACE, *arguments, stdin=stdin)

    def helm(self, *arguments: str) -> str:
        return self._node.helm("--namespace", NAMESPACE, *arguments)

    def guardian(self, *arguments: str, component: str = "engine") -> str:
        """The command line, in a pod of the component's."""
        pod = self.pods(component)[0]["metadata"]["name"]
        return self.kubectl("exec", pod, "-c", component, "--", "guardian", *arguments)

    def position(self, symbol: str) -> Body:
        """The newest TradingPosition of the symbol."""
        found = json.loads(self.kubectl("get", "tradingpositions", "-o", "json"))["items"]
        of_symbol = [each for each in found if each["spec"]["symbol"] == symbol]
        assert of_symbol, f"no TradingPosition of {symbol}"
        newest: Body = max(of_symbol, key=lambda each: each["metadata"]["creationTimestamp"])
        return newest

    def protected(self, symbol: str) -> Body:
        """The symbol's TradingPosition, once it is there and `kubectl wait` finds it Protected."""
        found = eventually(lambda: self.position(symbol), within_s=30, what=f"{symbol} in kubectl")
        name = found["metadata"]["name"]
        self.kubectl("wait", "--for=condition=Protected", f"tpos/{name}", "--timeout=30s")
        return self.position(symbol)

    # Alerts

    def post(self, action: str, symbol: str, close: str, **more: str) -> httpx.Response:
        """One alert, with a bar of that close. `more`: fields by their names."""
        bar = dict.fromkeys(("Open", "High", "Low", "Close"), close)
        alert = {"Action": action, "Symbol": symbol, "UserExchangeID": ACCOUNT}
        moment = {"TimeNow": datetime.now(UTC).isoformat()}
        return self.request("POST", "/webhook", alert | bar | moment | {"Token": self.token} | more)

    def alert(self, action: str, symbol: str, close: str, **more: str) -> str:
        """Posts one that must be taken; returns its trace id."""
        answer = self.post(action, symbol, close, **more)
        assert answer.status_code == 200, answer.text
        trace: str = answer.json()["trace_id"]
        return trace

    def request(
        self, method: str, path: str, body: Body | None = None, *, host: str = HOST
    ) -> httpx.Response:
        """To the Ingress controller, for that host."""
        return self._http.request(
            method,
            f"https://{NODE_IP}{path}",
            json=body,
            headers={"Host": host},
            extensions={"sni_hostname": HOST},
        )

    @property
    def token(self) -> str:
        """What TradingView is given."""
        return self.secret(f"{FULL_NAME}-auth", "webhook-token")

    def secret(self, name: str, key: str) -> str:
        encoded = self.kubectl("get", "secret", name, "-o", f"jsonpath={{.data.{key}}}")
        return base64.b64decode(encoded).decode()

    # Pods

    def pods(self, component: str) -> list[Body]:
        """Its running pods that nobody has asked to end."""
        label = f"app.kubernetes.io/component={component},app.kubernetes.io/instance={RELEASE}"
        found = json.loads(self.kubectl("get", "pods", "-l", label, "-o", "json"))["items"]
        return [
            each
            for each in found
            if each["status"]["phase"] == "Running" and "deletionTimestamp" not in each["metadata"]
        ]

    def acting(self, component: str) -> Body:
        """The pod that acts, of two of which one stands by: the gateway's or the operator's."""
        acts = {"gateway": self._sends, "operator": self._guards}[component]

        def found() -> Body:
            return next(filter(acts, self.pods(component)), {})

        return eventually(found, within_s=30, what=f"an acting {component}")

    def kill(self, pod: Body) -> None:
        """SIGKILL to all of its processes, and no second life for it on this node."""
        metadata = pod["metadata"]
        for process in Path("/proc").glob("[0-9]*/cgroup"):
            try:
                is_its = f"/pod{metadata['uid']}/" in process.read_text()
                if is_its:
                    os.kill(int(process.parent.name), signal.SIGKILL)
            except (FileNotFoundError, ProcessLookupError):
                continue  # It ended meanwhile.
        at_once = ("--force", "--grace-period=0", "--wait=false")
        self.kubectl("delete", "pod", metadata["name"], *at_once)

    def is_whole(self) -> bool:
        """Whether all of its Deployments have all their pods ready."""
        found = json.loads(self.kubectl("get", "deployments", "-o", "json"))["items"]
        for each in found:
            wanted, status = each["spec"]["replicas"], each["status"]
            assert status.get("readyReplicas", 0) == wanted, each["metadata"]["name"]
            assert status.get("replicas") == wanted, each["metadata"]["name"]
        return len(found) == len(COMPONENTS)

    # The venue's own books

    def ledger(self, symbol: str) -> Ledger:
        """What the paper venue has of the symbol, read from its rows."""
        assert self._engine is not None, "install first"
        with self._engine.connect() as connection:
            return Ledger.read(connection, ACCOUNT, symbol)

    def _connect(self) -> None:
        """To the release's database, whose Service may have another address than the last one's."""
        if self._engine is not None:
            self._engine.dispose()
        name = f"{FULL_NAME}-postgresql"
        address = self.kubectl("get", "service", name, "-o", "jsonpath={.spec.clusterIP}")
        user = f"guardian:{self.secret(name, 'password')}"
        self._engine = create_engine(
            f"postgresql+psycopg2://{user}@{address}/guardian", pool_pre_ping=True
        )

    def _sends(self, pod: Body) -> bool:
        """Whether the gateway's lease names this pod."""
        assert self._engine is not None
        with self._engine.connect() as connection:
            urls = connection.scalars(select(Lease.url).where(Lease.name == "gateway")).all()
        return [f"http://{pod['status']['podIP']}:8889"] == list(urls)

    def _guards(self, pod: Body) -> bool:
        """Whether this operator has passed over an account."""
        answer = self._http.get(f"http://{pod['status']['podIP']}:8891/metrics")
        return "guardian_passes_total{" in answer.text


def refusal(call: Callable[[], object]) -> str:
    """What the command complained of."""
    try:
        call()
    except CommandFailed as error:
        return str(error)
    raise AssertionError("it was not refused")


def _volume(folder: Path) -> Body:
    on_the_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE_NAME]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "database"},
        "spec": {
            "capacity": {"storage": "8Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": str(folder)},
            "nodeAffinity": {
                "required": {"nodeSelectorTerms": [{"matchExpressions": [on_the_node]}]}
            },
        },
    }
