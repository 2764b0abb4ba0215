"""make bench-at-rest: what an installation with many open positions does when nothing happens.

Real processes beside a real API server, PostgreSQL and Redis. Opens the positions by alerts, lets
everything settle, then counts for a while: rows written (but for the leases, renewed each second),
writes to the API server, snapshots for each pass, and the longest time between two passes of an
account.
"""

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path

from sqlalchemy import create_engine, text

from benchmarks.receiver.cpu import cpu_seconds
from guardian_core.accounts import AccountSpec, PaperSpec
from guardian_core.domain.money import MarketKind
from guardian_gateway.venues.paper.instruments import instruments
from tests.e2e.installation import Installation
from tests.e2e.on_cluster import accounts_imported, cluster, positions
from tests.support.kube import KubeServer, running_kube
from tests.support.postgres import running_postgres
from tests.support.redis_server import running_redis
from tests.support.wait import eventually

INTERVAL_MAX_S = 4.5
SENDERS = 8
TRIES = 3
RICH = PaperSpec(balance=Decimal(1_000_000))
LOOK_EVERY_S = 0.1
WRITES = ("POST", "PUT", "PATCH", "APPLY", "DELETE")


@dataclass(frozen=True, slots=True)
class Rest:
    """What was counted while nothing happened. Intervals in seconds, by account the longest."""

    seconds: float
    passes: int
    snapshots: int
    rows_written: Counter[str]
    api_writes: Counter[str]
    longest_intervals_s: list[float]
    operator_cpu: float
    gateway_cpu: float

    def problems(self) -> list[str]:
        found = []
        if self.rows_written:
            found.append(f"rows were written: {dict(self.rows_written)}")
        if self.api_writes:
            found.append(f"the API server was written to: {dict(self.api_writes)}")
        if self.snapshots > self.passes + len(self.longest_intervals_s):
            found.append(f"{self.snapshots} snapshots for {self.passes} passes")
        if max(self.longest_intervals_s) > INTERVAL_MAX_S:
            found.append(f"an account waited {max(self.longest_intervals_s):.1f} s for its pass")
        return found


def main() -> int:
    options = _options()
    names = [f"a{number:02}" for number in range(options.accounts)]
    accounts = {name: AccountSpec(account_id=name, paper=RICH) for name in names}
    with (
        tempfile.TemporaryDirectory(prefix="guardian-bench-") as folder,
        running_postgres() as postgres,
        running_redis() as redis,
        running_kube() as kube,
    ):
        kube.install_crds()
        namespace = kube.fresh_namespace()
        url = postgres.url(postgres.fresh_database())
        house = cluster(Path(folder) / "home", url, redis.url, kube, namespace, accounts)
        try:
            house.start()
            accounts_imported(house, len(accounts))
            _open_all(house, list(accounts), options.positions)
            _shown(kube, namespace, list(accounts), options.positions)
            time.sleep(options.settle_s)
            rest = _watched(house, kube, url, list(accounts), options.seconds)
        finally:
            house.stop()
    _print(options, rest)
    return 1 if rest.problems() else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-at-rest", description=__doc__)
    parser.add_argument("--accounts", type=int, default=20)
    parser.add_argument("--positions", type=int, default=50, help="of each account")
    parser.add_argument("--settle-s", type=float, default=30, help="before counting begins")
    parser.add_argument("--seconds", type=float, default=60, help="of counting")
    return parser.parse_args()


def _symbols(count: int) -> list[str]:
    found = list(instruments(MarketKind.LINEAR, "USDT"))
    if count > len(found):
        raise SystemExit(f"--positions {count}: the paper venue trades {len(found)} symbols")
    return found[:count]


def _open_all(house: Installation, accounts: list[str], count: int) -> None:
    """No sender sends its next alert before the last one is finished: entries that wait for
    longer than a minute are not sent any more."""

    def open_one(where: tuple[str, str]) -> None:
        account, symbol = where
        levels = {"PrixSL": "90", "PrixTP": "120"}
        for _ in range(TRIES):
            sent = house.alert("BuyMarket", account, symbol, Close="100", PourCent="1", **levels)
            assert sent.status == 200, sent
            house.finished(sent.trace_id, within_s=120)
            if house.state(account, symbol) is not None:
                return
        raise RuntimeError(f"{account} {symbol} was not opened in {TRIES} tries")

    began_s = time.monotonic()
    lanes = [(account, symbol) for symbol in _symbols(count) for account in accounts]
    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(open_one, lanes))
    print(f"{len(lanes)} positions opened in {time.monotonic() - began_s:.0f} s", file=sys.stderr)


def _shown(kube: KubeServer, namespace: str, accounts: list[str], count: int) -> None:
    """Waits until each position's resource says Protected."""

    def protected(account: str) -> bool:
        found = positions(kube, namespace, account)
        coverage = Counter(each.get("status", {}).get("coverage", "unseen") for each in found)
        assert coverage == {"Protected": count}, dict(coverage)
        return True

    for account in accounts:
        eventually(partial(protected, account), within_s=300, what=f"{account} to be shown")


def _watched(
    house: Installation, kube: KubeServer, url: str, accounts: list[str], seconds: float
) -> Rest:
    rows, writes = _row_writes(url), _api_writes(kube)
    snapshots, cpu = _snapshots(house), {p: _cpu_s(house, p) for p in ("operator", "gateway")}
    began_s = time.monotonic()
    longest, passes = _intervals(house, accounts, began_s + seconds)
    spent_s = time.monotonic() - began_s
    return Rest(
        seconds=spent_s,
        passes=passes,
        snapshots=_snapshots(house) - snapshots,
        rows_written=_row_writes(url) - rows,
        api_writes=_api_writes(kube) - writes,
        longest_intervals_s=longest,
        operator_cpu=(_cpu_s(house, "operator") - cpu["operator"]) / spent_s,
        gateway_cpu=(_cpu_s(house, "gateway") - cpu["gateway"]) / spent_s,
    )


def _intervals(house: Installation, accounts: list[str], until_s: float) -> tuple[list[float], int]:
    """The longest time between two passes by account, and how many passes there were in all."""
    seen = _passes(house)
    first = sum(seen.values())
    at_s = dict.fromkeys(accounts, time.monotonic())
    longest = dict.fromkeys(accounts, 0.0)
    while time.monotonic() < until_s:
        time.sleep(LOOK_EVERY_S)
        now_s, now = time.monotonic(), _passes(house)
        for account in accounts:
            if now[account] != seen[account]:
                longest[account] = max(longest[account], now_s - at_s[account])
                at_s[account] = now_s
        seen = now
    return list(longest.values()), sum(seen.values()) - first


def _metric(house: Installation, part: str, pattern: str) -> Counter[str]:
    """Values of one metric, by the pattern's one group."""
    lines = house.http.get(f"{house.url(part)}/metrics").text
    found = re.findall(rf"^{pattern} (\S+)$", lines, re.MULTILINE)
    return Counter({name: int(float(value)) for name, value in found})


def _passes(house: Installation) -> Counter[str]:
    pattern = r'guardian_passes_total\{account="([^"]+)",outcome="ok"\}'
    return _metric(house, "operator", pattern)


def _snapshots(house: Installation) -> int:
    pattern = r'guardian_venue_call_seconds_count\{account="([^"]+)",call="positions"\}'
    return sum(_metric(house, "gateway", pattern).values())


def _cpu_s(house: Installation, part: str) -> float:
    [child] = [each for each in house.children if part in each.parts]
    return cpu_seconds(child.process.pid)


def _row_writes(url: str) -> Counter[str]:
    """Rows inserted, updated and deleted so far, by table."""
    engine = create_engine(url)
    query = (
        "SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables"
        " WHERE relname != 'lease'"
    )
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_stat_clear_snapshot()"))
        found = Counter({name: int(count) for name, count in connection.execute(text(query))})
    engine.dispose()
    return found


def _api_writes(kube: KubeServer) -> Counter[str]:
    """Write requests to the API server so far, by verb and resource; not those of itself."""
    lines = kube.request("GET", "/metrics").text
    found: Counter[str] = Counter()
    for labels, value in re.findall(r"^apiserver_request_total\{(.*)\} (\S+)$", lines, re.M):
        said = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        ours = said["group"] == "guardian.trading" or said["resource"] == "events"
        if said["verb"] in WRITES and ours:
            found[f"{said['verb']} {said['resource']}"] += int(float(value))
    return found


def _print(options: argparse.Namespace, rest: Rest) -> None:
    print(
        f"{options.accounts * options.positions} positions on {options.accounts} accounts, at rest"
        f" for {rest.seconds:.0f} s: {rest.passes} passes, {rest.snapshots} snapshots,"
        f" {rest.rows_written.total()} rows written, {rest.api_writes.total()} API writes;"
        f" longest interval {max(rest.longest_intervals_s):.1f} s (below {INTERVAL_MAX_S});"
        f" CPU of one core: operator {rest.operator_cpu:.0%}, gateway {rest.gateway_cpu:.0%}"
    )
    for problem in rest.problems():
        print(f"DOES NOT HOLD: {problem}")


if __name__ == "__main__":
    sys.exit(main())
