"""Every pod of the chart, under every set of values: who may do what inside it."""

from collections.abc import Callable
from typing import Any

import pytest

from guardian_core.settings import PREFIX, Settings
from tests.support.chart import CASES, PodTemplate, of_kind, pod_templates, rendered

SERVICES = ("receiver", "engine", "gateway", "operator")


def every_pod(check: Callable[[PodTemplate], None]) -> Callable[[str], None]:
    """A test of each pod under each set of values."""

    @pytest.mark.parametrize("case", CASES)
    def test(case: str) -> None:
        for pod in pod_templates(rendered(case)):
            try:
                check(pod)
            except BaseException as error:
                error.add_note(f"of {pod.owner}")
                raise

    test.__name__ = check.__name__
    return test


@every_pod
def test_a_pod_is_as_restricted_as_can_be(pod: PodTemplate) -> None:
    whole = pod.spec["securityContext"]
    assert whole["runAsNonRoot"] is True
    assert whole["runAsUser"] > 0
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod.containers:
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False
        assert own["readOnlyRootFilesystem"] is True
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert not own.get("privileged")
    assert not any("hostPath" in volume for volume in pod.spec["volumes"])
    assert not any(pod.spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC"))


@every_pod
def test_a_pod_s_environment_holds_no_variables_of_services(pod: PodTemplate) -> None:
    assert pod.spec["enableServiceLinks"] is False


@every_pod
def test_every_container_says_what_it_needs(pod: PodTemplate) -> None:
    for container in pod.containers:
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]


@every_pod
def test_only_who_calls_the_api_server_has_a_token(pod: PodTemplate) -> None:
    mounted = pod.spec["automountServiceAccountToken"]
    assert isinstance(mounted, bool)
    if pod.component in ("receiver", "gateway", "test", "postgresql", "valkey"):
        assert mounted is False
    if pod.component in ("engine", "operator", "uninstall"):
        assert mounted is True


@every_pod
def test_only_the_gateway_mounts_keys(pod: PodTemplate) -> None:
    mounts = [mount for each in pod.containers for mount in each.get("volumeMounts", [])]
    keys = [mount for mount in mounts if mount["mountPath"].startswith("/keys")]
    secrets = [volume for volume in pod.spec["volumes"] if "secret" in volume]
    if pod.component != "gateway":
        assert keys == []
        assert secrets == []
    assert len(keys) == len(secrets)
    # A subPath would never see changed keys.
    assert all(mount["readOnly"] and "subPath" not in mount for mount in keys)


def test_each_account_s_keys_have_a_folder_of_their_own() -> None:
    [gateway] = [p for p in pod_templates(rendered("external")) if p.component == "gateway"]
    [container] = gateway.spec["containers"]
    paths = {m["mountPath"]: m["name"] for m in container["volumeMounts"] if "keys" in m["name"]}
    assert paths == {"/keys/main": "keys-main", "/keys/second": "keys-second"}
    volumes = {each["name"]: each.get("secret") for each in gateway.spec["volumes"]}
    assert volumes["keys-main"]["secretName"] == "main-keys"
    assert volumes["keys-main"]["defaultMode"] == 0o440


@every_pod
def test_nothing_but_settings_looks_like_one(pod: PodTemplate) -> None:
    """An unknown GUARDIAN_… variable would stop the service at its start."""
    for container in pod.containers:
        names = [each["name"] for each in container.get("env", [])]
        assert len(set(names)) == len(names)
        given = {name for name in names if name.startswith(PREFIX)}
        assert given <= {PREFIX + field.upper() for field in Settings.model_fields}


@every_pod
def test_what_a_variable_refers_to_comes_before_it(pod: PodTemplate) -> None:
    for container in pod.containers:
        seen: set[str] = set()
        for each in container.get("env", []):
            value = str(each.get("value", ""))
            for name in (part.partition(")")[0] for part in value.split("$(")[1:]):
                assert name in seen, f"{each['name']} refers to {name}"
            seen.add(each["name"])


@pytest.mark.parametrize("case", CASES)
def test_the_settings_of_each_service_are_settings(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands in the chart as text is a value that the settings take."""
    for pod in pod_templates(rendered(case)):
        for container in pod.containers:
            given = {e["name"]: e["value"] for e in container.get("env", []) if "value" in e}
            fields = {
                name.removeprefix(PREFIX).lower(): value
                for name, value in given.items()
                if name.startswith(PREFIX)
            }
            Settings.model_validate(fields)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("component", SERVICES)
def test_a_service_listens_where_its_probes_and_its_service_look(case: str, component: str) -> None:
    [pod] = [p for p in pod_templates(rendered(case)) if p.component == component]
    [container] = pod.spec["containers"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    [port] = container["ports"]
    assert environment[f"GUARDIAN_{component.upper()}_PORT"] == str(port["containerPort"])
    assert environment[f"GUARDIAN_{component.upper()}_HOST"] in ("0.0.0.0", "::")
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == port["name"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    services = of_kind(rendered(case), "Service").values()
    [service] = [s for s in services if selects(s["spec"]["selector"], pod)]
    assert service["spec"]["ports"][0]["port"] == port["containerPort"]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]


def selects(selector: dict[str, str], pod: PodTemplate) -> bool:
    return bool(selector.items() <= pod.metadata["labels"].items())


@pytest.mark.parametrize("case", [case for case in CASES if case != "minimal"])
@pytest.mark.parametrize("component", SERVICES)
def test_two_of_each_are_spread_and_leave_a_dead_node_soon(case: str, component: str) -> None:
    documents = rendered(case)
    [deployment] = [
        d
        for d in of_kind(documents, "Deployment").values()
        if d["metadata"]["labels"]["app.kubernetes.io/component"] == component
    ]
    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    pod = deployment["spec"]["template"]["spec"]
    spread = {each["topologyKey"] for each in pod["topologySpreadConstraints"]}
    assert spread == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    short = [each for each in pod["tolerations"] if "tolerationSeconds" in each]
    assert {each["tolerationSeconds"] for each in short} == {10}
    budgets: list[dict[str, Any]] = list(of_kind(documents, "PodDisruptionBudget").values())
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    matching = [
        b for b in budgets if b["spec"]["selector"]["matchLabels"].items() <= labels.items()
    ]
    assert len(matching) == 1


@pytest.mark.parametrize("case", CASES)
def test_services_start_after_the_schema(case: str) -> None:
    for pod in pod_templates(rendered(case)):
        if pod.component in SERVICES:
            [first] = pod.spec["initContainers"]
            assert first["command"] == ["guardian", "db", "wait"]
