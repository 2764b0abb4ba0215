"""The orders of a snapshot: what the venue lists, what our rows expect, and how the two agree.

1. Rows are read after the listing: whoever is listed has a row by then, since rows come first.
2. A row that should be listed and is not is looked up by its id before anyone hears of it; while
   that gives no answer, or is too early, its order is in flight.
3. A listing older than what we did ourselves changes nothing in a row; its order is in flight.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from sqlalchemy import select

from guardian_core.domain.errors import CallerError, Unavailable
from guardian_core.domain.orders import OrderStatus
from guardian_core.domain.snapshot import WorkingOrder
from guardian_core.ports import Tx
from guardian_core.storage.desires import LIVE
from guardian_core.storage.schema import Lane, WebhookState
from guardian_gateway import enrich, rows
from guardian_gateway.desk import Context, Desk
from guardian_gateway.enrich import RowIndex
from guardian_gateway.grant import Grant, check_lease
from guardian_gateway.outcomes import Resolver, Unresolved
from guardian_gateway.rows import TradeRow
from guardian_gateway.venues.port import VenueOrder


@dataclass(frozen=True, slots=True)
class LiveState:
    """The part of a live state that tells what its lane needs to know."""

    stop_loss: Decimal | None
    take_profit: Decimal | None


@dataclass(frozen=True, slots=True)
class Books:
    """What the database knows of an account when its orders have been listed. `age_s`: of the
    listing, when this was read."""

    rows: tuple[TradeRow, ...]
    states: dict[str, LiveState]
    lanes: frozenset[str]
    age_s: float


@dataclass(slots=True)
class Sightings:
    """The working orders found, and the lanes whose fills must be asked for whatever they show."""

    orders: list[WorkingOrder] = field(default_factory=list)
    unsettled: set[str] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _News:
    row: TradeRow
    order: VenueOrder
    reopen: bool


class Sight:
    """Joins listings and rows for one account."""

    def __init__(self, desk: Desk, context: Context, resolver: Resolver) -> None:
        self._desk = desk
        self._context = context
        self._resolver = resolver

    def books(
        self, tx: Tx, symbol: str | None, listed: Sequence[VenueOrder], listed_at_s: float
    ) -> Books:
        """Reads what the database knows. `listed_at_s`: when the listing was asked for."""
        now = tx.now()
        ids = [text for order in listed for text in enrich.ids_of(order)]
        found = {trade.id: trade for trade in rows.unfinished(tx, self._desk.name, symbol)}
        found |= {trade.id: trade for trade in rows.named(tx, self._desk.name, ids)}
        lanes = select(Lane.symbol).where(Lane.account_name == self._desk.name)
        states = (
            select(Lane.symbol, WebhookState.current_sl, WebhookState.current_tp)
            .join(WebhookState, WebhookState.lane_id == Lane.id)
            .where(Lane.account_name == self._desk.name, WebhookState.status.in_(LIVE))
        )
        if symbol is not None:
            lanes = lanes.where(Lane.symbol == symbol)
            states = states.where(Lane.symbol == symbol)
        return Books(
            rows=tuple(rows.read(trade, now) for trade in found.values()),
            states={name: LiveState(sl, tp) for name, sl, tp in tx.execute(states)},
            lanes=frozenset(tx.scalars(lanes)),
            age_s=self._context.clock.monotonic() - listed_at_s,
        )

    async def see(
        self, listed: Sequence[VenueOrder], books: Books, grant: Grant, within_s: float
    ) -> Sightings:
        """The working orders. Raises Unavailable (the database's) or NotHolder."""
        seen = Sightings()
        index = RowIndex(books.rows)
        shown: set[UUID] = set()
        news: list[_News] = []
        for order in listed:
            row = index.row_of(order)
            if row is not None:
                shown.add(row.id)
            seen.orders.append(self._listed(order, row, books, news))
        missing = [row for row in books.rows if row.id not in shown]
        missing = [row for row in missing if not row.status.is_terminal]
        await asyncio.gather(*(self._missing(row, books, seen, within_s) for row in missing))
        seen.unsettled |= {one.row.symbol for one in news}
        if news:
            await self._context.database.run(lambda tx: self._write(tx, grant, news))
        return seen

    def _listed(
        self, order: VenueOrder, row: TradeRow | None, books: Books, news: list[_News]
    ) -> WorkingOrder:
        installation = self._context.installation
        if row is None:
            return enrich.listed(order, None, installation)
        lag_s = books.age_s + self._desk.capabilities.visibility_delay_s
        if row.quiet_s <= lag_s and _tells_the_past(order, row):
            return enrich.listed(order, row, installation, in_flight=True)
        reopen = row.status.is_terminal
        if rows.is_news(row, order, reopen=reopen):
            news.append(_News(row, order, reopen))
        return enrich.listed(order, row, installation)

    async def _missing(self, row: TradeRow, books: Books, seen: Sightings, within_s: float) -> None:
        """Rule 2 for one row."""
        seen.unsettled.add(row.symbol)
        if self._is_too_early(row, books):
            seen.orders.append(enrich.in_flight(row))
            return
        try:
            look = await self._resolver.look(Unresolved.of_row(row), within_s)
        except (Unavailable, CallerError) as error:
            # An account may have changed its market; what is sure is only that nobody knows.
            seen.warnings.append(f"order {row.client_order_id} not looked up: {error}")
            seen.orders.append(enrich.in_flight(row))
            return
        if look.row is None or look.row.status.is_terminal:
            return
        if look.order is not None:
            seen.orders.append(enrich.listed(look.order, look.row, self._context.installation))
            return
        seen.orders.append(enrich.in_flight(look.row))
        if look.row.status is OrderStatus.PENDING:
            self._resolver.track(Unresolved.of_row(look.row))

    def _is_too_early(self, row: TradeRow, books: Books) -> bool:
        """Whether absence from this listing is no evidence at all."""
        if self._resolver.is_tracking(row.id):
            return True
        if row.client_order_id in self._desk.lane(row.symbol).sending:
            return True
        if row.status is not OrderStatus.OPEN or row.acknowledged_age_s is None:
            return False
        lag_s = books.age_s + self._desk.capabilities.visibility_delay_s
        return row.acknowledged_age_s < lag_s

    def _write(self, tx: Tx, grant: Grant, news: Sequence[_News]) -> None:
        """Brings rows up to date, but for those that have moved on since they were read."""
        check_lease(tx, grant)
        trades = rows.get(tx, [one.row.id for one in news])
        for one in news:
            trade = trades.get(one.row.id)
            if trade is not None and trade.updated_at == one.row.updated_at:
                rows.absorb(trade, one.order, tx.now(), reopen=one.reopen)


def _tells_the_past(order: VenueOrder, row: TradeRow) -> bool:
    """Rule 3: the order has ended or been amended since, or so shortly before that a venue may
    still show it as it was."""
    if row.status.is_terminal:
        return True
    return (order.trigger_price, order.quantity) != (row.trigger_price, row.quantity)
