"""Kubernetes Events: the story that `kubectl describe` tells. On transitions only, best effort."""

from enum import StrEnum
from typing import Any, Final

from guardian_core.cluster.api import ClusterApi
from guardian_core.cluster.resources import API_VERSION
from guardian_core.cluster.worker import Worker
from guardian_core.domain.errors import CallerError, GuardianError
from guardian_core.ports import Clock, Ids

Body = dict[str, Any]

QUEUE_MAX: Final = 1_000
KEPT_S: Final = 300.0
"""For so long an Event waits for an API server that is away."""
_MESSAGE_MAX: Final = 1_000


class Reason(StrEnum):
    OPENED = "Opened"
    CLOSED = "Closed"
    ADOPTED = "Adopted"
    LEG_MISSING = "LegMissing"
    REPAIRED = "Repaired"
    REPAIR_FAILED = "RepairFailed"
    LEVELS_CHANGED = "LevelsChanged"
    EDIT_MERGED = "EditMerged"
    EDIT_REFUSED = "EditRefused"
    PINNED = "Pinned"
    UNPINNED = "Unpinned"
    CONFLICT = "Conflict"
    NOT_ADOPTED = "NotAdopted"
    RESTORED = "Restored"
    KEPT = "Kept"
    RELEASED = "Released"
    CLOSING = "Closing"


_WARNINGS: Final = frozenset(
    {
        Reason.LEG_MISSING,
        Reason.REPAIR_FAILED,
        Reason.EDIT_REFUSED,
        Reason.CONFLICT,
        Reason.NOT_ADOPTED,
        Reason.KEPT,
        Reason.RELEASED,
    }
)


class Recorder:
    """Await `run()` in a task of its own. What waits outlives it: a lease that is lost for a moment
    loses no Event."""

    def __init__(self, api: ClusterApi, clock: Clock, ids: Ids) -> None:
        self._api = api
        self._clock = clock
        self._ids = ids
        self._waiting: dict[str, tuple[Body, float]] = {}
        self._worker: Worker[str] = Worker("event", self._send, clock)

    async def run(self) -> None:
        for name in self._waiting:
            self._worker.add(name)
        await self._worker.run()

    def tell(self, about: Body, reason: Reason, message: str) -> None:
        """`about`: the object's body. With too many waiting, the oldest is lost."""
        if len(self._waiting) >= QUEUE_MAX:
            self._waiting.pop(next(iter(self._waiting)))
        name = f"{about['metadata']['name']}.{self._ids.uuid().hex[:16]}"
        self._waiting[name] = (self._body(name, about, reason, message), self._clock.monotonic())
        self._worker.add(name)

    async def _send(self, name: str) -> None:
        body, told_at_s = self._waiting.get(name, ({}, 0.0))
        if not body:
            return
        try:
            await self._api.create_event(body)
        except CallerError:
            pass  # It will be no better the next time.
        except GuardianError:
            if self._clock.monotonic() - told_at_s < KEPT_S:
                raise
        self._waiting.pop(name, None)

    def _body(self, name: str, about: Body, reason: Reason, message: str) -> Body:
        metadata = about["metadata"]
        now = self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": metadata["namespace"]},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": about["kind"],
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
            },
            "reason": reason.value,
            "message": message[:_MESSAGE_MAX],
            "type": "Warning" if reason in _WARNINGS else "Normal",
            "source": {"component": "guardian-operator"},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
