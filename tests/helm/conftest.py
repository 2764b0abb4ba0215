"""A release of the chart in a real API server's store: RBAC counts, nothing runs."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.chart import CHART, NAME, RELEASE, helm
from tests.support.kube import KubeServer


@dataclass(frozen=True)
class Release:
    """What `helm install` has put into one namespace. No controller makes pods of it."""

    server: KubeServer
    namespace: str
    notes: str

    def helm(self, verb: str, *options: str) -> str:
        """A call of Helm on this release; what it printed."""
        return run(self.server, verb, self.namespace, *options)

    def kubeconfig_of(self, component: str) -> Path:
        """That of a component's ServiceAccount, with a token as its pods get one."""
        token = self.token_of(component)
        return self.server.kubeconfig_for(token, self.namespace)

    def token_of(self, component: str) -> str:
        return self.server.token_for(self.namespace, f"{NAME}-{component}")


def run(server: KubeServer, verb: str, namespace: str, *options: str) -> str:
    where = ("--namespace", namespace, "--kubeconfig", str(server.kubeconfig))
    chart = () if verb in ("uninstall", "get") else (str(CHART),)
    done = helm(verb, RELEASE, *chart, *where, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def shared_release(kube_server: KubeServer) -> Release:
    """One release for a module whose tests leave it as it is."""
    kube_server.install_crds()
    namespace = kube_server.fresh_namespace()
    return Release(kube_server, namespace, run(kube_server, "install", namespace))


@pytest.fixture
def release(kube_server: KubeServer, kube_namespace: str) -> Release:
    """The chart with its own values."""
    notes = run(kube_server, "install", kube_namespace)
    return Release(kube_server, kube_namespace, notes)
