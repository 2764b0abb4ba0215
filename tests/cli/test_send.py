"""`guardian webhook send`: what is posted, and what comes of it."""

import io
import json
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Guardian
from tests.support.up import RunningUp
from tests.support.wait import eventually

pytestmark = pytest.mark.xdist_group("cli-send")

PING = ("--action", "PING", "--symbol", "BTCUSDT", "--close", "42000")


def test_it_is_acknowledged_with_a_trace(guardian: Guardian) -> None:
    told = guardian("webhook", "send", *PING, "--json").json
    assert told["http_status"] == 200
    assert told["answer"]["status"] == "received"
    assert len(told["answer"]["trace_id"]) == 32
    assert "trace" in guardian("webhook", "send", *PING).out


def test_options_become_the_fields_of_tradingviews_form(guardian: Guardian) -> None:
    send = ("webhook", "send", "--print", "--action", "BuyLimit", "--symbol", "BTCUSDT")
    levels = ("--price", "41000.50", "--sl", "40000", "--tp", "REMOVE", "--percent", "50")
    alert = json.loads(guardian(*send, *levels, "--account", "paper").out)
    assert alert.pop("BarTime") == alert.pop("TimeNow")
    assert alert == {
        "Action": "BuyLimit",
        "Symbol": "BTCUSDT",
        "Prix": "41000.5",
        "PrixSL": "40000",
        "PrixTP": "REMOVE",
        "PourCent": "50",
        "UserExchangeID": "paper",
        "IndicateurName": "guardian webhook send",
    }


def test_raw_json_comes_from_the_line_a_file_or_stdin(
    guardian: Guardian, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = '{"Action": "PING", "Symbol": "ETHUSDT", "Close": 2000}'
    file = tmp_path / "alert.json"
    file.write_text(body)
    monkeypatch.setattr("sys.stdin", io.StringIO(body))
    for raw in (body, f"@{file}", "-"):
        told = guardian("webhook", "send", raw, "--json").json
        assert told["http_status"] == 200


def test_waiting_tells_what_the_engine_made_of_it(guardian: Guardian) -> None:
    done = guardian("webhook", "send", *PING, "--wait", "--json").json
    assert done["webhook"]["status"] == "processed"
    send = ("webhook", "send", "--action", "BuyMarket", "--symbol", "BTCUSDT", "--close", "42000")
    failed = guardian(*send, "--sl", "43000", "--wait", status=1)
    assert "error: PrixSL: 43000 is on the wrong side" in failed.out


def test_what_the_receiver_refuses_is_told_with_field_and_fix(guardian: Guardian) -> None:
    wrong = guardian("webhook", "send", '{"Action": "Fly", "Symbol": "BTCUSDT"}', status=2)
    assert "Action" in wrong.err
    assert "BuyMarket" in wrong.err
    stranger = ("webhook", "send", *PING, "--account", "nobody")
    assert "UserExchangeID" in guardian(*stranger, status=2).err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--symbol", "BTCUSDT"), "--action: is missing"),
        (("--action", "PING"), "--symbol: is missing"),
        ((*PING, "--percent", "half"), "--percent: 'half' is not a number"),
        (("{}", "--action", "PING"), "goes without options"),
        (("@/nowhere/at/all",), "cannot be read"),
    ],
)
def test_a_wrong_command_line_sends_nothing(
    guardian: Guardian, arguments: tuple[str, ...], told: str
) -> None:
    before = guardian("webhooks", "--ping", "--json").json
    assert told in guardian("webhook", "send", *arguments, status=2).err
    assert guardian("webhooks", "--ping", "--json").json == before


def test_a_wrong_token_is_told_and_not_repeated(guardian: Guardian) -> None:
    wrong = guardian("webhook", "send", *PING, "--token", "guessed-secret", status=2)
    assert "token" in wrong.err
    assert "guessed-secret" not in wrong.err + wrong.out


def test_the_token_may_come_from_the_environment(
    guardian: Guardian, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUARDIAN_WEBHOOK_TOKEN", "guessed-secret")
    guardian("webhook", "send", *PING, status=2)
    secret = guardian("token", "create", "for the environment").out.strip()
    monkeypatch.setenv("GUARDIAN_WEBHOOK_TOKEN", secret)
    guardian("webhook", "send", *PING)


def test_the_clis_own_token_is_made_once_and_anew_when_it_was_revoked(guardian: Guardian) -> None:
    guardian("webhook", "send", *PING)
    kept = (guardian.home / "cli-token").read_text()
    guardian("webhook", "send", *PING)
    assert (guardian.home / "cli-token").read_text() == kept
    guardian("token", "revoke", "cli")
    guardian("webhook", "send", *PING)
    assert (guardian.home / "cli-token").read_text() != kept
    assert (guardian.home / "cli-token").stat().st_mode & 0o777 == 0o600
    named = [
        row["name"] for row in guardian("token", "list", "--json").json if row["name"] == "cli"
    ]
    assert len(named) == 2


def test_another_receiver_is_called_by_its_url(guardian: Guardian, running: RunningUp) -> None:
    secret = guardian("token", "create", "for a url").out.strip()
    send = ("webhook", "send", *PING, "--url", f"{running.receiver_url}/")
    assert "--token" in guardian.bare(*send, status=2).err
    guardian.bare(*send, "--token", secret)
    away = ("--url", "http://127.0.0.1:9", "--token", secret)
    gone = guardian.bare("webhook", "send", *PING, *away, status=1)
    assert "127.0.0.1:9" in gone.err
    assert secret not in gone.err


def test_nothing_runs_is_an_answer_too(offline: Guardian) -> None:
    assert "guardian up" in offline("webhook", "send", *PING, status=1).err


def test_a_revoked_token_is_refused(guardian: Guardian, running: RunningUp) -> None:
    secret = guardian("token", "create", "short-lived").out.strip()
    alert = {"Action": "PING", "Symbol": "BTCUSDT", "Token": secret}
    assert httpx.post(f"{running.receiver_url}/webhook", json=alert).status_code == 200
    guardian("token", "revoke", "short-lived")

    def status() -> int:
        return httpx.post(f"{running.receiver_url}/webhook", json=alert).status_code

    eventually(lambda: status() == 401)
