"""A receiver as it is served, over real HTTP on loopback, and the alerts to send it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from prometheus_client import CollectorRegistry
from sqlalchemy import select

from guardian_core.ids import SystemIds
from guardian_core.messaging.in_process import InProcessBus
from guardian_core.ports import Bus, Clock, Database, Ids, Tx
from guardian_core.storage.schema import Webhook
from guardian_core.storage.tokens import create_token
from guardian_core.web import WebServer
from guardian_receiver.main import Receiver, build
from tests.support import rows

TOKENS = {"for-all": (), "for-main": ("main",), "for-other": ("other",)}


@dataclass
class Service:
    """A running receiver with the accounts main and other, and a token by each name of TOKENS."""

    receiver: Receiver
    server: WebServer
    client: httpx.AsyncClient
    database: Database
    registry: CollectorRegistry
    tokens: dict[str, str]

    async def post(
        self, body: str | bytes, *, token: str | None = "for-all", **more: Any
    ) -> httpx.Response:
        """The token of that name travels in the path; None sends none there."""
        path = "/webhook" if token is None else f"/webhook/{self.tokens[token]}"
        return await self.client.post(path, content=body, **more)

    async def rows(self) -> list[Webhook]:
        """All stored alerts, oldest first."""
        query = select(Webhook).order_by(Webhook.received_at)
        return await self.database.run(lambda tx: list(tx.execute(query).scalars()))

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def serving(
    database: Database,
    clock: Clock,
    *,
    bus: Bus | None = None,
    queue_size: int = 1_000,
    tokens: dict[str, str] | None = None,
    **building: Any,
) -> AsyncIterator[Service]:
    """A receiver on this database. `tokens`: of a replica that made them and the accounts.

    `building`: more of the receiver's own choices.
    """
    ids, registry = SystemIds(), CollectorRegistry()
    known = tokens if tokens else await database.run(lambda tx: _prepare(tx, ids))
    bus = bus or InProcessBus()
    receiver = build(database, bus, clock, ids, registry, queue_size=queue_size, **building)
    async with (
        receiver.running(),
        WebServer(receiver.app, "127.0.0.1", 0) as server,
        httpx.AsyncClient(
            base_url=server.url, timeout=60, limits=httpx.Limits(), trust_env=False
        ) as client,
    ):
        yield Service(receiver, server, client, database, registry, known)


def _prepare(tx: Tx, ids: Ids) -> dict[str, str]:
    rows.account(tx, "main")
    rows.account(tx, "other")
    return {name: create_token(tx, ids, name, named)[0] for name, named in TOKENS.items()}


def alert(**fields: Any) -> str:
    """A good alert for the account main as text; None leaves a field out."""
    made = {
        "Action": "MAJ",
        "Symbol": "BTCUSDT",
        "BarTime": "2025-06-01T12:00:00Z",
        "PrixSL": 42000,
        "PrixTP": 45000,
        "UserExchangeID": "main",
    }
    return json.dumps({name: each for name, each in (made | fields).items() if each is not None})
