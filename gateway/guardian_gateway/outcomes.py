"""Orders whose outcome is not known: looked up until they are found or surely never were.

1. Nothing is "gone" by absence alone: a pending order is absent only when a look-up that began
   after its request could no longer take effect does not find it; a working one when it is not
   found although the venue's visibility delay has passed.
2. What is found must be the same order: symbol, side, and not older than its row.
3. A lane's first write under a lease waits until all rows left pending before are resolved.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from loguru import logger

from guardian_core.domain.errors import Conflict, RejectReason, Unavailable
from guardian_core.domain.orders import OrderBody, OrderStatus, Role
from guardian_core.gateway_codec import NotHolder
from guardian_core.ports import Tx
from guardian_core.storage.schema import Trade
from guardian_gateway import rows
from guardian_gateway.desk import Context, Desk, LaneDesk
from guardian_gateway.grant import Grant, check_lease
from guardian_gateway.rows import TradeRow
from guardian_gateway.venue_calls import READ_WITHIN_S, WRITE_WITHIN_S
from guardian_gateway.venues.port import VenueOrder
from guardian_gateway.write_ahead import row_id

SEND_WITHIN_S = 1.0
"""A send that would start later than this after its row was written is abandoned."""
CLOCK_SKEW_S = 1.0
"""Between the database, this machine and the venue."""
EFFECT_WITHIN_S = SEND_WITHIN_S + WRITE_WITHIN_S + CLOCK_SKEW_S
"""A request cannot take effect later than this after its row was written: it starts within the
first, and the venue refuses it after the second (its validity, recvWindow). Where a venue takes
requests for longer, that counts for entries and exits; for a leg it does not: one that comes late
is seen and cancelled as surplus, while to wait would leave the position without it."""

OLDER_BY_CLOCKS = timedelta(minutes=1)
"""An order this much older than its row may still be ours: to take ours for a stranger's would
send it twice, so this is wider than any clock that a venue would accept requests from."""

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Enough to look an order up and to write down what became of it."""

    row_id: UUID
    symbol: str
    client_order_id: str

    @classmethod
    def of_row(cls, row: TradeRow) -> "Unresolved":
        return cls(row.id, row.symbol, row.client_order_id)

    @classmethod
    def of_body(cls, account: str, body: OrderBody) -> "Unresolved":
        identity = row_id(account, body.client_order_id)
        return cls(identity, body.symbol, body.client_order_id)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look-up gave: the row as it stands after it, and the venue's order if there is one."""

    row: TradeRow | None
    order: VenueOrder | None


class Resolver:
    """Finds out what became of one account's orders."""

    def __init__(self, desk: Desk, context: Context) -> None:
        self._desk = desk
        self._context = context
        self._tracked: dict[UUID, tuple[Unresolved, asyncio.Task[None]]] = {}

    def is_tracking(self, identity: UUID) -> bool:
        return identity in self._tracked

    def track(self, order: Unresolved) -> None:
        """Looks the order up in the background until its row is pending no more."""
        if order.row_id in self._tracked:
            return
        task = self._context.start(self._resolve(order))
        self._tracked[order.row_id] = (order, task)
        task.add_done_callback(lambda _: self._tracked.pop(order.row_id, None))

    async def close(self) -> None:
        """Stops looking; what is left pending is resolved by whoever writes next."""
        tasks = [task for _, task in self._tracked.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def settle(self, lane: LaneDesk, grant: Grant) -> None:
        """Rule 3. Raises Conflict("resolving") while the fate of a row is open."""
        if lane.settled_under == grant:
            return
        pending = await self._context.database.run(lambda tx: self._pending(tx, lane.symbol))
        unknown = [order for order in pending if not self.is_tracking(order.row_id)]
        for seen in await asyncio.gather(*(self.look(order) for order in unknown)):
            if seen.row is not None and seen.row.status is OrderStatus.PENDING:
                self.track(Unresolved.of_row(seen.row))
        if any(order.symbol == lane.symbol for order, _ in self._tracked.values()):
            raise Conflict("resolving", f"an order of {lane.symbol} is still being looked up")
        lane.settled_under = grant

    def _pending(self, tx: Tx, symbol: str) -> list[Unresolved]:
        return [
            Unresolved.of_row(rows.read(trade, tx.now()))
            for trade in rows.unfinished(tx, self._desk.name, symbol)
            if trade.status == OrderStatus.PENDING.value
        ]

    async def look(self, order: Unresolved, within_s: float = READ_WITHIN_S) -> Seen:
        """One look-up, told to the row. Raises Unavailable or NotHolder."""
        grant = self._context.holder.grant()
        started_s = self._context.clock.monotonic()
        found = await self._desk.calls.read(
            "find", lambda: self._desk.venue.find(order.symbol, order.client_order_id), within_s
        )
        return await self._context.database.run(
            lambda tx: self._write(tx, grant, order, found, started_s)
        )

    def _write(
        self, tx: Tx, grant: Grant, order: Unresolved, found: VenueOrder | None, started_s: float
    ) -> Seen:
        check_lease(tx, grant)
        trade = rows.get(tx, [order.row_id]).get(order.row_id)
        if trade is None:
            return Seen(None, None)
        now = tx.now()
        if found is not None and not is_same_order(trade, found):
            found = None
        if found is not None:
            rows.absorb(trade, found, now)
        else:
            elapsed_s = self._context.clock.monotonic() - started_s
            self._note_absence(trade, now, now - timedelta(seconds=elapsed_s))
        tx.flush()
        return Seen(rows.read(trade, now), found)

    def _note_absence(self, trade: Trade, now: datetime, asked_at: datetime) -> None:
        """Rule 1, for a look-up that began at `asked_at` and found nothing."""
        visible_after = timedelta(seconds=self._desk.capabilities.visibility_delay_s)
        if trade.status == OrderStatus.PENDING.value:
            too_late = trade.created_at + self._effect_within(trade) + visible_after
            if asked_at >= too_late:
                message = "the venue never had it"
                rows.refuse(trade, RejectReason.NOT_SENT, message, now)
        elif trade.status == OrderStatus.OPEN.value:
            known_at = trade.acknowledged_at or trade.created_at
            if asked_at >= known_at + visible_after:
                rows.end(trade, now, "the venue does not know it any more")

    def _effect_within(self, trade: Trade) -> timedelta:
        valid_s = 0.0 if Role(trade.role).is_leg else self._desk.capabilities.valid_for_s
        return timedelta(seconds=EFFECT_WITHIN_S + max(0.0, valid_s - WRITE_WITHIN_S))

    async def _resolve(self, order: Unresolved) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                async with self._desk.in_use():
                    row = (await self.look(order)).row
            except NotHolder:
                return
            except Unavailable as error:
                logger.debug("order {} not looked up: {}", order.client_order_id, error)
            except Exception:
                logger.exception("order {} not looked up", order.client_order_id)
            else:
                if row is None or row.status is not OrderStatus.PENDING:
                    _tell(row)
                    return
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)


def _tell(row: TradeRow | None) -> None:
    if row is not None:
        logger.info(
            "order {} of {}: {}", row.client_order_id, row.symbol, row.error or row.status.value
        )


def is_same_order(trade: Trade, found: VenueOrder) -> bool:
    """Rule 2: an id that a venue lets be used again may belong to another order."""
    same = (found.ref.symbol, found.side.value) == (trade.symbol, trade.side)
    oldest = trade.created_at - OLDER_BY_CLOCKS
    if same and (found.created_at is None or found.created_at >= oldest):
        return True
    logger.error("order {} on the venue is not the one we sent", trade.client_order_id)
    return False
