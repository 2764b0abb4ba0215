"""What a decision request may look like at all, before anything is read or sent.

Pure. A request that fails here can never succeed, so the answer is a CallerError.
"""

from collections.abc import Iterator
from uuid import UUID

from guardian_core.domain.decision import Amend, Cancel, Reduce, Submit
from guardian_core.domain.errors import CallerError
from guardian_core.domain.orders import (
    LEGS,
    OrderBody,
    OrderRef,
    Role,
    entry_order_id,
    leg_order_id,
)
from guardian_core.protocol import DecisionRequest, Enter, WireAction


def creates_of(action: WireAction) -> tuple[OrderBody, ...]:
    """The orders that an action would create."""
    match action:
        case Enter() | Reduce():
            return (action.body,)
        case Submit():
            return action.bodies
        case Amend() | Cancel():
            return ()


def refs_of(action: WireAction) -> tuple[OrderRef, ...]:
    """The working orders that an action would end or change."""
    match action:
        case Submit():
            return action.replaces
        case Reduce():
            return action.frees
        case Amend() | Cancel():
            return (action.order,)
        case Enter():
            return ()


def check_request(request: DecisionRequest, symbol: str, installation: str) -> None:
    """Raises CallerError for a request that is wrong in itself."""
    if request.state_id is None and any(a.kind != "cancel" for a in request.actions):
        raise CallerError("state_id", "is missing", "only cancels may come without a state")
    for action in request.actions:
        _check_kind(action)
        for ref in refs_of(action):
            _check_symbol("order.symbol", ref.symbol, symbol)
            if not ref.venue_order_id and not ref.client_order_id:
                raise CallerError("order", "names no order", "send venue_order_id")
    seen: set[str] = set()
    for body, webhook_id in _bodies(request):
        _check_symbol("body.symbol", body.symbol, symbol)
        if request.state_id is not None:
            _check_id(body, request.state_id, webhook_id, installation)
        if body.client_order_id in seen:
            raise CallerError("client_order_id", f"{body.client_order_id} comes twice")
        seen.add(body.client_order_id)
        _check_revision(body, request.revision)


def _check_kind(action: WireAction) -> None:
    match action:
        case Enter():
            _check_role(action.body, (Role.ENTRY,))
        case Reduce():
            _check_role(action.body, (Role.EXIT,))
        case Amend():
            _check_role(action.body, LEGS)
        case Submit():
            roles = [body.role for body in action.bodies]
            for body in action.bodies:
                _check_role(body, LEGS)
            if len(roles) not in (1, 2) or len(set(roles)) != len(roles):
                raise CallerError(
                    "bodies", f"{len(roles)} orders", "one leg, or one of each as a pair"
                )
        case Cancel():
            pass


def _bodies(request: DecisionRequest) -> Iterator[tuple[OrderBody, UUID | None]]:
    for action in request.actions:
        webhook_id = action.webhook_id if isinstance(action, Enter) else None
        yield from ((body, webhook_id) for body in creates_of(action))
        if isinstance(action, Amend):
            yield action.body, None


def _check_role(body: OrderBody, allowed: tuple[Role, ...]) -> None:
    if body.role not in allowed:
        words = " or ".join(role.value for role in allowed)
        raise CallerError("body.role", f"{body.role.value} does not fit this action", words)


def _check_symbol(field: str, given: str, symbol: str) -> None:
    if given != symbol:
        raise CallerError(field, f"{given!r} is another lane", f"this lane is {symbol!r}")


def _check_id(body: OrderBody, state_id: UUID, webhook_id: UUID | None, installation: str) -> None:
    """Ids are derived, so that a replay can only repeat itself: no other id is ever sent."""
    if webhook_id is not None:
        expected = entry_order_id(installation, webhook_id)
    else:
        expected = leg_order_id(installation, state_id, body.role, body.revision, body.attempt)
    if body.client_order_id != expected:
        raise CallerError(
            "client_order_id",
            f"{body.client_order_id!r} is not derived from this {body.role.value} "
            f"(revision {body.revision}, attempt {body.attempt})",
            f"expected {expected}; both sides need the same installation id",
        )


def _check_revision(body: OrderBody, revision: int) -> None:
    """An entry's body is immutable, so it may be older than the desire; nothing else may."""
    fits = body.revision <= revision if body.role is Role.ENTRY else body.revision == revision
    if not fits or body.attempt < 1:
        raise CallerError(
            "body.revision",
            f"revision {body.revision}, attempt {body.attempt} under revision {revision}",
        )
