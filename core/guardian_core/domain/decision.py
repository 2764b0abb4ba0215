"""What `decide` returns: how covered a position is, what to do, and why.

Actions go to the gateway; changes go to our own rows. Both are plain data, so that a decision
can be printed, sent over HTTP, and compared.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from guardian_core.domain.orders import LEGS, OrderBody, OrderRef, Role


class Coverage(StrEnum):
    """How much of a position's desired protection works on the venue."""

    FLAT = "Flat"
    PROTECTED = "Protected"
    PARTIAL = "Partial"
    """Some desired leg works, another is missing or has the wrong size or level."""
    NAKED = "Naked"
    """No desired leg works."""
    UNKNOWN = "Unknown"
    UNGUARDED = "Unguarded"
    DUST = "Dust"


@dataclass(frozen=True, slots=True)
class Reason:
    """A CamelCase code for machines, a sentence for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Submit:
    """Create one order, or two as a pair; then cancel what it replaces.

    `cancel_first`: the venue cannot hold old and new together, so what it replaces goes first
    and the gap is measured.
    """

    bodies: tuple[OrderBody, ...]
    replaces: tuple[OrderRef, ...] = ()
    cancel_first: bool = False
    kind: Literal["submit"] = "submit"


@dataclass(frozen=True, slots=True)
class Amend:
    """Change a working order in place to the body's trigger and quantity; its id stays."""

    order: OrderRef
    body: OrderBody
    kind: Literal["amend"] = "amend"


@dataclass(frozen=True, slots=True)
class Cancel:
    order: OrderRef
    reason: str
    kind: Literal["cancel"] = "cancel"


@dataclass(frozen=True, slots=True)
class Reduce:
    """Close part of the position at market, reduce-only; `frees`: legs whose coins it needs."""

    body: OrderBody
    frees: tuple[OrderRef, ...] = ()
    kind: Literal["reduce"] = "reduce"


Action = Submit | Amend | Cancel | Reduce


@dataclass(frozen=True, slots=True)
class Observed:
    """The state's view of the venue: written only when it differs from what is stored."""

    quantity: Decimal
    entry_price: Decimal | None
    stop_loss_order_id: str | None
    take_profit_order_id: str | None
    kind: Literal["observed"] = "observed"


@dataclass(frozen=True, slots=True)
class NakedSince:
    at: datetime | None
    kind: Literal["naked_since"] = "naked_since"


@dataclass(frozen=True, slots=True)
class FlatSeen:
    at: datetime | None
    kind: Literal["flat_seen"] = "flat_seen"


@dataclass(frozen=True, slots=True)
class SetTarget:
    """A new desire: what shall remain of the position. Nothing else is done in this decision."""

    quantity: Decimal
    reason: str
    kind: Literal["set_target"] = "set_target"


@dataclass(frozen=True, slots=True)
class ClearTarget:
    kind: Literal["clear_target"] = "clear_target"


UNEXPLAINED = "FlatUnexplained"
"""Why a state is closed that its fills say is still open."""


@dataclass(frozen=True, slots=True)
class Close:
    """The state is over. `incomplete`: its fills do not explain why."""

    reason: str
    incomplete: bool = False
    kind: Literal["close"] = "close"


@dataclass(frozen=True, slots=True)
class Reopen:
    """A position came back that the closed state's own fills still say is there."""

    kind: Literal["reopen"] = "reopen"


Change = Observed | NakedSince | FlatSeen | SetTarget | ClearTarget | Close | Reopen


@dataclass(frozen=True, slots=True)
class Decision:
    """`missing`: desired legs with no working order; `watched`: desired legs that no order of the
    venue stands for, because the guardian itself sells once the price is there.
    `requeue_after_s`: look again by then."""

    coverage: Coverage
    actions: tuple[Action, ...] = ()
    changes: tuple[Change, ...] = ()
    reasons: tuple[Reason, ...] = ()
    missing: tuple[Role, ...] = ()
    watched: tuple[Role, ...] = ()
    requeue_after_s: float | None = None

    def __post_init__(self) -> None:
        assert all(role in LEGS for role in self.missing)
        assert self.coverage is not Coverage.UNKNOWN or not self.actions
