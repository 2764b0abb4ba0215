"""The order streams of the accounts served here: one task each, and news of them on the bus.

A stream is a trigger, never a source of truth: it says "look now" to whoever guards, who looks
anyway every few seconds. So nothing is read from it here, and nothing that becomes of it reaches
the work at the desk.

A stream is listened to while this gateway holds the lease and somebody asks for the account; it
begins anew when the account's venue is exchanged.
"""

import asyncio
from collections.abc import Sequence

from loguru import logger

from guardian_core.domain.errors import GuardianError, Unavailable
from guardian_core.ports import Bus
from guardian_gateway.desk import Context, Desk
from guardian_gateway.venues.port import Streaming

PAUSES_S: Sequence[float] = (1, 2, 4, 8, 16, 30)
"""Before the next attempt, by how many in a row came to nothing."""
STOOD_S = 60.0
"""A stream that stood so long did not come to nothing."""
SETTLES_IN_S = 0.1
"""Events come together: those of both orders of a pair, of what was paid and what is held."""
NEWS_EVERY_S = 0.25
"""However much happens on an account."""
UNASKED_MAX_S = 60.0
"""A guarded account is asked for every few seconds: one that is not has been taken away."""
LOOK_EVERY_S = 1.0


class Streams:
    """All streams of one gateway. `news`: where it says that an account has moved."""

    def __init__(self, context: Context, news: Bus) -> None:
        self._context = context
        self._news = news
        self._listeners: dict[str, tuple[_Listener, asyncio.Task[None]]] = {}

    def follow(self, desk: Desk) -> None:
        """To be called whenever the account is asked for: its stream is listened to, if it has
        one, for as long as that goes on."""
        listener, task = self._listeners.get(desk.name, (None, None))
        if listener is not None and task is not None and not task.done():
            listener.asked()
        elif isinstance(desk.venue, Streaming):
            listener = _Listener(desk, self._context, self._news)
            self._listeners[desk.name] = listener, self._context.start(listener.run())

    async def close(self) -> None:
        tasks = [task for _, task in self._listeners.values()]
        self._listeners.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Listener:
    """One account's stream, from one connection to the next."""

    def __init__(self, desk: Desk, context: Context, news: Bus) -> None:
        self._desk = desk
        self._clock = context.clock
        self._holder = context.holder
        self._bus = news
        self._connected = context.metrics.stream_connected.labels(desk.name)
        self._events = context.metrics.stream_events.labels(desk.name)
        self._moved = asyncio.Event()
        self._stands_since_s: float | None = None
        self._told = ""
        self.asked()

    def asked(self) -> None:
        self._asked_at_s = self._clock.monotonic()

    async def run(self) -> None:
        """Until the stream is not wanted any more."""
        publishing = asyncio.create_task(self._publish())
        failures = 0
        try:
            while self._is_wanted() and isinstance(self._desk.venue, Streaming):
                why = await self._listen(self._desk.venue)
                if not why:
                    failures = 0
                    continue
                failures = 1 if self._stood_long() else failures + 1
                await self._pause(why, PAUSES_S[min(failures, len(PAUSES_S)) - 1])
        finally:
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)

    async def _listen(self, venue: Streaming) -> str:
        """One connection; why it ended, empty where it is not the account's any more."""
        self._stands_since_s = None
        listening = asyncio.create_task(venue.listen(self._hear))
        try:
            while self._is_wanted() and self._listens_at(venue):
                ended, _ = await asyncio.wait((listening,), timeout=LOOK_EVERY_S)
                if ended:
                    return _why(listening)
            return ""
        finally:
            self._connected.set(0)
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    def _hear(self) -> None:
        """The first time on a connection, it only stands: what was before has been missed."""
        if self._stands_since_s is None:
            self._stands_since_s = self._clock.monotonic()
            self._connected.set(1)
            logger.bind(account=self._desk.name).info("order stream connected")
            self._told = ""
        else:
            self._events.inc()
        self._moved.set()

    async def _publish(self) -> None:
        while True:
            await self._moved.wait()
            await asyncio.sleep(SETTLES_IN_S)
            self._moved.clear()
            try:
                await self._bus.publish({"account": self._desk.name})
            except Unavailable as error:
                logger.bind(account=self._desk.name).debug("news is lost: {}", error)
            await asyncio.sleep(NEWS_EVERY_S)

    async def _pause(self, why: str, pause_s: float) -> None:
        level = "DEBUG" if why == self._told else "WARNING"
        self._told = why
        down = logger.bind(account=self._desk.name)
        down.log(level, "order stream down ({}); again in {:g} s", why, pause_s)
        await asyncio.sleep(pause_s)

    def _listens_at(self, venue: object) -> bool:
        return self._desk.venue is venue

    def _is_wanted(self) -> bool:
        unasked_s = self._clock.monotonic() - self._asked_at_s
        return self._holder.is_held and unasked_s < UNASKED_MAX_S

    def _stood_long(self) -> bool:
        since_s = self._stands_since_s
        return since_s is not None and self._clock.monotonic() - since_s >= STOOD_S


def _why(ended: "asyncio.Task[None]") -> str:
    if ended.cancelled() or (error := ended.exception()) is None:
        return "it ended by itself"
    # Another error's words may hold an address, and an address a key.
    return str(error) if isinstance(error, GuardianError) else type(error).__name__
