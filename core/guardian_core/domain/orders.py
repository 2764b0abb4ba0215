"""The words of orders: sides, roles, types, status, bodies and their derived ids."""

import base64
import hashlib
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from guardian_core.domain.errors import CallerError


class OrderSide(StrEnum):
    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell: what a fill adds to a position."""
        return 1 if self is OrderSide.BUY else -1


class PositionSide(StrEnum):
    LONG = "long"
    SHORT = "short"

    @property
    def sign(self) -> int:
        return 1 if self is PositionSide.LONG else -1

    @property
    def entry_side(self) -> OrderSide:
        return OrderSide.BUY if self is PositionSide.LONG else OrderSide.SELL

    @property
    def exit_side(self) -> OrderSide:
        return OrderSide.SELL if self is PositionSide.LONG else OrderSide.BUY

    @property
    def opposite(self) -> "PositionSide":
        return PositionSide.SHORT if self is PositionSide.LONG else PositionSide.LONG


class Role(StrEnum):
    """What an order of ours is for. The two protective roles are the legs of a position."""

    ENTRY = "entry"
    EXIT = "exit"
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"

    @property
    def is_leg(self) -> bool:
        return self in LEGS


LEGS = (Role.STOP_LOSS, Role.TAKE_PROFIT)


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"

    @property
    def is_conditional(self) -> bool:
        return self in (OrderType.STOP_LOSS, OrderType.TAKE_PROFIT)


class OrderStatus(StrEnum):
    """A trade row's status. `pending`: written ahead of the send, outcome not yet known."""

    PENDING = "pending"
    OPEN = "open"
    CLOSED = "closed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"

    @property
    def is_terminal(self) -> bool:
        return self not in (OrderStatus.PENDING, OrderStatus.OPEN)


class TriggerBasis(StrEnum):
    """The price that fires a trigger order."""

    LAST = "last"
    MARK = "mark"


@dataclass(frozen=True, slots=True)
class OrderBody:
    """One order, immutable once written: a replay sends exactly this, under the same id."""

    client_order_id: str
    role: Role
    symbol: str
    side: OrderSide
    type: OrderType
    quantity: Decimal
    revision: int
    attempt: int
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    reduce_only: bool = False
    trigger_basis: TriggerBasis = TriggerBasis.LAST

    def __post_init__(self) -> None:
        if self.quantity <= 0:
            raise CallerError("quantity", f"{self.quantity} must be above 0")
        if self.type is OrderType.LIMIT and (self.price is None or self.price <= 0):
            raise CallerError("price", "a limit order needs a price above 0")
        if self.type.is_conditional and (self.trigger_price is None or self.trigger_price <= 0):
            raise CallerError("trigger_price", f"a {self.type} order needs a trigger above 0")


@dataclass(frozen=True, slots=True)
class OrderRef:
    """Enough to cancel or amend a working order on any venue."""

    venue_order_id: str
    symbol: str
    conditional: bool
    client_order_id: str | None = None


INSTALLATION_LENGTH = 6
_HASH_LENGTH = 12
CLIENT_ORDER_ID_LENGTH = INSTALLATION_LENGTH + _HASH_LENGTH
"""18 alphanumerics: what every venue takes as it is, and two of which fit in one id of OKX."""


def leg_order_id(installation: str, state_id: UUID, role: Role, revision: int, attempt: int) -> str:
    """The id of a leg's or exit's order: derived, so that a replay can only repeat itself."""
    return _derived_id(installation, f"{state_id.hex}/{role.value}/{revision}/{attempt}")


def entry_order_id(installation: str, webhook_id: UUID) -> str:
    """The id of the entry that a webhook causes: one webhook, one entry, however often replayed."""
    return _derived_id(installation, f"{webhook_id.hex}/{Role.ENTRY.value}")


def belongs_to(installation: str, client_order_id: str | None) -> bool:
    """Whether an order on the venue carries this installation's prefix."""
    return client_order_id is not None and client_order_id.startswith(installation)


def check_installation(installation: str) -> str:
    """Returns the installation id if it can prefix client order ids, else raises CallerError."""
    fits = len(installation) == INSTALLATION_LENGTH and installation.isascii()
    if not (fits and installation.isalnum() and installation == installation.lower()):
        raise CallerError(
            "installation",
            f"{installation!r} is not usable",
            "6 lower-case letters or digits",
        )
    return installation


def _derived_id(installation: str, text: str) -> str:
    digest = hashlib.sha256(f"{installation}/{text}".encode()).digest()
    return installation + base64.b32encode(digest).decode("ascii").lower()[:_HASH_LENGTH]
