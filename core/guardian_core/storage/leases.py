"""Leases: who may act for a name (the gateway's one sender, the guardian's leader).

1. At most one holder at a time, by the database's clock.
2. The epoch grows by one at each change of holder.
3. A keeper believes in its lease for less time than the database does: it counts from before
   the renewal was asked for, on its own monotonic clock.
"""

import asyncio
import math
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from loguru import logger
from sqlalchemy import select, update

from guardian_core.domain.errors import Conflict, Unavailable
from guardian_core.ports import Clock, Database, Tx
from guardian_core.storage.schema import Lease
from guardian_core.storage.upsert import changed_rows, insert_if_absent

TTL_S = 4.0
RENEW_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class LeaseView:
    """A lease as its row stood. It is free once `until` has passed."""

    name: str
    holder: str
    url: str
    epoch: int
    until: datetime


def acquire(
    tx: Tx, name: str, holder: str, url: str, ttl_s: float, *, take_over: bool = False
) -> LeaseView:
    """Takes the lease where it is free, expired or the holder's own; else changes nothing.

    The caller has it exactly if the view's holder is its own. `take_over` takes it from
    anybody, for a process that knows the holder to be dead.
    """
    row = _locked(tx, name)
    if row is None:
        first = {"name": name, "holder": holder, "url": url, "epoch": 1, "until": _end(tx, ttl_s)}
        insert_if_absent(tx, Lease, first)
        row = _locked(tx, name)
        assert row is not None, "a lease is never deleted"
    if row.holder == holder or row.until <= tx.now() or take_over:
        if row.holder != holder:
            row.epoch += 1
        row.holder, row.url, row.until = holder, url, _end(tx, ttl_s)
        tx.flush()
    return _view(row)


def renew(tx: Tx, name: str, holder: str, ttl_s: float) -> LeaseView:
    """Extends the holder's lease from now. Raises Conflict when it has another holder."""
    row = _locked(tx, name)
    if row is None or row.holder != holder:
        raise Conflict("lease_lost", f"{holder} does not hold the lease {name}")
    row.until = _end(tx, ttl_s)
    tx.flush()
    return _view(row)


def release(tx: Tx, name: str, holder: str) -> None:
    """Frees the lease at once, where it is still the holder's."""
    statement = update(Lease).where(Lease.name == name, Lease.holder == holder)
    changed_rows(tx, statement.values(until=tx.now()))


def read(tx: Tx, name: str) -> LeaseView | None:
    """The lease as it stands, expired or not; None before anybody ever held it."""
    row = tx.get(Lease, name)
    return None if row is None else _view(row)


def _locked(tx: Tx, name: str) -> Lease | None:
    query = select(Lease).where(Lease.name == name).with_for_update()
    return tx.execute(query.execution_options(populate_existing=True)).scalar_one_or_none()


def _end(tx: Tx, ttl_s: float) -> datetime:
    return tx.now() + timedelta(seconds=ttl_s)


def _view(row: Lease) -> LeaseView:
    return LeaseView(row.name, row.holder, row.url, row.epoch, row.until)


class LeaseKeeper:
    """Holds a lease while it can. Await `run()` in a task of its own; `release()` at the end.

    `holder` is unique to the process. A cancelled `run` leaves the lease to expire by itself,
    as a crash does.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        name: str,
        holder: str,
        url: str = "",
        ttl_s: float = TTL_S,
        renew_every_s: float = RENEW_EVERY_S,
        take_over: bool = False,
    ) -> None:
        self._database = database
        self._clock = clock
        self._name = name
        self._holder = holder
        self._url = url
        self._ttl_s = ttl_s
        self._renew_every_s = renew_every_s
        self._take_over = take_over
        self._view: LeaseView | None = None
        self._held_until_s = -math.inf
        self._looked = asyncio.Event()

    @property
    def is_held(self) -> bool:
        """Whether this process may act, now. Ask again after every await."""
        return self._clock.monotonic() < self._held_until_s

    @property
    def epoch(self) -> int:
        """Of the lease as last seen, whoever held it; 0 before the first look."""
        return self._view.epoch if self._view else 0

    @property
    def view(self) -> LeaseView | None:
        """The lease as last seen: tells who else holds it, and where."""
        return self._view

    async def run(self) -> None:
        """Takes and renews the lease until cancelled. A database that is away is waited for."""
        while True:
            await self.look()
            await asyncio.sleep(self._renew_every_s)

    async def look(self) -> bool:
        """One attempt to take or renew; whether the lease is held afterwards."""
        asked_at_s = self._clock.monotonic()
        was_held = self.is_held
        try:
            async with asyncio.timeout(self._ttl_s / 2):
                view = await self._database.run(self._acquire)
        except (Unavailable, TimeoutError) as error:
            logger.warning(
                "lease {} not renewed: {}", self._name, str(error) or "no answer in time"
            )
        else:
            self._view = view
            ours = view.holder == self._holder
            self._held_until_s = asked_at_s + self._ttl_s if ours else -math.inf
            self._take_over = self._take_over and not ours
        if was_held != self.is_held:
            held = "held" if self.is_held else "lost"
            logger.info("lease {} {} (epoch {})", self._name, held, self.epoch)
        self._wake()
        return self.is_held

    async def wait_held(self) -> int:
        """Returns the epoch as soon as the lease is held."""
        while not self.is_held:
            await self._looked.wait()
        return self.epoch

    async def wait_lost(self, epoch: int) -> None:
        """Returns as soon as the lease of that epoch is lost or has run out."""
        while self.is_held and self.epoch == epoch:
            left_s = self._held_until_s - self._clock.monotonic()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._looked.wait(), left_s)

    async def release(self) -> None:
        """Stops believing, then frees the lease, if the database answers. After `run` ended."""
        self._held_until_s = -math.inf
        self._wake()
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(self._ttl_s / 2):
                await self._database.run(lambda tx: release(tx, self._name, self._holder))

    def _acquire(self, tx: Tx) -> LeaseView:
        return acquire(
            tx, self._name, self._holder, self._url, self._ttl_s, take_over=self._take_over
        )

    def _wake(self) -> None:
        """Wakes all who wait now; whoever comes later waits for the next look."""
        looked, self._looked = self._looked, asyncio.Event()
        looked.set()
