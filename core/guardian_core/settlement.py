"""What a state has earned, from its fills alone. Pure; called by the Order Monitor, and by the
gateway for an account's daily loss.

1. `realized` is by average price, net of fees, funding included; each trade gets its own part by
   both methods, and the parts of all trades, with funding, add up to it.
2. The result is incomplete where a fee has no known worth, where the state was adopted (what
   opening it cost is not among the fills), and where a finished state's fills leave a rest that
   its closing does not explain.
3. A rest is explained when the closing found it too small to trade, every filled order's fills
   are here, and no fill came later.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from guardian_core.domain.money import EXACT, ZERO
from guardian_core.domain.orders import OrderSide
from guardian_core.domain.pnl import (
    Pnl,
    PnlEvent,
    PnlFill,
    PnlFunding,
    average_price_pnl,
    fifo_pnl,
)
from guardian_core.storage.fills import CLOSED_SKEW
from guardian_core.storage.ledgers import Ledger, LedgerFill

ADOPTED = "adopted"
LEAVES_DUST = frozenset({"Flat", "Dust"})
"""Closings by which decide has judged the rest against the venue's step and minimum."""


@dataclass(frozen=True, slots=True)
class TradeResult:
    trade_id: UUID
    average: Decimal
    fifo: Decimal


@dataclass(frozen=True, slots=True)
class Settlement:
    """`realized` is None while a live state has no fills. `trades`: only those with fills."""

    realized: Decimal | None
    incomplete: bool
    trades: tuple[TradeResult, ...] = ()

    def new_trades(self, ledger: Ledger) -> tuple[TradeResult, ...]:
        """Results that the rows do not hold yet."""
        stored = {trade.id: (trade.pnl_average, trade.pnl_fifo) for trade in ledger.trades}
        return tuple(
            result
            for result in self.trades
            if result.trade_id in stored
            and stored[result.trade_id] != (result.average, result.fifo)
        )

    def changes_state(self, ledger: Ledger) -> bool:
        state = ledger.state
        return (self.realized, self.incomplete) != (state.realized_pnl, state.pnl_incomplete)


def settle(ledger: Ledger) -> Settlement:
    """The state's result as its ledger stands."""
    over = not ledger.state.status.is_live
    if not ledger.fills and not ledger.funding:
        unexplained = ledger.state.pnl_incomplete or ledger.state.source == ADOPTED
        return Settlement(ZERO, unexplained) if over else Settlement(None, incomplete=False)
    events = _events(ledger)
    average, fifo = (method([event for _, event in events]) for method in _METHODS)
    incomplete = (
        ledger.state.source == ADOPTED
        or any(_fee_in_quote(fill) is None for fill in ledger.fills)
        or (over and not _is_explained(ledger, average))
    )
    opening = len(events) - len(ledger.fills) - len(ledger.funding)
    owners = [None] * opening + [fill.trade_id for fill in ledger.fills]
    return Settlement(average.realized, incomplete, _by_trade(owners, average, fifo))


def realized_since(ledger: Ledger, since: datetime) -> Decimal:
    """What its fills and funding from `since` on have earned, by average price, net of fees whose
    worth is known."""
    events = _events(ledger)
    parts = average_price_pnl([event for _, event in events]).per_fill
    return sum((part for (at, _), part in zip(events, parts, strict=True) if at >= since), ZERO)


def _events(ledger: Ledger) -> list[tuple[datetime, PnlEvent]]:
    """What opened an adopted state, then its fills, then its funding: each with its time."""
    events: list[tuple[datetime, PnlEvent]] = []
    events += [(ledger.state.created_at, fill) for fill in _adopted_opening(ledger)]
    events += [(fill.at, _pnl_fill(fill)) for fill in ledger.fills]
    events += [(payment.at, PnlFunding(payment.amount)) for payment in ledger.funding]
    return events


_METHODS = (average_price_pnl, fifo_pnl)


def _by_trade(owners: Sequence[UUID | None], average: Pnl, fifo: Pnl) -> tuple[TradeResult, ...]:
    """Each event's part, added up per trade; funding comes last in the events and has none."""
    sums: dict[UUID, tuple[Decimal, Decimal]] = defaultdict(lambda: (ZERO, ZERO))
    for trade_id, by_average, by_fifo in zip(owners, average.per_fill, fifo.per_fill, strict=False):
        if trade_id is not None:
            so_far = sums[trade_id]
            sums[trade_id] = (EXACT.add(so_far[0], by_average), EXACT.add(so_far[1], by_fifo))
    return tuple(TradeResult(trade_id, *parts) for trade_id, parts in sums.items())


def _pnl_fill(fill: LedgerFill) -> PnlFill:
    return PnlFill(
        side=fill.side,
        quantity=fill.quantity,
        price=fill.price,
        fee_quote=_fee_in_quote(fill) or ZERO,
        fee_base=fill.fee_base,
    )


def _fee_in_quote(fill: LedgerFill) -> Decimal | None:
    """The stored worth; a fee taken wholly out of the coins is worth them at the fill's price."""
    if fill.fee_quote is not None:
        return fill.fee_quote
    if fill.fee in (ZERO, fill.fee_base):
        return EXACT.multiply(fill.fee, fill.price)
    return None


def _adopted_opening(ledger: Ledger) -> list[PnlFill]:
    """An adopted position as one entry at the venue's average price: what its fills do not tell."""
    state = ledger.state
    if state.source != ADOPTED or state.entry_price is None or state.entry_price <= 0:
        return []
    held = EXACT.multiply(Decimal(state.side.sign), state.quantity)
    missing = EXACT.subtract(held if state.status.is_live else ZERO, _net(ledger.fills))
    quantity = EXACT.multiply(Decimal(state.side.sign), missing)
    if quantity <= 0:
        return []
    return [PnlFill(state.side.entry_side, quantity, state.entry_price)]


def _net(fills: Sequence[LedgerFill]) -> Decimal:
    net = ZERO
    for fill in fills:
        signed = fill.quantity if fill.side is OrderSide.BUY else fill.quantity.copy_negate()
        net = EXACT.subtract(EXACT.add(net, signed), fill.fee_base)
    return net


def _is_explained(ledger: Ledger, pnl: Pnl) -> bool:
    """Whether a finished state's fills, and how it was closed, account for all of it."""
    if pnl.open_quantity == 0:
        return True
    state = ledger.state
    known: dict[UUID | None, Decimal] = defaultdict(lambda: ZERO)
    for fill in ledger.fills:
        known[fill.trade_id] = EXACT.add(known[fill.trade_id], fill.quantity)
    closed = state.closed_at
    return (
        state.close_reason in LEAVES_DUST
        and pnl.open_quantity * state.side.sign > 0
        and all(known[trade.id] >= trade.reported for trade in ledger.trades)
        and closed is not None
        and all(fill.at <= closed + CLOSED_SKEW for fill in ledger.fills)
    )
