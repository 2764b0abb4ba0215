"""A venue and a database that do exactly what a decision says: the "result" of rule 10.

Orders are accepted and work at once, exits fill at once, nothing is ever lost.
"""

from dataclasses import replace

from guardian_core.domain.decision import (
    Amend,
    Cancel,
    ClearTarget,
    Close,
    Decision,
    FlatSeen,
    NakedSince,
    Observed,
    Reduce,
    Reopen,
    SetTarget,
    Submit,
)
from guardian_core.domain.orders import OrderBody, OrderRef, OrderStatus
from guardian_core.domain.plan import PastOrder, Plan, StateStatus
from guardian_core.domain.snapshot import LaneSnapshot, WorkingOrder
from tests.domain.builders import NOW, dec


def apply(wish: Plan, seen: LaneSnapshot, decision: Decision) -> tuple[Plan, LaneSnapshot]:
    """The plan and the lane after every change and action has succeeded."""
    for change in decision.changes:
        wish = _changed(wish, change)
    for action in decision.actions:
        match action:
            case Cancel(order):
                seen = _without(seen, (order,))
            case Amend(order, body):
                seen = _amended(seen, order, body)
            case Submit(bodies, replaces):
                seen = _without(seen, replaces)
                pair = bodies[0].client_order_id if len(bodies) > 1 else None
                working = tuple(_working(wish, body, pair) for body in bodies)
                seen = replace(seen, orders=seen.orders + working)
                wish = _noted(wish, bodies, OrderStatus.OPEN)
            case Reduce(body, frees):
                seen = _reduced(_without(seen, frees), body)
                wish = _noted(wish, (body,), OrderStatus.CLOSED)
                if wish.net_filled is not None:
                    sold = body.quantity * body.side.sign
                    wish = replace(wish, net_filled=wish.net_filled + sold)
    return wish, seen


def _changed(wish: Plan, change: object) -> Plan:
    match change:
        case Observed(quantity, entry_price, stop_id, take_id):
            return replace(
                wish,
                status=StateStatus.OPEN,
                quantity=quantity,
                entry_price=entry_price,
                stop_loss_order_id=stop_id,
                take_profit_order_id=take_id,
            )
        case NakedSince(at):
            return replace(wish, naked_since=at)
        case FlatSeen(at):
            return replace(wish, flat_seen_at=at)
        case SetTarget(quantity):
            return _revised(replace(wish, target_quantity=quantity))
        case ClearTarget():
            return _revised(replace(wish, target_quantity=None))
        case Close():
            return replace(wish, status=StateStatus.CLOSED, closed_at=NOW)
        case Reopen():
            return _revised(replace(wish, status=StateStatus.OPEN, closed_at=None))
    raise AssertionError(change)


def _revised(wish: Plan) -> Plan:
    return replace(wish, revision=wish.revision + 1, revised_at=NOW, orders=())


def _noted(wish: Plan, bodies: tuple[OrderBody, ...], status: OrderStatus) -> Plan:
    filled = status is OrderStatus.CLOSED
    rows = tuple(
        PastOrder(b.role, b.attempt, status, b.quantity, b.quantity if filled else dec(0), NOW)
        for b in bodies
    )
    return replace(wish, orders=wish.orders + rows)


def _working(wish: Plan, body: OrderBody, pair: str | None) -> WorkingOrder:
    return WorkingOrder(
        ref=OrderRef(f"v-{body.client_order_id}", body.symbol, True, body.client_order_id),
        side=body.side,
        type=body.type,
        quantity=body.quantity,
        remaining=body.quantity,
        trigger_price=body.trigger_price,
        reduce_only=body.reduce_only,
        trigger_basis=body.trigger_basis,
        pair_id=pair,
        ours=True,
        role=body.role,
        state_id=wish.state_id,
        revision=body.revision,
        attempt=body.attempt,
        created_at=NOW,
    )


def _amended(seen: LaneSnapshot, order: OrderRef, body: OrderBody) -> LaneSnapshot:
    return replace(
        seen,
        orders=tuple(
            replace(
                o,
                trigger_price=body.trigger_price,
                quantity=body.quantity,
                remaining=body.quantity,
                reduce_only=body.reduce_only,
            )
            if o.ref == order
            else o
            for o in seen.orders
        ),
    )


def _without(seen: LaneSnapshot, gone: tuple[OrderRef, ...]) -> LaneSnapshot:
    return replace(seen, orders=tuple(o for o in seen.orders if o.ref not in gone))


def _reduced(seen: LaneSnapshot, body: OrderBody) -> LaneSnapshot:
    assert seen.position is not None
    left = seen.position.quantity - body.quantity
    return replace(seen, position=replace(seen.position, quantity=left) if left > 0 else None)
