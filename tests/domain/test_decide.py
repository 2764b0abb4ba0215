"""Each numbered rule of `decide`, case by case. Properties are in test_decide_properties.py."""

from dataclasses import replace
from typing import Any

import pytest

from guardian_core.domain.decide import decide
from guardian_core.domain.decision import (
    Amend,
    Cancel,
    ClearTarget,
    Close,
    Coverage,
    Decision,
    FlatSeen,
    NakedSince,
    Observed,
    Reduce,
    Reopen,
    SetTarget,
    Submit,
)
from guardian_core.domain.errors import RejectReason
from guardian_core.domain.orders import OrderSide, PositionSide, Role
from guardian_core.domain.plan import OnCrossedStop, Plan, Policy, StateStatus
from guardian_core.domain.snapshot import LaneSnapshot
from tests.domain.builders import (
    AMENDING,
    CANCEL_FIRST,
    FLAT,
    NOW,
    POLICY,
    SPOT,
    STOP_ONLY,
    dec,
    entry,
    foreign,
    lane,
    leg,
    past,
    plan,
    position,
    price,
    seconds,
)

SL, TP = Role.STOP_LOSS, Role.TAKE_PROFIT
REJECTED: dict[str, Any] = {"status": "rejected", "updated_at": NOW - seconds(0.1)}


def run(
    wish: Plan | None = None, seen: LaneSnapshot | None = None, policy: Policy = POLICY
) -> Decision:
    return decide(wish or plan(), seen or lane(), policy, NOW)


def change_of(decision: Decision, kind: type) -> Any:
    return next((change for change in decision.changes if isinstance(change, kind)), None)


def test_a_protected_position_needs_nothing() -> None:
    assert run() == Decision(Coverage.PROTECTED)


def test_a_protected_short_needs_nothing() -> None:
    side = PositionSide.SHORT
    seen = lane(position=position(side=side), orders=(leg(SL, side=side), leg(TP, side=side)))
    assert run(plan(side=side), seen) == Decision(Coverage.PROTECTED)


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(lane(age_s=5.1), id="stale"),
        pytest.param(lane(failures=("positions: timeout",)), id="failed section"),
        pytest.param(lane(failures=("orders: timeout",), **FLAT), id="failed and empty"),
        pytest.param(lane(instrument=None), id="no instrument"),
    ],
)
def test_rule_1_without_a_fresh_and_whole_snapshot_nothing_is_done(seen: LaneSnapshot) -> None:
    decision = run(seen=seen)
    assert decision.coverage is Coverage.UNKNOWN
    assert not decision.actions
    assert not decision.changes


class TestRule2Flat:
    def test_flat_with_fills_that_net_to_nothing_cancels_the_sibling_then_closes(self) -> None:
        wish = plan(net_filled=dec(0))
        first = run(wish, lane(position=None, orders=(leg(TP),)))
        assert first.actions == (Cancel(leg(TP).ref, "PositionClosed"),)
        assert change_of(first, Close) is None
        assert run(wish, lane(**FLAT)).changes == (Close("Flat"),)

    def test_flat_that_fills_do_not_explain_is_not_believed_at_first_sight(self) -> None:
        decision = run(seen=lane(position=None))
        assert decision.coverage is Coverage.UNKNOWN
        assert decision.changes == (FlatSeen(NOW),)
        assert not decision.actions

    @pytest.mark.parametrize(("since_s", "believed"), [(9.9, False), (10, True)])
    def test_unexplained_flat_is_believed_after_ten_seconds(
        self, since_s: float, believed: bool
    ) -> None:
        decision = run(plan(flat_seen_at=NOW - seconds(since_s)), lane(**FLAT))
        closed = change_of(decision, Close)
        assert closed == (Close("FlatUnexplained", incomplete=True) if believed else None)

    def test_a_position_that_is_there_again_clears_the_flat_sight(self) -> None:
        assert change_of(run(plan(flat_seen_at=NOW - seconds(2))), FlatSeen) == FlatSeen(None)

    def test_a_leg_being_looked_up_keeps_flat_unknown(self) -> None:
        seen = lane(position=None, orders=(leg(SL, in_flight=True),))
        assert run(plan(net_filled=dec(0)), seen).coverage is Coverage.UNKNOWN

    def test_a_state_is_not_closed_while_its_entry_still_works(self) -> None:
        wish = plan(net_filled=dec(0), entry_working=True)
        decision = run(wish, lane(position=None, orders=(entry(),)))
        assert decision.coverage is Coverage.FLAT
        assert not decision.actions
        assert not decision.changes

    @pytest.mark.parametrize(
        ("wish", "closes"),
        [
            pytest.param({"entry_sent": True}, "EntryNotFilled", id="refused or cancelled"),
            pytest.param({"entry_sent": False, "entry_due": True}, None, id="about to be sent"),
            pytest.param({"entry_sent": False}, "EntryNeverSent", id="its alert is over"),
            pytest.param({"entry_working": True}, None, id="waiting"),
        ],
    )
    def test_a_pending_state_closes_when_its_entry_can_no_longer_fill(
        self, wish: dict[str, Any], closes: str | None
    ) -> None:
        base: dict[str, Any] = {"status": StateStatus.PENDING, "net_filled": dec(0)}
        closed = change_of(run(plan(**{**base, **wish}), lane(**FLAT)), Close)
        assert closed == (Close(closes) if closes else None)

    def test_a_pending_state_with_a_position_is_open_and_guarded(self) -> None:
        decision = run(plan(status=StateStatus.PENDING, orders=()), lane(orders=()))
        assert change_of(decision, Observed) is not None
        assert len(decision.actions) == 2

    @pytest.mark.parametrize(
        ("wish", "reopens", "leftovers"),
        [
            pytest.param({}, True, 0, id="fills still account for it"),
            pytest.param(
                {"net_filled": dec(0)}, False, 2, id="its fills are done: somebody else's"
            ),
            pytest.param({"closed_at": NOW - seconds(3700)}, False, 0, id="long ago"),
            pytest.param({"net_filled": dec("-0.1")}, False, 2, id="other side"),
            pytest.param({"status": StateStatus.RELEASED}, False, 0, id="released"),
        ],
    )
    def test_a_position_reopens_only_the_state_whose_fills_explain_it(
        self, wish: dict[str, Any], reopens: bool, leftovers: int
    ) -> None:
        closed = plan(**{"status": StateStatus.CLOSED, "closed_at": NOW - seconds(20), **wish})
        decision = run(closed, lane())
        assert (change_of(decision, Reopen) is not None) is reopens
        assert len([a for a in decision.actions if isinstance(a, Cancel)]) == leftovers

    def test_orders_that_outlived_a_closed_state_are_cancelled(self) -> None:
        decision = run(plan(status=StateStatus.CLOSED, net_filled=dec(0)), lane(position=None))
        assert [action.kind for action in decision.actions] == ["cancel", "cancel"]

    def test_orders_of_a_released_state_stay(self) -> None:
        assert not run(plan(status=StateStatus.RELEASED), lane(position=None)).actions

    def test_a_position_without_any_state_is_reported_and_left_alone(self) -> None:
        decision = decide(None, lane(), POLICY, NOW)
        assert decision.coverage is Coverage.UNGUARDED
        assert not decision.actions


WRONG_STOPS = [
    pytest.param(leg(SL, trigger_price=dec(41900)), id="trigger"),
    pytest.param(leg(SL, remaining=dec("0.05")), id="too small"),
    pytest.param(leg(SL, remaining=dec("0.2")), id="too large"),
    pytest.param(leg(SL, reduce_only=False), id="not reduce-only"),
]


class TestRules3And4Legs:
    @pytest.mark.parametrize(
        ("missing", "coverage"),
        [
            pytest.param({SL}, Coverage.PARTIAL, id="stop"),
            pytest.param({TP}, Coverage.PARTIAL, id="take-profit"),
            pytest.param({SL, TP}, Coverage.NAKED, id="both"),
        ],
    )
    def test_a_missing_leg_is_created_anew(self, missing: set[Role], coverage: Coverage) -> None:
        seen = lane(orders=tuple(leg(role) for role in (SL, TP) if role not in missing))
        decision = run(seen=seen)
        assert decision.coverage is coverage
        assert set(decision.missing) == missing
        assert change_of(decision, NakedSince) == NakedSince(NOW)
        for action, role in zip(decision.actions, sorted(missing, key=[SL, TP].index), strict=True):
            assert isinstance(action, Submit)
            (body,) = action.bodies
            assert body.role is role
            assert body.side is OrderSide.SELL
            assert body.quantity == dec("0.1")
            assert body.reduce_only
            assert body.attempt == 2
            assert not action.replaces

    @pytest.mark.parametrize("wrong", WRONG_STOPS)
    def test_a_wrong_leg_is_replaced_by_one_that_works_first(self, wrong: Any) -> None:
        decision = run(seen=lane(orders=(wrong, leg(TP))))
        (action,) = decision.actions
        assert isinstance(action, Submit)
        assert action.replaces == (wrong.ref,)
        assert not action.cancel_first
        assert decision.coverage is Coverage.PARTIAL
        assert not decision.missing

    def test_a_wrong_leg_is_amended_where_the_venue_can(self) -> None:
        wrong = leg(SL, trigger_price=dec(41900))
        (action,) = run(seen=lane(capabilities=AMENDING, orders=(wrong, leg(TP)))).actions
        assert isinstance(action, Amend)
        assert action.order == wrong.ref
        assert action.body.trigger_price == dec(42000)

    def test_cancel_first_only_where_the_venue_can_do_neither(self) -> None:
        wrong = leg(SL, trigger_price=dec(41900))
        (action,) = run(seen=lane(capabilities=CANCEL_FIRST, orders=(wrong, leg(TP)))).actions
        assert isinstance(action, Submit)
        assert action.cancel_first

    def test_surplus_orders_of_ours_go_once_the_right_one_stands(self) -> None:
        extra = leg(SL, attempt=2, trigger_price=dec(41000))
        decision = run(seen=lane(orders=(leg(SL), leg(TP), extra)))
        assert decision.actions == (Cancel(extra.ref, "Surplus"),)

    def test_a_leg_whose_fate_is_looked_up_is_left_alone(self) -> None:
        seen = lane(orders=(leg(SL, in_flight=True), leg(TP)))
        decision = run(seen=seen)
        assert not decision.actions
        assert not decision.missing
        assert decision.coverage is Coverage.PARTIAL
        assert change_of(decision, NakedSince) is None

    def test_levels_are_rounded_to_a_price_never_worse_than_asked(self) -> None:
        wish = plan(stop_loss=dec("41999.97"), take_profit=dec("45000.01"))
        bodies = {
            a.bodies[0].role: a.bodies[0].trigger_price
            for a in run(wish, lane(orders=())).actions
            if isinstance(a, Submit)
        }
        assert bodies == {SL: dec("42000.0"), TP: dec("45000.1")}

    def test_a_leg_that_was_removed_is_cancelled(self) -> None:
        decision = run(plan(take_profit=None))
        assert decision.actions == (Cancel(leg(TP).ref, "LegRemoved"),)
        assert decision.coverage is Coverage.PROTECTED

    def test_a_position_with_no_desired_leg_is_unguarded(self) -> None:
        wish = plan(stop_loss=None, take_profit=None)
        assert run(wish, lane(orders=())).coverage is Coverage.UNGUARDED

    def test_a_whole_position_order_needs_no_quantity(self) -> None:
        stop = leg(SL, whole_position=True, remaining=dec(0), quantity=dec(0))
        assert run(seen=lane(orders=(stop, leg(TP)))).coverage is Coverage.PROTECTED


class TestSpotPairs:
    def pair(self) -> tuple[Any, ...]:
        return tuple(leg(role, pair_id="p1", reduce_only=False) for role in (SL, TP))

    def test_a_working_pair_is_protection(self) -> None:
        decision = run(seen=lane(capabilities=SPOT, orders=self.pair()))
        assert decision == Decision(Coverage.PROTECTED)

    def test_both_legs_are_created_as_one_pair(self) -> None:
        (action,) = run(seen=lane(capabilities=SPOT, orders=())).actions
        assert isinstance(action, Submit)
        assert [body.role for body in action.bodies] == [SL, TP]
        assert not any(body.reduce_only for body in action.bodies)

    def test_a_pair_with_one_wrong_leg_is_redone_as_a_whole(self) -> None:
        stop, take = self.pair()
        seen = lane(capabilities=SPOT, orders=(replace(stop, trigger_price=dec(41000)), take))
        (action,) = run(seen=seen).actions
        assert isinstance(action, Submit)
        assert action.cancel_first
        assert set(action.replaces) == {stop.ref, take.ref}

    def test_two_single_orders_are_no_pair(self) -> None:
        stop, take = self.pair()
        orders = (replace(stop, pair_id="a"), replace(take, pair_id="b"))
        (action,) = run(seen=lane(capabilities=SPOT, orders=orders)).actions
        assert isinstance(action, Submit)

    def test_without_pairs_the_take_profit_is_watched_and_the_stop_stands(self) -> None:
        seen = lane(capabilities=STOP_ONLY, orders=(leg(SL, reduce_only=False),))
        assert run(seen=seen).coverage is Coverage.PROTECTED
        assert run(seen=seen).watched == (TP,)
        assert run(plan(take_profit=None), seen).watched == ()

    def test_a_refused_pair_gives_way_to_the_stop_alone_at_once(self) -> None:
        refused = plan(orders=(past(SL, **REJECTED), past(TP, **REJECTED)))
        (action,) = run(refused, lane(capabilities=SPOT, orders=())).actions
        assert isinstance(action, Submit)
        assert [body.role for body in action.bodies] == [SL]

    def test_a_stop_that_is_refused_alone_waits_for_its_own_next_try(self) -> None:
        alone = past(SL, 2, status="rejected", updated_at=NOW - seconds(0.05))
        refused = plan(orders=(past(SL, **REJECTED), past(TP, **REJECTED), alone))
        decision = run(refused, lane(capabilities=SPOT, orders=()))
        assert decision.actions == ()
        assert decision.requeue_after_s == pytest.approx(0.45)

    def test_beside_a_lone_stop_the_take_profit_of_a_refused_pair_is_watched(self) -> None:
        refused = plan(orders=(past(SL, 2), past(TP, **REJECTED)))
        stop = leg(SL, reduce_only=False)
        decision = run(refused, lane(capabilities=SPOT, orders=(stop,)))
        assert (decision.coverage, decision.actions) == (Coverage.PROTECTED, ())
        reached = run(refused, lane(capabilities=SPOT, orders=(stop,), price=price(45000)))
        assert change_of(reached, SetTarget) == SetTarget(dec(0), "TakeProfitReached")

    @pytest.mark.parametrize(("attempt", "pause_s"), [(1, 1), (2, 2), (4, 8), (30, 600)])
    def test_a_refused_pair_is_tried_again_in_ever_longer_times(
        self, attempt: int, pause_s: float
    ) -> None:
        def after(waited_s: float) -> Decision:
            refused = past(TP, attempt, status="rejected", updated_at=NOW - seconds(waited_s))
            stop = leg(SL, reduce_only=False)
            wish = plan(orders=(past(SL, attempt + 1), refused))
            return run(wish, lane(capabilities=SPOT, orders=(stop,)))

        assert after(pause_s - 0.5).actions == ()
        assert after(pause_s - 0.5).requeue_after_s == pytest.approx(0.5)
        (action,) = after(pause_s).actions
        assert isinstance(action, Submit)
        assert [body.role for body in action.bodies] == [SL, TP]
        assert action.cancel_first

    def test_a_watched_take_profit_that_is_reached_closes_the_position(self) -> None:
        seen = lane(
            capabilities=STOP_ONLY, orders=(leg(SL, reduce_only=False),), price=price(45000)
        )
        assert change_of(run(seen=seen), SetTarget) == SetTarget(dec(0), "TakeProfitReached")


class TestRule5NotOurs:
    def test_an_order_of_a_higher_revision_is_left_alone(self) -> None:
        newer = leg(SL, revision=4, trigger_price=dec(42500))
        assert not run(seen=lane(orders=(newer, leg(TP)))).actions

    def test_a_foreign_stop_is_reported_and_never_touched(self) -> None:
        decision = run(seen=lane(orders=(leg(SL), leg(TP), foreign())))
        assert not decision.actions
        assert [reason.code for reason in decision.reasons] == ["ForeignStop"]

    def test_a_foreign_stop_does_not_count_as_protection(self) -> None:
        assert run(seen=lane(orders=(foreign(), leg(TP)))).missing == (SL,)


class TestRule6Crossed:
    def test_a_missing_stop_that_the_price_has_passed_closes_the_position(self) -> None:
        decision = run(seen=lane(orders=(leg(TP),), price=price(41900)))
        assert change_of(decision, SetTarget) == SetTarget(dec(0), "StopCrossed")
        assert not decision.actions

    def test_with_the_alert_policy_the_crossed_stop_is_only_reported(self) -> None:
        policy = Policy(on_crossed_stop=OnCrossedStop.ALERT)
        decision = run(seen=lane(orders=(leg(TP),), price=price(41900)), policy=policy)
        assert not decision.actions
        assert change_of(decision, SetTarget) is None
        assert "LevelCrossed" in [reason.code for reason in decision.reasons]

    def test_a_working_stop_is_the_venues_to_trigger(self) -> None:
        assert run(seen=lane(price=price(41900))) == Decision(Coverage.PROTECTED)

    def test_a_missing_take_profit_that_is_reached_closes_the_position(self) -> None:
        decision = run(seen=lane(orders=(leg(SL),), price=price(45100)))
        assert change_of(decision, SetTarget) == SetTarget(dec(0), "TakeProfitReached")

    def test_an_old_price_is_no_evidence(self) -> None:
        decision = run(seen=lane(orders=(leg(TP),), price=price(41900, age_ms=2001)))
        assert change_of(decision, SetTarget) is None
        assert len(decision.actions) == 1

    def test_the_venues_own_refusal_is_evidence_when_no_price_is(self) -> None:
        refused = past(SL, 2, reject_reason=RejectReason.CROSSED, **REJECTED)
        decision = run(plan(orders=(refused,)), lane(orders=(leg(TP),), price=None))
        assert change_of(decision, SetTarget) == SetTarget(dec(0), "StopCrossed")


class TestRule7Backoff:
    def test_after_a_reject_the_leg_waits_at_most_five_seconds(self) -> None:
        refused = tuple(
            past(SL, n, reject_reason=RejectReason.INVALID_ORDER, **REJECTED) for n in range(1, 9)
        )
        decision = run(plan(orders=refused), lane(orders=(leg(TP),)))
        assert not decision.actions
        assert decision.requeue_after_s == pytest.approx(4.9)

    def test_after_the_wait_it_is_tried_again_under_the_next_attempt(self) -> None:
        refused = past(
            SL,
            1,
            "rejected",
            reject_reason=RejectReason.INVALID_ORDER,
            updated_at=NOW - seconds(0.6),
        )
        (action,) = run(plan(orders=(refused,)), lane(orders=(leg(TP),))).actions
        assert isinstance(action, Submit)
        assert action.bodies[0].attempt == 2

    def test_one_that_was_never_sent_goes_again_at_once(self) -> None:
        unsent = past(SL, 1, reject_reason=RejectReason.NOT_SENT, **REJECTED)
        assert run(plan(orders=(unsent,)), lane(orders=(leg(TP),))).actions

    @pytest.mark.parametrize(("naked_s", "closes"), [(29, False), (30, True)])
    def test_naked_for_longer_than_the_policy_bears_closes(
        self, naked_s: float, closes: bool
    ) -> None:
        wish = plan(naked_since=NOW - seconds(naked_s))
        decision = run(wish, lane(orders=()), Policy(max_unprotected_s=30))
        target = change_of(decision, SetTarget)
        assert target == (SetTarget(dec(0), "MaxUnprotected") if closes else None)


class TestRule8EntriesAndTurns:
    def test_an_exit_fill_cancels_what_still_works_of_an_older_entry(self) -> None:
        decision = run(plan(last_exit_fill_at=NOW), lane(orders=(leg(SL), leg(TP), entry())))
        assert decision.actions == (Cancel(entry().ref, "ExitFirst"),)

    def test_an_entry_made_after_the_exit_lives(self) -> None:
        wish = plan(last_exit_fill_at=NOW - seconds(300))
        assert not run(wish, lane(orders=(leg(SL), leg(TP), entry()))).actions

    def test_a_position_on_the_other_side_gets_none_of_our_orders(self) -> None:
        turned = lane(position=position(side=PositionSide.SHORT))
        decision = run(seen=turned)
        assert {action.kind for action in decision.actions} == {"cancel"}
        after = run(seen=lane(position=position(side=PositionSide.SHORT), orders=()))
        assert after.coverage is Coverage.UNGUARDED
        assert change_of(after, Close) == Close("SideTurned", incomplete=True)


class TestRule9Dust:
    def test_a_rest_below_the_minimum_is_reported_and_closed(self) -> None:
        seen = lane(position=position("0.0004"), orders=())
        decision = run(seen=seen)
        assert decision.coverage is Coverage.DUST
        assert decision.changes == (Close("Dust"),)

    def test_orders_on_dust_go_first(self) -> None:
        decision = run(seen=lane(position=position("0.0004")))
        assert len(decision.actions) == 2
        assert not decision.changes

    def test_dust_of_a_growing_entry_is_not_closed(self) -> None:
        seen = lane(position=position("0.0004"), orders=(entry(),))
        decision = run(plan(entry_working=True), seen)
        assert decision.coverage is Coverage.DUST
        assert not decision.changes

    def test_a_small_value_on_derivatives_is_still_guarded(self) -> None:
        seen = lane(position=position("0.001"), orders=(), price=price(43000))
        cheap = replace(seen, instrument=replace(seen.instrument or _never(), min_notional=dec(99)))
        assert run(seen=cheap).coverage is Coverage.NAKED


class TestExits:
    def exit_of(self, decision: Decision) -> Reduce:
        return next(a for a in decision.actions if isinstance(a, Reduce))

    def test_a_target_is_sold_down_to_reduce_only(self) -> None:
        decision = run(plan(target_quantity=dec("0.04"), revised_at=NOW))
        reduce = self.exit_of(decision)
        assert reduce.body.quantity == dec("0.06")
        assert reduce.body.side is OrderSide.SELL
        assert reduce.body.reduce_only
        assert not reduce.frees

    def test_on_spot_the_legs_coins_are_freed_first(self) -> None:
        pair = tuple(leg(role, pair_id="p", reduce_only=False) for role in (SL, TP))
        decision = run(plan(target_quantity=dec(0)), lane(capabilities=SPOT, orders=pair))
        assert set(self.exit_of(decision).frees) == {order.ref for order in pair}
        assert len(decision.actions) == 1

    def test_the_next_attempt_sells_at_most_what_the_last_left(self) -> None:
        sold = past(Role.EXIT, 1, "closed", quantity=dec("0.06"), filled_quantity=dec("0.05"))
        wish = plan(target_quantity=dec("0.04"), revised_at=NOW, orders=(sold,))
        reduce = self.exit_of(run(wish))
        assert reduce.body.quantity == dec("0.01")
        assert reduce.body.attempt == 2

    def test_a_sale_that_the_position_does_not_show_yet_is_not_repeated(self) -> None:
        sold = past(
            Role.EXIT,
            1,
            "closed",
            quantity=dec("0.1"),
            filled_quantity=dec("0.1"),
            updated_at=NOW - seconds(1),
        )
        decision = run(plan(target_quantity=dec(0), revised_at=NOW, orders=(sold,)))
        assert not decision.actions

    def test_a_position_still_there_long_after_its_sale_gets_a_new_target(self) -> None:
        sold = past(
            Role.EXIT,
            1,
            "closed",
            quantity=dec("0.1"),
            filled_quantity=dec("0.1"),
            updated_at=NOW - seconds(10),
        )
        decision = run(plan(target_quantity=dec(0), revised_at=NOW, orders=(sold,)))
        assert change_of(decision, SetTarget) == SetTarget(dec(0), "StillAboveTarget")

    def test_a_reached_target_is_cleared(self) -> None:
        wish = plan(target_quantity=dec("0.1"), revised_at=NOW)
        assert change_of(run(wish), ClearTarget) == ClearTarget()

    @pytest.mark.parametrize(("age_s", "creates"), [(4, False), (5, True)])
    def test_missing_legs_wait_five_seconds_for_an_exit(self, age_s: float, creates: bool) -> None:
        wish = plan(target_quantity=dec(0), revised_at=NOW - seconds(age_s), orders=())
        decision = run(wish, lane(orders=()))
        assert any(isinstance(action, Submit) for action in decision.actions) is creates

    def test_an_exit_cancels_entries(self) -> None:
        decision = run(plan(target_quantity=dec(0)), lane(orders=(leg(SL), leg(TP), entry())))
        assert Cancel(entry().ref, "ExitFirst") in decision.actions


def _never() -> Any:
    raise AssertionError("the lane has an instrument")
