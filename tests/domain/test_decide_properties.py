"""Properties of `decide`, one or more for each numbered rule, over plans and lanes of any mess."""

from collections import Counter
from dataclasses import replace
from decimal import Decimal

from hypothesis import assume, given
from hypothesis import strategies as st

from guardian_core.domain.backoff import MAX_S, wait_s
from guardian_core.domain.decide import decide
from guardian_core.domain.decision import (
    Action,
    Amend,
    Cancel,
    Close,
    Coverage,
    Decision,
    Observed,
    Reduce,
    SetTarget,
    Submit,
)
from guardian_core.domain.money import ZERO
from guardian_core.domain.orders import LEGS, OrderBody, OrderRef, Role, belongs_to
from guardian_core.domain.plan import Plan, StateStatus
from guardian_core.domain.snapshot import LaneSnapshot, LegsMode, WorkingOrder
from tests.domain.builders import INSTALLATION, INSTRUMENT, NOW, seconds
from tests.domain.model_venue import apply
from tests.domain.strategies import Case, cases

ROUNDS_MAX = 12


def run(case: Case) -> Decision:
    return decide(case.plan, case.lane, case.policy, NOW)


def bodies_of(decision: Decision) -> list[OrderBody]:
    found: list[OrderBody] = []
    for action in decision.actions:
        match action:
            case Submit(bodies):
                found += bodies
            case Amend(body=body) | Reduce(body):
                found.append(body)
            case Cancel():
                pass
    return found


def touched(action: Action) -> tuple[OrderRef, ...]:
    match action:
        case Submit(replaces=replaces):
            return replaces
        case Reduce(frees=frees):
            return frees
        case Amend(order) | Cancel(order):
            return (order,)


def is_open(case: Case) -> bool:
    held = case.lane.position
    return held is not None and held.side is case.plan.side


def order_of(case: Case, ref: OrderRef) -> WorkingOrder:
    return next(order for order in case.lane.orders if order.ref == ref)


@given(cases(), st.sampled_from(["old", "orders", "positions"]), st.floats(5.01, 1e6))
def test_rule_1_a_stale_or_partial_snapshot_changes_nothing(
    case: Case, how: str, age_s: float
) -> None:
    bad = (
        replace(case.lane, age_s=age_s)
        if how == "old"
        else replace(case.lane, failures=(f"{how}: timeout",))
    )
    decision = decide(case.plan, bad, case.policy, NOW)
    assert decision.coverage is Coverage.UNKNOWN
    assert not decision.actions
    assert not decision.changes


@given(cases())
def test_rule_2_a_state_closes_only_where_nothing_of_it_is_left(case: Case) -> None:
    decision = run(case)
    if not any(isinstance(change, Close) for change in decision.changes):
        return
    assert not decision.actions
    if is_open(case):
        assert decision.coverage is Coverage.DUST
    assert not [o for o in case.lane.orders if o.ours and o.role is not None]


@given(
    cases(
        held="none",
        flat_seen_at=NOW - seconds(9.9),
        status=StateStatus.OPEN,
        net_filled=Decimal("0.3"),
    )
)
def test_rule_2_an_unexplained_flat_is_not_acted_on_before_ten_seconds(case: Case) -> None:
    decision = run(case)
    assert decision.coverage is Coverage.UNKNOWN
    assert not decision.actions


@given(cases(target_quantity=None))
def test_rule_3_no_desired_leg_is_ever_cancelled_without_its_right_order(case: Case) -> None:
    if not is_open(case) or case.lane.capabilities.legs is not LegsMode.INDEPENDENT:
        return
    decision = run(case)
    if decision.coverage is Coverage.DUST:
        return
    for action in decision.actions:
        if not isinstance(action, Cancel):
            continue
        order = order_of(case, action.order)
        if order.role not in LEGS or case.plan.level(order.role) is None:
            continue
        stays = [o for o in case.lane.orders if o.role is order.role and o.ref != order.ref]
        assert any(_matches(case, o) for o in stays)


@given(cases())
def test_rule_3_every_leg_sent_covers_the_whole_position_reduce_only(case: Case) -> None:
    for body in bodies_of(run(case)):
        assert body.side is case.plan.side.exit_side
        assert body.reduce_only is case.lane.capabilities.reports_positions
        if body.role in LEGS:
            assert body.quantity == INSTRUMENT.floor_quantity(case.lane.live_quantity)
            assert body.revision == case.plan.revision


@given(cases())
def test_rule_4_replacements_come_as_the_venue_allows(case: Case) -> None:
    can = case.lane.capabilities
    for action in run(case).actions:
        if isinstance(action, Amend):
            assert can.amend
        if isinstance(action, Submit):
            assert not (action.cancel_first and can.create_then_cancel)
            assert len(action.bodies) == 1 or can.legs is LegsMode.PAIR


@given(cases())
def test_rule_5_only_our_own_orders_up_to_this_revision_are_touched(case: Case) -> None:
    for action in run(case).actions:
        for ref in touched(action):
            order = order_of(case, ref)
            assert order.ours
            assert not order.in_flight
            if is_open(case) and not isinstance(action, Reduce):
                assert (order.revision or 0) <= case.plan.revision or _is_over(case)


@given(cases(target_quantity=None, naked_since=None))
def test_rule_6_only_fresh_evidence_makes_a_crossed_level_a_target(case: Case) -> None:
    decision = run(case)
    target = next((c for c in decision.changes if isinstance(c, SetTarget)), None)
    if target is None:
        return
    assert target.quantity == 0
    assert not decision.actions
    price = case.lane.price
    fresh = price is not None and price.age_ms <= 2000
    refused = any(order.reject_reason == "crossed" for order in case.plan.orders)
    assert fresh or refused


@given(cases())
def test_rule_7_no_leg_is_sent_while_it_backs_off(case: Case) -> None:
    decision = run(case)
    for body in bodies_of(decision):
        assert wait_s(case.plan.attempts(body.role), NOW) == 0
    for role in Role:
        assert wait_s(case.plan.attempts(role), NOW) <= MAX_S


@given(cases(held="turned"))
def test_rule_8_a_turned_position_gets_no_order_of_ours(case: Case) -> None:
    decision = run(case)
    assert not bodies_of(decision)
    assert decision.coverage is Coverage.UNGUARDED


@given(cases(held="ours", target_quantity=Decimal(0)))
def test_rule_8_an_exit_takes_older_entries_with_it(case: Case) -> None:
    decision = run(case)
    assume(decision.coverage is not Coverage.DUST)
    cancelled = {ref for action in decision.actions for ref in touched(action)}
    entries = {o.ref for o in case.lane.orders if o.role is Role.ENTRY}
    assert entries <= cancelled


@given(cases(held="ours"), st.integers(1, 9))
def test_rule_9_dust_gets_no_order(case: Case, ten_thousandths: int) -> None:
    assert case.lane.position is not None
    dust = replace(case.lane.position, quantity=Decimal(ten_thousandths) / 10_000)
    decision = decide(case.plan, replace(case.lane, position=dust), case.policy, NOW)
    assert decision.coverage is Coverage.DUST
    assert not bodies_of(decision)


@given(cases())
def test_rule_10_the_same_inputs_give_the_same_decision(case: Case) -> None:
    assert run(case) == run(case)


@given(cases())
def test_rule_10_an_applied_decision_comes_to_rest(case: Case) -> None:
    """However untidy the start, decide and apply reach a lane that needs nothing."""
    wish, seen = case.plan, case.lane
    seen = replace(seen, orders=tuple(o for o in seen.orders if _can_rest(case, o)))
    now = NOW
    decision = decide(wish, seen, case.policy, now)
    for _ in range(ROUNDS_MAX):
        if not decision.actions and not decision.changes and not decision.requeue_after_s:
            break
        wish, seen = apply(wish, seen, decision)
        if decision.requeue_after_s:
            now += seconds(decision.requeue_after_s + 5)
        decision = decide(wish, seen, case.policy, now)
    else:
        raise AssertionError(f"still restless: {decision}")
    assert not bodies_of(decision)
    if decision.coverage is Coverage.PROTECTED:
        _assert_protected(wish, seen)


@given(cases())
def test_exits_never_sell_below_the_target_nor_more_than_was_left(case: Case) -> None:
    for action in run(case).actions:
        if isinstance(action, Reduce):
            target = case.plan.target_quantity
            assert target is not None
            assert action.body.quantity <= case.lane.live_quantity - target


@given(cases())
def test_ids_are_ours_and_no_two_orders_share_one(case: Case) -> None:
    ids = Counter(body.client_order_id for body in bodies_of(run(case)))
    assert all(belongs_to(INSTALLATION, each) for each in ids)
    assert all(count == 1 for count in ids.values())


@given(cases())
def test_what_is_observed_is_written_once(case: Case) -> None:
    """At rest nothing is written: deciding on what was stored finds no change."""
    decision = run(case)
    if decision.coverage is Coverage.UNKNOWN:
        return
    wish, _ = apply(case.plan, case.lane, replace(decision, actions=()))
    assume(wish.revision == case.plan.revision and wish.status.is_live)
    again = decide(wish, case.lane, case.policy, NOW)
    assert not [change for change in again.changes if isinstance(change, Observed)]


def _matches(case: Case, order: WorkingOrder) -> bool:
    assert order.role is not None
    level = case.plan.level(order.role)
    assert level is not None
    selling = case.plan.side.exit_side.sign < 0
    return (
        not order.in_flight
        and order.trigger_price == INSTRUMENT.round_for_side(level, selling=selling)
        and order.remaining == INSTRUMENT.floor_quantity(case.lane.live_quantity)
    )


def _is_over(case: Case) -> bool:
    """Dust is swept whatever its revision: there is nothing left to protect."""
    return not INSTRUMENT.is_tradable(case.lane.live_quantity, None) or (
        case.lane.capabilities.legs is not LegsMode.INDEPENDENT
    )


def _can_rest(case: Case, order: WorkingOrder) -> bool:
    """In flight and newer orders are other writers' to finish: the model has none."""
    newer = order.revision is not None and order.revision > case.plan.revision
    return not order.in_flight and not newer


def _assert_protected(wish: Plan, seen: LaneSnapshot) -> None:
    quantity = INSTRUMENT.floor_quantity(seen.live_quantity)
    assert quantity > ZERO
    for role in LEGS:
        working = [o for o in seen.orders if o.ours and o.role is role]
        watched = role is Role.TAKE_PROFIT and seen.capabilities.legs is LegsMode.STOP_ONLY
        desired = wish.level(role) is not None and not watched
        assert len(working) == int(desired)
        assert all(o.remaining == quantity for o in working)
