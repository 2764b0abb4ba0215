"""`guardian accounts` and `guardian token`: what is stored, what is refused, and in which words."""

from typing import Any

import pytest

from guardian_cli.accounts import OPTIONS, make_spec
from guardian_core.accounts import AccountSpec
from tests.cli.conftest import Guardian

pytestmark = pytest.mark.xdist_group("cli-accounts")


def test_an_added_account_takes_alerts_with_its_userexchangeid(guardian: Guardian) -> None:
    added = guardian("accounts", "add", "swing", "--user-exchange-id", "swing-1", "--json").json
    assert added["spec"]["accountId"] == "swing-1"
    alert = '{"Action": "BuyMarket", "Symbol": "ETHUSDT", "Close": 2000, "PrixSL": 1900}'
    send = ("webhook", "send", alert.replace("}", ', "UserExchangeID": "swing-1"}'))
    assert guardian(*send, "--wait", "--json").json["webhook"]["account"] == "swing"


def test_every_option_reaches_its_field(guardian: Guardian) -> None:
    options = {
        "--market": "spot",
        "--balance": "2500.5",
        "--quote": "USDC",
        "--taker-fee-percent": "0.1",
        "--maker-fee-percent": "0.08",
        "--user-id": "me",
        "--user-exchange-id": "wide",
        "--leverage": "3",
        "--margin-mode": "Isolated",
        "--direction": "LongOnly",
        "--on-crossed-stop": "Alert",
        "--repeat-entry": "Add",
        "--max-entry-age": "30",
        "--max-unprotected": "120",
        "--max-crossed-percent": "1.5",
        "--trigger-basis": "mark",
        "--guard-interval": "2",
        "--symbol-map": "XBTUSD=BTCUSDC",
        "--environment": "Paper",
        "--venue": "paper",
    }
    flags = ("--allow-remove", "--paused", "--amend")
    assert options.keys() | set(flags) == OPTIONS.keys()
    words = [word for pair in options.items() for word in pair]
    spec = guardian("accounts", "add", "wide", *words, *flags, "--json").json["spec"]
    found = {path: at(spec, path) for path in OPTIONS.values()}
    assert found.pop("symbolMap") == {"XBTUSD": "BTCUSDC"}
    for option, path in OPTIONS.items():
        if option in flags:
            assert found[path] is True
        elif option != "--symbol-map":
            assert str(found[path]).removesuffix(".0") == options[option]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (("--market", "inverse"), "--market"),
        (("--balance", "-1"), "--balance"),
        (("--balance", "much"), "--balance"),
        (("--leverage", "500"), "--leverage"),
        (("--direction", "Sideways"), "--direction"),
        (("--on-crossed-stop", "Pray"), "--on-crossed-stop"),
        (("--repeat-entry", "Twice"), "--repeat-entry"),
        (("--max-entry-age", "0"), "--max-entry-age"),
        (("--guard-interval", "60"), "--guard-interval"),
        (("--taker-fee-percent", "7"), "--taker-fee-percent"),
        (("--symbol-map", "BTC"), "--symbol-map"),
    ],
)
def test_a_wrong_option_is_named_and_nothing_is_stored(
    guardian: Guardian, options: tuple[str, ...], field: str
) -> None:
    assert f"{field}: " in guardian("accounts", "add", "wrong", *options, status=2).err
    names = [row["name"] for row in guardian("accounts", "list", "--json").json]
    assert "wrong" not in names


def test_a_name_that_is_taken_is_only_replaced_on_request(guardian: Guardian) -> None:
    guardian("accounts", "add", "twice")
    assert "--replace" in guardian("accounts", "add", "twice", status=2).err
    changed = guardian("accounts", "add", "twice", "--replace", "--paused", "--json").json
    assert changed["generation"] == 2
    assert changed["spec"]["paused"] is True


def test_a_venue_without_an_adapter_is_refused_with_those_there_are(guardian: Guardian) -> None:
    wrong = guardian("accounts", "add", "real", "--venue", "mexc", status=2)
    assert "mexc" in wrong.err
    assert "paper, binance, binanceusdm" in wrong.err


def test_two_accounts_may_not_answer_to_the_same_alerts(guardian: Guardian) -> None:
    wrong = guardian("accounts", "add", "rival", "--user-exchange-id", "paper", status=2)
    assert "already names another account" in wrong.err


def test_limits_are_set_kept_and_taken_away(guardian: Guardian) -> None:
    def limits() -> Any:
        (row,) = [r for r in guardian("accounts", "list", "--json").json if r["name"] == "capped"]
        return row["spec"]["limits"]

    guardian("accounts", "add", "capped")
    assert limits() is None
    told = guardian("accounts", "arm", "capped", "--max-order", "500", "--max-daily-loss", "50.5")
    assert "at most 500" in told.out
    guardian("accounts", "add", "capped", "--replace", "--leverage", "2")
    assert limits() == {"maxOrder": "500", "maxDailyLoss": "50.5"}
    guardian("accounts", "disarm", "capped")
    assert limits() is None


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("paper", "--max-order", "0", "--max-daily-loss", "5"), "--max-order"),
        (("paper", "--max-order", "5", "--max-daily-loss", "little"), "--max-daily-loss"),
        (("nobody", "--max-order", "5", "--max-daily-loss", "5"), "is no account"),
        (("paper", "--max-order", "5"), "--max-daily-loss"),
    ],
)
def test_wrong_limits_are_told(guardian: Guardian, arguments: tuple[str, ...], told: str) -> None:
    assert told in guardian("accounts", "arm", *arguments, status=2).err


def test_check_tells_what_works(guardian: Guardian) -> None:
    [found] = guardian("accounts", "check", "paper", "--json").json
    assert found["ok"]
    assert {line["what"] for line in found["lines"]} >= {"positions", "orders", "balances"}
    assert found["balances"][0]["currency"] == "USDT"
    assert "positions" in guardian("accounts", "check", "paper").out


def test_check_fails_while_the_venue_is_down(guardian: Guardian) -> None:
    guardian("accounts", "add", "downed")
    guardian("accounts", "check", "downed")
    guardian("paper", "fault", "down", "--seconds", "3600", "--account", "downed")
    assert "FAIL" in guardian("accounts", "check", "downed", status=1).out
    assert "nobody" in guardian("accounts", "check", "nobody", status=2).err


def test_the_defaults_of_the_options_are_those_of_the_spec() -> None:
    assert make_spec({"--user-exchange-id": "x"}) == AccountSpec(account_id="x")


def test_a_token_is_shown_once_and_listed_without_its_secret(guardian: Guardian) -> None:
    secret = guardian("token", "create", "once").out.strip()
    assert len(secret) >= 22
    listed = guardian("token", "list", "--json")
    assert "once" in [row["name"] for row in listed.json]
    assert secret not in listed.out
    assert secret.encode() not in (guardian.home / "guardian.db").read_bytes()


def test_a_token_commands_only_the_accounts_it_was_made_for(guardian: Guardian) -> None:
    guardian("accounts", "add", "mine")
    secret = guardian("token", "create", "narrow", "--account", "mine").out.strip()
    ping = ("webhook", "send", "--action", "PING", "--symbol", "BTCUSDT", "--token", secret)
    guardian(*ping, "--account", "mine")
    assert "may not command" in guardian(*ping, "--account", "paper", status=2).err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("create", ""), "name"),
        (("create", "tradingview"), "already names a token"),
        (("create", "lost", "--account", "nobody"), "nobody"),
        (("revoke", "never-made"), "never-made"),
    ],
)
def test_a_wrong_token_command_is_told(
    guardian: Guardian, arguments: tuple[str, ...], told: str
) -> None:
    assert told in guardian("token", *arguments, status=2).err


def at(spec: dict[str, Any], path: str) -> Any:
    value: Any = spec
    for name in path.split("."):
        value = value[name]
    return value
