"""The gateway's messages: one set of models for HTTP, the in-process client and the tests.

Domain dataclasses travel as they are (pydantic validates and serialises them; a Decimal is a
string in JSON); what exists only on the wire is a frozen pydantic model here.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from guardian_core.domain.decision import Amend, Cancel, Reduce, Submit
from guardian_core.domain.errors import RejectReason
from guardian_core.domain.money import Instrument
from guardian_core.domain.orders import OrderBody, OrderSide, OrderStatus, Role

TRACE_ID_PATTERN = "^[0-9a-f]{32}$"


class Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(StrEnum):
    """Who caused an order: stored in trade.source."""

    WEBHOOK = "webhook"
    GUARDIAN = "guardian"
    ORDER_MONITOR = "order_monitor"
    TRADING_MANUAL = "trading_manual"
    STRATEGY = "strategy"


class Enter(Message):
    """Send an entry: the body that the engine committed with the state, under its webhook."""

    kind: Literal["enter"] = "enter"
    body: OrderBody
    webhook_id: UUID
    leverage: Decimal | None = None


WireAction = Annotated[Enter | Submit | Amend | Cancel | Reduce, Field(discriminator="kind")]


class DecisionRequest(Message):
    """One lane's decision. `state_id` and `revision` are what the sender's decision was made
    on; the gateway refuses it (409) when the database has moved on. A request without a state
    may only cancel (orders that outlived their position)."""

    state_id: UUID | None
    revision: int
    source: Source
    trace_id: str = Field(pattern=TRACE_ID_PATTERN)
    actions: tuple[WireAction, ...] = Field(min_length=1, max_length=32)


class OutcomeKind(StrEnum):
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    AMBIGUOUS = "ambiguous"
    """Not known yet; the order is in flight in every snapshot until it is."""
    SKIPPED = "skipped"
    """Not tried, because what it depended on failed (the cancel behind a failed create)."""


class OrderOutcome(Message):
    """What became of one order of the request. `action`: its index in the request. `replayed`:
    the order was known already, sent by whoever came first; this is what its row says."""

    action: int
    operation: Literal["create", "amend", "cancel"]
    outcome: OutcomeKind
    role: Role | None = None
    client_order_id: str | None = None
    venue_order_id: str | None = None
    status: OrderStatus | None = None
    filled_quantity: Decimal = Decimal(0)
    average_price: Decimal | None = None
    reason: RejectReason | None = None
    message: str = ""
    replayed: bool = False


class DecisionResult(Message):
    """`unprotected_ms`: for a cancel-first replacement, the measured gap without a leg."""

    outcomes: tuple[OrderOutcome, ...]
    unprotected_ms: int | None = None

    def failed(self) -> tuple[OrderOutcome, ...]:
        """Creates and amends that are not surely accepted."""
        return tuple(
            o
            for o in self.outcomes
            if o.operation != "cancel" and o.outcome is not OutcomeKind.ACCEPTED
        )


class BalanceLine(Message):
    currency: str
    free: Decimal
    total: Decimal


class BalanceReport(Message):
    balances: tuple[BalanceLine, ...]

    def free(self, currency: str) -> Decimal:
        return next((b.free for b in self.balances if b.currency == currency), Decimal(0))


class CheckLine(Message):
    """One thing that was looked at. `asked` False: it could not be, and `found` says why."""

    what: str
    ok: bool
    found: str
    asked: bool = True


class CheckReport(Message):
    """How an account was found."""

    lines: tuple[CheckLine, ...]

    def problems(self) -> tuple[CheckLine, ...]:
        return tuple(line for line in self.lines if not line.ok)


class InstrumentReport(Message):
    instrument: Instrument
    last_price: Decimal | None = None
    price_age_ms: int | None = None


class FillLine(Message):
    venue_fill_id: str
    venue_order_id: str
    client_order_id: str | None = None
    side: OrderSide
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_currency: str
    at: datetime


class FillReport(Message):
    fills: tuple[FillLine, ...]


class Bar(Message):
    """One candle, in quote units. `time` is the bar's own; an older one is ignored."""

    kind: Literal["bar"] = "bar"
    symbol: str
    time: datetime | None = None
    open: Decimal | None = None
    high: Decimal | None = None
    low: Decimal | None = None
    close: Decimal


class SetPrice(Message):
    kind: Literal["price"] = "price"
    symbol: str
    price: Decimal = Field(gt=0)


class CancelByHand(Message):
    """As a person would on the exchange's own page: our rows hear nothing of it."""

    kind: Literal["cancel"] = "cancel"
    order_id: str


class FaultKind(StrEnum):
    REFUSE_CREATE = "refuse-create"
    LOSE_ANSWER = "lose-answer"
    FORGET_STOP = "forget-stop"
    DOWN = "down"


class InjectFault(Message):
    """For the next `count` matching calls, or for `seconds`; one of them, default one call.

    `role` narrows refuse-create, lose-answer and forget-stop to orders of that role.
    """

    kind: Literal["fault"] = "fault"
    fault: FaultKind
    role: Role | None = None
    count: int | None = Field(default=None, ge=1, le=1000)
    seconds: float | None = Field(default=None, gt=0, le=3600)


PaperCommand = Annotated[Bar | SetPrice | CancelByHand | InjectFault, Field(discriminator="kind")]


class PaperReport(Message):
    message: str
    changed: bool = True


class ErrorReport(Message):
    """Every non-2xx answer of the gateway. `code` is a machine's word, `field` a caller's."""

    code: str
    message: str
    field: str | None = None
    holder_url: str | None = None
