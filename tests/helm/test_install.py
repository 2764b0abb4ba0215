"""The chart on a real API server: every manifest is taken, and what must be kept is kept."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from guardian_core.cluster.resources import FINALIZER
from guardian_operator.crd_upgrade import APPLIED_BY, PATH
from tests.helm.conftest import Release, run
from tests.support.chart import CASES, CHART, NAME, Document, pod_templates, render, values_of
from tests.support.kube import KubectlFailed, KubeServer

FOREIGN = {"Cluster", "HTTPRoute", "ServiceMonitor", "PrometheusRule"}
"""Kinds of other projects: this API server has not heard of them."""


def known(documents: list[Document]) -> list[Document]:
    return [each for each in documents if each["kind"] not in FOREIGN]


def dry_run(server: KubeServer, namespace: str, documents: list[Document]) -> int:
    """The API server's own judgement; a warning counts as a refusal. Returns how many it took."""
    words = ("create", "--dry-run=server", "--validate=strict", "--warnings-as-errors")
    text = yaml.safe_dump_all(documents)
    printed = server.kubectl(*words, "-n", namespace, "-o", "name", "-f", "-", stdin=text)
    return len(printed.splitlines())


@pytest.fixture
def restricted(kube_server: KubeServer, kube_namespace: str) -> str:
    """A namespace that admits only pods of the restricted standard."""
    levels = [f"pod-security.kubernetes.io/{mode}=restricted" for mode in ("enforce", "warn")]
    kube_server.kubectl("label", "namespace", kube_namespace, *levels)
    return kube_namespace


@pytest.mark.parametrize("case", CASES)
def test_the_api_server_takes_every_manifest(
    kube_server: KubeServer, restricted: str, case: str
) -> None:
    documents = known(render(*values_of(case), namespace=restricted))
    assert dry_run(kube_server, restricted, documents) == len(documents)


@pytest.mark.parametrize("case", CASES)
def test_a_restricted_namespace_admits_every_pod(
    kube_server: KubeServer, restricted: str, case: str
) -> None:
    pods: list[Document] = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"pod-{number}"},
            "spec": {"restartPolicy": "Never"} | pod.spec,
        }
        for number, pod in enumerate(pod_templates(render(*values_of(case), namespace=restricted)))
    ]
    for pod in pods:
        # A StatefulSet's controller adds these; here nobody does.
        mounted = {m["name"] for c in pod["spec"]["containers"] for m in c["volumeMounts"]}
        missing = mounted - {volume["name"] for volume in pod["spec"]["volumes"]}
        pod["spec"]["volumes"] += [{"name": name, "emptyDir": {}} for name in missing]
        # The priority classes of the cluster are its administrator's.
        pod["spec"].pop("priorityClassName", None)
    assert dry_run(kube_server, restricted, pods) == len(pods)


def test_the_namespace_of_these_tests_does_refuse_a_careless_pod(
    kube_server: KubeServer, restricted: str
) -> None:
    container = {"name": "x", "image": "x"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}
    with pytest.raises(KubectlFailed, match="violates PodSecurity"):
        dry_run(kube_server, restricted, [pod | {"spec": {"containers": [container]}}])


def secrets(release: Release) -> dict[str, dict[str, str]]:
    found = json.loads(
        release.server.kubectl("get", "secrets", "-n", release.namespace, "-o", "json")
    )
    return {
        each["metadata"]["name"]: each["data"]
        for each in found["items"]
        if each["type"] == "Opaque"
    }


def test_what_was_drawn_is_kept_over_upgrade_uninstall_and_reinstall(release: Release) -> None:
    first = secrets(release)
    assert first.keys() == {f"{NAME}-auth", f"{NAME}-postgresql", f"{NAME}-valkey"}
    installation = base64.b64decode(first[f"{NAME}-auth"]["installation"]).decode()
    assert installation == installation.lower()
    assert len(installation) == 6
    release.helm("upgrade", "--set", "receiver.replicas=3")
    assert secrets(release) == first
    release.helm("uninstall", "--no-hooks")
    assert secrets(release) == first
    release.helm("install")
    assert secrets(release) == first


def test_two_installations_draw_differently(release: Release, kube_server: KubeServer) -> None:
    other = kube_server.fresh_namespace()
    run(kube_server, "install", other)
    theirs = secrets(Release(kube_server, other, ""))[f"{NAME}-auth"]
    ours = secrets(release)[f"{NAME}-auth"]
    assert not set(ours.values()) & set(theirs.values())


def test_the_notes_tell_what_to_paste_without_the_token(release: Release) -> None:
    token = base64.b64decode(secrets(release)[f"{NAME}-auth"]["webhook-token"]).decode()
    told = release.helm(
        *("upgrade", "--set", "ingress.enabled=true", "--set", "webhook.host=alerts.example.com"),
        *("--set", "accounts.paper.accountId=my-paper"),
    )
    assert "https://alerts.example.com/webhook" in told
    assert token not in told
    assert f"get secret {NAME}-auth" in told
    message = told[told.index("     {\n") : told.index("     }\n") + 7]
    for price in ("open", "high", "low", "close"):
        message = message.replace(f"{{{{{price}}}}}", "43000")
    parsed = json.loads(message)
    assert parsed["UserExchangeID"] == "my-paper"
    assert parsed["Symbol"] == "{{ticker}}"


def test_a_field_that_somebody_changed_in_the_cluster_stays_theirs(release: Release) -> None:
    account = ("--set", "accounts.main.accountId=main")
    release.helm("upgrade", *account)
    where = ("-n", release.namespace)
    patch = ("--type=merge", "-p", '{"spec": {"paused": true}}')
    release.server.kubectl("patch", "exchangeaccount", "main", *where, *patch)
    release.helm("upgrade", *account, "--set", "receiver.replicas=3")
    shown = ("-o", "jsonpath={.spec.paused}")
    assert release.server.kubectl("get", "exchangeaccount", "main", *where, *shown) == "true"


def errand(release: Release, component: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs one of our modules as a Job's pod would, with its ServiceAccount's rights."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        env=os.environ
        | {
            "KUBECONFIG": str(release.kubeconfig_of(component)),
            "GUARDIAN_CLUSTER_NAMESPACE": release.namespace,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def upgrade_crds(release: Release, folder: Path = CHART / "crds") -> str:
    done = errand(release, "migration", "guardian_operator.crd_upgrade", str(folder))
    assert done.returncode == 0, done.stderr
    return done.stdout


POSITIONS_CRD = "tradingpositions.guardian.trading"


def annotate(server: KubeServer, version: str) -> None:
    patch = {"metadata": {"annotations": {APPLIED_BY: version or None}}}
    merge = {"Content-Type": "application/merge-patch+json"}
    done = server.request("PATCH", f"{PATH}/{POSITIONS_CRD}", patch, headers=merge)
    assert done.status_code == 200, done.text


def test_the_migration_brings_the_definitions_up_to_date(release: Release, tmp_path: Path) -> None:
    definition = yaml.safe_load((CHART / "crds" / "tradingpositions.yaml").read_text())
    older: dict[str, Any] = json.loads(json.dumps(definition))
    older["spec"]["versions"][0]["additionalPrinterColumns"].pop()
    (tmp_path / "older.yaml").write_text(yaml.safe_dump(older))
    apply = ("apply", "--server-side", "--force-conflicts", "-f")
    release.server.kubectl(*apply, str(tmp_path / "older.yaml"))
    assert f"{POSITIONS_CRD} is upgraded" in upgrade_crds(release)
    stored = release.server.request("GET", f"{PATH}/{POSITIONS_CRD}").json()
    columns = [c["name"] for c in stored["spec"]["versions"][0]["additionalPrinterColumns"]]
    wanted = [c["name"] for c in definition["spec"]["versions"][0]["additionalPrinterColumns"]]
    assert columns == wanted
    assert f"{POSITIONS_CRD} is current" in upgrade_crds(release)


def test_an_older_release_leaves_a_newer_one_s_definitions_alone(release: Release) -> None:
    upgrade_crds(release)
    annotate(release.server, "99.0.0")
    try:
        assert f"{POSITIONS_CRD} is of the newer version 99.0.0" in upgrade_crds(release)
    finally:
        annotate(release.server, "")


def test_a_definition_that_is_not_installed_is_told_of(release: Release, tmp_path: Path) -> None:
    missing = {"metadata": {"name": "exchangeaccounts.guardian.trading.example.com"}}
    (tmp_path / "missing.yaml").write_text(yaml.safe_dump(missing))
    done = errand(release, "migration", "guardian_operator.crd_upgrade", str(tmp_path))
    assert done.returncode == 1
    assert "cannot get" in done.stderr or "not installed" in done.stderr


def test_uninstalling_stops_who_would_put_the_finalizer_back_and_frees_the_positions(
    release: Release,
) -> None:
    position = {
        "apiVersion": "guardian.trading/v1alpha1",
        "kind": "TradingPosition",
        "metadata": {"name": "p", "finalizers": [FINALIZER, "example.com/theirs"]},
        "spec": {"accountRef": "main", "symbol": "BTCUSDT", "side": "long", "stopLoss": "42000"},
    }
    where = ("-n", release.namespace)
    release.server.kubectl("create", *where, "-f", "-", stdin=json.dumps(position))
    deployments = [f"{NAME}-engine", f"{NAME}-operator"]
    done = errand(release, "uninstall", "guardian_operator.uninstall", *deployments)
    assert done.returncode == 0, done.stderr
    assert "1 positions" in done.stdout
    found = json.loads(release.server.kubectl("get", "tpos", "p", *where, "-o", "json"))
    assert found["metadata"]["finalizers"] == ["example.com/theirs"]
    assert found["spec"]["stopLoss"] == "42000"
    shown = release.server.kubectl(
        *("get", "deployments", *where, "-o"),
        "jsonpath={range .items[*]}{.metadata.name}={.spec.replicas} {end}",
    )
    replicas = dict(each.split("=") for each in shown.split())
    assert {name: replicas[name] for name in deployments} == dict.fromkeys(deployments, "0")
    assert replicas[f"{NAME}-gateway"] == "2"
