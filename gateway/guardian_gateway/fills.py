"""Executions become `fill` rows, each once, and the trade rows follow them.

1. A fill is unique by (account, symbol, venue's fill id); asking again changes nothing.
2. The lane's cursor is the newest fill seen; each question reaches back a margin behind it,
   because a venue may list an execution late.
3. A fill belongs to the order that it names. Without one: on derivatives to the state that lived
   at its time, because it moved that state's position; on spot to none, because the coins may be
   the user's own.
4. Fees: in quote as they are; in base as quote at the fill's price, and on spot as coins taken
   out of the position too; in another currency unknown.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import NAMESPACE_OID, UUID, uuid5

from sqlalchemy import func, select

from guardian_core.domain.money import EXACT, MAX_DIGITS_AFTER_POINT, ZERO, Instrument, MarketKind
from guardian_core.domain.orders import OrderStatus
from guardian_core.domain.pnl import fee_in_quote
from guardian_core.ports import Tx
from guardian_core.protocol import Source
from guardian_core.storage.fills import state_at
from guardian_core.storage.schema import Fill, Lane, Trade, WebhookState
from guardian_core.storage.upsert import insert_if_absent
from guardian_gateway import rows
from guardian_gateway.desk import Context, Desk
from guardian_gateway.grant import Grant, check_lease
from guardian_gateway.venues.port import VenueFill

MARGIN = timedelta(minutes=1)
INCOMPLETE_FOR = timedelta(hours=1)
"""For so long after its last change an order that filled more than its fills say is asked for."""

PRICE_TO = Decimal(1).scaleb(-MAX_DIGITS_AFTER_POINT)
"""Average prices are rounded to this, like all that `parse_decimal` lets in."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """`complete`: every order's fills add up to what it is known to have filled."""

    new: int
    complete: bool


class Fills:
    """Ingests the fills of one account."""

    def __init__(self, desk: Desk, context: Context) -> None:
        self._desk = desk
        self._context = context

    async def ingest(self, symbol: str, instrument: Instrument, within_s: float) -> Ingested:
        """Asks for what is new on a lane and books it. Raises Unavailable or NotHolder."""
        database = self._context.database
        grant = self._context.holder.grant()
        async with self._desk.lane(symbol).ingesting:
            since = await database.run(lambda tx: self._since(tx, symbol))
            if since is None:
                return Ingested(new=0, complete=True)
            found = await self._desk.calls.read(
                "fills", lambda: self._desk.venue.fills(symbol, since), within_s
            )
            return await database.run(lambda tx: self._book(tx, grant, instrument, found))

    def _since(self, tx: Tx, symbol: str) -> datetime | None:
        """Where to ask from; None for a lane that never had a state."""
        lane = _lane(tx, self._desk.name, symbol)
        if lane is None:
            return None
        if lane.fills_until is not None:
            return lane.fills_until - MARGIN
        query = select(func.min(WebhookState.created_at)).where(WebhookState.lane_id == lane.id)
        first: datetime | None = tx.execute(query).scalar()
        return first - MARGIN if first is not None else None

    def _book(
        self, tx: Tx, grant: Grant, instrument: Instrument, found: Sequence[VenueFill]
    ) -> Ingested:
        check_lease(tx, grant)
        lane = _lane(tx, self._desk.name, instrument.symbol)
        assert lane is not None, "a lane is never deleted"
        ids = [fill.venue_fill_id for fill in found]
        known = set(
            tx.scalars(
                select(Fill.venue_fill_id).where(
                    Fill.account_name == self._desk.name,
                    Fill.symbol == instrument.symbol,
                    Fill.venue_fill_id.in_(ids),
                )
            )
        )
        fresh = [fill for fill in found if fill.venue_fill_id not in known]
        touched = self._insert(tx, instrument, fresh)
        newest = max((fill.at for fill in fresh), default=None)
        if newest is not None and (lane.fills_until is None or newest > lane.fills_until):
            lane.fills_until = newest
        tx.flush()
        _follow(tx, touched)
        return Ingested(len(fresh), self._is_complete(tx, instrument.symbol))

    def _insert(self, tx: Tx, instrument: Instrument, fresh: Sequence[VenueFill]) -> set[UUID]:
        """Writes the fills; returns the trade rows that they belong to."""
        orders = {fill.venue_order_id for fill in fresh}
        orders |= {fill.client_order_id for fill in fresh if fill.client_order_id}
        trades = rows.named(tx, self._desk.name, orders)
        touched: set[UUID] = set()
        for fill in fresh:
            trade = next((t for t in trades if _is_of(t, fill)), None)
            if trade is not None:
                touched.add(trade.id)
                if trade.exchange_order_id is None:
                    trade.exchange_order_id = fill.venue_order_id
                state_id = trade.webhook_state_id
            else:
                state_id = self._state_of_unnamed(tx, instrument, fill)
            values = _values(self._desk.name, instrument, fill)
            values |= {"trade_id": trade.id if trade else None, "webhook_state_id": state_id}
            insert_if_absent(tx, Fill, values)
        return touched

    def _state_of_unnamed(self, tx: Tx, instrument: Instrument, fill: VenueFill) -> UUID | None:
        """Rule 3, for a fill of no order of ours."""
        if instrument.kind is MarketKind.SPOT:
            return None
        state = state_at(tx, self._desk.name, fill.symbol, fill.at)
        return state.id if state is not None else None

    def _is_complete(self, tx: Tx, symbol: str) -> bool:
        recent = tx.now() - INCOMPLETE_FOR
        query = select(Trade).where(
            Trade.account_name == self._desk.name,
            Trade.symbol == symbol,
            Trade.updated_at >= recent,
            Trade.source != Source.ORDER_MONITOR.value,
        )
        trades = [trade for trade in tx.scalars(query) if trade.filled_quantity > 0]
        booked = _booked(tx, [trade.id for trade in trades])
        return all(booked[trade.id][0] >= trade.filled_quantity for trade in trades)


def _lane(tx: Tx, account: str, symbol: str) -> Lane | None:
    query = select(Lane).where(Lane.account_name == account, Lane.symbol == symbol)
    return tx.scalars(query).one_or_none()


def _is_of(trade: Trade, fill: VenueFill) -> bool:
    if trade.symbol != fill.symbol:
        return False
    if fill.client_order_id is not None and fill.client_order_id == trade.client_order_id:
        return True
    return fill.venue_order_id in (trade.exchange_order_id, trade.child_order_id)


def _values(account: str, instrument: Instrument, fill: VenueFill) -> dict[str, object]:
    fee_quote, fee_base = fees(instrument, fill)
    name = f"fill/{account}/{fill.symbol}/{fill.venue_fill_id}"
    return {
        "id": uuid5(NAMESPACE_OID, name),
        "account_name": account,
        "symbol": fill.symbol,
        "venue_fill_id": fill.venue_fill_id,
        "venue_order_id": fill.venue_order_id,
        "side": fill.side.value,
        "price": fill.price,
        "quantity": fill.quantity,
        "fee": fill.fee,
        "fee_currency": fill.fee_currency,
        "fee_quote": fee_quote,
        "fee_base": fee_base,
        "at": fill.at,
    }


def fees(instrument: Instrument, fill: VenueFill) -> tuple[Decimal | None, Decimal]:
    """Rule 4: the fee's worth in quote (None: unknown), and the coins it took."""
    worth = fee_in_quote(
        fill.fee, fill.fee_currency, instrument.base, instrument.quote, fill.price, {}
    )
    in_coins = instrument.kind is MarketKind.SPOT and fill.fee_currency == instrument.base
    return worth, fill.fee if in_coins else ZERO


def _booked(tx: Tx, trade_ids: Sequence[UUID]) -> dict[UUID, tuple[Decimal, Decimal]]:
    """(quantity, notional) of the fills booked for each trade."""
    booked: dict[UUID, tuple[Decimal, Decimal]] = defaultdict(lambda: (ZERO, ZERO))
    query = select(Fill).where(Fill.trade_id.in_(list(trade_ids)))
    for fill in tx.scalars(query):
        assert fill.trade_id is not None
        quantity, notional = booked[fill.trade_id]
        booked[fill.trade_id] = (
            EXACT.add(quantity, fill.quantity),
            EXACT.add(notional, EXACT.multiply(fill.quantity, fill.price)),
        )
    return booked


def _follow(tx: Tx, trade_ids: set[UUID]) -> None:
    """Trade rows take quantity, average price and status from their fills."""
    booked = _booked(tx, list(trade_ids))
    for identity, trade in rows.get(tx, list(trade_ids)).items():
        quantity, notional = booked[identity]
        if quantity < trade.filled_quantity or quantity == 0:
            continue
        trade.filled_quantity = quantity
        average = EXACT.divide(notional, quantity)
        trade.average_price = EXACT.quantize(average, PRICE_TO)
        trade.acknowledged_at = trade.acknowledged_at or tx.now()
        if quantity >= trade.quantity:
            trade.status = OrderStatus.CLOSED.value
        elif trade.status in (OrderStatus.PENDING.value, OrderStatus.REJECTED.value):
            trade.status = OrderStatus.OPEN.value
        if trade.status != OrderStatus.REJECTED.value:
            trade.reject_reason = None
        trade.updated_at = tx.now()
