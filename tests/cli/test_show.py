"""The listings, of a position that a real alert opened: status, orders, trades, webhooks, trace."""

import json
import re
import signal
import subprocess
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Guardian
from tests.support.up import command, environment
from tests.support.wait import eventually

pytestmark = pytest.mark.xdist_group("cli-show")

LISTINGS = ("status", "orders", "trades", "webhooks", "token list", "accounts list")
PROTECTED = {"coverage": "Protected", "side": "long", "stop_loss": "41000", "take_profit": "45000"}


@pytest.fixture
def opened(guardian: Guardian) -> str:
    """The trace of the alert that opened the one position; it is opened once for all tests."""
    told = guardian("webhooks", "--json").json
    if not told:
        send = ("webhook", "send", "--action", "BuyMarket", "--symbol", "BTCUSDT", "--wait")
        guardian(*send, "--close", "42000", "--sl", "41000", "--tp", "45000")
        told = guardian("webhooks", "--json").json
    trace_id: str = told[-1]["trace_id"]
    return trace_id


def test_status_shows_the_position_protected(guardian: Guardian, opened: str) -> None:
    [line] = guardian("status", "--json").json["positions"]
    assert PROTECTED.items() <= line.items()
    assert line["trace_id"] == opened
    shown = guardian("status").out
    for word in ("paper", "BTCUSDT", "long", "41000", "45000", "Protected"):
        assert word in shown


def test_status_values_the_position_at_the_last_price(guardian: Guardian, opened: str) -> None:
    """The gateway may have told a price up to a second before."""
    guardian("paper", "price", "BTCUSDT", "42500")

    def valued() -> bool:
        [line] = guardian("status", "--json").json["positions"]
        return Decimal(line["unrealized_pnl"]) == Decimal(line["quantity"]) * 500

    eventually(valued)


def test_status_says_naked_while_the_legs_are_gone_then_counts_the_repair(
    guardian: Guardian, opened: str
) -> None:
    """Coverage is what the venue has at that moment, not what our row last knew."""
    guardian("paper", "fault", "refuse-create", "--seconds", "20")
    for order in guardian("orders", "--json").json["orders"]:
        guardian("paper", "cancel", order["order_id"])
    [line] = guardian("status", "--json").json["positions"]
    assert line["coverage"] == "Naked"

    def repaired() -> bool:
        [line] = guardian("status", "--json").json["positions"]
        return bool(line["coverage"] == "Protected" and line["repairs"] > 0)

    eventually(repaired, within_s=60)


def test_orders_are_the_venues_own(guardian: Guardian, opened: str) -> None:
    found = guardian("orders", "--json").json
    assert found["notes"] == []
    roles = {order["role"]: order for order in found["orders"]}
    assert roles.keys() == {"stop_loss", "take_profit"}
    assert roles["stop_loss"]["trigger_price"] == "41000"
    assert all(order["ours"] and order["state"] == "working" for order in roles.values())
    assert "stop_loss" in guardian("orders").out


def test_trades_are_the_orders_that_were_sent_newest_first(guardian: Guardian, opened: str) -> None:
    found = guardian("trades", "--json").json
    assert found[-1]["role"] == "entry"
    assert found[-1]["status"] == "closed"
    assert Decimal(found[-1]["filled_quantity"]) == Decimal(found[-1]["quantity"])
    times = [line["at"] for line in found]
    assert times == sorted(times, reverse=True)
    assert guardian("trades", "--json", "--limit", "1").json == found[:1]
    assert guardian("trades", "--json", "--status", "closed").json == found[-1:]
    assert guardian("trades", "--json", "--symbol", "ETHUSDT").json == []


def test_webhooks_leave_out_what_only_brings_a_bar(guardian: Guardian, opened: str) -> None:
    guardian("webhook", "send", "--action", "PING", "--symbol", "BTCUSDT", "--close", "42500")
    actions = [line["action"] for line in guardian("webhooks", "--json").json]
    assert actions == ["BuyMarket"]
    actions = [line["action"] for line in guardian("webhooks", "--ping", "--json").json]
    assert sorted(actions) == ["BuyMarket", "PING"]


def test_a_trace_tells_the_story_in_order(guardian: Guardian, opened: str) -> None:
    story = guardian("trace", opened, "--json").json
    assert story["trace_id"] == opened
    assert story["alert"]["status"] == "processed"
    times = [step["at"] for step in story["steps"]]
    assert times == sorted(times)
    assert story["steps"][0]["after_seconds"] is None
    gaps = [step["after_seconds"] for step in story["steps"][1:]]
    assert sum(gaps) == pytest.approx(story["total_seconds"])
    points = [step["point"] for step in story["steps"]]
    for point in ("T6.1", "T6.2", "T3.6", "order", "fill", "T3.7"):
        assert point in points
    assert points.index("T6.2") < points.index("T3.6") < points.index("fill")


def test_a_trace_is_found_by_six_digits_or_by_its_webhooks_id(
    guardian: Guardian, opened: str
) -> None:
    webhook_id = guardian("webhooks", "--json").json[-1]["id"]
    for name in (opened[:6], opened.upper(), webhook_id):
        assert guardian("trace", name, "--json").json["trace_id"] == opened
    assert "BuyMarket" in guardian("trace", opened[:6]).out


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("abcde", "6 to 32 of its hex digits"),
        ("nothex", "6 to 32 of its hex digits"),
        ("0" * 32, "no alert has a trace"),
    ],
)
def test_a_trace_that_is_none_is_an_error(guardian: Guardian, name: str, told: str) -> None:
    assert told in guardian("trace", name, status=2).err


def test_a_trace_never_shows_a_token(guardian: Guardian) -> None:
    secret = guardian("token", "create", "in-body", "--json").json["token"]
    body = json.dumps({"Action": "PING", "Symbol": "BTCUSDT", "Token": secret})
    answer = guardian("webhook", "send", body, "--token", secret, "--json").json["answer"]
    shown = guardian("trace", answer["trace_id"]).out
    assert "***" in shown
    assert secret not in shown


@pytest.mark.parametrize("listing", LISTINGS)
def test_json_is_stable_for_machines(guardian: Guardian, opened: str, listing: str) -> None:
    check_stable(guardian(*listing.split(), "--json").json)


@pytest.mark.parametrize("listing", LISTINGS)
def test_a_listing_for_people_fits_on_lines(guardian: Guardian, opened: str, listing: str) -> None:
    printed = guardian(*listing.split()).out
    assert printed.strip()
    assert "\x1b" not in printed


def test_a_wrong_status_is_named_with_those_there_are(guardian: Guardian) -> None:
    wrong = guardian("trades", "--status", "filled", status=2)
    assert "--status" in wrong.err
    assert "pending, open, closed, cancelled, rejected" in wrong.err


def test_watching_shows_it_again_and_again_until_it_is_interrupted(
    guardian: Guardian, opened: str, tmp_path: Path
) -> None:
    shown = tmp_path / "shown"
    with shown.open("wb") as output:
        watching = subprocess.Popen(
            command("status", "--watch", "--home", guardian.home),
            stdout=output,
            stderr=output,
            env=environment(FORCE_COLOR="1", TERM="xterm", COLUMNS="200"),
        )
        eventually(lambda: shown.read_text().count("Protected") >= 3, within_s=30)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 0
    assert "Traceback" not in shown.read_text()


def test_watch_and_json_do_not_go_together(guardian: Guardian) -> None:
    assert "--watch" in guardian("status", "--watch", "--json", status=2).err


_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def check_stable(value: Any, name: str = "") -> None:
    """No float but for durations, every time in ISO 8601 with Z."""
    match value:
        case dict():
            for key, item in value.items():
                check_stable(item, key)
        case list():
            for item in value:
                check_stable(item, name)
        case float():
            assert name.endswith(("seconds", "Seconds"))
        case str() if name.endswith("_at") or name in ("at", "bar_time"):
            assert _ISO.fullmatch(value), f"{name}: {value}"
            datetime.fromisoformat(value)
