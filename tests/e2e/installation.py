"""A whole installation as child processes over HTTP, and hands to use, look at and kill it.

`one_machine`: `guardian up` on SQLite. `services`: receiver, engine, gateway and operator, each a
process of its own, on PostgreSQL and Redis; with an API server beside them, see `on_cluster`. All
are used alike: a *part* is named by its service,
and on one machine every part lives in the same process.

Processes end with the test process, whatever happens to it; nothing else is ever ended.
"""

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import httpx
from sqlalchemy import Connection, Engine, create_engine, event, select, text
from sqlalchemy.orm import Session

from guardian_core.accounts import AccountSpec
from guardian_core.clock import SystemClock
from guardian_core.ids import SystemIds
from guardian_core.ports import Tx
from guardian_core.storage import migrations
from guardian_core.storage.accounts_store import put_account
from guardian_core.storage.database import open_database
from guardian_core.storage.schema import Base, Journal, Lane, Trade, Webhook, WebhookState
from guardian_core.storage.tokens import create_token
from tests.e2e.venue_books import VenueBooks, read_books
from tests.support.server_process import ServerProcess, free_port
from tests.support.wait import eventually

T = TypeVar("T")

PARTS = ("receiver", "engine", "gateway", "operator")
INSTALLATION = "e2etst"
GATEWAY_TOKEN = "the token of the gateway under test"
READY_WITHIN_S = 90.0
LOG_LINES_TOLD = 40


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver said to an alert, and after how many milliseconds."""

    status: int
    body: dict[str, Any]
    ms: float

    @property
    def trace_id(self) -> str:
        trace_id: str = self.body["trace_id"]
        return trace_id


@dataclass(slots=True)
class Child:
    """One process. `parts` live in it; `is_ready` answers once it does its work."""

    process: ServerProcess
    parts: tuple[str, ...]
    is_ready: Callable[[], bool]


@dataclass
class Installation:
    """A running product. `ports` are by part."""

    form: str
    home: Path
    database_url: str
    ports: Mapping[str, int]
    token: str
    gateway_token: str = GATEWAY_TOKEN
    children: list[Child] = field(default_factory=list)
    environments: dict[str, dict[str, str]] = field(default_factory=dict)
    sent: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.engine = _reading_engine(self.database_url)
        self.http = httpx.Client(trust_env=False, timeout=30)

    # Processes

    def start(self) -> None:
        for child in self.children:
            child.process.start()
        for child in self.children:
            self._wait_ready(child)

    def kill(self, part: str) -> None:
        """SIGKILL: nothing of the part's process runs any more when this returns."""
        self._child(part).process.kill()

    def restart(self, part: str) -> float:
        """Starts the part's process again; seconds until it was ready."""
        started_s = time.monotonic()
        child = self._child(part)
        child.process.start()
        self._wait_ready(child)
        return time.monotonic() - started_s

    def start_only(self, part: str) -> None:
        """Starts the part's process again, and does not wait for it."""
        self._child(part).process.start()

    def another(self, part: str, **settings: str) -> ServerProcess:
        """A further process of a part, with settings of its own; its owner starts and stops it."""
        environment = self.environments[part] | {f"GUARDIAN_{n}": v for n, v in settings.items()}
        log = self.home / f"{part}-{next(self.sent)}.log"
        return ServerProcess([_program(f"guardian-{part}")], log, environment=environment)

    def ensure_running(self) -> None:
        """Starts what an earlier test left dead."""
        for child in self.children:
            if not child.process.running:
                child.process.start()
                self._wait_ready(child)

    def is_running(self, part: str) -> bool:
        return self._child(part).process.running

    def stop(self) -> None:
        """Ends every process, in the order in which they depend on one another."""
        for child in self.children:
            child.process.stop()
        self.http.close()
        self.engine.dispose()

    def logs(self) -> str:
        """The end of every process's log, for whoever reads a failure."""
        return "\n".join(
            f"--- {'+'.join(child.parts)}\n{child.process.log_tail(LOG_LINES_TOLD)}"
            for child in self.children
        )

    def log_lines(self, part: str) -> list[dict[str, Any]]:
        """What the part's process has logged, but for lines that are not JSON."""
        path = self.home / f"{self._name(part)}.log"
        lines = path.read_text(errors="replace").splitlines()
        # A killed process may leave its last line cut off.
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def _child(self, part: str) -> Child:
        return next(child for child in self.children if part in child.parts)

    def _name(self, part: str) -> str:
        parts = self._child(part).parts
        return parts[0] if len(parts) == 1 else "up"

    def _wait_ready(self, child: Child) -> None:
        def ready() -> bool:
            if not child.process.running:
                raise RuntimeError(f"{child.parts} ended by itself:\n{child.process.log_tail()}")
            try:
                return child.is_ready()
            except httpx.HTTPError:
                return False

        eventually(ready, within_s=READY_WITHIN_S, what=f"{child.parts} to be ready")

    # Alerts

    @property
    def webhook_url(self) -> str:
        return f"{self.url('receiver')}/webhook"

    def url(self, part: str) -> str:
        return f"http://127.0.0.1:{self.ports[part]}"

    def body(self, action: str, account: str, symbol: str = "BTCUSDT", **more: Any) -> bytes:
        """An alert as TradingView sends it; each fires at a moment of its own."""
        fired_at = datetime.now(UTC) + timedelta(microseconds=next(self.sent))
        fields = {
            "Action": action,
            "Symbol": symbol,
            "UserExchangeID": account,
            "BarTime": fired_at.isoformat(),
            "IndicateurName": "e2e",
            "Token": self.token,
        }
        return json.dumps(fields | more).encode()

    def alert(self, action: str, account: str, symbol: str = "BTCUSDT", **more: Any) -> Answer:
        return self.post(self.body(action, account, symbol, **more))

    def post(self, body: bytes) -> Answer:
        """Raises httpx.HTTPError where nobody answers."""
        began_s = time.perf_counter()
        response = self.http.post(self.webhook_url, content=body)
        ms = (time.perf_counter() - began_s) * 1000
        return Answer(response.status_code, response.json(), ms)

    # The venue, as the gateway's HTTP API lets one act on it and see it

    def paper(self, account: str, kind: str, **command: Any) -> str:
        """A command to the paper venue: price, fault, cancel, bar."""
        answer = self._gateway("POST", account, "paper", json={"kind": kind} | command)
        message: str = answer["message"]
        return message

    def price(self, account: str, price: int | Decimal, symbol: str = "BTCUSDT") -> None:
        self.paper(account, "price", symbol=symbol, price=str(price))

    def fault(self, account: str, fault: str, **how: Any) -> None:
        self.paper(account, "fault", fault=fault, **how)

    def snapshot(self, account: str, symbol: str = "BTCUSDT") -> dict[str, Any]:
        return self._gateway("GET", account, "snapshot", params={"symbol": symbol})

    def _gateway(self, method: str, account: str, what: str, **request: Any) -> dict[str, Any]:
        response = self.http.request(
            method,
            f"{self.url('gateway')}/v1/accounts/{account}/{what}",
            headers={"Authorization": f"Bearer {self.gateway_token}"},
            **request,
        )
        response.raise_for_status()
        found: dict[str, Any] = response.json()
        return found

    def passes(self, account: str) -> int:
        """How many passes over an account the guardian has ended well since it was started."""
        port = self.ports["gateway" if self.form == "one machine" else "operator"]
        metrics = self.http.get(f"http://127.0.0.1:{port}/metrics").text
        wanted = f'guardian_passes_total{{account="{account}",outcome="ok"}} '
        found = [line for line in metrics.splitlines() if line.startswith(wanted)]
        return int(float(found[0].removeprefix(wanted))) if found else 0

    # The database

    def read(self, look: Callable[[Session], T]) -> T:
        """What one look at the database gives, all of it as of one moment."""
        with Session(self.engine, expire_on_commit=False) as session:
            return look(session)

    def books(self, account: str) -> VenueBooks:
        with self.engine.connect() as connection:
            return read_books(connection, account)

    def webhook(self, trace_id: str) -> Webhook | None:
        query = select(Webhook).where(Webhook.trace_id == trace_id)
        return self.read(lambda session: session.scalars(query).one_or_none())

    def finished(self, trace_id: str, within_s: float = 30.0) -> Webhook:
        """The webhook, once it is processed or in error."""

        def over() -> Webhook | None:
            row = self.webhook(trace_id)
            return row if row is not None and row.status in ("processed", "error") else None

        row = eventually(over, within_s=within_s, what=f"webhook {trace_id} to be finished")
        assert row is not None
        return row

    def state(self, account: str, symbol: str = "BTCUSDT") -> WebhookState | None:
        """The lane's live state."""
        query = (
            select(WebhookState)
            .join(Lane, Lane.id == WebhookState.lane_id)
            .where(Lane.account_name == account, Lane.symbol == symbol)
            .where(WebhookState.status.in_(("pending", "open")))
        )
        return self.read(lambda session: session.scalars(query).one_or_none())

    def states(self, account: str) -> list[WebhookState]:
        """Of all lanes of an account, closed ones too, as they were made."""
        query = (
            select(WebhookState)
            .join(Lane, Lane.id == WebhookState.lane_id)
            .where(Lane.account_name == account)
            .order_by(WebhookState.created_at)
        )
        return self.read(lambda session: list(session.scalars(query)))

    def trades(self, account: str, **columns: Any) -> list[Trade]:
        query = select(Trade).filter_by(account_name=account, **columns).order_by(Trade.created_at)
        return self.read(lambda session: list(session.scalars(query)))

    def journal(self, account: str, point: str) -> list[Journal]:
        query = select(Journal).filter_by(account_name=account, point=point).order_by(Journal.id)
        return self.read(lambda session: list(session.scalars(query)))

    def everything_written(self) -> dict[str, list[str]]:
        """Every row of every table but the leases, which are renewed each second; on PostgreSQL
        also the transaction that wrote it, so that writing the same again counts."""
        with self.engine.connect() as connection:
            return {
                table.name: _rows(connection, table.name)
                for table in Base.metadata.sorted_tables
                if table.name != "lease"
            }


def _rows(connection: Connection, table: str) -> list[str]:
    version = "xmin::text AS written_by, " if connection.dialect.name == "postgresql" else ""
    found = connection.execute(text(f'SELECT {version}* FROM "{table}"'))
    return sorted(str(dict(row)) for row in found.mappings())


def one_machine(
    home: Path, accounts: Mapping[str, AccountSpec], guardian: Sequence[str] = ()
) -> Installation:
    """`guardian up`, not started yet. `guardian`: what runs instead of the console script."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    database_url = f"sqlite:///{home / 'guardian.db'}"
    ports = {"receiver": free_port(), "gateway": free_port()}
    installation = Installation(
        "one machine", home, database_url, ports, _prepared(database_url, accounts)
    )
    command = [*(guardian or (_program("guardian"),)), "up", "--home", str(home)]
    command += ["--port", str(ports["receiver"]), "--gateway-port", str(ports["gateway"])]
    environment = _environment(
        INSTALLATION=INSTALLATION, LOG_FORMAT="json", GATEWAY_TOKEN=GATEWAY_TOKEN
    )
    process = ServerProcess(command, home / "up.log", environment=environment)

    def ready() -> bool:
        run = home / "run.json"
        return run.exists() and json.loads(run.read_text())["pid"] == process.pid

    installation.children.append(Child(process, PARTS, ready))
    return installation


def services(
    home: Path,
    database_url: str,
    redis_url: str,
    accounts: Mapping[str, AccountSpec],
    *,
    form: str = "services",
    more: Mapping[str, Mapping[str, str]] | None = None,
) -> Installation:
    """Four processes on a PostgreSQL database and a Redis that run already; not started yet.

    `more`: variables of single parts' environments.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    ports = {part: free_port() for part in PARTS}
    installation = Installation(form, home, database_url, ports, _prepared(database_url, accounts))
    environment = _environment(
        HOME=str(home),
        INSTALLATION=INSTALLATION,
        LOG_FORMAT="json",
        DATABASE_URL=database_url,
        REDIS_URL=redis_url,
        GATEWAY_TOKEN=GATEWAY_TOKEN,
        GATEWAY_URL=installation.url("gateway"),
        GATEWAY_ADVERTISE_URL=installation.url("gateway"),
        **{f"{part.upper()}_PORT": str(port) for part, port in ports.items()},
    )
    for part in PARTS:
        own = installation.environments[part] = environment | dict((more or {}).get(part, {}))
        process = ServerProcess(
            [_program(f"guardian-{part}")], home / f"{part}.log", environment=own
        )
        installation.children.append(Child(process, (part,), _answers(installation, part)))
    return installation


def _answers(installation: Installation, part: str) -> Callable[[], bool]:
    return lambda: installation.http.get(f"{installation.url(part)}/readyz").is_success


def _program(name: str) -> str:
    """The console script beside the interpreter that runs the tests."""
    return str(Path(sys.executable).parent / name)


def _environment(**settings: str) -> dict[str, str]:
    """This process's environment with no settings but these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GUARDIAN_")}
    return kept | {f"GUARDIAN_{name}": value for name, value in settings.items()}


def _prepared(database_url: str, accounts: Mapping[str, AccountSpec]) -> str:
    """Makes schema, accounts and a token; returns the token's secret."""
    migrations.upgrade(database_url)

    def prepare(tx: Tx) -> str:
        for name, spec in accounts.items():
            put_account(tx, name, spec)
        secret, _ = create_token(tx, SystemIds(), "e2e")
        return secret

    async def write() -> str:
        database = open_database(database_url, clock=SystemClock())
        try:
            return await database.run(prepare)
        finally:
            await database.close()

    return asyncio.run(write())


def _reading_engine(database_url: str) -> Engine:
    """Looks only, each time at one moment's state; it survives a restart of the server."""
    if database_url.startswith("sqlite"):
        engine = create_engine(database_url)
        event.listen(engine, "connect", _looks_only)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        return engine
    return create_engine(database_url, isolation_level="REPEATABLE READ", pool_pre_ping=True)


def _looks_only(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    for pragma in ("query_only=ON", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}").close()
