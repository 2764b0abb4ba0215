"""Commands on a home that nothing runs on: what they can still tell, and what they ask for."""

import sqlite3
from pathlib import Path

import pytest

from guardian_cli.home import Home
from guardian_core.ids import SystemIds
from guardian_core.storage import migrations
from tests.cli.conftest import Guardian
from tests.support.up import running_up

LISTINGS = ("status", "orders", "trades", "webhooks", "token list", "accounts list", "trace 123456")


@pytest.mark.parametrize("listing", LISTINGS)
def test_a_home_that_is_not_made_yet_is_told_of_and_not_made(
    offline: Guardian, listing: str
) -> None:
    told = offline(*listing.split(), status=2).err
    assert "guardian up" in told
    assert not offline.home.exists()


@pytest.mark.parametrize("listing", LISTINGS)
def test_a_listing_never_upgrades_the_schema(offline: Guardian, listing: str) -> None:
    offline.home.mkdir()
    sqlite3.connect(offline.home / "guardian.db").close()
    before = (offline.home / "guardian.db").read_bytes()
    assert "guardian db upgrade" in offline(*listing.split(), status=2).err
    assert (offline.home / "guardian.db").read_bytes() == before


@pytest.mark.parametrize("listing", ["status", "orders", "trades", "webhooks"])
def test_an_upgraded_home_is_empty_and_says_so(offline: Guardian, listing: str) -> None:
    assert migrations.head_revision() in offline("db", "upgrade").out
    assert offline(listing).out.strip()


def test_a_newer_schema_is_left_alone(offline: Guardian) -> None:
    offline("db", "upgrade")
    with sqlite3.connect(offline.home / "guardian.db") as database:
        database.execute("UPDATE alembic_version SET version_num = 'from-the-future'")
    database.close()
    for words in (("status",), ("db", "upgrade")):
        assert "from-the-future" in offline(*words, status=2).err


def test_the_schema_is_not_upgraded_under_a_running_one(offline: Guardian, tmp_path: Path) -> None:
    with running_up(tmp_path / "home") as running:
        refused = offline("db", "upgrade", status=2)
        assert str(running.process.pid) in refused.err


def test_when_it_is_down_the_rows_tell_what_was_last_known(
    offline: Guardian, tmp_path: Path
) -> None:
    with running_up(tmp_path / "home"):
        send = ("webhook", "send", "--action", "BuyMarket", "--symbol", "BTCUSDT", "--wait")
        offline(*send, "--close", "42000", "--sl", "41000", "--tp", "45000")
    found = offline("status", "--json").json
    [line] = found["positions"]
    assert line["coverage"] == "Unknown"
    assert line["reason"] == "when last seen: every desired leg working"
    assert "guardian up" in found["notes"][0]
    orders = offline("orders", "--json").json
    assert {order["state"] for order in orders["orders"]} == {"open when last seen"}
    assert "guardian up" in orders["notes"][0]
    for words in (("paper", "price", "BTCUSDT", "1"), ("accounts", "check"), ("explain", PING)):
        assert "guardian up" in offline(*words, status=1).err


PING = '{"Action": "PING", "Symbol": "BTCUSDT"}'


def test_a_database_url_names_a_clusters_database(
    offline: Guardian, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'cluster.db'}"
    migrations.upgrade(url)
    monkeypatch.setenv("GUARDIAN_DATABASE_URL", url)
    assert offline("trades", "--json").json == []
    assert not offline.home.exists()


def test_a_gateway_url_without_its_token_is_told(
    offline: Guardian, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline("db", "upgrade")
    monkeypatch.setenv("GUARDIAN_GATEWAY_URL", "http://127.0.0.1:9")
    assert "GUARDIAN_GATEWAY_TOKEN" in offline("accounts", "check", status=2).err


def test_a_listing_reads_from_postgresql(
    offline: Guardian, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUARDIAN_DATABASE_URL", postgres_url)
    assert "guardian db upgrade" in offline("trades", status=2).err
    offline("db", "upgrade")
    assert offline("trades", "--json").json == []
    assert offline("accounts", "add", "main", "--json").json["name"] == "main"
    assert offline("accounts", "list", "--json").json[0]["name"] == "main"


def test_the_installation_stays_the_same(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create()
    first = home.installation(SystemIds())
    assert len(first) == 6
    assert home.installation(SystemIds()) == first
    assert Home(home.path).gateway_token(SystemIds()) == home.read_gateway_token()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("fly",), "fly"),
        (("trades", "--limit", "0"), "--limit"),
        (("trades", "--limit", "many"), "--limit"),
        (("up", "--port", "70000"), "--port"),
        (("trace",), "ID"),
    ],
)
def test_a_wrong_command_line_is_status_2_and_names_what_is_wrong(
    offline: Guardian, arguments: tuple[str, ...], told: str
) -> None:
    assert told in offline.bare(*arguments, status=2).err
