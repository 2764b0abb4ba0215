"""Writes statuses: the latest one counts, nothing is written where nothing changes, and what the
API server refuses is tried again without anybody waiting for it.
"""

import asyncio
from typing import Any

from prometheus_client import CollectorRegistry, Counter

from guardian_core.cluster.api import ClusterApi, NotFound
from guardian_core.cluster.worker import Worker
from guardian_core.domain.errors import GuardianError
from guardian_core.ports import Clock
from guardian_operator.shelf import Shelf
from guardian_operator.status import changed

Body = dict[str, Any]
Key = tuple[str, str]
"""Plural and name."""


def status_writes(registry: CollectorRegistry) -> Counter:
    """Made once in a process, though a writer is made for each term of leading."""
    return Counter(
        "guardian_cluster_status_writes",
        "Statuses of custom resources written, by outcome (ok, failed)",
        ("outcome",),
        registry=registry,
    )


class StatusWriter:
    """Await `run()` in a task of its own. `shelves`: by plural."""

    def __init__(
        self,
        api: ClusterApi,
        shelves: dict[str, Shelf],
        clock: Clock,
        writes: Counter,
    ) -> None:
        self._api = api
        self._shelves = shelves
        self._wished: dict[Key, Body] = {}
        self._worker: Worker[Key] = Worker("status", self._write, clock)
        self._writes = writes

    def show(self, plural: str, name: str, status: Body) -> None:
        """Wishes for this status; forgotten where the object says it already."""
        key = (plural, name)
        body = self._shelves[plural][name]
        if body is None:
            return
        if changed(status, body.get("status") or {}) is None:
            self._wished.pop(key, None)
            return
        self._wished[key] = status
        self._worker.add(key)

    async def run(self) -> None:
        try:
            await self._worker.run()
        except asyncio.CancelledError:
            self._wished.clear()
            raise

    async def _write(self, key: Key) -> None:
        plural, name = key
        status, body = self._wished.get(key), self._shelves[plural][name]
        if status is None or body is None:
            return
        patch = changed(status, body.get("status") or {})
        if patch is not None:
            try:
                given = await self._api.patch_status(plural, name, patch)
            except NotFound:
                pass  # Gone meanwhile; who makes it again has a status wished for it again.
            except GuardianError:
                self._writes.labels("failed").inc()
                raise
            else:
                self._writes.labels("ok").inc()
                self._shelves[plural].put(given)
        if self._wished.get(key) is status:
            del self._wished[key]
