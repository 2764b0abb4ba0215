"""Custom resources, while this process leads: the watch, the listing, and all that works on them.

What the watch misses, a listing every few seconds finds: deletions while the API server was away,
objects that were never made, desires that were never carried over. Whatever goes wrong here, the
guarding goes on without it.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kubernetes import client
from loguru import logger
from prometheus_client import CollectorRegistry, Counter, Gauge

from guardian_core.cluster.api import ClusterApi, load_configuration
from guardian_core.cluster.mirroring import Syncer
from guardian_core.cluster.resources import ACCOUNTS, POSITIONS
from guardian_core.cluster.worker import Worker
from guardian_core.domain.errors import GuardianError
from guardian_core.guarding import PassReport
from guardian_core.ports import Clock, Database, GatewayClient, Ids
from guardian_core.protocol import CheckReport
from guardian_operator.events import Recorder
from guardian_operator.exchange_accounts import ExchangeAccounts
from guardian_operator.handlers import Watch
from guardian_operator.positions import PASS_AGE_MAX_S, Positions
from guardian_operator.reconcile import Reconciler
from guardian_operator.shelf import Shelf
from guardian_operator.status_writer import StatusWriter, status_writes
from guardian_operator.story import Story
from guardian_operator.tools import Tools

Body = dict[str, Any]

RESYNC_S: Final = 10.0
AGAIN_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Outside:
    """What outlives a term."""

    database: Database
    gateway: GatewayClient
    api: ClusterApi
    clock: Clock
    ids: Ids
    writes: Counter
    recorder: Recorder


class CustomResources:
    """Begins afresh each time this process comes to lead."""

    def __init__(
        self,
        *,
        namespace: str,
        database: Database,
        gateway: GatewayClient,
        clock: Clock,
        ids: Ids,
        registry: CollectorRegistry,
        configure: Callable[[], client.Configuration] = load_configuration,
    ) -> None:
        self._namespace = namespace
        self._configure = configure
        api = ClusterApi(namespace, configure())
        recorder = Recorder(api, clock, ids)
        writes = status_writes(registry)
        self._outside = _Outside(database, gateway, api, clock, ids, writes, recorder)
        self._watching = Gauge(
            "guardian_cluster_watching",
            "1 while the watch on custom resources runs, else 0",
            registry=registry,
        )
        self._term: _Term | None = None
        self._reports: dict[str, CheckReport] = {}

    async def run(self, wake: Callable[[str], None]) -> None:
        """Until cancelled. `wake`: asks for a pass over an account now."""
        while True:
            try:
                await self._lead(wake)
            except Exception:
                # A mistake of ours here must not end the guarding.
                logger.exception("work on custom resources ended, and begins again")
            await asyncio.sleep(AGAIN_S)

    def passed(self, report: PassReport) -> None:
        if self._term is not None:
            self._term.passed(report)

    def failed(self, account: str, why: str) -> None:
        if self._term is not None:
            self._term.failed(account, why)

    def checked(self, account: str, report: CheckReport) -> None:
        self._reports[account] = report
        if self._term is not None:
            self._term.checked(account)

    async def close(self) -> None:
        await self._outside.api.close()

    async def _lead(self, wake: Callable[[str], None]) -> None:
        term = _Term(self._outside, wake, self._reports)
        self._term = term
        try:
            async with asyncio.TaskGroup() as tasks:
                for work in term.workers():
                    tasks.create_task(work)
                tasks.create_task(
                    Watch(self._namespace, term, self._configure, self._watching).run()
                )
        finally:
            self._term = None


class _Term:
    """The parts of one term of leading, and who tells whom."""

    def __init__(
        self,
        outside: _Outside,
        wake: Callable[[str], None],
        reports: Mapping[str, CheckReport],
    ) -> None:
        self._database = outside.database
        self._api = outside.api
        self._wake = wake
        clock = outside.clock
        self._shelves = {POSITIONS: Shelf(), ACCOUNTS: Shelf()}
        shelf = self._shelves[POSITIONS]
        self._writer = StatusWriter(self._api, self._shelves, clock, outside.writes)
        self._recorder = outside.recorder
        story = Story(self._recorder, shelf)
        self._to_reconcile: Worker[str] = Worker("reconciling", self._reconcile, clock)
        self._positions = Positions(
            self._database, shelf, self._writer, story, clock, self._to_reconcile.add
        )
        self._accounts = ExchangeAccounts(
            self._database,
            self._api.namespace,
            self._shelves[ACCOUNTS],
            self._writer,
            clock,
            self._positions.report_of,
            reports,
        )
        tools = Tools(
            database=self._database,
            gateway=outside.gateway,
            api=self._api,
            syncer=Syncer(self._database, self._api, on_seen=shelf.put),
            events=self._recorder,
            clock=clock,
            ids=outside.ids,
            wake=wake,
        )
        self._reconciler = Reconciler(tools, self._positions, shelf, story)
        self._to_refresh: Worker[str] = Worker("showing", self._refresh, clock)
        self._to_take: Worker[str] = Worker("reading the account", self._take, clock)

    def workers(self) -> list[Any]:
        return [
            self._writer.run(),
            self._recorder.run(),
            self._to_reconcile.run(),
            self._to_refresh.run(),
            self._to_take.run(),
            self._resync_for_ever(),
        ]

    def passed(self, report: PassReport) -> None:
        self._positions.passed(report)
        self._accounts.passed(report.account)
        self._to_refresh.add(report.account)

    def failed(self, account: str, why: str) -> None:
        self._accounts.failed(account, why)
        self._to_refresh.add(account)

    def checked(self, account: str) -> None:
        self._accounts.look(account)

    def saw(self, plural: str, body: Body, *, gone: bool) -> None:
        """From the watch."""
        shelf, name = self._shelves[plural], body["metadata"]["name"]
        if gone:
            shelf.drop(body)
        elif not shelf.put(body):
            return
        if plural == ACCOUNTS:
            self._to_take.add(name)
        else:
            self._positions.look(name)

    def tick(self, name: str) -> None:
        """From kopf's timer: compares object, state and the account's latest pass."""
        body = self._shelves[POSITIONS][name]
        account = (body or {}).get("spec", {}).get("accountRef")
        if account is None:
            return
        age_s = self._positions.pass_age_s(account)
        if age_s is None or age_s > PASS_AGE_MAX_S:
            self._wake(account)
        self._positions.look(name)

    async def _reconcile(self, name: str) -> None:
        await self._reconciler.reconcile(name)

    async def _refresh(self, account: str) -> None:
        await self._positions.refresh(account)

    async def _take(self, name: str) -> None:
        await self._accounts.take(name)

    async def _resync_for_ever(self) -> None:
        while True:
            try:
                await self._resync()
            except GuardianError as error:
                logger.warning("custom resources could not be listed: {}", error)
            except Exception:
                logger.exception("custom resources could not be compared")
            await asyncio.sleep(RESYNC_S)

    async def _resync(self) -> None:
        """All of both kinds beside all states."""
        for plural, shelf in self._shelves.items():
            known = shelf.uids()
            shelf.replace(await self._api.all_of(plural), known)
        await self._accounts.pause_withdrawn()
        for name in self._shelves[ACCOUNTS]:
            self._to_take.add(name)
        await self._positions.refresh()
