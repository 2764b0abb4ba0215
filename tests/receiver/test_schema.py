"""The documented schema and the parser agree: what the schema takes, the parser takes."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from guardian_core.domain.errors import CallerError
from guardian_receiver.alert import ACTION_ALIASES, Alert, parse_alert
from guardian_receiver.api import alert_schema
from guardian_receiver.body import plain_name, read_object
from guardian_receiver.fields import ALIASES

SCHEMA = alert_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
OF_TRADERSPOST = {"signalPrice", "sentiment", "orderType", "quantity", "quantityType"}


def parse(fields: dict[str, Any]) -> Alert:
    return parse_alert(read_object(json.dumps(fields))[0])


def parser_takes(fields: dict[str, Any]) -> bool:
    try:
        parse(fields)
    except CallerError:
        return False
    return True


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_names_every_field_and_alias_that_the_parser_knows() -> None:
    described = {
        name: tuple(field.get("x-aliases", ())) for name, field in SCHEMA["properties"].items()
    }
    assert described == {n: a for n, a in ALIASES.items() if n not in OF_TRADERSPOST}


def test_the_schema_names_every_action_and_its_words() -> None:
    action = SCHEMA["properties"]["Action"]
    words = {plain_name(word) for word in action["enum"]}
    assert words == {
        plain_name(word) for each, more in ACTION_ALIASES.items() for word in (each, *more)
    }
    listed = {name: {plain_name(word) for word in more} for name, more in action["x-words"].items()}
    assert listed == {
        each.value: {plain_name(word) for word in more} | ({"close"} if each == "Close" else set())
        for each, more in ACTION_ALIASES.items()
        if more
    }


def test_every_field_is_described() -> None:
    assert all(field["description"] for field in SCHEMA["properties"].values())


absent = st.sampled_from([None, "", "NaN"])
text = st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), max_size=50)
decimals = st.decimals(min_value=0, max_value=10**12, places=8).map(lambda d: format(d, "f"))
numbers = st.one_of(
    st.integers(0, 10**15),
    st.decimals(min_value=0, max_value=10**6, places=6).map(float),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
)
oddities = st.one_of(
    numbers, text, absent, st.booleans(), st.lists(text, max_size=3), st.just("REMOVE"), decimals
)
prices = st.one_of(st.integers(0, 10**9), decimals, absent, oddities)
times = st.one_of(
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.datetimes().map(lambda moment: moment.isoformat(sep=" ")),
    st.dates().map(str),
    st.integers(0, 5 * 10**12),
    oddities,
)
alerts = st.fixed_dictionaries(
    {
        "Action": st.sampled_from(SCHEMA["properties"]["Action"]["enum"]),
        "Symbol": st.one_of(st.sampled_from(["BTCUSDT", "BINANCE:BTCUSDT.P"]), text),
    },
    optional={
        "Exchange": text,
        "Interval": st.one_of(text, st.integers(0, 10**4)),
        "Open": prices,
        "Close": prices,
        "BarTime": times,
        "TimeNow": times,
        "Prix": prices,
        "PrixSL": prices,
        "PrixTP": prices,
        "PourCent": st.one_of(st.integers(1, 100), st.just("12.5%"), decimals, oddities),
        "UserID": st.one_of(text, st.integers(0, 10**9)),
        "UserExchangeID": st.one_of(text, st.lists(text, max_size=4), absent),
        "IndicateurName": st.one_of(text, oddities),
        "IdempotencyKey": st.one_of(text, oddities),
        "Token": st.one_of(text, st.none()),
        "anything else": oddities,
    },
)


def without_what_the_schema_refuses(fields: dict[str, Any]) -> dict[str, Any]:
    least = {"Action": "PING", "Symbol": "X"}
    return {n: each for n, each in fields.items() if VALIDATOR.is_valid(least | {n: each})} | {
        name: fields[name] for name in least
    }


def is_beyond_json_schema(value: object) -> bool:
    """What it has no word for: more decimal places than a price may have, and the spellings of
    "absent" that it does not list."""
    if isinstance(value, list):
        return any(map(is_beyond_json_schema, value))
    if isinstance(value, float):
        exponent = Decimal(repr(value)).as_tuple().exponent
        return isinstance(exponent, int) and exponent < -18
    return isinstance(value, str) and value.strip().lower() in ("na", "nan", "null", "none", "n/a")


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(alerts.map(without_what_the_schema_refuses))
def test_what_the_schema_takes_the_parser_takes(fields: dict[str, Any]) -> None:
    if VALIDATOR.is_valid(fields) and not any(map(is_beyond_json_schema, fields.values())):
        parse(fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"Action": "PING", "Symbol": "BTCUSDT"},
        {"Action": "MAJ", "Symbol": "X", "PrixSL": "42000.5", "PrixTP": "REMOVE"},
        {"Action": "BuyLimit", "Symbol": "X", "Prix": "1.5", "PourCent": "50%"},
        {"Action": "buy", "Symbol": "X", "UserExchangeID": ["a", "b"], "BarTime": 1748779200},
        {"Action": "exit", "Symbol": "X", "BarTime": "2025-06-01T12:00:00Z", "UserID": 5},
    ],
)
def test_both_take_a_good_alert(fields: dict[str, Any]) -> None:
    assert VALIDATOR.is_valid(fields)
    assert parser_takes(fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"Action": "PING"},
        {"Symbol": "X"},
        {"Action": "BuyAll", "Symbol": "X"},
        {"Action": "buy", "Symbol": ""},
        {"Action": "buy", "Symbol": "X" * 65},
        {"Action": "buy", "Symbol": "X", "PourCent": 0},
        {"Action": "buy", "Symbol": "X", "PourCent": 101},
        {"Action": "buy", "Symbol": "X", "PourCent": "half"},
        {"Action": "buy", "Symbol": "X", "PrixSL": -1},
        {"Action": "buy", "Symbol": "X", "PrixSL": 1e18},
        {"Action": "buy", "Symbol": "X", "PrixSL": "up"},
        {"Action": "buy", "Symbol": "X", "PrixSL": True},
        {"Action": "BuyLimit", "Symbol": "X"},
        {"Action": "BuyLimit", "Symbol": "X", "Prix": 0},
        {"Action": "SellLimit", "Symbol": "X", "Prix": "0.00"},
        {"Action": "buy", "Symbol": "X", "BarTime": "yesterday"},
        {"Action": "buy", "Symbol": "X", "BarTime": 12},
        {"Action": "buy", "Symbol": "X", "UserExchangeID": []},
        {"Action": "buy", "Symbol": "X", "UserExchangeID": ["a", "a"]},
    ],
)
def test_both_refuse_a_bad_alert(fields: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(fields)
    assert not parser_takes(fields)
