"""What the gateway asks of a venue. Adapters: `paper` here, one per real exchange beside it.

Rules that every adapter keeps:

1. A write raises `Rejected` only for what is on its allow-list of definite refusals, `NotSent`
   only when the request surely never left, and `Ambiguous` for everything else, a strange 200
   among it.
2. A read that fails raises `Unavailable`; it never returns less than it was asked for.
3. Quantities are base units on this side of the port; contracts stay inside the adapter.
4. `open_orders` lists plain and conditional orders and pairs, each once, with the parameters
   that this venue needs to show them all.
5. `find` looks an id up wherever the venue may keep it: working (plain and conditional),
   finished, and, through a triggered parent, its child.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol, runtime_checkable

from guardian_core.domain.money import Instrument
from guardian_core.domain.orders import (
    OrderBody,
    OrderRef,
    OrderSide,
    OrderStatus,
    OrderType,
    TriggerBasis,
)
from guardian_core.domain.snapshot import Capabilities, Position, Price


@dataclass(frozen=True, slots=True)
class Balance:
    """One currency. `total` = `free` + what orders lock or positions use as margin."""

    currency: str
    free: Decimal
    total: Decimal


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """An order as the venue tells it. `parent_id`: the conditional order that became this one.

    A triggered parent stays `open` here until its child is terminal. It names the child in
    `child_id` (whose fills carry the child's id) and shows the child's fills as its own.
    """

    ref: OrderRef
    side: OrderSide
    type: OrderType
    status: OrderStatus
    quantity: Decimal
    filled_quantity: Decimal
    average_price: Decimal | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    trigger_basis: TriggerBasis | None = None
    reduce_only: bool = False
    whole_position: bool = False
    pair_id: str | None = None
    parent_id: str | None = None
    child_id: str | None = None
    created_at: datetime | None = None

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.filled_quantity


@dataclass(frozen=True, slots=True)
class VenueFill:
    """One execution. `fee` is what was paid (above 0) or earned (below 0), in `fee_currency`."""

    venue_fill_id: str
    symbol: str
    venue_order_id: str
    side: OrderSide
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_currency: str
    at: datetime
    client_order_id: str | None = None


class Venue(Protocol):
    """One account on one venue. Every method may raise `Unavailable`; see the module's rules."""

    name: str

    def capabilities(self) -> Capabilities: ...

    async def instrument(self, symbol: str) -> Instrument:
        """Raises CallerError on `symbol` when the venue does not trade it."""
        ...

    async def balances(self) -> Sequence[Balance]: ...

    async def positions(self) -> Sequence[Position]:
        """Open positions; empty where `reports_positions` is False (spot)."""
        ...

    async def open_orders(self, symbol: str | None = None) -> Sequence[VenueOrder]: ...

    async def find(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        """None only when the venue surely does not know the id at this moment."""
        ...

    async def fills(self, symbol: str, since: datetime | None = None) -> Sequence[VenueFill]:
        """Executions at or after `since` (a margin before it is allowed), oldest first."""
        ...

    async def price(self, symbol: str) -> Price: ...

    async def create(self, body: OrderBody) -> VenueOrder: ...

    async def create_pair(
        self, stop_loss: OrderBody, take_profit: OrderBody
    ) -> Sequence[VenueOrder]:
        """Both or none; cancelling or filling one cancels the other."""
        ...

    async def amend(self, order: OrderRef, body: OrderBody) -> VenueOrder:
        """Raises OrderGone when the order is not working any more."""
        ...

    async def cancel(self, order: OrderRef) -> None:
        """Raises OrderGone when it is not working any more: cancelled, or filled."""
        ...

    async def set_leverage(self, symbol: str, leverage: Decimal) -> None: ...

    async def close(self) -> None: ...


@runtime_checkable
class Streaming(Protocol):
    """What a venue can besides that tells when an account has moved."""

    async def listen(self, moved: Callable[[], None]) -> None:
        """Runs until its one connection ends, and raises Unavailable then.

        Calls `moved` once after it is connected and subscribed (what was before has been missed),
        and at every event. It may call it for nothing; it may miss an event: whoever listens goes
        on looking by itself.
        """
        ...
