"""make bench-receiver: the receiver beside what one would otherwise write, in one run.

Real servers in processes of their own on loopback, one process each, PostgreSQL with fsync and
synchronous_commit on, SQLite as each contender sets it. The load generator is ours (load.py) and
shares the cores with the server, so the numbers are this machine's; the ratios are the point.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.receiver import contenders
from benchmarks.receiver.contenders import Contender
from benchmarks.receiver.cpu import cpu_seconds
from benchmarks.receiver.load import Measured, Plan
from tests.support.postgres import PostgresServer, running_postgres

FLOOR_RATIO = 5.0
FLOOR_BURST_MS = 100.0
REFERENCE, OURS = "FastAPI, commit each, PostgreSQL", "Position Guardian, PostgreSQL"


@dataclass(slots=True)
class Result:
    """All rounds of one contender together."""

    requests: int = 0
    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    bursts_ms: list[float] = field(default_factory=list)
    refused: int = 0
    server_cpu_s: float = 0.0
    database_cpu_s: float = 0.0
    acknowledged: int = 0

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    def quantile_ms(self, share: float) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]

    def microseconds_each(self, cpu_s: float) -> str:
        return f"{cpu_s / self.acknowledged * 1e6:.0f}"

    def add(self, measured: Measured, server_cpu_s: float, database_cpu_s: float) -> None:
        self.server_cpu_s += server_cpu_s
        self.database_cpu_s += database_cpu_s
        self.acknowledged += measured.acknowledged
        self.requests += measured.requests
        self.seconds += measured.seconds
        self.latencies_ms += measured.latencies_ms
        self.bursts_ms += measured.bursts_ms
        self.refused += measured.refused


def main() -> int:
    options = _options()
    with (
        tempfile.TemporaryDirectory(prefix="guardian-bench-") as folder,
        running_postgres(durable=True) as postgres,
    ):
        results = _measure_all(options, Path(folder), postgres)
    _print(options, results)
    return 0 if _holds(results) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-receiver", description=__doc__)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=4.0, help="of load, each round")
    parser.add_argument("--rounds", type=int, default=2, help="of all contenders in turn")
    parser.add_argument("--bursts", type=int, default=5, help="each round")
    parser.add_argument("--burst-size", type=int, default=300)
    return parser.parse_args()


def _measure_all(
    options: argparse.Namespace, folder: Path, postgres: PostgresServer
) -> dict[str, Result]:
    def fresh() -> str:
        return postgres.url(postgres.fresh_database())

    field_: dict[str, Callable[[Path], Contender]] = {
        OURS: lambda _: contenders.ours(OURS, fresh()),
        REFERENCE: lambda _: contenders.fastapi_commit_each(REFERENCE, fresh()),
        "Position Guardian, SQLite": lambda at: contenders.ours("ours", f"sqlite:///{at}"),
        "FastAPI, commit each, SQLite": lambda at: contenders.fastapi_commit_each(
            "FastAPI", f"sqlite:///{at}"
        ),
        "Flask + SQLite, gunicorn": lambda at: contenders.flask_sqlite("Flask", at),
    }
    results: dict[str, Result] = {name: Result() for name in field_}
    for number in range(options.rounds):
        for position, (name, make) in enumerate(field_.items()):
            print(f"round {number + 1}: {name}", file=sys.stderr)
            contender = make(folder / f"{number}-{position}.db")
            measured = _measure(options, contender, folder / "server.log", postgres)
            results[name].add(*measured)
    return results


def _measure(
    options: argparse.Namespace, contender: Contender, log: Path, postgres: PostgresServer
) -> tuple[Measured, float, float]:
    """What was measured, and the CPU seconds of the server and of PostgreSQL."""
    plan = Plan(
        port=contender.port,
        path=contender.path,
        connections=options.connections,
        warmup_s=1.0,
        seconds=options.seconds,
        bursts=options.bursts,
        burst_size=options.burst_size,
        first_number=0,
    )
    result = log.with_name("measured.json")
    with contender.running(log) as server:
        server_before, database_before = cpu_seconds(server), cpu_seconds(postgres.process.pid)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.receiver.load", json.dumps(asdict(plan)), result],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{contender.name}: {done.stderr}\n{log.read_text()[-2000:]}")
        server_s = cpu_seconds(server) - server_before
        database_s = cpu_seconds(postgres.process.pid) - database_before
        measured = Measured(**json.loads(result.read_text()))
        stored = contender.stored()
    if stored < measured.acknowledged:
        raise RuntimeError(
            f"{contender.name}: {measured.acknowledged} acknowledged, {stored} stored"
            f"\n{log.read_text()[-2000:]}"
        )
    return measured, server_s, database_s


def _print(options: argparse.Namespace, results: dict[str, Result]) -> None:
    cores = len(os.sched_getaffinity(0))
    table = Table(
        title=f"{cores} cores shared with the load generator; {options.connections} connections,"
        f" distinct bodies; every acknowledged alert was found stored"
    )
    for heading in ("", "alerts/s", "p50 ms", "p99 ms", f"{options.burst_size} at once: median ms"):
        table.add_column(heading, justify="left" if not heading else "right")
    table.add_column("max ms", justify="right")
    table.add_column("5xx", justify="right")
    table.add_column("CPU µs per alert: server", justify="right")
    table.add_column("and PostgreSQL", justify="right")
    table.add_column("times FastAPI, same database", justify="right")
    for name, result in results.items():
        beside = results[REFERENCE if "PostgreSQL" in name else "FastAPI, commit each, SQLite"]
        table.add_row(
            name,
            f"{result.per_second:,.0f}",
            f"{result.quantile_ms(0.50):.1f}",
            f"{result.quantile_ms(0.99):.1f}",
            f"{statistics.median(result.bursts_ms):.0f}",
            f"{max(result.bursts_ms):.0f}",
            str(result.refused),
            result.microseconds_each(result.server_cpu_s),
            result.microseconds_each(result.database_cpu_s) if "PostgreSQL" in name else "",
            f"{result.per_second / beside.per_second:.1f}",
        )
    Console(width=150).print(table)
    load = os.getloadavg()[0]
    if load > 2 * cores + 2:
        print(f"The machine was busy with other work (load {load:.0f} on {cores} cores).")


def _holds(results: dict[str, Result]) -> bool:
    """The floor that a change must not fall below, on PostgreSQL."""
    ratio = results[OURS].per_second / results[REFERENCE].per_second
    burst_ms = statistics.median(results[OURS].bursts_ms)
    holds = ratio >= FLOOR_RATIO and burst_ms < FLOOR_BURST_MS and not results[OURS].refused
    print(
        f"{'holds' if holds else 'DOES NOT HOLD'}: {ratio:.1f} times FastAPI's throughput"
        f" (at least {FLOOR_RATIO:g}), burst in {burst_ms:.0f} ms (below {FLOOR_BURST_MS:g})"
    )
    return holds


if __name__ == "__main__":
    sys.exit(main())
