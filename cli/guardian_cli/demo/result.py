"""The day's profit and loss, and whether it is what the venue's own balance says."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from guardian_cli.demo.stage import Stage
from guardian_core.domain.money import EXACT, ZERO, plain
from guardian_core.domain.orders import Role
from guardian_core.storage.schema import Trade


@dataclass(frozen=True, slots=True)
class PositionResult:
    """Prices are averages over fills; P&L in quote, fees included."""

    side: str
    quantity: Decimal
    entry_price: Decimal | None
    exit_price: Decimal | None
    close_reason: str
    repairs: int
    opened_at: datetime | None
    closed_at: datetime | None
    pnl_average: Decimal
    pnl_fifo: Decimal
    realized_pnl: Decimal | None
    trace_id: str


@dataclass(frozen=True, slots=True)
class DayResult:
    """`venue_change`: of the venue's balance over the day."""

    positions: tuple[PositionResult, ...]
    total_pnl: Decimal
    venue_change: Decimal


async def settle_day(stage: Stage, start_money: Decimal) -> DayResult:
    """Expects every position to have its result, the same by both methods, and the sum of them
    to be what the venue's balance gained, to the last digit."""
    trades = await stage.books.trades()
    positions = []
    for state in await stage.books.closed():
        own = [trade for trade in trades if trade.webhook_state_id == state.id]
        entries = [trade for trade in own if trade.role == Role.ENTRY.value]
        exits = [trade for trade in own if trade.role != Role.ENTRY.value]
        positions.append(
            PositionResult(
                side=state.side,
                quantity=_filled(entries),
                entry_price=_average(entries),
                exit_price=_average(exits),
                close_reason=state.close_reason,
                repairs=state.repairs,
                opened_at=state.opened_at,
                closed_at=state.closed_at,
                pnl_average=_sum(trade.pnl_average for trade in own),
                pnl_fifo=_sum(trade.pnl_fifo for trade in own),
                realized_pnl=state.realized_pnl,
                trace_id=entries[0].trace_id if entries else state.trace_id,
            )
        )
    total = _sum(position.realized_pnl for position in positions)
    change = EXACT.subtract(await stage.books.money(), start_money)
    stage.expect(
        all(p.pnl_average == p.pnl_fifo == p.realized_pnl for p in positions),
        "average-price and FIFO results agree for every position",
    )
    stage.expect(
        total == change,
        f"our results add up to what the venue's balance gained: {plain(change)}",
    )
    return DayResult(tuple(positions), total, change)


def _filled(trades: list[Trade]) -> Decimal:
    return _sum(trade.filled_quantity for trade in trades)


def _average(trades: list[Trade]) -> Decimal | None:
    """Rounded to six places: it is for people."""
    quantity = _filled(trades)
    if not quantity:
        return None
    value = _sum(
        EXACT.multiply(trade.filled_quantity, trade.average_price)
        for trade in trades
        if trade.average_price is not None
    )
    return round(EXACT.divide(value, quantity), 6).normalize()


def _sum(values: Iterable[Decimal | None]) -> Decimal:
    total = ZERO
    for value in values:
        total = EXACT.add(total, value or ZERO)
    return total
