"""What the paper venue remembers: frozen records, each with a key of its own.

Everything that must outlive a process is one of these; a store writes and reads them one by one.
Quantities are base units, prices and values quote units, all exact decimals.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal
from enum import StrEnum

from guardian_core.domain.money import ZERO, plain
from guardian_core.domain.orders import (
    OrderRef,
    OrderSide,
    OrderStatus,
    OrderType,
    Role,
    TriggerBasis,
)
from guardian_gateway.venues.port import VenueFill, VenueOrder

QUANTUM = Decimal("1e-12")
"""Fees, margins, entry prices and the cost that a partial close takes along are rounded to this,
half to even. Nothing else is ever rounded: what a rounding takes here, it leaves there."""

_ROUNDING = Context(prec=200)


def rounded(value: Decimal) -> Decimal:
    return Decimal(plain(_ROUNDING.quantize(value, QUANTUM)))


def ratio(numerator: Decimal, denominator: Decimal) -> Decimal:
    """The quotient, rounded to the quantum."""
    return rounded(_ROUNDING.divide(numerator, denominator))


def share(value: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """`value * part / whole`, rounded once."""
    return ratio(_ROUNDING.multiply(value, part), whole)


@dataclass(frozen=True, slots=True)
class PaperOrder:
    """One order. `order_id` numbers orders as they came. `value`: what its fills cost in quote.

    A triggered conditional order names its `child_id`; its own `filled` and `value` are then the
    child's. `forgotten`: lost by the venue, as a fault; nobody can find it any more.
    """

    order_id: str
    symbol: str
    side: OrderSide
    type: OrderType
    role: Role
    quantity: Decimal
    created_at: datetime
    updated_at: datetime
    client_order_id: str | None = None
    status: OrderStatus = OrderStatus.OPEN
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    trigger_basis: TriggerBasis | None = None
    reduce_only: bool = False
    filled: Decimal = ZERO
    value: Decimal = ZERO
    pair_id: str | None = None
    parent_id: str | None = None
    child_id: str | None = None
    forgotten: bool = False

    @property
    def key(self) -> str:
        return self.order_id

    @property
    def number(self) -> int:
        return int(self.order_id)

    @property
    def working(self) -> bool:
        return self.status is OrderStatus.OPEN

    @property
    def triggered(self) -> bool:
        return self.child_id is not None

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.filled

    @property
    def level(self) -> Decimal | None:
        """The price that makes a resting order act: its trigger or its limit."""
        return self.trigger_price if self.type.is_conditional else self.price

    @property
    def acts_when_falling(self) -> bool:
        """Whether it waits for the price to come down to its level, not up to it."""
        stop = self.type is OrderType.STOP_LOSS
        return stop is (self.side is OrderSide.SELL)

    def is_reached(self, price: Decimal) -> bool:
        """Whether its level is at or behind this price."""
        level = self.level
        if level is None:
            return False
        return price <= level if self.acts_when_falling else price >= level

    def ref(self) -> OrderRef:
        return OrderRef(
            venue_order_id=self.order_id,
            symbol=self.symbol,
            conditional=self.type.is_conditional,
            client_order_id=self.client_order_id,
        )

    def as_venue_order(self) -> VenueOrder:
        return VenueOrder(
            ref=self.ref(),
            side=self.side,
            type=self.type,
            status=self.status,
            quantity=self.quantity,
            filled_quantity=self.filled,
            average_price=ratio(self.value, self.filled) if self.filled else None,
            price=self.price,
            trigger_price=self.trigger_price,
            trigger_basis=self.trigger_basis,
            reduce_only=self.reduce_only,
            pair_id=self.pair_id,
            parent_id=self.parent_id,
            child_id=self.child_id,
            created_at=self.created_at,
        )


@dataclass(frozen=True, slots=True)
class PaperFill:
    """One execution; numbered like orders, so a later one has the larger number.

    `client_order_id`: of the order that was asked for; of a child's fill, that is its parent.
    """

    fill_id: str
    order_id: str
    symbol: str
    side: OrderSide
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_currency: str
    at: datetime
    client_order_id: str | None = None

    @property
    def key(self) -> str:
        return self.fill_id

    def as_venue_fill(self) -> VenueFill:
        return VenueFill(
            venue_fill_id=self.fill_id,
            symbol=self.symbol,
            venue_order_id=self.order_id,
            side=self.side,
            price=self.price,
            quantity=self.quantity,
            fee=self.fee,
            fee_currency=self.fee_currency,
            at=self.at,
            client_order_id=self.client_order_id,
        )


@dataclass(frozen=True, slots=True)
class PaperBalance:
    """What is owned of one currency. What orders lock of it follows from the orders."""

    currency: str
    total: Decimal

    @property
    def key(self) -> str:
        return self.currency


@dataclass(frozen=True, slots=True)
class PaperPosition:
    """A derivative position, signed: long above 0. `cost`: what its quantity was opened for."""

    symbol: str
    quantity: Decimal = ZERO
    cost: Decimal = ZERO

    @property
    def key(self) -> str:
        return self.symbol

    @property
    def entry_price(self) -> Decimal:
        return ratio(self.cost, self.quantity)


@dataclass(frozen=True, slots=True)
class PaperPrice:
    """The last price of a symbol; `bar_time` is that of the newest bar applied to it."""

    symbol: str
    last: Decimal
    at: datetime
    bar_time: datetime | None = None

    @property
    def key(self) -> str:
        return self.symbol


@dataclass(frozen=True, slots=True)
class PaperLeverage:
    symbol: str
    leverage: Decimal

    @property
    def key(self) -> str:
        return self.symbol


@dataclass(frozen=True, slots=True)
class PaperCounter:
    """The last number given to an order, a fill or a pair."""

    last: int = 1000

    @property
    def key(self) -> str:
        return "counter"


Record = (
    PaperOrder
    | PaperFill
    | PaperBalance
    | PaperPosition
    | PaperPrice
    | PaperLeverage
    | PaperCounter
)


class EventKind(StrEnum):
    ACCEPTED = "accepted"
    AMENDED = "amended"
    TRIGGERED = "triggered"
    FILLED = "filled"
    CANCELLED = "cancelled"
    FORGOTTEN = "forgotten"


@dataclass(frozen=True, slots=True)
class LedgerEvent:
    """What happened on the venue, in order. An order works from `accepted` until it is
    `cancelled`, `forgotten`, `triggered`, or its `remaining` is 0.

    `quantity` and `price`: of the fill for `filled`; else what the order is for and its level.
    `position_after`: signed, in base units (spot: the coins owned).
    """

    at: datetime
    kind: EventKind
    symbol: str
    order_id: str
    client_order_id: str | None
    parent_id: str | None
    side: OrderSide
    role: Role
    type: OrderType
    reduce_only: bool
    quantity: Decimal
    remaining: Decimal
    price: Decimal | None
    position_after: Decimal
