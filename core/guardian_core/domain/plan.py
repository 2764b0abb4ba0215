"""The desire: what should be, as our database says it; the other input of `decide`."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from guardian_core.domain.errors import CallerError, RejectReason
from guardian_core.domain.money import EXACT, parse_decimal
from guardian_core.domain.orders import OrderStatus, PositionSide, Role, TriggerBasis


class StateStatus(StrEnum):
    """`pending`: the entry is committed, nothing filled yet. `released`: no longer guarded."""

    PENDING = "pending"
    OPEN = "open"
    CLOSED = "closed"
    RELEASED = "released"

    @property
    def is_live(self) -> bool:
        return self in (StateStatus.PENDING, StateStatus.OPEN)


class Direction(StrEnum):
    LONG_ONLY = "LongOnly"
    BOTH = "Both"


class OnCrossedStop(StrEnum):
    CLOSE = "Close"
    ALERT = "Alert"


class RepeatEntry(StrEnum):
    IGNORE = "Ignore"
    ADD = "Add"


@dataclass(frozen=True, slots=True)
class Policy:
    """An account's choices. None of `max_unprotected_s` means: never close for being naked."""

    direction: Direction = Direction.BOTH
    on_crossed_stop: OnCrossedStop = OnCrossedStop.CLOSE
    repeat_entry: RepeatEntry = RepeatEntry.IGNORE
    max_entry_age_s: float = 60.0
    max_unprotected_s: float | None = None
    max_crossed_percent: Decimal = Decimal(2)
    allow_remove: bool = False
    trigger_basis: TriggerBasis = TriggerBasis.LAST


@dataclass(frozen=True, slots=True)
class PastOrder:
    """One of our orders under the plan's present revision, as its trade row stands."""

    role: Role
    attempt: int
    status: OrderStatus
    quantity: Decimal
    filled_quantity: Decimal
    updated_at: datetime
    reject_reason: RejectReason | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """One lane's guarded position and its desire.

    `net_filled`: what was filled since the state began, signed (long above 0), less fees taken
    in base coin; None where fills cannot tell (an adopted position). `entry_sent`: an entry order
    has left, may have left, or was refused for good. `entry_due`: its alert is not finished, so
    it may still be sent. `last_exit_fill_at`: the newest fill of a leg or exit.
    `closed_unexplained`: closed by what the venue showed, though its fills left something.
    `orders`: rows of the present revision; of many refused ones the newest only.
    """

    state_id: UUID
    symbol: str
    side: PositionSide
    status: StateStatus
    revision: int
    revised_at: datetime
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    target_quantity: Decimal | None = None
    net_filled: Decimal | None = None
    entry_sent: bool = False
    entry_due: bool = False
    entry_working: bool = False
    last_exit_fill_at: datetime | None = None
    naked_since: datetime | None = None
    flat_seen_at: datetime | None = None
    quantity: Decimal | None = None
    entry_price: Decimal | None = None
    closed_at: datetime | None = None
    closed_unexplained: bool = False
    stop_loss_order_id: str | None = None
    take_profit_order_id: str | None = None
    orders: tuple[PastOrder, ...] = ()
    installation: str = "guardn"

    @property
    def held(self) -> Decimal | None:
        """What our fills left on this plan's side; None where fills cannot tell."""
        return None if self.net_filled is None else self.net_filled * self.side.sign

    def level(self, role: Role) -> Decimal | None:
        """The desired trigger price of a leg."""
        return self.stop_loss if role is Role.STOP_LOSS else self.take_profit

    def attempts(self, role: Role) -> tuple[PastOrder, ...]:
        """This revision's orders of one role, oldest attempt first."""
        return tuple(
            sorted(
                (o for o in self.orders if o.role is role),
                key=lambda order: order.attempt,
            )
        )

    def next_attempt(self, role: Role) -> int:
        past = self.attempts(role)
        return past[-1].attempt + 1 if past else 1


def check_level(value: object, field: str) -> Decimal:
    """A usable price level, or CallerError."""
    level = parse_decimal(value, field)
    if level <= 0:
        raise CallerError(field, f"{value} is not above 0", "send a price, or leave the field out")
    return level


def check_levels(
    side: PositionSide, stop_loss: Decimal | None, take_profit: Decimal | None
) -> None:
    """Raises CallerError when the two levels are inverted against each other for this side."""
    if stop_loss is None or take_profit is None:
        return
    if side.sign * (take_profit - stop_loss) <= 0:
        relation = "below" if side is PositionSide.LONG else "above"
        raise CallerError(
            "PrixSL",
            f"stop-loss {stop_loss} and take-profit {take_profit} are inverted for a {side}",
            f"the stop-loss of a {side} lies {relation} its take-profit",
        )


def crossed_percent(
    side: PositionSide, role: Role, level: Decimal, price: Decimal
) -> Decimal | None:
    """By how many percent of the price a leg's level is already passed; None when it is not."""
    toward = side.sign if role is Role.STOP_LOSS else -side.sign
    beyond = EXACT.multiply(Decimal(toward), EXACT.subtract(level, price))
    return EXACT.divide(beyond.scaleb(2, EXACT), price) if beyond >= 0 else None
