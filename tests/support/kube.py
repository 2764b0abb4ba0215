"""A real Kubernetes API server for the tests: etcd and kube-apiserver with RBAC on loopback.

There is no controller manager and no node: nothing makes default ServiceAccounts, collects garbage,
or finishes the deletion of a namespace. So each test has a namespace of its own, and leaves it.
"""

import functools
import itertools
import json
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.server_process import ServerProcess, find_program, free_port
from tests.support.wait import eventually

ROOT = Path(__file__).parents[2]

_ADMIN_TOKEN = "admin-of-a-test"
_START_WITHIN_S = 60.0
_START_TRIES = 3
_CALL_WITHIN_S = 30.0


class KubectlFailed(AssertionError):
    """Kubectl ended with an error; the text is what it printed on stderr."""


class KubeServer:
    """An API server that can be stopped and started again on the same data and port.

    Its administrator may do everything; everybody else what RBAC objects say.
    """

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self._folder = folder
        self._namespaces = itertools.count(1)
        self._configs = itertools.count(1)
        self._has_crds = False
        self._data = folder / "etcd"
        self._was_ready = False
        self.ca = folder / "ca.crt"
        _make_keys(folder)
        (folder / "tokens.csv").write_text(f"{_ADMIN_TOKEN},admin,admin,system:masters\n")
        trusted = ssl.create_default_context(cafile=str(self.ca))
        self._client = httpx.Client(verify=trusted, timeout=_CALL_WITHIN_S, trust_env=False)
        self._choose_ports(port or free_port())

    def start(self) -> None:
        """Returns once the server is ready, on new ports if another process took one of these."""
        for _ in range(_START_TRIES - 1):
            try:
                return self._start()
            except _Ended:
                if self._was_ready:
                    raise
                self._end()
                shutil.rmtree(self._data, ignore_errors=True)
                self._choose_ports(free_port())
        return self._start()

    def stop(self) -> None:
        """The API is away until `start`; what it stores is not lost."""
        # Asked politely it would first wait for the watches that are open to end.
        self._apiserver.kill()

    def close(self) -> None:
        """Ends both processes, for good."""
        self._end()
        self._client.close()

    @property
    def pids(self) -> tuple[int, int]:
        """The process ids of etcd and kube-apiserver."""
        return self._etcd.pid, self._apiserver.pid

    def fresh_namespace(self) -> str:
        """Makes an empty namespace and returns its name."""
        name = f"test-{next(self._namespaces)}"
        self.create("/api/v1/namespaces", {"metadata": {"name": name}})
        return name

    def install_crds(self) -> None:
        """Installs the project's custom resources, unless they are there already."""
        if self._has_crds:
            return
        self.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        self._has_crds = True

    def token_for(self, namespace: str, service_account: str) -> str:
        """A token of the ServiceAccount, which is made when it is missing."""
        accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        made = self.request("POST", accounts, {"metadata": {"name": service_account}})
        assert made.status_code in (201, 409), made.text
        answer = self.create(f"{accounts}/{service_account}/token", {"spec": {}})
        return str(answer["status"]["token"])

    @functools.cached_property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.kubeconfig_for(_ADMIN_TOKEN, "default")

    def kubeconfig_for(self, token: str, namespace: str) -> Path:
        """A kubeconfig of the token's owner whose default namespace is this one."""
        cluster = {"server": self.url, "certificate-authority": str(self.ca)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [
                {
                    "name": "test",
                    "context": {"cluster": "test", "user": "test", "namespace": namespace},
                }
            ],
        }
        path = self._folder / f"kubeconfig-{next(self._configs)}.json"
        path.write_text(json.dumps(content))
        return path

    def kubectl(
        self, *arguments: str, stdin: str | None = None, kubeconfig: Path | None = None
    ) -> str:
        """What kubectl printed. Raises KubectlFailed with what it complained of."""
        command = [str(kube_program("kubectl")), "--kubeconfig", str(kubeconfig or self.kubeconfig)]
        # Its usual cache goes by the server's port, which another server may have had before.
        command += ["--cache-dir", str(self._folder / "kubectl"), *arguments]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode != 0:
            raise KubectlFailed(done.stderr)
        return done.stdout

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        token: str = _ADMIN_TOKEN,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One call to the API, whatever its answer. `headers` go over those it sends anyway."""
        return self._client.request(
            method,
            f"{self.url}{path}",
            json=body,
            headers={"Authorization": f"Bearer {token}"} | dict(headers or {}),
        )

    def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """What the API server stored. Fails the test when it was refused."""
        answer = self.request("POST", path, body)
        assert answer.status_code == 201, answer.text
        stored: dict[str, Any] = answer.json()
        return stored

    def _end(self) -> None:
        self._apiserver.kill()
        self._etcd.kill()

    def _start(self) -> None:
        for process in (self._etcd, self._apiserver):
            if not process.running:
                process.start()
        eventually(self._is_ready, within_s=_START_WITHIN_S, what="the API server to be ready")

    def _choose_ports(self, port: int) -> None:
        self.port = port
        self.url = f"https://127.0.0.1:{self.port}"
        clients, peers = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self._etcd = ServerProcess(
            [
                *(str(kube_program("etcd")), "--data-dir", str(self._data)),
                # No test pulls the plug on etcd, so none has to wait for the disk.
                "--unsafe-no-fsync",
                *("--listen-client-urls", clients, "--advertise-client-urls", clients),
                *("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers),
                *("--initial-cluster", f"default={peers}"),
            ],
            self._folder / "etcd.log",
        )
        log = self._folder / "kube-apiserver.log"
        self._apiserver = ServerProcess(self._apiserver_command(clients), log)

    def _apiserver_command(self, etcd: str) -> list[str]:
        flags = {
            "etcd-servers": etcd,
            "bind-address": "127.0.0.1",
            "advertise-address": "127.0.0.1",
            "secure-port": str(self.port),
            # A loopback address can be nobody's endpoint, and nobody needs one here.
            "endpoint-reconciler-type": "none",
            "service-cluster-ip-range": "10.96.0.0/16",
            "authorization-mode": "RBAC",
            "anonymous-auth": "false",
            "token-auth-file": str(self._folder / "tokens.csv"),
            # It would refuse every pod, for want of the ServiceAccount that a controller makes.
            "disable-admission-plugins": "ServiceAccount",
            "tls-cert-file": str(self._folder / "server.crt"),
            "tls-private-key-file": str(self._folder / "server.key"),
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": str(self._folder / "accounts.key"),
            "service-account-signing-key-file": str(self._folder / "accounts.key"),
        }
        program = str(kube_program("kube-apiserver"))
        return [program, *(f"--{name}={value}" for name, value in flags.items())]

    def _is_ready(self) -> bool:
        for process in (self._etcd, self._apiserver):
            if not process.running:
                raise _Ended(process.log_tail())
        try:
            answer = self.request("GET", "/readyz")
        except httpx.TransportError as error:
            raise AssertionError(f"{error}\n{self._apiserver.log_tail()}") from error
        assert answer.status_code == 200, answer.text
        self._was_ready = True
        return True


class _Ended(Exception):
    """A server ended while it was to start; the text is the end of its log."""


@contextmanager
def running_kube(port: int | None = None) -> Iterator[KubeServer]:
    """A started server, ended and removed at the end. `port`: the one to try first."""
    with tempfile.TemporaryDirectory(prefix="guardian-kube-") as folder:
        server = KubeServer(Path(folder), port)
        try:
            server.start()
            yield server
        finally:
            server.close()


@functools.cache
def kube_program(name: str) -> Path:
    """One of etcd, kube-apiserver, kubectl and helm, where scripts/ensure-kube has put them."""
    asked = [str(ROOT / "scripts/ensure-kube"), "--path"]
    folder = Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
    if not (folder / name).exists():
        raise FileNotFoundError(f"{name} is not in {folder}: run scripts/ensure-kube")
    return folder / name


def _make_keys(folder: Path) -> None:
    """A CA, the server's certificate, and the key that signs ServiceAccounts' tokens."""
    openssl = str(find_program("openssl"))
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc")
    authority = ("-x509", "-days", "3650", *key)
    for arguments in (
        [
            *("req", *authority, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=tests"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        ],
        [
            *("req", *authority, "-keyout", "server.key", "-out", "server.crt"),
            *("-CA", "ca.crt", "-CAkey", "ca.key", "-subj", "/CN=kube-apiserver"),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
            *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
        ],
        ["genpkey", "-algorithm", "RSA", "-out", "accounts.key"],
    ):
        command = [openssl, *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"openssl failed:\n{done.stderr}")


@pytest.fixture(scope="session")
def kube_server() -> Iterator[KubeServer]:
    """The process's API server; a test that stops one makes its own with `running_kube`."""
    with running_kube() as server:
        yield server


@pytest.fixture
def kube_namespace(kube_server: KubeServer) -> str:
    """The name of an empty namespace, on a server that has the project's custom resources."""
    kube_server.install_crds()
    return kube_server.fresh_namespace()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps all tests of the shared API server on one worker: it takes half a gigabyte."""
    for item in items:
        if "kube_server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("kube"))
