"""What `helm template` makes of several sets of values."""

import json
import re
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from guardian_core.metrics import EngineMetrics, GatewayMetrics, GuardingMetrics
from guardian_receiver.metrics import ReceiverMetrics
from tests.support.chart import (
    CASES,
    CHART,
    NAME,
    helm,
    of_kind,
    pod_templates,
    render,
    rendered,
    values_of,
)


@pytest.mark.parametrize("case", CASES)
def test_the_chart_passes_the_strict_linter(case: str) -> None:
    done = helm("lint", "--strict", str(CHART), *values_of(case))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES)
def test_names_are_unique_and_labels_tell_the_release(case: str) -> None:
    documents = rendered(case)
    for kind in {each["kind"] for each in documents}:
        for document in of_kind(documents, kind).values():
            labels = document["metadata"]["labels"]
            assert labels["app.kubernetes.io/instance"] == "t"
            assert len(document["metadata"]["name"]) <= 63


def test_two_releases_share_no_name_of_the_whole_cluster() -> None:
    scoped = ("ClusterRole", "ClusterRoleBinding", "ValidatingAdmissionPolicy")
    here, there = rendered("default"), render(namespace="other")
    for kind in scoped:
        assert of_kind(here, kind).keys().isdisjoint(of_kind(there, kind))
        assert of_kind(here, kind)


def test_a_long_release_name_makes_no_name_too_long() -> None:
    release = "a" * 53
    done = helm("template", release, str(CHART), "--set", "image.tag=v1.2.3-rc.1-and-so-on-and-on")
    names = [d["metadata"]["name"] for d in yaml.safe_load_all(done.stdout) if d]
    assert max(len(name) for name in names if not name.startswith("default-")) <= 63


def test_the_migration_s_name_tells_what_it_runs() -> None:
    """A Job cannot be changed, so what changes must have another name."""

    def name(*options: str) -> str:
        jobs = of_kind(render(*options), "Job")
        [found] = [each for each in jobs if "migrate" in each]
        return found

    assert name() == name("--set", "receiver.replicas=5")
    assert name("--set", "image.tag=1.2.3").startswith(f"{NAME[:24].rstrip('-')}-migrate-1-2-3-")
    changed = ["image.tag=1.2.3", "auth.revision=two", "database.mode=cnpg", "crds.upgrade=false"]
    assert len({name(), *(name("--set", each) for each in changed)}) == 5


def test_the_definitions_are_the_project_s() -> None:
    shipped = {path.name: path.read_text() for path in (CHART / "crds").glob("*.yaml")}
    data = of_kind(rendered("default"), "ConfigMap")[f"{NAME}-crds"]["data"]
    assert data.keys() == shipped.keys()
    for name, text in shipped.items():
        assert yaml.safe_load(data[name]) == yaml.safe_load(text)


def test_accounts_become_resources_with_what_the_values_say_and_no_more() -> None:
    accounts = of_kind(rendered("everything"), "ExchangeAccount")
    assert accounts["paper"]["spec"] == {"accountId": "paper", "paused": False}
    # A field that is not rendered stays whoever's who changes it in the cluster.
    assert accounts["testnet"]["spec"] == {
        "accountId": "testnet",
        "venue": "binanceusdm",
        "environment": "Testnet",
        "symbolMap": {"XBTUSD": "BTCUSDT"},
    }
    assert of_kind(rendered("default"), "ExchangeAccount") == {}


@pytest.mark.parametrize(
    ("case", "kinds"),
    [
        ("default", {"StatefulSet": 2, "Cluster": 0, "Secret": 3}),
        ("external", {"StatefulSet": 0, "Cluster": 0, "Secret": 0}),
        ("cnpg", {"StatefulSet": 0, "Cluster": 1, "Secret": 1}),
        ("minimal", {"StatefulSet": 1, "Cluster": 0, "ClusterRole": 0, "NetworkPolicy": 0}),
        ("everything", {"Ingress": 1, "HTTPRoute": 1, "ServiceMonitor": 1, "PrometheusRule": 1}),
    ],
)
def test_what_is_switched_on_is_there_and_nothing_else(case: str, kinds: dict[str, int]) -> None:
    counted = {kind: len(of_kind(rendered(case), kind)) for kind in kinds}
    assert counted == kinds


@pytest.mark.parametrize("case", CASES)
def test_no_secret_stands_in_anything_but_a_secret(case: str) -> None:
    documents = rendered(case)
    secrets = [
        value
        for secret in of_kind(documents, "Secret").values()
        for key, value in secret["data"].items()
        if key != "installation"
    ]
    rest = json.dumps([each for each in documents if each["kind"] != "Secret"])
    assert not any(value in rest for value in secrets)


def test_the_uninstall_leaves_what_holds_money_or_memory() -> None:
    kept = {"helm.sh/resource-policy": "keep"}
    for secret in of_kind(rendered("default"), "Secret").values():
        assert secret["metadata"]["annotations"].items() >= kept.items()
    [cluster] = of_kind(rendered("cnpg"), "Cluster").values()
    assert cluster["metadata"]["annotations"].items() >= kept.items()


def test_only_the_webhook_is_reachable_from_outside() -> None:
    documents = rendered("everything")
    [ingress] = of_kind(documents, "Ingress").values()
    [rule] = ingress["spec"]["rules"]
    assert [path["path"] for path in rule["http"]["paths"]] == ["/webhook"]
    assert rule["host"] == "alerts.example.com"
    assert ingress["spec"]["tls"][0]["hosts"] == ["alerts.example.com"]
    [route] = of_kind(documents, "HTTPRoute").values()
    [rule] = route["spec"]["rules"]
    assert [match["path"]["value"] for match in rule["matches"]] == ["/webhook"]
    receivers = of_kind(documents, "Service")
    assert rule["backendRefs"][0]["name"] in receivers


METRIC = re.compile(r"guardian_[a-z_]+")


def known_metrics() -> set[str]:
    """Names of the samples that the services expose."""
    registry = CollectorRegistry()
    for each in (ReceiverMetrics, EngineMetrics, GatewayMetrics, GuardingMetrics):
        each(registry)
    names: set[str] = set()
    for metric in registry.collect():
        endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        names |= {metric.name + ending for ending in endings.get(metric.type, [""])}
    return names


def queries(documents: list[dict[str, Any]]) -> list[str]:
    [rules] = of_kind(documents, "PrometheusRule").values()
    alerts = [rule["expr"] for group in rules["spec"]["groups"] for rule in group["rules"]]
    dashboard = json.loads(
        of_kind(documents, "ConfigMap")["t-guardian-dashboard"]["data"]["position-guardian.json"]
    )
    panels = [target["expr"] for p in dashboard["panels"] for target in p.get("targets", [])]
    return [*alerts, *panels]


def test_alerts_and_panels_ask_for_metrics_that_exist() -> None:
    asked = set(METRIC.findall(" ".join(queries(rendered("everything")))))
    assert asked <= known_metrics()
    assert len(asked) >= 12


def test_every_metric_is_on_the_dashboard_or_in_an_alert() -> None:
    text = " ".join(queries(rendered("everything")))
    unseen = {
        name
        for name in known_metrics()
        if not name.endswith(("_sum", "_count")) and name not in text
    }
    assert unseen == {"guardian_commit_batch_size_bucket"}


def test_every_alert_has_a_section_in_the_runbook() -> None:
    [rules] = of_kind(rendered("everything"), "PrometheusRule").values()
    names = [r["alert"] for r in rules["spec"]["groups"][0]["rules"] if r["alert"] != "Mine"]
    runbook = (CHART.parents[1] / "docs" / "operate.md").read_text()
    missing = [name for name in names if f"\n### {name}\n" not in runbook]
    assert missing == []
    written = set(re.findall(r"\n### (Guardian\w+)\n", runbook))
    assert written == set(names)


def test_jobs_of_alerts_are_the_services_names() -> None:
    documents = rendered("everything")
    text = " ".join(queries(documents))
    jobs = set(re.findall(r'job="([^"]+)"', text))
    assert len(jobs) == 4
    assert jobs <= of_kind(documents, "Service").keys()


def test_the_gateway_alone_leaves_the_cluster() -> None:
    policies = of_kind(rendered("default"), "NetworkPolicy")
    leaving = {
        name
        for name, policy in policies.items()
        for rule in policy["spec"].get("egress", [])
        for peer in rule.get("to", [{"ipBlock": {"cidr": "0.0.0.0/0"}}])
        if peer.get("ipBlock", {}).get("cidr") in ("0.0.0.0/0", "::/0")
    }
    assert leaving == {f"{NAME}-gateway"}
    [rule] = policies[f"{NAME}-gateway"]["spec"]["ingress"]
    callers = {p["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for p in rule["from"]}
    assert callers == {"engine", "operator"}


def test_all_four_services_reach_the_bus_and_nobody_without_one() -> None:
    services = {"receiver", "engine", "gateway", "operator"}
    policies = of_kind(rendered("default"), "NetworkPolicy")
    leaving = policies[f"{NAME}-redis"]["spec"]["podSelector"]
    [rule] = policies[f"{NAME}-valkey"]["spec"]["ingress"]
    [arriving] = [peer["podSelector"] for peer in rule["from"]]
    for who in (leaving, arriving):
        [match] = who["matchExpressions"]
        assert set(match["values"]) == services
    for case, expected in (("default", services), ("minimal", set())):
        pods = {pod.component: pod for pod in pod_templates(rendered(case))}
        named = {
            component
            for component in services
            for variable in pods[component].spec["containers"][0]["env"]
            if variable["name"] == "GUARDIAN_REDIS_URL"
        }
        assert named == expected
