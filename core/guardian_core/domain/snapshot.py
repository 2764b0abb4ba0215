"""What a venue reported, frozen: the input of `decide`.

An `AccountSnapshot` is what the gateway answers; a `LaneSnapshot` is its part for one symbol.
Orders are read first and positions last, so an order that filled in between shows as a position
without its order, never as an order without its position.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from guardian_core.domain.money import ZERO, Instrument
from guardian_core.domain.orders import (
    OrderRef,
    OrderSide,
    OrderType,
    PositionSide,
    Role,
    TriggerBasis,
)


class LegsMode(StrEnum):
    """How a venue lets stop-loss and take-profit stand side by side."""

    INDEPENDENT = "independent"
    """Two reduce-only orders (derivatives)."""
    PAIR = "pair"
    """One OCO pair, because either order alone locks the coins (spot)."""
    STOP_ONLY = "stop_only"
    """Only the stop fits on the venue; the guardian watches the take-profit itself."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an adapter has proved for its venue. `visibility_delay_s`: how long an accepted
    order may be missing from the listings. `valid_for_s`: how long after a request was made the
    venue may still carry it out, where it takes none that is made to expire sooner."""

    legs: LegsMode
    amend: bool
    create_then_cancel: bool
    reports_positions: bool
    visibility_delay_s: float = 0.0
    valid_for_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Section:
    """How one part of a snapshot was read. `age_ms`: between the venue's answer and ours."""

    ok: bool
    age_ms: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """An open position as the venue reports it; quantity in base units, always above 0."""

    symbol: str
    side: PositionSide
    quantity: Decimal
    entry_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class WorkingOrder:
    """An order accepted and not finished, or one of ours whose fate is being looked up.

    `remaining` and `quantity` are base units. The fields from `ours` on come from our trade
    rows: None where no row explains the order.
    """

    ref: OrderRef
    side: OrderSide
    type: OrderType
    quantity: Decimal
    remaining: Decimal
    trigger_price: Decimal | None = None
    price: Decimal | None = None
    reduce_only: bool = False
    whole_position: bool = False
    trigger_basis: TriggerBasis | None = None
    pair_id: str | None = None
    ours: bool = False
    in_flight: bool = False
    role: Role | None = None
    state_id: UUID | None = None
    revision: int | None = None
    attempt: int | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """A symbol's last (and, where known, mark) price; `age_ms` since the venue gave it."""

    symbol: str
    last: Decimal
    age_ms: int = 0
    mark: Decimal | None = None

    def of(self, basis: TriggerBasis) -> Decimal:
        return self.mark if basis is TriggerBasis.MARK and self.mark is not None else self.last


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """One account as its venue reported it. Covers every symbol asked for or found."""

    account: str
    venue: str
    capabilities: Capabilities
    positions_section: Section
    orders_section: Section
    positions: tuple[Position, ...] = ()
    orders: tuple[WorkingOrder, ...] = ()
    prices: tuple[Price, ...] = ()
    instruments: tuple[Instrument, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LaneSnapshot:
    """An account snapshot narrowed to one symbol. `age_s`: how old its oldest part is, on a
    monotonic clock, when `decide` runs."""

    symbol: str
    capabilities: Capabilities
    age_s: float
    failures: tuple[str, ...] = ()
    position: Position | None = None
    orders: tuple[WorkingOrder, ...] = ()
    price: Price | None = None
    instrument: Instrument | None = None
    warnings: tuple[str, ...] = field(default=())

    def notional_price(self, otherwise: Decimal | None) -> Decimal | None:
        """The price by which the venue's minimum notional counts for what sells; None where it
        does not (reduce-only orders on derivatives are exempt)."""
        if self.capabilities.reports_positions:
            return None
        return self.price.last if self.price else otherwise

    @property
    def live_quantity(self) -> Decimal:
        return self.position.quantity if self.position else ZERO


_T = TypeVar("_T", Position, Price, Instrument)


def lane_of(snapshot: AccountSnapshot, symbol: str, call_s: float = 0.0) -> LaneSnapshot:
    """The part of a snapshot that concerns one symbol.

    `call_s` is how long the call took on the caller's monotonic clock: the answer may have
    been read that long ago at worst, so it adds to every age.
    """
    sections = {
        "positions": snapshot.positions_section,
        "orders": snapshot.orders_section,
    }
    price = _only(snapshot.prices, symbol)
    if price is not None:
        aged_ms = price.age_ms + round(call_s * 1000)
        price = Price(price.symbol, price.last, aged_ms, price.mark)
    return LaneSnapshot(
        symbol=symbol,
        capabilities=snapshot.capabilities,
        age_s=call_s + max(section.age_ms for section in sections.values()) / 1000,
        failures=tuple(f"{name}: {s.error}" for name, s in sections.items() if not s.ok),
        position=_only(snapshot.positions, symbol),
        orders=tuple(order for order in snapshot.orders if order.ref.symbol == symbol),
        price=price,
        instrument=_only(snapshot.instruments, symbol),
        warnings=snapshot.warnings,
    )


def _only(items: tuple[_T, ...], symbol: str) -> _T | None:
    return next((item for item in items if item.symbol == symbol), None)
