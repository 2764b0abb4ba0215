"""values.schema.json: wrong values are refused in words, and the schema knows every value."""

import json
from typing import Any

import pytest
import yaml

from guardian_core.accounts import AccountSpec
from tests.support.chart import CHART, refusal, values_of

REFUSALS = {
    "a Live account on the bundled database": (
        ["accounts.main.accountId=main", "accounts.main.environment=Live"],
        "/accounts/main/environment",
        "with database.mode external or cnpg",
    ),
    "an unknown value": (["recevier.replicas=3"], "recevier", "not allowed"),
    "an unknown value further in": (["receiver.replica=3"], "/receiver", "'replica' not allowed"),
    "an account without its id": (["accounts.main.venue=paper"], "/accounts/main", "'accountId'"),
    "an unknown field of an account": (
        ["accounts.main.accountId=x", "accounts.main.levrage=2"],
        "/accounts/main",
        "'levrage' not allowed",
    ),
    "a number that must be exact": (
        ["accounts.main.accountId=x", "accounts.main.leverage=2"],
        "/accounts/main/leverage",
        "want string",
    ),
    "an unknown check": (["receiver.sourceCheck=maybe"], "/receiver/sourceCheck", "'enforce'"),
    "no replica": (["operator.replicas=0"], "/operator/replicas", "minimum"),
    "an installation that is none": (["installation=Main"], "/installation", "pattern"),
    "an external database without its Secret": (
        ["database.mode=external"],
        "database.existingSecret",
        "Secret that holds the database's URL",
    ),
    "an external Redis without its Secret": (
        ["redis.mode=external"],
        "redis.existingSecret",
        "Secret that holds Redis' URL",
    ),
    "an Ingress without its host": (["ingress.enabled=true"], "webhook.host", "TradingView"),
    "a route without its Gateway": (
        ["httpRoute.enabled=true", "webhook.host=x.example.com"],
        "httpRoute.parentRefs",
        "name the Gateway",
    ),
}


@pytest.mark.parametrize(("options", "where", "why"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_wrong_value_is_refused_with_where_and_why(
    options: list[str], where: str, why: str
) -> None:
    told = refusal(*(word for option in options for word in ("--set", option)))
    assert where in told
    assert why in told


def test_a_live_account_is_refused_even_without_the_schema() -> None:
    account = ("--set", "accounts.main.accountId=x", "--set", "accounts.main.environment=Live")
    assert "no backup" in refusal("--skip-schema-validation", *account)


def test_a_live_account_on_its_own_database_is_taken() -> None:
    with pytest.raises(AssertionError, match="Helm took them"):
        refusal(*values_of("external"))


def schema() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
    return loaded


def leaves(values: Any, schema: Any, path: str) -> list[str]:
    """Paths where values and schema do not know the same fields."""
    if not isinstance(values, dict) or "properties" not in schema:
        return []
    different = [f"{path}/{name}" for name in values.keys() ^ schema["properties"].keys()]
    for name in values.keys() & schema["properties"].keys():
        different += leaves(values[name], schema["properties"][name], f"{path}/{name}")
    return different


def test_the_schema_and_the_values_know_the_same() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert leaves(values, schema(), "") == ["/global"]


def test_an_account_s_values_are_the_spec_s_fields() -> None:
    ours = schema()["$defs"]["account"]["properties"]
    model = AccountSpec.model_json_schema(by_alias=True)
    assert ours.keys() - {"existingSecret"} == model["properties"].keys()
    for name, of_model in (
        ("policy", "PolicySpec"),
        ("limits", "LimitsSpec"),
        ("paper", "PaperSpec"),
    ):
        known = model["$defs"][of_model]["properties"]
        assert ours[name]["properties"].keys() == known.keys()
        for field, described in known.items():
            choices = choices_of(described, model)
            if choices:
                assert ours[name]["properties"][field]["enum"] == choices


def choices_of(described: dict[str, Any], model: dict[str, Any]) -> list[str]:
    for each in (described, *described.get("anyOf", ())):
        if "$ref" in each:
            choices: list[str] = model["$defs"][each["$ref"].rpartition("/")[2]].get("enum", [])
            return choices
    return []


def test_every_value_of_the_chart_is_on_its_page() -> None:
    """`make check` holds the page to be current; this, that it leaves nothing out."""
    page = (CHART.parents[1] / "docs" / "helm-values.md").read_text("utf-8")
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    for name, group in values.items():
        assert f"`{name}" in page
        for inner in group if isinstance(group, dict) else ():
            assert f"`{name}.{inner}" in page
    assert '| `receiver.sourceCheck` | `"report"` | What becomes of requests' in page
