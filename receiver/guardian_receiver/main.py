"""Puts the receiver together: for a process of its own, or for one that holds more."""

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from loguru import logger
from prometheus_client import CollectorRegistry

from guardian_core.ports import Bus, Clock, Database, Ids
from guardian_core.service import Parts, run_service
from guardian_core.web import WebServer
from guardian_receiver.api import behind_app
from guardian_receiver.committer import Committer, Waiting
from guardian_receiver.directory import Directory
from guardian_receiver.front import Front
from guardian_receiver.insert import Stored
from guardian_receiver.metrics import ReceiverMetrics
from guardian_receiver.publisher import Publisher
from guardian_receiver.reception import Reception, log_stored
from guardian_receiver.sources import SourceRules, Sources

DRAIN_WITHIN_S = 5.0
SWITCH_INTERVAL_S = 0.0005
"""A busy event loop may keep the database's thread waiting this long each time that it comes back
from PostgreSQL, which is five times a commit; Python's own 5 ms would be most of the latency."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """The app, and the work that must run beside it. The caller owns database and bus."""

    app: Front
    directory: Directory
    committer: Committer
    publisher: Publisher

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve `app` inside this; what still waits at the end is stored and published."""
        tasks = [
            asyncio.create_task(self.directory.run(), name="receiver:directory"),
            asyncio.create_task(self.committer.run(), name="receiver:committer"),
            asyncio.create_task(self.publisher.run(), name="receiver:publisher"),
        ]
        try:
            yield
        finally:
            await self._drain()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(DRAIN_WITHIN_S):
                await self.committer.drained()
                await self.publisher.publish_waiting()
        except TimeoutError:
            logger.warning("{} alerts were not stored; nobody was told so", self.committer.depth)


def build(
    database: Database,
    bus: Bus,
    clock: Clock,
    ids: Ids,
    registry: CollectorRegistry,
    *,
    queue_size: int,
    source_rules: SourceRules | None = None,
) -> Receiver:
    """A receiver on these parts; nothing runs yet."""
    metrics = ReceiverMetrics(registry)
    publisher = Publisher(bus, metrics)

    def after_commit(outcomes: Sequence[tuple[Waiting, Stored]]) -> None:
        for waiting, stored in outcomes:
            if not stored.is_duplicate and waiting.new.lane is not None:
                publisher.offer(stored)
        log_stored(outcomes)

    committer = Committer(database, clock, metrics, queue_size=queue_size, on_stored=after_commit)
    metrics.watch_queue(lambda: committer.depth)
    directory = Directory(database, clock)
    reception = Reception(directory, committer, clock, ids, metrics)
    sources = Sources(source_rules, metrics) if source_rules is not None else None
    front = Front(behind_app(database, registry), reception, metrics, sources)
    return Receiver(front, directory, committer, publisher)


async def serve(parts: Parts) -> None:
    """A receiver of its own, until cancelled."""
    receiver = build(
        parts.database,
        parts.bus,
        parts.clock,
        parts.ids,
        parts.registry,
        queue_size=parts.settings.receiver_queue_size,
        source_rules=SourceRules.of(parts.settings),
    )
    server = WebServer(receiver.app, parts.settings.receiver_host, parts.settings.receiver_port)
    # What was made until now stays: the collector need not look at it for every few alerts.
    gc.freeze()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    async with receiver.running(), server:
        logger.info("receiver listens on {}", server.url)
        await server.wait_closed()


def main() -> None:
    """The console script `guardian-receiver`."""
    run_service("guardian-receiver", serve)
