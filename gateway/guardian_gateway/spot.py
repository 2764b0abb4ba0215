"""Positions where the venue has none: what our own fills left, and never a user's other coins."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from sqlalchemy import select

from guardian_core.domain.money import EXACT, ZERO, Instrument
from guardian_core.domain.orders import OrderSide, PositionSide, Role
from guardian_core.domain.snapshot import Position, WorkingOrder
from guardian_core.ports import Tx
from guardian_core.storage.desires import latest_states
from guardian_core.storage.schema import Trade
from guardian_gateway.fills import PRICE_TO
from guardian_gateway.venues.port import Balance


@dataclass(frozen=True, slots=True)
class Holding:
    """What a lane's fills say that we hold, less fees taken in coins, and what it cost."""

    quantity: Decimal
    entry_price: Decimal | None


def holdings(tx: Tx, account: str, symbols: Sequence[str], installation: str) -> dict[str, Holding]:
    """By symbol: of each lane's live state, else its latest."""
    states = latest_states(tx, account, symbols, installation)
    plans = {symbol: guarded.plan for symbol, guarded in states.items()}
    prices = _entry_prices(tx, [plan.state_id for plan in plans.values()])
    return {
        symbol: Holding(plan.net_filled or ZERO, prices.get(plan.state_id))
        for symbol, plan in plans.items()
    }


def _entry_prices(tx: Tx, state_ids: Sequence[UUID]) -> dict[UUID, Decimal]:
    """The average price of each state's filled entries."""
    query = select(Trade).where(
        Trade.webhook_state_id.in_(state_ids),
        Trade.role == Role.ENTRY.value,
        Trade.average_price.is_not(None),
    )
    quantity: dict[UUID, Decimal] = defaultdict(lambda: ZERO)
    notional: dict[UUID, Decimal] = defaultdict(lambda: ZERO)
    for trade in tx.scalars(query):
        assert trade.webhook_state_id is not None
        assert trade.average_price is not None
        cost = EXACT.multiply(trade.filled_quantity, trade.average_price)
        quantity[trade.webhook_state_id] += trade.filled_quantity
        notional[trade.webhook_state_id] = EXACT.add(notional[trade.webhook_state_id], cost)
    return {
        state_id: EXACT.quantize(EXACT.divide(notional[state_id], total), PRICE_TO)
        for state_id, total in quantity.items()
        if total > 0
    }


def position(
    holding: Holding,
    instrument: Instrument,
    balances: Mapping[str, Balance],
    orders: Sequence[WorkingOrder],
) -> Position | None:
    """The net of the state's fills, at most what is free or locked by our own orders, floored to
    the step; None when nothing is left."""
    balance = balances.get(instrument.base)
    free = balance.free if balance is not None else ZERO
    there = EXACT.add(free, locked(instrument.symbol, orders))
    quantity = instrument.floor_quantity(min(holding.quantity, there))
    if quantity <= 0:
        return None
    return Position(instrument.symbol, PositionSide.LONG, quantity, holding.entry_price)


def locked(symbol: str, orders: Sequence[WorkingOrder]) -> Decimal:
    """Coins that our working sells hold; the two orders of a pair hold the same ones."""
    by_lock: dict[str, Decimal] = {}
    for order in orders:
        if order.ref.symbol != symbol or not order.ours or order.side is not OrderSide.SELL:
            continue
        lock = order.pair_id or order.ref.venue_order_id or order.ref.client_order_id or ""
        by_lock[lock] = max(by_lock.get(lock, ZERO), order.remaining)
    return sum(by_lock.values(), ZERO)
