"""The custom resources on a real API server: what it takes, refuses, fills in and shows."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from guardian_core.cluster.crds import documents
from guardian_core.cluster.resources import (
    ACCOUNTS,
    API_VERSION,
    POSITIONS,
    Condition,
    ConditionStatus,
    ExchangeAccountSpec,
    TakeProfit,
    TradingPositionSpec,
    TradingPositionStatus,
)
from guardian_core.cluster.structural import structural
from guardian_core.domain.decision import Coverage
from guardian_core.domain.orders import PositionSide
from tests.cluster.crd_cases import CASES, MINIMAL, POSITION, Case, Spec
from tests.support.kube import ROOT, KubectlFailed, KubeServer

KINDS = {POSITIONS: "TradingPosition", ACCOUNTS: "ExchangeAccount"}
MODELS: dict[str, type[BaseModel]] = {POSITIONS: TradingPositionSpec, ACCOUNTS: ExchangeAccountSpec}
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
MERGE = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture
def desk(kube_server: KubeServer, kube_namespace: str) -> "Desk":
    return Desk(kube_server, kube_namespace)


class Desk:
    """One namespace, worked by its administrator."""

    def __init__(self, server: KubeServer, namespace: str) -> None:
        self._server = server
        self._namespace = namespace

    def path(self, plural: str, *parts: str) -> str:
        start = f"/apis/{API_VERSION}/namespaces/{self._namespace}"
        return "/".join([start, plural, *parts])

    def make(self, plural: str, spec: Spec, name: str = "one", *, dry: bool = False) -> Any:
        """The stored object, or the Status that says why it was refused."""
        body = {
            "apiVersion": API_VERSION,
            "kind": KINDS[plural],
            "metadata": {"name": name},
            "spec": spec,
        }
        query = "?dryRun=All" if dry else ""
        return self._server.request("POST", self.path(plural) + query, body).json()

    def patch(self, plural: str, change: dict[str, Any], *, status: bool = False) -> Any:
        path = self.path(plural, "one", *(["status"] if status else []))
        return self._server.request("PATCH", path, change, headers=MERGE).json()

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self._server.kubectl("--namespace", self._namespace, *arguments, stdin=stdin)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_keeps_a_rule_is_taken(desk: Desk, case: Case) -> None:
    stored = attempt(desk, case, case.good)
    assert stored["kind"] == KINDS[case.plural], stored
    MODELS[case.plural].model_validate(stored["spec"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_breaks_a_rule_is_refused_with_the_field_and_the_fix(desk: Desk, case: Case) -> None:
    refused = attempt(desk, case, case.bad, without=case.missing)
    assert refused.get("code") == 422, refused
    told = [c["message"] for c in refused["details"]["causes"] if c["field"] == case.path]
    assert any(case.says in message for message in told), refused["details"]["causes"]
    assert "evaluating rule" not in refused["message"], "a rule met what it cannot read"


def attempt(desk: Desk, case: Case, spec: Spec, without: tuple[str, ...] = ()) -> Any:
    minimal = MINIMAL[case.plural]
    if case.before is not None:
        desk.make(case.plural, minimal | case.before)
        return desk.patch(case.plural, {"spec": spec})
    whole = {key: value for key, value in (minimal | spec).items() if key not in without}
    return desk.make(case.plural, whole, dry=True)


@pytest.mark.parametrize("plural", KINDS)
def test_every_constraint_of_a_spec_has_its_case(plural: str) -> None:
    proven = {(case.path, case.keyword) for case in CASES if case.plural == plural}
    assert set(constraints(spec_of(plural))) == proven


@pytest.mark.parametrize("plural", KINDS)
def test_every_rule_of_a_spec_has_its_case(plural: str) -> None:
    said = [case.says for case in CASES if case.plural == plural]
    unproven = [
        rule["message"]
        for _, schema in walk(spec_of(plural))
        for rule in schema.get("x-kubernetes-validations", ())
        if not any(words in rule["message"] for words in said)
    ]
    assert unproven == []


@pytest.mark.parametrize("plural", KINDS)
def test_every_field_has_a_description(plural: str) -> None:
    whole = documents()[plural]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert [path for path, schema in walk(whole, "") if not schema.get("description")] == []


def test_a_limit_that_no_custom_resource_can_say_is_not_dropped() -> None:
    class Sized(BaseModel):
        either: int | str

    with pytest.raises(TypeError, match="cannot say anyOf"):
        structural(Sized)


def test_an_account_is_named_so_that_a_folder_and_a_label_can_be(desk: Desk) -> None:
    assert desk.make(ACCOUNTS, MINIMAL[ACCOUNTS], "a" * 63, dry=True)["kind"] == "ExchangeAccount"
    for name in ("a" * 64, "main.binance"):
        refused = desk.make(ACCOUNTS, MINIMAL[ACCOUNTS], name, dry=True)
        assert refused["code"] == 422
        assert "metadata.name must be 1 to 63 of a-z, 0-9 and -" in refused["message"]


def test_a_level_as_a_bare_number_is_refused(desk: Desk) -> None:
    refused = desk.make(POSITIONS, POSITION | {"stopLoss": 61250.5}, dry=True)
    assert 'spec.stopLoss in body must be of type string: "number"' in refused["message"]


def test_a_mistyped_field_is_refused_by_kubectl(desk: Desk) -> None:
    text = manifest(POSITIONS, POSITION | {"stopLos": "1"})
    with pytest.raises(KubectlFailed, match=r"unknown field .*spec\.stopLos"):
        desk.kubectl("apply", "--filename=-", stdin=text)


def test_a_position_gets_its_defaults(desk: Desk) -> None:
    stored = desk.make(POSITIONS, POSITION)
    assert stored["spec"] == POSITION | {"levels": "FollowAlerts", "deletionPolicy": "Keep"}


def test_an_account_gets_its_defaults(desk: Desk) -> None:
    stored = desk.make(ACCOUNTS, {"accountId": "42", "policy": {"direction": "Both"}})
    assert stored["spec"] == {
        "accountId": "42",
        "venue": "paper",
        "environment": "Paper",
        "userId": "",
        "guardIntervalSeconds": 3,
        "leverage": "1",
        "marginMode": "Cross",
        "paused": False,
        "policy": {
            "direction": "Both",
            "onCrossedStop": "Close",
            "repeatEntry": "Ignore",
            "maxEntryAgeSeconds": 60,
            "maxCrossedPercent": "2",
            "allowRemove": False,
            "triggerBasis": "last",
        },
    }


def test_the_stored_defaults_are_the_models_own(desk: Desk) -> None:
    stored = desk.make(ACCOUNTS, {"accountId": "42", "policy": {}, "paper": {}})
    read = ExchangeAccountSpec.model_validate(stored["spec"])
    assert read == ExchangeAccountSpec(account_id="42")


def test_a_spec_written_by_the_model_is_taken(desk: Desk) -> None:
    written = TradingPositionSpec(
        account_ref="demo",
        symbol="BTCUSDT",
        side=PositionSide.LONG,
        stop_loss=Decimal("1E+2"),
        take_profit=Decimal("61250.50"),
    )
    stored = desk.make(POSITIONS, written.model_dump(mode="json", by_alias=True, exclude_none=True))
    assert (stored["spec"]["stopLoss"], stored["spec"]["takeProfit"]) == ("100", "61250.5")
    assert TradingPositionSpec.model_validate(stored["spec"]) == written


STATUS = TradingPositionStatus(
    observed_generation=1,
    coverage=Coverage.PROTECTED,
    quantity=Decimal("0.05"),
    entry_price=Decimal("61250.5"),
    revision=3,
    stop_loss_order="g1",
    take_profit_order="g2",
    take_profit=TakeProfit.WORKING,
    realized_pnl=Decimal("-0.25"),
    repairs=2,
    last_repair=AT,
    conditions=(
        Condition(
            type="Protected",
            status=ConditionStatus.TRUE,
            reason="BothWork",
            message="stop-loss and take-profit work",
            last_transition_time=AT,
            observed_generation=1,
        ),
    ),
)
DUMPED = STATUS.model_dump(mode="json", by_alias=True, exclude_none=True)
LEVELS = {"stopLoss": "60000", "takeProfit": "65000"}


def test_a_status_comes_back_as_it_was_written(desk: Desk) -> None:
    desk.make(POSITIONS, POSITION)
    stored = desk.patch(POSITIONS, {"status": DUMPED}, status=True)
    assert TradingPositionStatus.model_validate(stored["status"]) == STATUS


def test_the_status_is_written_through_its_subresource_only(desk: Desk) -> None:
    desk.make(POSITIONS, POSITION)
    both = {"spec": LEVELS, "status": DUMPED}
    assert "status" not in desk.patch(POSITIONS, both)
    kept = desk.patch(POSITIONS, {"spec": {"stopLoss": "1"}, "status": DUMPED}, status=True)
    assert kept["spec"]["stopLoss"] == LEVELS["stopLoss"]
    assert kept["metadata"]["generation"] == 2, "a status is no new generation"


def test_a_condition_stands_once(desk: Desk) -> None:
    desk.make(POSITIONS, POSITION)
    twice = {"status": {"conditions": DUMPED["conditions"] * 2}}
    refused = desk.patch(POSITIONS, twice, status=True)
    assert "Duplicate value" in refused["message"]


def test_kubectl_waits_for_a_condition(desk: Desk) -> None:
    desk.make(POSITIONS, POSITION)
    desk.patch(POSITIONS, {"status": DUMPED}, status=True)
    printed = desk.kubectl("wait", "--for=condition=Protected", "tpos/one", "--timeout=10s")
    assert "condition met" in printed


def test_kubectl_shows_a_position_in_a_row(desk: Desk) -> None:
    desk.make(POSITIONS, POSITION | LEVELS)
    desk.patch(POSITIONS, {"status": DUMPED}, status=True)
    header, row = table(desk.kubectl("get", "tpos"))
    assert header == "NAME ACCOUNT SYMBOL SIDE QTY SL TP COVERAGE REPAIRS AGE"
    assert re.fullmatch(r"one demo BTCUSDT long 0\.05 60000 65000 Protected 2 \d+s", row)
    header, row = table(desk.kubectl("get", "tpos", "--output=wide"))
    assert header.endswith(" AGE ENTRY PNL REASON")
    assert row.endswith(" 61250.5 -0.25 BothWork")


def test_kubectl_shows_an_account_in_a_row(desk: Desk) -> None:
    desk.make(ACCOUNTS, {"accountId": "42", "paused": True})
    ready = DUMPED["conditions"][0] | {"type": "Ready", "reason": "Guarded"}
    status = {"conditions": [ready], "openPositions": 3, "nakedPositions": 0}
    desk.patch(ACCOUNTS, {"status": status}, status=True)
    header, row = table(desk.kubectl("get", "xacc", "--output=wide"))
    assert header == "NAME VENUE ENVIRONMENT READY OPEN NAKED PAUSED AGE ACCOUNTID REASON"
    assert re.fullmatch(r"one paper Paper True 3 0 true \d+s 42 Guarded", row)


def test_one_word_lists_both_kinds(desk: Desk) -> None:
    desk.make(POSITIONS, POSITION)
    desk.make(ACCOUNTS, MINIMAL[ACCOUNTS])
    printed = desk.kubectl("get", "guardian", "--output=name").split()
    assert sorted(printed) == [
        "exchangeaccount.guardian.trading/one",
        "tradingposition.guardian.trading/one",
    ]


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("spec.symbol=BTCUSDT", ["btc-demo", "btc-other"]),
        ("spec.accountRef=demo", ["btc-demo", "eth-demo"]),
        ("spec.accountRef=demo,spec.symbol!=BTCUSDT", ["eth-demo"]),
    ],
)
def test_positions_are_selected_by_a_field(desk: Desk, selector: str, found: list[str]) -> None:
    for name, account, symbol in [
        ("btc-demo", "demo", "BTCUSDT"),
        ("eth-demo", "demo", "ETHUSDT"),
        ("btc-other", "other", "BTCUSDT"),
    ]:
        desk.make(POSITIONS, POSITION | {"accountRef": account, "symbol": symbol}, name)
    names = "--output=jsonpath={.items[*].metadata.name}"
    printed = desk.kubectl("get", "tpos", f"--field-selector={selector}", names)
    assert sorted(printed.split()) == found


def test_kubectl_explains_a_field(desk: Desk) -> None:
    assert "A long's lies below its" in desk.kubectl("explain", "tpos.spec.stopLoss")
    assert "kept under. Edit the spec" in " ".join(desk.kubectl("explain", "tpos").split())
    assert "REMOVE" in desk.kubectl("explain", "xacc.spec.policy.allowRemove")


@pytest.mark.parametrize("plural", KINDS)
def test_both_files_of_a_kind_pass_a_server_side_dry_run(desk: Desk, plural: str) -> None:
    for folder in ("crds", "helm/position-guardian/crds"):
        file = ROOT / folder / f"{plural}.yaml"
        arguments = ("apply", "--server-side", "--dry-run=server", f"--filename={file}")
        assert f"{plural}.guardian.trading serverside-applied" in desk.kubectl(*arguments)


@pytest.mark.parametrize("plural", KINDS)
def test_the_api_server_has_no_doubts_about_a_definition(
    kube_server: KubeServer, kube_namespace: str, plural: str
) -> None:
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.guardian.trading"
    stored = kube_server.request("GET", path).json()
    conditions = {one["type"]: one["status"] for one in stored["status"]["conditions"]}
    assert conditions["Established"] == conditions["NamesAccepted"] == "True"
    assert conditions.get("NonStructuralSchema", "False") == "False"


def manifest(plural: str, spec: Spec) -> str:
    return json.dumps(
        {
            "apiVersion": API_VERSION,
            "kind": KINDS[plural],
            "metadata": {"name": "one"},
            "spec": spec,
        }
    )


def table(printed: str) -> list[str]:
    return [" ".join(line.split()) for line in printed.splitlines()]


def spec_of(plural: str) -> dict[str, Any]:
    version = documents()[plural]["spec"]["versions"][0]
    spec: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return spec


def walk(schema: dict[str, Any], path: str = "spec") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from walk(inner, f"{path}.{name}")
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")


def constraints(spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Where a spec limits what it takes, beyond types: (path, keyword)."""
    for path, schema in walk(spec):
        for keyword in ("pattern", "maxLength", "minLength", "enum", "minimum", "maximum"):
            if keyword in schema:
                yield path, keyword
        for name in schema.get("required", ()):
            yield f"{path}.{name}", "required"
        for rule in schema.get("x-kubernetes-validations", ()):
            if "fieldPath" in rule:
                yield path + rule["fieldPath"], "spec rule"
            else:
                yield path, "rule"
