"""The paper venue's own books, read from its rows: what the exchange would show a human.

Read with plain SQL and parsed here, so that it can be asked while every process is dead, and so
that it shares nothing with the code that is judged by it.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, select

from guardian_core.storage.schema import PaperRecord

QUOTE = "USDT"
STOP_LOSS, TAKE_PROFIT, ENTRY, EXIT = "stop_loss", "take_profit", "entry", "exit"
LEGS = (STOP_LOSS, TAKE_PROFIT)
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class BookedOrder:
    """One order, working or finished. `role` is what its sender called it."""

    id: str
    client_order_id: str | None
    symbol: str
    side: str
    type: str
    role: str
    status: str
    quantity: Decimal
    filled: Decimal
    trigger_price: Decimal | None
    reduce_only: bool
    parent_id: str | None
    child_id: str | None
    created_at: datetime

    @classmethod
    def of(cls, body: dict[str, Any]) -> "BookedOrder":
        trigger = body["trigger_price"]
        return cls(
            id=body["order_id"],
            client_order_id=body["client_order_id"],
            symbol=body["symbol"],
            side=body["side"],
            type=body["type"],
            role=body["role"],
            status=body["status"],
            quantity=Decimal(body["quantity"]),
            filled=Decimal(body["filled"]),
            trigger_price=None if trigger is None else Decimal(trigger),
            reduce_only=body["reduce_only"],
            parent_id=body["parent_id"],
            child_id=body["child_id"],
            created_at=datetime.fromisoformat(body["created_at"]),
        )

    @property
    def works(self) -> bool:
        return self.status == "open"

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.filled


@dataclass(frozen=True, slots=True)
class BookedFill:
    number: int
    order_id: str
    client_order_id: str | None
    symbol: str
    side: str
    quantity: Decimal
    at: datetime

    @classmethod
    def of(cls, body: dict[str, Any]) -> "BookedFill":
        return cls(
            number=int(body["fill_id"]),
            order_id=body["order_id"],
            client_order_id=body["client_order_id"],
            symbol=body["symbol"],
            side=body["side"],
            quantity=Decimal(body["quantity"]),
            at=datetime.fromisoformat(body["at"]),
        )

    @property
    def signed(self) -> Decimal:
        return self.quantity if self.side == "buy" else -self.quantity


@dataclass(frozen=True, slots=True)
class VenueBooks:
    """One account at one moment; orders and fills in the order in which they came."""

    orders: tuple[BookedOrder, ...]
    fills: tuple[BookedFill, ...]
    positions: dict[str, Decimal]
    """Derivatives, signed, by symbol."""
    coins: dict[str, Decimal]

    def position(self, symbol: str) -> Decimal:
        """Signed, in base units; on spot the coins that are there."""
        return self.positions.get(symbol, ZERO) or self.coins.get(_base(symbol), ZERO)

    def working(self, symbol: str, role: str | None = None) -> list[BookedOrder]:
        return [o for o in self.orders if o.works and o.symbol == symbol and role in (None, o.role)]

    def legs(self, symbol: str) -> dict[str, list[BookedOrder]]:
        """Working protective orders by role; none for a role whose list is missing."""
        found: defaultdict[str, list[BookedOrder]] = defaultdict(list)
        for order in self.working(symbol):
            if order.role in LEGS:
                found[order.role].append(order)
        return dict(found)

    def entries(self, symbol: str) -> list[BookedOrder]:
        """Every entry the venue ever took, finished ones too."""
        return [o for o in self.orders if o.symbol == symbol and o.role == ENTRY]

    def is_guarded(self, symbol: str, levels: dict[str, Decimal], step: Decimal) -> bool:
        """Whether exactly these legs work, each for all of the position but what is below a step,
        and nothing else does."""
        position = self.position(symbol)
        legs = self.legs(symbol)
        return (
            position != 0
            and legs.keys() == levels.keys()
            and len(self.working(symbol)) == len(levels)
            and all(
                order.trigger_price == levels[role]
                and order.side == ("sell" if position > 0 else "buy")
                and 0 <= abs(position) - order.remaining < step
                for role, orders in legs.items()
                for order in orders
            )
        )


def read_books(connection: Connection, account: str) -> VenueBooks:
    """One consistent look: a command's changes are there as a whole or not at all."""
    query = select(PaperRecord.kind, PaperRecord.body).where(PaperRecord.account_name == account)
    orders: list[BookedOrder] = []
    fills: list[BookedFill] = []
    positions: dict[str, Decimal] = {}
    coins: dict[str, Decimal] = {}
    for kind, body in connection.execute(query):
        if kind in ("working_order", "finished_order"):
            orders.append(BookedOrder.of(body))
        elif kind.startswith("fill:"):
            fills.append(BookedFill.of(body))
        elif kind == "position":
            positions[body["symbol"]] = Decimal(body["quantity"])
        elif kind == "balance" and body["currency"] != QUOTE:
            coins[body["currency"]] = Decimal(body["total"])
    return VenueBooks(
        orders=tuple(sorted(orders, key=lambda order: int(order.id))),
        fills=tuple(sorted(fills, key=lambda fill: fill.number)),
        positions=positions,
        coins=coins,
    )


def _base(symbol: str) -> str:
    return symbol.removesuffix(QUOTE)
