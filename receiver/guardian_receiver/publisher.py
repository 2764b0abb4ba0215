"""Wakes the engine up, best effort: a wake-up that is lost costs the engine's poll interval.

Alerts of one lane that wait together share one wake-up, since the engine works a lane's alerts
in order once it is awake.
"""

import asyncio
from dataclasses import dataclass

from loguru import logger

from guardian_core.domain.errors import Unavailable
from guardian_core.logs import Point, log_points
from guardian_core.ports import Bus
from guardian_receiver.insert import Stored
from guardian_receiver.metrics import ReceiverMetrics

LANES_WAITING_MAX = 1_000
TRACES_WAITING_MAX = 1_000
PUBLISH_WITHIN_S = 2.0


@dataclass(slots=True)
class _WakeUp:
    newest: Stored
    trace_ids: list[str]


class Publisher:
    """`offer` never waits; `run` publishes until cancelled."""

    def __init__(self, bus: Bus, metrics: ReceiverMetrics) -> None:
        self._bus = bus
        self._metrics = metrics
        self._waiting: dict[int, _WakeUp] = {}
        self._something = asyncio.Event()
        self._failing = False

    def offer(self, stored: Stored) -> None:
        if stored.lane_id is None:
            return
        wake_up = self._waiting.get(stored.lane_id)
        if wake_up is not None:
            wake_up.newest = stored
            wake_up.trace_ids.append(stored.trace_id)
            del wake_up.trace_ids[:-TRACES_WAITING_MAX]
            return
        if len(self._waiting) >= LANES_WAITING_MAX:
            self._metrics.publish_failures.inc()
            return
        self._waiting[stored.lane_id] = _WakeUp(stored, [stored.trace_id])
        self._something.set()

    async def run(self) -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            await self.publish_waiting()

    async def publish_waiting(self) -> None:
        """Publishes what waits; the first failure gives the rest up, for the engine's poll."""
        waiting, self._waiting = list(self._waiting.values()), {}
        for position, wake_up in enumerate(waiting):
            problem = await self._publish(wake_up)
            if problem:
                self._metrics.publish_failures.inc(len(waiting) - position)
                if not self._failing:
                    logger.warning("no wake-ups, the engine will poll: {}", problem)
                self._failing = True
                return
        self._failing = False

    async def _publish(self, wake_up: _WakeUp) -> str:
        """Returns what went wrong, or nothing."""
        newest = wake_up.newest
        message = {
            "webhook_id": str(newest.webhook_id),
            "trace_id": newest.trace_id,
            "lane_id": str(newest.lane_id),
        }
        try:
            async with asyncio.timeout(PUBLISH_WITHIN_S):
                await self._bus.publish(message)
        except Exception as error:
            return str(error) if isinstance(error, Unavailable) else type(error).__name__
        log_points(Point.PUBLISHED, [{"trace_id": trace_id} for trace_id in wake_up.trace_ids])
        return ""
