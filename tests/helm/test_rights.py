"""RBAC, judged by the real API server for the real ServiceAccounts' tokens, service by service."""

import json
from collections.abc import Iterator

import pytest

from tests.helm.conftest import Release

OURS = "guardian.trading"
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
RESOURCES = (
    (OURS, "tradingpositions"),
    (OURS, "tradingpositions/status"),
    (OURS, "exchangeaccounts"),
    (OURS, "exchangeaccounts/status"),
    ("", "events"),
    ("", "secrets"),
    ("", "configmaps"),
    ("", "pods"),
    ("", "pods/exec"),
    ("", "serviceaccounts/token"),
    ("", "namespaces"),
    ("apps", "deployments"),
    ("apps", "deployments/scale"),
    ("batch", "jobs"),
    ("coordination.k8s.io", "leases"),
    ("rbac.authorization.k8s.io", "roles"),
    ("rbac.authorization.k8s.io", "rolebindings"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
)

ALLOWED = {
    "receiver": {},
    "gateway": {},
    "engine": {"tradingpositions": "get list create patch"},
    "operator": {
        "tradingpositions": "get list watch create patch delete",
        "tradingpositions/status": "get patch",
        "exchangeaccounts": "get list watch",
        "exchangeaccounts/status": "get patch",
        "events": "create patch",
    },
    # Only by name: see below.
    "migration": {},
    "uninstall": {"tradingpositions": "list patch"},
}
BY_NAME = {
    "migration": {
        ("apiextensions.k8s.io", "customresourcedefinitions"): (
            "exchangeaccounts.guardian.trading",
            "get patch",
        ),
    },
    "uninstall": {
        ("apps", "deployments"): ("t-position-guardian-operator", "get patch"),
        ("apps", "deployments/scale"): ("t-position-guardian-engine", "get patch"),
    },
}


def may(
    release: Release, token: str, verb: str, group: str, resource: str, where: str, name: str = ""
) -> bool:
    """What the API server's authorizer says to the token's owner."""
    plural, _, sub = resource.partition("/")
    asked = {"verb": verb, "group": group, "resource": plural, "subresource": sub}
    review = {"spec": {"resourceAttributes": asked | {"namespace": where, "name": name}}}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answer = release.server.request("POST", path, review, token=token)
    assert answer.status_code == 201, answer.text
    return bool(answer.json()["status"]["allowed"])


def everything(release: Release) -> Iterator[tuple[str, str, str, str]]:
    """Each verb on each resource, in the release's namespace and in another."""
    for where in (release.namespace, "default"):
        for group, resource in RESOURCES:
            for verb in VERBS:
                yield where, verb, group, resource


@pytest.mark.parametrize("component", ALLOWED)
def test_a_service_may_do_what_it_does_and_nothing_else(
    shared_release: Release, component: str
) -> None:
    token = shared_release.token_of(component)
    expected = {
        (shared_release.namespace, verb, resource)
        for resource, verbs in ALLOWED[component].items()
        for verb in verbs.split()
    }
    found = {
        (where, verb, resource)
        for where, verb, group, resource in everything(shared_release)
        if may(shared_release, token, verb, group, resource, where)
    }
    assert found == expected


@pytest.mark.parametrize("component", BY_NAME)
def test_a_job_may_touch_what_is_named_and_nothing_beside_it(
    shared_release: Release, component: str
) -> None:
    token = shared_release.token_of(component)
    for (group, resource), (name, verbs) in BY_NAME[component].items():
        where = "" if component == "migration" else shared_release.namespace
        granted = {v for v in VERBS if may(shared_release, token, v, group, resource, where, name)}
        assert granted == set(verbs.split())
        for verb in VERBS:
            assert not may(shared_release, token, verb, group, resource, where, "another")


POSITION = {
    "apiVersion": "guardian.trading/v1alpha1",
    "kind": "TradingPosition",
    "metadata": {"name": "p"},
    "spec": {"accountRef": "main", "symbol": "BTCUSDT", "side": "long", "stopLoss": "42000"},
}
MERGE = {"Content-Type": "application/merge-patch+json"}


def test_the_engine_writes_desires_and_the_operator_what_is(shared_release: Release) -> None:
    path = f"/apis/{OURS}/v1alpha1/namespaces/{shared_release.namespace}/tradingpositions"
    engine, operator = shared_release.token_of("engine"), shared_release.token_of("operator")
    status = {"status": {"quantity": "0.5"}}
    call = shared_release.server.request
    assert call("POST", path, POSITION, token=engine).status_code == 201
    moved = {"spec": {"stopLoss": "43000"}}
    assert call("PATCH", f"{path}/p", moved, token=engine, headers=MERGE).status_code == 200
    to_status = f"{path}/p/status"
    assert call("PATCH", to_status, status, token=engine, headers=MERGE).status_code == 403
    assert call("PATCH", to_status, status, token=operator, headers=MERGE).status_code == 200
    assert call("DELETE", f"{path}/p", token=engine).status_code == 403
    assert call("DELETE", f"{path}/p", token=operator).status_code == 200


def test_who_may_view_sees_and_who_may_edit_does_not_trade(shared_release: Release) -> None:
    """The built-in roles take in ours by a controller that does not run here: the labels tell."""
    found = json.loads(shared_release.server.kubectl("get", "clusterroles", "-o", "json"))["items"]
    ours = {
        each["metadata"]["name"]: each for each in found if shared_release.namespace in str(each)
    }
    aggregated = {
        name.rpartition("-")[2]: {
            label.rpartition("-to-")[2]
            for label in role["metadata"]["labels"]
            if "aggregate-to" in label
        }
        for name, role in ours.items()
    }
    assert aggregated == {"view": {"view"}, "admin": {"admin"}, "crds": set()}
    verbs = {
        name.rpartition("-")[2]: {verb for rule in role["rules"] for verb in rule["verbs"]}
        for name, role in ours.items()
    }
    assert verbs["view"] == {"get", "list", "watch"}
