"""No state of affairs in which `decide` goes round in circles, waits for ever, or falls over."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from guardian_core.domain.backoff import MAX_S
from guardian_core.domain.decide import decide
from guardian_core.domain.decision import (
    Amend,
    Cancel,
    ClearTarget,
    Close,
    Coverage,
    Decision,
    FlatSeen,
    Reduce,
    Reopen,
    SetTarget,
    Submit,
)
from guardian_core.domain.errors import RejectReason
from guardian_core.domain.orders import PositionSide, Role
from guardian_core.domain.plan import OnCrossedStop, Plan, Policy, StateStatus
from guardian_core.domain.snapshot import Capabilities, LaneSnapshot
from tests.domain.builders import (
    AMENDING,
    FLAT,
    INSTRUMENT,
    NOW,
    POLICY,
    SPOT,
    STATE,
    STOP_ONLY,
    dec,
    entry,
    lane,
    leg,
    past,
    plan,
    position,
    price,
    seconds,
)
from tests.domain.model_venue import apply

SL, TP = Role.STOP_LOSS, Role.TAKE_PROFIT
SHORT = PositionSide.SHORT
ALERT = Policy(on_crossed_stop=OnCrossedStop.ALERT)
NAKED: dict[str, Any] = {"orders": ()}
PENDING = {"status": StateStatus.PENDING, "net_filled": dec(0), "orders": (), "quantity": dec(0)}
CLOSED = {"status": StateStatus.CLOSED, "closed_at": NOW - seconds(30), "orders": ()}


def run(wish: Plan, seen: LaneSnapshot, policy: Policy = POLICY) -> Decision:
    return decide(wish, seen, policy, NOW)


def settles(wish: Plan, seen: LaneSnapshot, rounds: int = 6) -> list[Decision]:
    """Every decision until nothing changes any more; fails where that never comes."""
    made = []
    for _ in range(rounds):
        made.append(run(wish, seen))
        if not made[-1].actions and not made[-1].changes:
            return made
        wish, seen = apply(wish, seen, made[-1])
    raise AssertionError(made)


class TestDust:
    @pytest.mark.parametrize("status", [StateStatus.OPEN, StateStatus.CLOSED])
    def test_spot_dust_above_the_minimum_quantity_is_closed_for_good(
        self, status: StateStatus
    ) -> None:
        closed_at = None if status is StateStatus.OPEN else NOW
        rest = plan(status=status, closed_at=closed_at, net_filled=dec("0.004"), orders=())
        little = replace(INSTRUMENT, min_notional=dec(200))
        seen = lane(capabilities=SPOT, position=position("0.004"), instrument=little, **NAKED)
        made = settles(rest, seen)
        assert made[-1].coverage is Coverage.DUST
        assert not any(isinstance(c, Reopen) for d in made for c in d.changes)

    def test_a_rest_on_the_venue_is_no_position_to_reopen_for(self) -> None:
        """Our fills do not tell yet of a sale by hand."""
        gone = plan(**CLOSED, net_filled=dec("0.1"))
        seen = lane(position=position("0.0005"), **NAKED)
        assert run(gone, seen).changes == ()

    def test_on_spot_a_rest_that_is_to_be_sold_and_cannot_be_is_dust(self) -> None:
        little = replace(INSTRUMENT, min_notional=dec(5000))
        orders = (leg(SL, pair_id="p"), leg(TP, pair_id="p"))
        seen = lane(capabilities=SPOT, instrument=little, orders=orders)
        made = settles(plan(target_quantity=dec(0), orders=()), seen)
        assert made[-1].coverage is Coverage.DUST

    @pytest.mark.parametrize("side", list(PositionSide))
    def test_an_entry_about_to_be_sent_survives_the_dust_of_the_position_before(
        self, side: PositionSide
    ) -> None:
        new = plan(**PENDING, entry_sent=False, entry_due=True)
        seen = lane(position=position("0.0005", side), **NAKED)
        assert not run(new, seen).changes


class TestWaitingEntries:
    def test_an_entry_that_its_alert_may_still_send_is_waited_for(self) -> None:
        decision = run(plan(**PENDING, entry_sent=False, entry_due=True), lane(**FLAT))
        assert not decision.changes

    def test_an_entry_that_no_alert_will_send_any_more_closes_at_once(self) -> None:
        decision = run(plan(**PENDING, entry_sent=False, entry_due=False), lane(**FLAT))
        assert decision.changes == (Close("EntryNeverSent"),)

    def test_a_position_of_the_other_side_does_not_close_an_entry_about_to_be_sent(self) -> None:
        """The snapshot may be of the moment before that position was closed."""
        new = plan(**PENDING, entry_sent=False, entry_due=True)
        assert not run(new, lane(position=position(side=SHORT), **NAKED)).changes

    def test_an_entry_that_outlived_its_state_is_cancelled(self) -> None:
        """It was thought never to have been sent; nobody wants its position any more."""
        decision = run(plan(**CLOSED, net_filled=dec(0)), lane(position=None, orders=(entry(),)))
        assert [type(a) for a in decision.actions] == [Cancel]


class TestForeignPositions:
    def test_leftover_legs_never_stand_beside_a_position_that_is_not_ours(self) -> None:
        decision = run(plan(**CLOSED, net_filled=dec(0)), lane())
        assert len(decision.actions) == 2
        assert all(isinstance(action, Cancel) for action in decision.actions)

    def test_on_spot_coins_that_turn_up_after_an_unexplained_end_are_the_users(self) -> None:
        sold_by_hand = plan(**CLOSED, closed_unexplained=True)
        assert not run(sold_by_hand, lane(capabilities=SPOT, **NAKED)).changes

    def test_a_turned_position_with_a_leg_in_flight_is_not_asked_for_without_pause(self) -> None:
        seen = lane(position=position(side=SHORT), orders=(leg(SL, in_flight=True),))
        decision = run(plan(), seen)
        assert decision.requeue_after_s is not None
        assert decision.requeue_after_s > 0

    def test_a_pending_state_meets_the_other_side_with_patience_that_ends(self) -> None:
        """Its fill may be younger than the report; a report that stays is the truth."""
        seen = lane(position=position(side=SHORT), orders=())
        filled: dict[str, Any] = {"status": StateStatus.PENDING, "entry_sent": True}
        assert FlatSeen(NOW) in run(plan(**filled), seen).changes
        early = plan(**filled, flat_seen_at=NOW - seconds(9))
        assert not run(early, seen).changes
        late = plan(**filled, flat_seen_at=NOW - seconds(10))
        assert [type(change) for change in run(late, seen).changes] == [Close]

    def test_a_waiting_entry_beside_a_position_on_the_other_side_is_left_in_peace(self) -> None:
        seen = lane(position=position(side=SHORT), orders=(entry(),))
        waiting = plan(
            status=StateStatus.PENDING, entry_sent=True, entry_working=True, net_filled=dec(0)
        )
        decision = run(waiting, seen)
        assert not decision.actions
        assert not decision.changes
        assert decision.requeue_after_s is None

    def test_a_leg_beside_an_entry_that_never_filled_goes_before_its_state(self) -> None:
        unfilled = plan(status=StateStatus.PENDING, entry_sent=True, net_filled=dec(0))
        decision = run(unfilled, lane(position=None, orders=(leg(TP),)))
        assert [type(a) for a in decision.actions] == [Cancel]
        assert not decision.changes


class TestLevels:
    def test_a_stop_refused_as_crossed_is_tried_again_once_the_price_is_back(self) -> None:
        long_ago = NOW - seconds(MAX_S + 0.1)
        refused: dict[str, Any] = {
            "status": "rejected",
            "reject_reason": RejectReason.CROSSED,
            "updated_at": long_ago,
        }
        orders = tuple(past(SL, attempt, **refused) for attempt in (1, 2, 3))
        decision = run(plan(orders=(*orders, past(TP))), lane(orders=(leg(TP),)), ALERT)
        assert [type(a) for a in decision.actions] == [Submit]

    @pytest.mark.parametrize("capabilities", [SPOT, STOP_ONLY])
    @pytest.mark.parametrize("profit", [dec(45000), None])
    def test_a_stop_that_stands_is_not_given_up_for_one_that_is_crossed(
        self, capabilities: Capabilities, profit: Decimal | None
    ) -> None:
        old = leg(SL, revision=2, reduce_only=False, pair_id="p")
        wish = plan(stop_loss=dec(43600), take_profit=profit, orders=())
        decision = run(wish, lane(capabilities=capabilities, orders=(old,)), ALERT)
        assert not decision.actions
        assert [reason.code for reason in decision.reasons] == ["LevelCrossed"]

    def test_a_refused_pair_does_not_say_that_the_take_profit_is_reached(self) -> None:
        """Either level may be the crossed one; the stop alone is asked for by itself."""
        refused: dict[str, Any] = {
            "status": "rejected",
            "reject_reason": RejectReason.CROSSED,
            "updated_at": NOW - seconds(3),
        }
        pairs = [past(role, 1, **refused) for role in (SL, TP)]
        pairs += [past(role, 2, **refused) for role in (SL, TP)]
        seen = lane(capabilities=SPOT, orders=(leg(SL, attempt=3, reduce_only=False),))
        wish = plan(orders=(*pairs, past(SL, 3)))
        for known in (price(), None):
            assert SetTarget not in map(type, run(wish, replace(seen, price=known)).changes)
        reached = run(wish, replace(seen, price=price(45000)))
        assert SetTarget(Decimal(0), "TakeProfitReached") in reached.changes

    def test_on_spot_the_take_profit_stands_alone_where_no_stop_can(self) -> None:
        seen = lane(capabilities=SPOT, orders=())
        decision = run(plan(stop_loss=dec(43600), orders=()), seen, ALERT)
        (submit,) = [a for a in decision.actions if isinstance(a, Submit)]
        assert [body.role for body in submit.bodies] == [TP]

    def test_a_level_below_one_tick_does_not_stop_the_guarding(self) -> None:
        seen = lane(position=position(side=SHORT), **NAKED)
        decision = run(plan(side=SHORT, take_profit=dec("0.01"), orders=()), seen)
        bodies = [a.bodies[0] for a in decision.actions if isinstance(a, Submit)]
        assert {body.role: body.trigger_price for body in bodies} == {
            SL: dec(45000),
            TP: INSTRUMENT.tick,
        }

    def test_the_leg_of_an_older_state_is_replaced_not_amended(self) -> None:
        """Amended, its fills would count for the state that is over."""
        old = leg(SL, state_id=None, remaining=dec("0.2"), revision=9)
        decision = run(plan(orders=(past(TP),)), lane(capabilities=AMENDING, orders=(old, leg(TP))))
        assert [type(a) for a in decision.actions] == [Submit]
        own = replace(old, state_id=STATE, revision=3)
        decision = run(plan(), lane(capabilities=AMENDING, orders=(own, leg(TP))))
        assert [type(a) for a in decision.actions] == [Amend]


class TestExits:
    def test_what_is_left_above_the_target_and_cannot_be_sold_ends_the_exit(self) -> None:
        least = replace(INSTRUMENT, min_quantity=dec("0.01"))
        almost = plan(target_quantity=dec("0.098"), orders=())
        assert run(almost, lane(instrument=least)).changes == (ClearTarget(),)

    def test_on_spot_the_notional_counts_too(self) -> None:
        least = replace(INSTRUMENT, min_notional=dec(100))
        almost = plan(target_quantity=dec("0.099"), orders=())
        orders = (leg(SL, pair_id="p"), leg(TP, pair_id="p"))
        seen = lane(capabilities=SPOT, instrument=least, orders=orders)
        assert run(almost, seen).changes == (ClearTarget(),)

    def test_a_newer_revision_does_not_sell_again_what_the_position_does_not_show_yet(self) -> None:
        half_sold = plan(
            revision=4,
            target_quantity=dec("0.05"),
            net_filled=dec("0.05"),
            last_exit_fill_at=NOW - seconds(1),
            orders=(),
        )
        decision = run(half_sold, lane(position=position("0.1")))
        assert not any(isinstance(a, Reduce) for a in decision.actions)
        assert decision.requeue_after_s == 0.5

    def test_a_position_that_stays_above_its_target_is_sold_after_all(self) -> None:
        grown = plan(
            target_quantity=dec("0.05"),
            net_filled=dec("0.05"),
            last_exit_fill_at=NOW - seconds(11),
            orders=(),
        )
        decision = run(grown, lane(position=position("0.1")))
        (reduce,) = [a for a in decision.actions if isinstance(a, Reduce)]
        assert reduce.body.quantity == dec("0.05")

    @pytest.mark.parametrize(("by_fills", "at_once"), [("0.02", True), ("0", False)])
    def test_what_an_entry_adds_to_a_sold_position_is_sold_when_the_fills_show_it_too(
        self, by_fills: str, at_once: bool
    ) -> None:
        sold = past(Role.EXIT, status="closed", filled_quantity=dec("0.1"), updated_at=NOW)
        wish = plan(
            target_quantity=dec(0),
            orders=(sold,),
            net_filled=dec(by_fills),
            last_exit_fill_at=NOW,
        )
        changes = run(wish, lane(position=position("0.02"))).changes
        assert (SetTarget(Decimal(0), "StillAboveTarget") in changes) is at_once

    def test_a_part_too_small_to_sell_of_a_position_that_grew_gets_a_new_revision(self) -> None:
        ended = past(
            Role.EXIT,
            status="cancelled",
            filled_quantity=dec("0.0995"),
            updated_at=NOW - seconds(11),
        )
        wish = plan(target_quantity=dec(0), orders=(ended,), net_filled=dec("0.1"))
        changes = run(wish, lane()).changes
        assert SetTarget(Decimal(0), "StillAboveTarget") in changes

    def test_an_exit_that_ends_without_a_fill_backs_off_like_a_refused_one(self) -> None:
        ended = past(Role.EXIT, status="cancelled", updated_at=NOW - seconds(0.1))
        decision = run(plan(target_quantity=dec(0), orders=(ended,)), lane())
        assert not any(isinstance(a, Reduce) for a in decision.actions)
