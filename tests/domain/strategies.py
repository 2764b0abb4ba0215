"""Hypothesis strategies: plans and lanes as they really meet, tidy and untidy."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from guardian_core.domain.errors import RejectReason
from guardian_core.domain.orders import LEGS, OrderStatus, PositionSide, Role
from guardian_core.domain.plan import OnCrossedStop, Plan, Policy, StateStatus
from guardian_core.domain.snapshot import LaneSnapshot, LegsMode, Position, Price, WorkingOrder
from tests.domain.builders import (
    AMENDING,
    CANCEL_FIRST,
    DERIVATIVES,
    INSTRUMENT,
    NOW,
    SPOT,
    STOP_ONLY,
    SYMBOL,
    dec,
    entry,
    foreign,
    leg,
    past,
    plan,
    seconds,
)

CAPABILITIES = st.sampled_from([DERIVATIVES, AMENDING, CANCEL_FIRST, SPOT, STOP_ONLY])
SIDES = st.sampled_from(list(PositionSide))
QUANTITIES = st.integers(1, 5000).map(lambda steps: Decimal(steps) * INSTRUMENT.step)
ODD_QUANTITIES = st.integers(1, 50_000).map(lambda n: Decimal(n) / Decimal(10_000))


@dataclass(frozen=True)
class Case:
    """One input of `decide`."""

    plan: Plan
    lane: LaneSnapshot
    policy: Policy


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    return Policy(
        on_crossed_stop=draw(st.sampled_from(list(OnCrossedStop))),
        max_unprotected_s=draw(st.sampled_from([None, 5.0, 60.0])),
    )


@st.composite
def levels(draw: st.DrawFn, side: PositionSide) -> tuple[Decimal | None, Decimal | None]:
    """A stop-loss and take-profit on their right sides of 43000, either maybe absent."""
    below = Decimal(draw(st.integers(400_000, 429_000))) / 10
    above = Decimal(draw(st.integers(431_000, 460_000))) / 10
    stop, take = (below, above) if side is PositionSide.LONG else (above, below)
    absent = draw(st.sampled_from(["", "", "", "stop", "take", "both"]))
    return (
        None if absent in ("stop", "both") else stop,
        None if absent in ("take", "both") else take,
    )


@st.composite
def leg_orders(
    draw: st.DrawFn, wish: Plan, role: Role, live: Decimal, *, reduce_only: bool
) -> tuple[WorkingOrder, ...]:
    """What may stand for one leg: nothing, the right order, wrong ones, several."""
    level = wish.level(role) or dec(43000)
    kinds = draw(
        st.lists(
            st.sampled_from(["right", "moved", "small", "large", "old", "newer", "in flight"]),
            max_size=3,
        )
    )
    orders = []
    for attempt, kind in enumerate(kinds, start=1):
        changes: dict[str, Any] = {
            "attempt": attempt,
            "trigger_price": level,
            "quantity": live,
            "remaining": live,
            "reduce_only": reduce_only,
            "side": wish.side,
        }
        match kind:
            case "moved":
                changes["trigger_price"] = level + dec(draw(st.sampled_from([-50, 50])))
            case "small":
                changes["remaining"] = live / 2
            case "large":
                changes["remaining"] = live * 2
            case "old":
                changes["revision"] = wish.revision - 1
            case "newer":
                changes["revision"] = wish.revision + 1
            case "in flight":
                changes["in_flight"] = True
        side = changes.pop("side")
        order = leg(role, side=side, **changes)
        orders.append(replace(order, ref=replace(order.ref, venue_order_id=f"{role}-{attempt}")))
    return tuple(orders)


@st.composite
def pasts(draw: st.DrawFn, orders: tuple[WorkingOrder, ...]) -> tuple[Any, ...]:
    """The rows behind the orders, and maybe refused attempts after them."""
    rows = [
        past(o.role, o.attempt or 1)
        for o in orders
        if o.role is not None and o.role.is_leg and o.revision == 3
    ]
    for role in LEGS:
        tried = max((row.attempt for row in rows if row.role is role), default=0)
        for attempt in range(tried + 1, tried + 1 + draw(st.sampled_from([0, 0, 0, 1, 3]))):
            rows.append(
                past(
                    role,
                    attempt,
                    OrderStatus.REJECTED.value,
                    reject_reason=draw(st.sampled_from(list(RejectReason))),
                    updated_at=NOW - seconds(draw(st.floats(0, 10))),
                )
            )
    return tuple(rows)


@st.composite
def cases(draw: st.DrawFn, /, held: str | None = None, **fixed: Any) -> Case:
    """Any meeting of a live plan with a complete, fresh lane.

    `held`: what the venue holds: ours, none, or turned; any of them unless given.
    """
    side, capabilities = draw(SIDES), draw(CAPABILITIES)
    stop_loss, take_profit = draw(levels(side))
    live = draw(st.one_of(QUANTITIES, ODD_QUANTITIES))
    wish = plan(
        side=side,
        stop_loss=stop_loss,
        take_profit=take_profit,
        status=draw(st.sampled_from([StateStatus.OPEN] * 4 + [StateStatus.PENDING])),
        net_filled=draw(st.sampled_from([live * side.sign, dec(0), None])),
        naked_since=draw(st.sampled_from([None, NOW - seconds(3), NOW - seconds(90)])),
        flat_seen_at=draw(st.sampled_from([None, NOW - seconds(4), NOW - seconds(40)])),
        target_quantity=draw(st.sampled_from([None, None, dec(0), live / 2, live * 2])),
        revised_at=NOW - seconds(draw(st.sampled_from([0, 4, 60]))),
        last_exit_fill_at=draw(st.sampled_from([None, NOW, NOW - seconds(3000)])),
    )
    quantity = INSTRUMENT.floor_quantity(live) or INSTRUMENT.step
    orders: tuple[WorkingOrder, ...] = ()
    for role in LEGS:
        if capabilities.legs is LegsMode.STOP_ONLY and role is Role.TAKE_PROFIT:
            continue
        orders += draw(leg_orders(wish, role, quantity, reduce_only=capabilities.reports_positions))
    if capabilities.legs is LegsMode.PAIR:
        orders = tuple(replace(order, pair_id="pair") for order in orders)
    wish = replace(wish, orders=draw(pasts(orders)))
    if draw(st.booleans()):
        orders += (foreign(side=side.exit_side),)
    if draw(st.sampled_from([False, False, True])):
        orders += (entry(side=side.entry_side),)
        wish = replace(wish, entry_working=True)
    held = held or draw(st.sampled_from(["ours", "ours", "ours", "none", "turned"]))
    there = side if held == "ours" else side.opposite
    seen = LaneSnapshot(
        symbol=SYMBOL,
        capabilities=capabilities,
        age_s=draw(st.floats(0, 4.9)),
        position=None if held == "none" else Position(SYMBOL, there, live, dec(43000)),
        orders=orders,
        price=draw(
            st.one_of(
                st.none(),
                st.builds(
                    Price,
                    st.just(SYMBOL),
                    st.integers(39_000, 47_000).map(Decimal),
                    st.integers(0, 4000),
                ),
            )
        ),
        instrument=INSTRUMENT,
    )
    return Case(replace(wish, **fixed), seen, draw(policies()))
