"""Group commit: one task drains a bounded queue and stores what waits in one transaction.

1. An answer is given only after the COMMIT that stored its alert.
2. What arrives while a batch commits makes the next batch, so a slow disk means larger batches,
   not a longer queue.
3. A row that the database refuses fails alone: its batch is halved until it stands by itself.
4. A COMMIT whose outcome is unknown is run again once; the unique keys make that safe.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime

from loguru import logger
from sqlalchemy.exc import DBAPIError

from guardian_core.domain.errors import GuardianError, Unavailable
from guardian_core.ports import Clock, Database, Tx
from guardian_receiver.insert import Inserted, NewWebhook, Stored, insert_batch
from guardian_receiver.metrics import ReceiverMetrics

BATCH_MAX = 500
RETRY_WITHIN_S = 2.0
"""A batch that took longer is not tried again: whoever sent it has stopped waiting."""


class QueueFull(GuardianError):
    """More alerts wait for the database than may."""


class NotStorable(GuardianError):
    """The database refused this very row."""


class Waiting:
    """An alert in the queue, and the answer to it once `done`."""

    __slots__ = ("done", "new")

    def __init__(self, new: NewWebhook, loop: asyncio.AbstractEventLoop) -> None:
        self.new = new
        self.done: asyncio.Future[Stored] = loop.create_future()

    def fail(self, error: Exception) -> None:
        """Nothing where the answer is known already."""
        if not self.done.done():
            self.done.set_exception(error)
            # Several may share one request, which hears of the first; the others are no surprise.
            self.done.exception()


OnStored = Callable[[Sequence[tuple[Waiting, Stored]]], None]


class Committer:
    """`on_stored` hears of each batch after its COMMIT and after its answers were given."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        metrics: ReceiverMetrics,
        *,
        queue_size: int,
        on_stored: OnStored,
    ) -> None:
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._queue_size = queue_size
        self._on_stored = on_stored
        self._queue: deque[Waiting] = deque()
        self._something = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._last_received_at: datetime | None = None

    def submit(self, news: Sequence[NewWebhook]) -> list[Waiting]:
        """Puts all of them in the queue, or none. Raises QueueFull."""
        if len(self._queue) + len(news) > self._queue_size:
            raise QueueFull(f"{len(self._queue)} alerts wait for the database already")
        loop = asyncio.get_running_loop()
        waiting = [Waiting(new, loop) for new in news]
        self._queue.extend(waiting)
        self._something.set()
        self._idle.clear()
        return waiting

    @property
    def depth(self) -> int:
        return len(self._queue)

    async def drained(self) -> None:
        """Until nothing waits and nothing is being stored."""
        await self._idle.wait()

    async def run(self) -> None:
        """Until cancelled. Ends no other way: an error fails its batch, and the next follows."""
        while True:
            await self._something.wait()
            await self.commit_next()
            if not self._queue:
                self._idle.set()

    async def commit_next(self) -> None:
        """Stores one batch of what waits; whoever gave up waiting is left out."""
        batch: list[Waiting] = []
        while self._queue and len(batch) < BATCH_MAX:
            waiting = self._queue.popleft()
            if not waiting.done.done():
                batch.append(waiting)
        if not self._queue:
            self._something.clear()
        if batch:
            self._metrics.batch_size.observe(len(batch))
            await self._commit(batch)

    async def _commit(self, batch: list[Waiting]) -> None:
        try:
            inserted = await self._insert(batch)
        except Unavailable as error:
            _fail(batch, error)
        except Exception as error:
            await self._commit_apart(batch, error)
        else:
            await self._answer(batch, inserted)

    async def _commit_apart(self, batch: list[Waiting], error: Exception) -> None:
        if len(batch) == 1:
            _tell(batch[0], error)
            _fail(batch, NotStorable(type(error).__name__))
            return
        middle = len(batch) // 2
        await self._commit(batch[:middle])
        await self._commit(batch[middle:])

    async def _insert(self, batch: list[Waiting]) -> Inserted:
        started = self._clock.monotonic()
        news = [waiting.new for waiting in batch]

        def store(tx: Tx) -> Inserted:
            return insert_batch(tx, news, self._last_received_at)

        try:
            return await self._database.run(store)
        except Unavailable as error:
            if self._clock.monotonic() - started > RETRY_WITHIN_S:
                raise
            logger.warning("{}; once more", error)
            return await self._database.run(store)

    async def _answer(self, batch: list[Waiting], inserted: Inserted) -> None:
        self._last_received_at = inserted.last_received_at
        outcomes = list(zip(batch, inserted.stored, strict=True))
        for waiting, stored in outcomes:
            if not waiting.done.done():
                waiting.done.set_result(stored)
        # First the answers go out, then there is time to log and publish.
        await asyncio.sleep(0)
        self._on_stored(outcomes)


def _tell(waiting: Waiting, error: Exception) -> None:
    bound = logger.bind(trace_id=waiting.new.row["trace_id"])
    if isinstance(error, DBAPIError):
        # PostgreSQL's own words repeat the row.
        kind = type(error.orig).__name__
        bound.error("the database refused an alert: {}", kind)
    else:
        bound.opt(exception=error).error("an alert could not be stored")


def _fail(batch: list[Waiting], error: Exception) -> None:
    for waiting in batch:
        waiting.fail(error)
