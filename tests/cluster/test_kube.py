"""The API server that the tests start: it refuses, forgets and ends as a cluster's would."""

import os
import re
import subprocess
from collections.abc import Iterator

import httpx
import pytest

from tests.house.test_servers import is_alive
from tests.support.kube import (
    ROOT,
    KubectlFailed,
    KubeServer,
    kube_program,
    running_kube,
)
from tests.support.wait import eventually

CONFIG_MAPS = "/api/v1/namespaces/{}/configmaps"
# Two servers at once are too many for a small machine.
pytestmark = pytest.mark.xdist_group("kube")


@pytest.fixture(scope="module")
def own_server() -> Iterator[KubeServer]:
    """A server that a test may stop."""
    with running_kube() as server:
        yield server


def test_an_account_may_do_what_a_role_says_and_nothing_else(kube_server: KubeServer) -> None:
    namespace, other = kube_server.fresh_namespace(), kube_server.fresh_namespace()
    config = kube_server.kubeconfig_for(kube_server.token_for(namespace, "reader"), namespace)
    with pytest.raises(KubectlFailed, match="Forbidden"):
        kube_server.kubectl("get", "configmaps", kubeconfig=config)
    rights = ("--namespace", namespace, "create")
    kube_server.kubectl(*rights, "role", "reader", "--verb=get,list", "--resource=configmaps")
    subject = f"--serviceaccount={namespace}:reader"
    kube_server.kubectl(*rights, "rolebinding", "reader", "--role=reader", subject)

    def may_list() -> bool:
        try:
            kube_server.kubectl("get", "configmaps", kubeconfig=config)
        except KubectlFailed as error:
            raise AssertionError(str(error)) from error
        return True

    # RBAC reads what is new from a watch of its own.
    eventually(may_list, within_s=10)
    for refused in (
        ("get", "configmaps", "--namespace", other),
        ("get", "secrets"),
        ("create", "configmap", "mine"),
    ):
        with pytest.raises(KubectlFailed, match="forbidden"):
            kube_server.kubectl(*refused, kubeconfig=config)


def test_nobody_comes_in_without_a_token(kube_server: KubeServer) -> None:
    assert kube_server.request("GET", "/api/v1/namespaces", token="made-up").status_code == 401


def test_namespaces_are_fresh(kube_server: KubeServer) -> None:
    first, second = kube_server.fresh_namespace(), kube_server.fresh_namespace()
    kube_server.create(CONFIG_MAPS.format(first), {"metadata": {"name": "mark"}})
    assert names(kube_server, first) == ["mark"]
    assert names(kube_server, second) == []


def test_an_admission_policy_refuses_by_what_an_object_says(kube_server: KubeServer) -> None:
    namespace = kube_server.fresh_namespace()
    policies = "/apis/admissionregistration.k8s.io/v1"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}
    policy = {
        "matchConstraints": {"resourceRules": [rule | {"operations": ["DELETE"]}]},
        "validations": [{"expression": "!has(oldObject.data)", "message": "it is not empty"}],
    }
    binding = {
        "policyName": namespace,
        "validationActions": ["Deny"],
        "matchResources": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
        },
    }
    for kind, spec in (
        ("validatingadmissionpolicies", policy),
        ("validatingadmissionpolicybindings", binding),
    ):
        kube_server.create(f"{policies}/{kind}", {"metadata": {"name": namespace}, "spec": spec})
    path = CONFIG_MAPS.format(namespace)
    kube_server.create(path, {"metadata": {"name": "full"}, "data": {"a": "b"}})

    def refused() -> bool:
        answer = kube_server.request("DELETE", f"{path}/full?dryRun=All")
        return answer.status_code == 422 and "it is not empty" in answer.text

    # A policy counts once the server has compiled it.
    eventually(refused, within_s=20)


def test_a_stopped_server_comes_back_with_what_it_knew(own_server: KubeServer) -> None:
    namespace = own_server.fresh_namespace()
    config = own_server.kubeconfig_for(own_server.token_for(namespace, "a"), namespace)
    own_server.create(CONFIG_MAPS.format(namespace), {"metadata": {"name": "kept"}})
    before = own_server.url
    own_server.stop()
    with pytest.raises(httpx.ConnectError):
        own_server.request("GET", "/readyz")
    own_server.start()
    assert own_server.url == before
    assert names(own_server, namespace) == ["kept"]
    with pytest.raises(KubectlFailed, match="Forbidden"):
        own_server.kubectl("get", "configmaps", kubeconfig=config)


def test_it_finds_other_ports_when_its_own_are_taken(own_server: KubeServer) -> None:
    with running_kube(port=own_server.port) as other:
        assert other.port != own_server.port
        assert other.request("GET", "/readyz").text == "ok"


def test_both_processes_end_with_the_server() -> None:
    with running_kube() as server:
        pids = server.pids
        assert all(is_alive(pid) for pid in pids)
    assert not any(is_alive(pid) for pid in pids)


@pytest.mark.skipif(bool(os.environ.get("KUBEBUILDER_ASSETS")), reason="chosen by the user")
@pytest.mark.parametrize(
    ("program", "arguments", "module"),
    [
        ("kube-apiserver", ["--version"], "k8s.io/kubernetes"),
        ("kubectl", ["version", "--client"], "k8s.io/kubernetes"),
        ("helm", ["version", "--short"], "helm.sh/helm/v4"),
        ("etcd", ["--version"], "go.etcd.io/etcd/api/v3"),
    ],
)
def test_the_programs_are_of_the_version_that_is_asked_for(
    program: str, arguments: list[str], module: str
) -> None:
    go_mod = (ROOT / "tests/cluster/kube/go.mod").read_text()
    wanted = re.search(rf"^\t{re.escape(module)} v(\S+)", go_mod, re.MULTILINE)
    assert wanted is not None
    command = [str(kube_program(program)), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert wanted[1] in done.stdout


def names(server: KubeServer, namespace: str) -> list[str]:
    listed = server.request("GET", CONFIG_MAPS.format(namespace)).json()
    return [item["metadata"]["name"] for item in listed["items"]]
