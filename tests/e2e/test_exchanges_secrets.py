"""Exchange keys stay in their files: planted ones are looked for wherever else they could be.

After the scenarios of `test_exchanges.py`, whose accounts share the process and its files.
"""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from guardian_gateway.venues.exchange.keys import Keys
from tests.e2e.alert_levels import levels
from tests.e2e.exchange_house import Account, ExchangeHouse
from tests.e2e.installation import GATEWAY_TOKEN

AT = levels(41000, 46000)
MOVED = levels(42000, 45000)
PLANTED = Keys("PLANTEDKEY7f3a91", "PLANTEDSECRETc02be4f", "PLANTEDPHRASE55d8")
"""No characters that JSON or an address would write otherwise; the secret could be base64."""
MARKS = (PLANTED.key, PLANTED.secret, PLANTED.passphrase)
JSON = {"Content-Type": "application/json"}
COMMANDS = (
    ("status", "--closed", "50"),
    ("orders",),
    ("trades",),
    ("webhooks",),
    ("accounts", "list"),
    ("accounts", "check"),
)


@pytest.mark.timeout(240)
def test_planted_keys_are_nowhere_but_in_their_files(exchange: ExchangeHouse) -> None:
    with exchange.account("secret", keys=PLANTED) as account:
        told = [*lived_through_much(account)]
        told += [*said_by_commands(exchange, account)]
        told += [*said_over_http(account)]
    process = Path("/proc") / str(account.house.children[0].process.pid)
    told += [(process / name).read_bytes().decode() for name in ("environ", "cmdline")]
    assert any("secret" in text for text in told)
    for text in told:
        check_unmarked(text)
    assert account.house.is_running("gateway")
    files = {path.relative_to(exchange.home): path for path in exchange.home.rglob("*")}
    found = {name for name, path in files.items() if path.is_file() and is_marked(path)}
    folder = Path("accounts") / account.name
    kept = {folder / "api-key", folder / "api-secret"}
    assert found - {folder / "passphrase"} == kept
    assert {stat.S_IMODE(files[name].stat().st_mode) for name in found} == {0o600}
    assert {name.name for name in files} >= {"up.log", "guardian.db"}


def lived_through_much(account: Account) -> Iterator[str]:
    """Trades, and errors that carry keys in their text; the webhooks' answers."""
    account.opened(AT)
    leaking = json.dumps({"code": -9999, "msg": f"bad {' '.join(MARKS)}"})
    for call in (account.exchange.facts.cancel, account.exchange.facts.leg):
        account.exchange.fault(call, (400, leaking, JSON), executes=False)
    account.exchange.fault("GET ", (400, leaking, JSON), executes=False, times=3)
    sent = account.move(MOVED)
    account.guarded(MOVED)
    webhook = account.house.finished(sent.trace_id)
    yield f"{sent.body} {webhook.message} {webhook.raw_payload}"


def said_by_commands(exchange: ExchangeHouse, account: Account) -> Iterator[str]:
    for command in COMMANDS:
        done = exchange.guardian(*command, "--json")
        assert "Traceback" not in done.stderr, done.stderr
        yield done.stdout + done.stderr
    trace_id = account.house.trades(account.name)[0].trace_id
    yield exchange.guardian("trace", str(trace_id), "--json").stdout


def said_over_http(account: Account) -> Iterator[str]:
    house = account.house
    headers = {"Authorization": f"Bearer {GATEWAY_TOKEN}"}
    of_account = ("snapshot", "balances", "fills?symbol=BTCUSDT", "instruments/BTCUSDT", "nothing")
    paths = [f"/v1/accounts/{account.name}/{what}" for what in of_account]
    for path in (*paths, "/metrics", "/healthz", "/readyz", "/openapi.json", "/"):
        for part in ("gateway", "receiver"):
            answer = house.http.get(house.url(part) + path, headers=headers)
            yield answer.text + str(answer.headers)
    with pytest.raises(httpx.HTTPStatusError):
        house.paper(account.name, "price", symbol="BTCUSDT", price="1")


def check_unmarked(text: str) -> None:
    for mark in MARKS:
        if mark in text:
            at = text.index(mark)
            pytest.fail(f"a key is in: {text[max(0, at - 200) : at + len(mark)]!r}")


def is_marked(path: Path) -> bool:
    content = path.read_bytes()
    return any(mark.encode() in content for mark in MARKS)
