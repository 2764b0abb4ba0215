"""`guardian paper`, and `guardian explain` held to what then really happens."""

import itertools
import json
import sqlite3
from decimal import Decimal
from typing import Any

import pytest

from tests.cli.conftest import Guardian
from tests.support.wait import eventually

pytestmark = pytest.mark.xdist_group("cli-explain")


Shape = tuple[str, str, Decimal, str]
"""Role, side, quantity and level of an order."""

NUMBERS = itertools.count()
"""Of the alerts: two that read the same are still two."""


@pytest.fixture
def account(guardian: Guardian, request: pytest.FixtureRequest) -> str:
    """A paper account of this test's own, so no other's position is in the way."""
    name = f"a{abs(hash(request.node.name)) % 10**9}"
    market = getattr(request, "param", "linear")
    guardian("accounts", "add", name, "--market", market, "--allow-remove")
    return name


def alert(account: str, action: str, **fields: Any) -> str:
    return json.dumps(
        {"Action": action, "Symbol": "BTCUSDT", "UserExchangeID": account, "Close": 42_000}
        | {"IdempotencyKey": str(next(NUMBERS))}
        | fields
    )


ENTRY = {"PrixSL": 41_000, "PrixTP": 45_000, "PourCent": 40}


@pytest.mark.parametrize("account", ["linear", "spot"], indirect=True)
@pytest.mark.parametrize(
    ("before", "action", "fields"),
    [
        pytest.param([], "BuyMarket", ENTRY, id="entry"),
        pytest.param([], "BuyLimit", ENTRY | {"Prix": 41_500}, id="limit entry that waits"),
        pytest.param(["BuyMarket"], "MAJ", {"PrixSL": 41_500, "PrixTP": 46_000}, id="levels moved"),
        pytest.param(["BuyMarket"], "MAJ", {"PrixTP": "REMOVE"}, id="a leg removed"),
        pytest.param(["BuyMarket"], "SellMarket", {"PourCent": 50}, id="half closed"),
        pytest.param(["BuyMarket"], "Close", {}, id="all closed"),
        pytest.param(["BuyLimit"], "Close", {}, id="a waiting entry withdrawn"),
        pytest.param(["BuyMarket"], "BuyMarket", ENTRY, id="repeat entry ignored"),
        pytest.param([], "Close", {}, id="nothing to close"),
    ],
)
def test_what_explain_tells_is_what_then_happens(
    guardian: Guardian, account: str, before: list[str], action: str, fields: dict[str, Any]
) -> None:
    for earlier in before:
        limit = {"Prix": 41_500} if earlier == "BuyLimit" else {}
        guardian("webhook", "send", alert(account, earlier, **ENTRY, **limit), "--wait")
    known = {trade["id"] for trade in trades(guardian, account)}

    [explained] = guardian("explain", alert(account, action, **fields), "--json").json
    assert {trade["id"] for trade in trades(guardian, account)} == known
    done = guardian("webhook", "send", alert(account, action, **fields), "--wait", "--json").json

    assert done["webhook"]["status"] == explained["status"]
    # Behind the comma: how far the legs were at that moment, which the guardian has a part in.
    assert done["webhook"]["message"].split(",")[0] == explained["message"].split(",")[0]
    creates = [order for order in explained["orders"] if order["operation"] == "create"]
    wanted = sorted(map(shape_of_order, creates))

    def sent() -> list[Shape]:
        found = trades(guardian, account)
        return sorted(shape_of_trade(trade) for trade in found if trade["id"] not in known)

    eventually(lambda: sent() == wanted, within_s=15)


def test_explaining_writes_nothing(guardian: Guardian, account: str) -> None:
    guardian("webhook", "send", alert(account, "BuyMarket", **ENTRY), "--wait")

    def contents() -> dict[str, int]:
        tables = ("webhook", "webhook_state", "trade", "fill", "lane", "paper_record", "token")
        with sqlite3.connect(f"file:{guardian.home / 'guardian.db'}?mode=ro", uri=True) as rows:
            counts = {t: rows.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in tables}
        rows.close()
        return counts

    before = contents()
    guardian("explain", alert(account, "MAJ", PrixSL=41_200))
    guardian("explain", alert(account, "BuyMarket", Symbol="SOLUSDT", Close=100))
    assert contents() == before


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("not json", "body: is not JSON"),
        ('{"Action": "Fly", "Symbol": "BTCUSDT"}', "Action: 'Fly' is not known"),
        ('{"Action": "MAJ"}', "Symbol: is missing"),
        ('{"Action": "MAJ", "Symbol": "BTCUSDT", "UserExchangeID": "x"}', "is no account here"),
    ],
)
def test_explain_refuses_what_the_receiver_would(guardian: Guardian, body: str, told: str) -> None:
    assert told in guardian("explain", body, status=2).err


def test_explain_shows_why_an_entry_would_fail(guardian: Guardian, account: str) -> None:
    shown = guardian("explain", alert(account, "BuyMarket", PrixSL=43_000)).out
    assert "no order" in shown
    assert "error: PrixSL: 43000 is on the wrong side" in shown


def test_a_price_set_on_paper_triggers_what_it_reaches(guardian: Guardian, account: str) -> None:
    guardian("webhook", "send", alert(account, "BuyMarket", **ENTRY), "--wait")
    moved = guardian("paper", "price", "BINANCE:BTCUSDT.P", "40900", "--account", account, "--json")
    assert moved.json["changed"]

    def closed() -> bool:
        found = guardian("status", "--account", account, "--closed", "1", "--json").json
        return bool(not found["positions"] and found["closed"])

    eventually(closed, within_s=30)
    assert guardian("orders", "--account", account, "--json").json["orders"] == []


def test_a_stop_that_the_venue_forgets_is_placed_again(guardian: Guardian, account: str) -> None:
    guardian("webhook", "send", alert(account, "BuyMarket", **ENTRY), "--wait")
    told = guardian("paper", "fault", "forget-stop", "--account", account).out
    assert "forgot stop_loss" in told

    def repaired() -> bool:
        orders = guardian("orders", "--account", account, "--json").json["orders"]
        return {order["role"] for order in orders} == {"stop_loss", "take_profit"}

    eventually(repaired, within_s=30)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("price", "BTCUSDT", "0"), "P: 0 is not above 0"),
        (("price", "BTCUSDT", "much"), "P: 'much' is not a number"),
        (("price", "B T C", "1"), "Symbol"),
        (("cancel", "424242"), "424242"),
        (("fault", "explode"), "refuse-create, lose-answer, forget-stop, down"),
        (("fault", "down", "--count", "1", "--seconds", "1"), "leave one of them out"),
        (("fault", "down", "--seconds", "-1"), "--seconds"),
        (("fault", "down", "--role", "entry"), "role"),
        (("fault", "refuse-create", "--role", "tail"), "entry, exit, stop_loss, take_profit"),
    ],
)
def test_a_wrong_paper_command_is_told(
    guardian: Guardian, arguments: tuple[str, ...], told: str
) -> None:
    assert told in guardian("paper", *arguments, "--account", "paper", status=2).err


def test_with_several_paper_accounts_one_must_be_named(guardian: Guardian, account: str) -> None:
    wrong = guardian("paper", "price", "BTCUSDT", "42000", status=2)
    assert "--account" in wrong.err
    assert account in wrong.err


def trades(guardian: Guardian, account: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = guardian("trades", "--account", account, "--json").json
    return found


def shape_of_order(order: dict[str, Any]) -> Shape:
    return order["role"], order["side"], Decimal(order["quantity"]), str(order["level"])


def shape_of_trade(trade: dict[str, Any]) -> Shape:
    level = trade["trigger_price"] or trade["price"]
    return trade["role"], trade["side"], Decimal(trade["quantity"]), str(level)
