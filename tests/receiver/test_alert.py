"""What an alert may look like, and what is said of one that cannot be used."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from guardian_core.domain.alerts import REMOVE, AlertAction
from guardian_core.domain.errors import CallerError
from guardian_receiver.alert import Alert, check_entry_levels, parse_alert
from guardian_receiver.body import read_object

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)


def parse(text: str) -> Alert:
    return parse_alert(read_object(text)[0])


def with_fields(**fields: Any) -> Alert:
    return parse(json.dumps({"Action": "BuyMarket", "Symbol": "BTCUSDT"} | fields))


def test_the_users_whole_message_is_understood() -> None:
    alert = parse(
        '{"Action":"BuyLimit","Symbol":"BTCUSDT","Exchange":"BINANCE","Currency":"USDT",'
        '"BaseCurrency":"BTC","Interval":"60","Open":42000.10,"High":42100,"Low":41900,'
        '"Close":42050.5,"Volume":NaN,"BarTime":"2025-06-01T12:00:00Z","Prix":42010,'
        '"PrixSL":"41000.50","PrixTP":45000,"PourCent":"50","UserID":12,'
        '"UserExchangeID":"main","IndicateurName":"My indicator"}'
    )
    assert alert.action is AlertAction.BUY_LIMIT
    assert alert.symbol == "BTCUSDT"
    assert alert.bar.time == NOON
    assert alert.bar.open == Decimal("42000.10")
    assert alert.bar.close == Decimal("42050.5")
    assert alert.price == 42010
    assert alert.stop_loss == "41000.5"
    assert alert.take_profit == "45000"
    assert alert.percent == 50
    assert alert.user_id == "12"
    assert alert.account_ids == ("main",)
    assert alert.indicator == "My indicator"
    assert alert.interval == "60"
    assert alert.is_timed


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("PING", AlertAction.PING),
        ("ping", AlertAction.PING),
        ("BuyMarket", AlertAction.BUY_MARKET),
        ("buy", AlertAction.BUY_MARKET),
        (" BUY ", AlertAction.BUY_MARKET),
        ("buy_market", AlertAction.BUY_MARKET),
        ("long", AlertAction.BUY_MARKET),
        ("sell", AlertAction.SELL_MARKET),
        ("short", AlertAction.SELL_MARKET),
        ("SellMarket", AlertAction.SELL_MARKET),
        ("MAJ", AlertAction.MAJ),
        ("update", AlertAction.MAJ),
        ("modify", AlertAction.MAJ),
        ("Close", AlertAction.CLOSE),
        ("exit", AlertAction.CLOSE),
        ("flat", AlertAction.CLOSE),
    ],
)
def test_an_action_has_these_words(written: str, meant: AlertAction) -> None:
    assert with_fields(Action=written).action is meant


@pytest.mark.parametrize(
    "names",
    [
        {"Action": "action", "Symbol": "symbol", "PrixSL": "prixsl", "PourCent": "POURCENT"},
        {"Action": "ACTION", "Symbol": "Ticker", "PrixSL": "stopLoss", "PourCent": "percent"},
        {"Action": "order", "Symbol": "ticker", "PrixSL": "stop_loss", "PourCent": "Percentage"},
        {"Action": "action", "Symbol": "ticker", "PrixSL": "Stop-Loss", "PourCent": "percent"},
    ],
)
def test_names_count_in_any_case_and_in_english(names: dict[str, str]) -> None:
    values = {"Action": "buy", "Symbol": "ETHUSDT", "PrixSL": 1800, "PourCent": 25}
    alert = parse(json.dumps({names[name]: value for name, value in values.items()}))
    assert alert.symbol == "ETHUSDT"
    assert alert.stop_loss == "1800"
    assert alert.percent == 25


@pytest.mark.parametrize("absent", ["NaN", "null", '"NaN"', '"nan"', '""', '"null"', '"na"', "0"])
def test_an_absent_level_leaves_the_leg_alone(absent: str) -> None:
    alert = parse(f'{{"Action":"MAJ","Symbol":"X","PrixSL":{absent},"PrixTP":45000}}')
    assert alert.stop_loss is None
    assert alert.take_profit == "45000"


@pytest.mark.parametrize("word", ["REMOVE", "remove", " Remove "])
def test_remove_takes_a_leg_away(word: str) -> None:
    assert with_fields(Action="MAJ", PrixTP=word).take_profit == REMOVE


@pytest.mark.parametrize(
    ("sent", "meant"),
    [(None, 100), ("NaN", 100), ("", 100), (50, 50), ("12.5%", "12.5"), (100, 100)],
)
def test_percent_is_100_unless_it_is_sent(sent: object, meant: object) -> None:
    assert with_fields(PourCent=sent).percent == Decimal(str(meant))


@pytest.mark.parametrize("action", ["MAJ", "PING"])
@pytest.mark.parametrize("percent", [0, -5, 500, "nonsense"])
def test_percent_has_no_meaning_for_maj_and_ping(action: str, percent: object) -> None:
    assert with_fields(Action=action, PourCent=percent).percent == 100


@pytest.mark.parametrize(
    "written",
    [
        "2025-06-01T12:00:00Z",
        "2025-06-01T14:00:00+02:00",
        "2025-06-01T12:00:00",
        "2025-06-01 12:00:00",
        "2025-06-01T12:00:00.000Z",
        1748779200,
        "1748779200",
        1748779200000,
        "1748779200000",
    ],
)
def test_a_bar_time_may_be_written_so(written: object) -> None:
    alert = with_fields(BarTime=written)
    assert alert.bar.time == NOON
    assert alert.is_timed


@pytest.mark.parametrize(
    ("fields", "timed"),
    [
        ({}, False),
        ({"id": "Long"}, False),
        ({"timenow": "2025-06-01T12:00:00Z"}, True),
        ({"IdempotencyKey": "abc"}, True),
        ({"time": "2025-06-01T12:00:00Z"}, True),
    ],
)
def test_what_makes_an_alert_unique_for_ever(fields: dict[str, object], timed: bool) -> None:
    assert with_fields(**fields).is_timed is timed


def test_an_alert_may_name_several_accounts() -> None:
    assert with_fields(UserExchangeID=["a", "b", 3]).account_ids == ("a", "b", "3")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"Action": None}, "Action"),
        ({"Action": "BuyEverything"}, "Action"),
        ({"Action": 5}, "Action"),
        ({"Action": ["buy"]}, "Action"),
        ({"Symbol": None}, "Symbol"),
        ({"Symbol": ""}, "Symbol"),
        ({"Symbol": "  "}, "Symbol"),
        ({"Symbol": "X" * 65}, "Symbol"),
        ({"Symbol": {"a": 1}}, "Symbol"),
        ({"Symbol": "BTC\nUSDT"}, "Symbol"),
        ({"PrixSL": -1}, "PrixSL"),
        ({"PrixTP": "-0.5"}, "PrixTP"),
        ({"PrixSL": "forty"}, "PrixSL"),
        ({"PrixSL": "1_000"}, "PrixSL"),
        ({"PrixSL": "42,000"}, "PrixSL"),
        ({"PrixSL": "٤٢"}, "PrixSL"),
        ({"PrixSL": True}, "PrixSL"),
        ({"PrixSL": [1]}, "PrixSL"),
        ({"PrixSL": 1e30}, "PrixSL"),
        ({"PrixSL": "1e-30"}, "PrixSL"),
        ({"PrixSL": "9" * 5000}, "PrixSL"),
        ({"Close": -1}, "Close"),
        ({"Prix": "x"}, "Prix"),
        ({"Action": "BuyLimit"}, "Prix"),
        ({"Action": "SellLimit", "Prix": 0}, "Prix"),
        ({"Action": "SellLimit", "Prix": "NaN"}, "Prix"),
        ({"PourCent": 0}, "PourCent"),
        ({"PourCent": -1}, "PourCent"),
        ({"PourCent": 100.01}, "PourCent"),
        ({"PourCent": "half"}, "PourCent"),
        ({"BarTime": "yesterday"}, "BarTime"),
        ({"BarTime": "{{time}}"}, "BarTime"),
        ({"BarTime": -5}, "BarTime"),
        ({"BarTime": 1e25}, "BarTime"),
        ({"BarTime": "1970-01-01T00:00:00Z"}, "BarTime"),
        ({"BarTime": "9999-12-31T23:59:59-23:59"}, "BarTime"),
        ({"UserExchangeID": []}, "UserExchangeID"),
        ({"UserExchangeID": ["a", "a"]}, "UserExchangeID"),
        ({"UserExchangeID": ["a", None]}, "UserExchangeID"),
        ({"UserExchangeID": [str(n) for n in range(21)]}, "UserExchangeID"),
        ({"UserID": {"a": 1}}, "UserID"),
        ({"IndicateurName": "x" * 201}, "IndicateurName"),
        ({"symbol": "ETHUSDT"}, "Symbol"),
        ({"stopLoss": 1, "PrixSL": 2}, "PrixSL"),
        ({"quantity": 3}, "quantity"),
    ],
)
def test_a_wrong_field_is_named_with_a_fix(fields: dict[str, object], field: str) -> None:
    with pytest.raises(CallerError) as caught:
        with_fields(**fields)
    assert caught.value.field == field
    assert caught.value.problem
    assert caught.value.fix
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "1e400", "1e99999"])
def test_an_infinite_or_huge_bare_number_is_refused(number: str) -> None:
    with pytest.raises(CallerError) as caught:
        parse(f'{{"Action":"buy","Symbol":"X","PrixSL":{number}}}')
    assert caught.value.field == "PrixSL"


def test_the_same_value_twice_is_no_conflict() -> None:
    assert parse('{"Action":"buy","action":"buy","Symbol":"X"}').action is AlertAction.BUY_MARKET


@pytest.mark.parametrize(
    ("action", "stop_loss", "take_profit", "fits"),
    [
        ("BuyMarket", 100, 110, True),
        ("BuyMarket", 110, 100, False),
        ("BuyLimit", 100, 100, False),
        ("SellMarket", 110, 100, True),
        ("SellMarket", 100, 110, False),
        ("SellLimit", 100, 100, False),
        ("BuyMarket", 110, None, True),
        ("SellMarket", None, 110, True),
        ("BuyMarket", 110, "REMOVE", True),
        ("MAJ", 110, 100, True),
        ("Close", 110, 100, True),
    ],
)
def test_an_entrys_levels_lie_on_their_sides(
    action: str, stop_loss: object, take_profit: object, fits: bool
) -> None:
    alert = with_fields(Action=action, PrixSL=stop_loss, PrixTP=take_profit, Prix=105)
    if fits:
        check_entry_levels(alert)
    else:
        with pytest.raises(CallerError, match="are inverted"):
            check_entry_levels(alert)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"action": "buy", "sentiment": "bullish"}, ("BuyMarket", None, None)),
        ({"action": "sell", "sentiment": "bearish"}, ("SellMarket", None, None)),
        ({"action": "sell", "sentiment": "flat"}, ("Close", None, None)),
        ({"action": "exit"}, ("Close", None, None)),
        (
            {"action": "buy", "orderType": "limit", "limitPrice": 100},
            ("BuyLimit", None, None),
        ),
        (
            {"action": "buy", "stopLoss": {"type": "stop", "stopPrice": 90}},
            ("BuyMarket", "90", None),
        ),
        (
            {
                "action": "buy",
                "signalPrice": 200,
                "stopLoss": {"percent": 5},
                "takeProfit": {"percent": "10"},
            },
            ("BuyMarket", "190", "220"),
        ),
        (
            {
                "action": "sell",
                "price": 200,
                "stopLoss": {"amount": 5},
                "takeProfit": {"percent": 10},
            },
            ("SellMarket", "205", "180"),
        ),
        (
            {"action": "buy", "quantity": 50, "quantityType": "percent_of_equity"},
            ("BuyMarket", None, None),
        ),
    ],
)
def test_traderspost_alerts_are_understood(
    fields: dict[str, object], expected: tuple[str, str | None, str | None]
) -> None:
    alert = parse(json.dumps({"ticker": "BTCUSDT"} | fields))
    assert (alert.action, alert.stop_loss, alert.take_profit) == expected


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"action": "buy", "sentiment": "bearish"}, "sentiment"),
        ({"action": "cancel"}, "Action"),
        ({"action": "add"}, "Action"),
        ({"action": "buy", "quantity": 2}, "quantity"),
        ({"action": "buy", "quantity": 2, "quantityType": "fixed_quantity"}, "quantity"),
        ({"action": "buy", "orderType": "trailing_stop"}, "orderType"),
        ({"action": "buy", "stopLoss": {"percent": 5}}, "PrixSL"),
        ({"action": "buy", "price": 9, "stopLoss": {"percent": 500}}, "PrixSL"),
        ({"action": "buy", "stopLoss": {"type": "trailing_stop", "trailPercent": 5}}, "PrixSL"),
    ],
)
def test_what_traderspost_has_and_we_have_not_is_refused(
    fields: dict[str, object], field: str
) -> None:
    with pytest.raises(CallerError) as caught:
        parse(json.dumps({"ticker": "BTCUSDT"} | fields))
    assert caught.value.field == field
