"""How an order's fate is told to the caller: pure, from rows, venue orders and errors."""

from typing import Literal

from guardian_core.domain.errors import (
    Ambiguous,
    CallerError,
    ConfigurationError,
    GuardianError,
    OrderGone,
    Rejected,
    RejectReason,
)
from guardian_core.domain.orders import OrderBody, OrderRef, OrderStatus
from guardian_core.protocol import OrderOutcome, OutcomeKind
from guardian_gateway.rows import TradeRow
from guardian_gateway.venues.port import VenueOrder

Operation = Literal["create", "amend", "cancel"]


def reason_of(error: GuardianError) -> RejectReason:
    """Why an order surely does not exist, for an error that says so."""
    match error:
        case Rejected():
            return error.reason
        case CallerError():
            return RejectReason.INVALID_ORDER
        case ConfigurationError():
            return RejectReason.NOT_PERMITTED
        case _:
            return RejectReason.NOT_SENT


def of_create(action: int, body: OrderBody, kind: OutcomeKind, message: str = "") -> OrderOutcome:
    return OrderOutcome(
        action=action,
        operation="create",
        outcome=kind,
        role=body.role,
        client_order_id=body.client_order_id,
        message=message,
    )


def of_order(action: int, body: OrderBody, order: VenueOrder) -> OrderOutcome:
    """What a venue's answer to a create says. It may refuse by an order that is `rejected`."""
    refused = order.status is OrderStatus.REJECTED
    return OrderOutcome(
        action=action,
        operation="create",
        outcome=OutcomeKind.REJECTED if refused else OutcomeKind.ACCEPTED,
        role=body.role,
        client_order_id=body.client_order_id,
        venue_order_id=order.ref.venue_order_id,
        status=OrderStatus.OPEN if order.status is OrderStatus.PENDING else order.status,
        filled_quantity=order.filled_quantity,
        average_price=order.average_price,
        reason=RejectReason.INVALID_ORDER if refused else None,
        message="the venue took the order and rejected it" if refused else "",
    )


def of_row(action: int, row: TradeRow) -> OrderOutcome:
    """The stored outcome: what a replay of the same order is told."""
    return OrderOutcome(
        action=action,
        operation="create",
        outcome=_kind(row.status),
        role=row.role,
        client_order_id=row.client_order_id,
        venue_order_id=row.exchange_order_id,
        status=row.status,
        filled_quantity=row.filled_quantity,
        average_price=row.average_price,
        reason=row.reject_reason,
        message=row.error,
        replayed=True,
    )


def _kind(status: OrderStatus) -> OutcomeKind:
    match status:
        case OrderStatus.PENDING:
            return OutcomeKind.AMBIGUOUS
        case OrderStatus.REJECTED:
            return OutcomeKind.REJECTED
        case OrderStatus.OPEN | OrderStatus.CLOSED | OrderStatus.CANCELLED:
            return OutcomeKind.ACCEPTED


def of_change(
    action: int, operation: Operation, ref: OrderRef, row: TradeRow | None
) -> OrderOutcome:
    """The outcome of an amend or cancel that went well."""
    return OrderOutcome(
        action=action,
        operation=operation,
        outcome=OutcomeKind.ACCEPTED,
        role=row.role if row else None,
        client_order_id=row.client_order_id if row else ref.client_order_id,
        venue_order_id=ref.venue_order_id or None,
        status=OrderStatus.CANCELLED if operation == "cancel" else OrderStatus.OPEN,
    )


def failed(outcome: OrderOutcome, error: GuardianError) -> OrderOutcome:
    """The same outcome, had the write ended in this error."""
    match error:
        case Ambiguous():
            kind, reason = OutcomeKind.AMBIGUOUS, None
        case OrderGone():
            kind, reason = OutcomeKind.SKIPPED, None
        case _:
            kind, reason = OutcomeKind.REJECTED, reason_of(error)
    message = str(error).removeprefix(f"{reason.value}: ") if reason else str(error)
    update = {"outcome": kind, "status": None, "reason": reason, "message": message}
    return outcome.model_copy(update=update)


def skipped(outcome: OrderOutcome, why: str) -> OrderOutcome:
    """The same outcome for a write that was not tried."""
    update = {"outcome": OutcomeKind.SKIPPED, "status": None, "message": why}
    return outcome.model_copy(update=update)
