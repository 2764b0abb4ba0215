"""What is shown, and what is not written because it is shown already. Pure."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from guardian_core.cluster.three_way import Field
from guardian_core.domain.decision import Coverage, Decision, Reason
from guardian_core.domain.errors import CallerError
from guardian_core.domain.orders import PositionSide, Role
from guardian_core.domain.plan import Policy, StateStatus
from guardian_core.guarding import LaneReport, Step
from guardian_core.storage.mirrors import LevelPair, ShownState
from guardian_operator.edits import check_edit, told
from guardian_operator.positions import is_expired
from guardian_operator.shelf import Shelf
from guardian_operator.status import (
    IN_STEP,
    Sight,
    account_status,
    changed,
    no,
    position_status,
    stray_status,
    unknown,
    yes,
)
from tests.domain import builders

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
LEVELS = LevelPair(Decimal(42_000), Decimal(45_000))

STATE = ShownState(
    id=UUID(int=7),
    account="main",
    symbol="BTCUSDT",
    side=PositionSide.LONG,
    status=StateStatus.OPEN,
    source="webhook",
    levels=LEVELS,
    target_quantity=None,
    target_reason="",
    revision=3,
    quantity=Decimal("0.010"),
    entry_price=Decimal(43_000),
    stop_loss_order_id="11",
    take_profit_order_id="12",
    naked_since=None,
    repairs=0,
    realized_pnl=None,
    trace_id="0" * 32,
    opened_at=NOW,
    closed_at=None,
    close_reason="",
)


def seen(
    coverage: Coverage,
    *reasons: Reason,
    missing: tuple[Role, ...] = (),
    watched: tuple[Role, ...] = (),
) -> LaneReport:
    decision = Decision(coverage, reasons=reasons, missing=missing, watched=watched)
    return LaneReport("BTCUSDT", (Step(None, builders.lane(), decision),))


def status(sight: Sight, old: dict[str, Any], at: datetime = NOW, **more: Any) -> dict[str, Any]:
    return position_status(sight, more.get("synced", IN_STEP), 2, old, at)


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(each for each in status["conditions"] if each["type"] == kind)


@pytest.mark.parametrize(
    ("coverage", "protected", "ready"),
    [
        (Coverage.PROTECTED, "True", "True"),
        (Coverage.PARTIAL, "False", "False"),
        (Coverage.NAKED, "False", "False"),
        (Coverage.UNGUARDED, "False", "False"),
        (Coverage.UNKNOWN, "Unknown", "Unknown"),
    ],
)
def test_protected_follows_coverage(coverage: Coverage, protected: str, ready: str):
    shown = status(Sight(STATE, seen(coverage)), {})
    assert shown["coverage"] == coverage.value
    assert condition(shown, "Protected")["status"] == protected
    assert condition(shown, "Ready")["status"] == ready


def test_what_no_recent_pass_has_seen_is_unknown():
    shown = status(Sight(STATE, None), {})
    assert (shown["coverage"], condition(shown, "Protected")["status"]) == ("Unknown", "Unknown")


def test_a_missing_leg_is_named():
    lane = seen(Coverage.NAKED, missing=(Role.STOP_LOSS,))
    assert "stop_loss is missing" in str(status(Sight(STATE, lane), {}))


@pytest.mark.parametrize(
    ("lane", "order_id", "told"),
    [
        (seen(Coverage.PROTECTED), "12", "Working"),
        (seen(Coverage.PROTECTED, watched=(Role.TAKE_PROFIT,)), None, "Watched"),
        (seen(Coverage.PARTIAL, missing=(Role.TAKE_PROFIT,)), None, None),
        (seen(Coverage.UNKNOWN), "12", None),
        (None, "12", None),
    ],
)
def test_who_takes_the_profit_is_told(
    lane: LaneReport | None, order_id: str | None, told: str | None
):
    shown = status(Sight(replace(STATE, take_profit_order_id=order_id), lane), {})
    assert shown.get("takeProfit") == told


def test_an_object_out_of_step_is_not_ready():
    said = no("EditRefused", "why")
    shown = status(Sight(STATE, seen(Coverage.PROTECTED)), {}, synced=said)
    assert condition(shown, "Protected")["status"] == "True"
    assert condition(shown, "Ready")["reason"] == "EditRefused"


@pytest.mark.parametrize("over", [StateStatus.CLOSED, StateStatus.RELEASED])
def test_what_is_over_is_ready_flat_and_not_protected(over: StateStatus):
    shown = status(Sight(replace(STATE, status=over), None), {})
    assert (shown["coverage"], shown["quantity"]) == ("Flat", "0")
    assert "stopLossOrder" not in shown
    assert condition(shown, "Ready")["status"] == "True"
    assert condition(shown, "Protected")["status"] == "False"


def test_the_same_sight_later_changes_nothing():
    sight = Sight(STATE, seen(Coverage.PROTECTED))
    first = status(sight, {})
    again = status(sight, first, LATER)
    assert changed(again, first) is None


def test_the_time_of_a_condition_moves_only_when_it_flips():
    first = status(Sight(STATE, seen(Coverage.NAKED)), {})
    same = status(Sight(STATE, seen(Coverage.PARTIAL)), first, LATER)
    assert condition(same, "Protected")["reason"] == "Partial"
    assert condition(same, "Protected")["lastTransitionTime"] == "2026-01-02T03:04:05Z"
    flipped = status(Sight(STATE, seen(Coverage.PROTECTED)), same, LATER)
    assert condition(flipped, "Protected")["lastTransitionTime"] == "2026-01-02T03:09:05Z"
    assert condition(flipped, "Synced")["lastTransitionTime"] == "2026-01-02T03:04:05Z"


def test_a_field_that_goes_is_removed_by_name():
    old = status(Sight(STATE, seen(Coverage.PROTECTED)), {})
    naked = replace(STATE, stop_loss_order_id=None)
    patch = changed(status(Sight(naked, seen(Coverage.PARTIAL)), old), old)
    assert patch is not None
    assert patch["stopLossOrder"] is None


def test_an_object_that_shows_no_state_says_why_and_nothing_else():
    shown = stray_status(no("Conflict", "taken"), 1, {}, NOW)
    assert set(shown) == {"conditions", "observedGeneration"}
    assert condition(shown, "Synced")["message"] == "taken"


def test_an_account_that_cannot_be_reached_keeps_its_counts():
    first = account_status(
        yes("Guarded"), yes("PassSucceeded"), yes("CheckPassed"), (2, 1), 1, {}, NOW
    )
    away = account_status(
        no("Away"), unknown("NoPass"), unknown("NotChecked"), None, 1, first, LATER
    )
    assert (away["openPositions"], away["nakedPositions"]) == (2, 1)


SL, TP = Field.STOP_LOSS, Field.TAKE_PROFIT
PRICE = Decimal(43_000)


@pytest.mark.parametrize(
    ("new", "edited", "allow_remove", "problem"),
    [
        (LevelPair(Decimal(42_500), Decimal(45_000)), (SL,), False, ""),
        (LevelPair(Decimal(43_500), Decimal(45_000)), (SL,), False, ""),
        (LevelPair(Decimal(44_500), Decimal(45_000)), (SL,), False, "wrong side"),
        (LevelPair(Decimal(46_000), Decimal(45_000)), (SL,), False, "inverted"),
        (LevelPair(None, Decimal(45_000)), (SL,), False, "does not allow"),
        (LevelPair(None, Decimal(45_000)), (SL,), True, ""),
        (LevelPair(Decimal(42_000), Decimal(42_100)), (TP,), False, "wrong side"),
    ],
)
def test_an_edit_may_say_what_an_alert_may_say(
    new: LevelPair, edited: tuple[Field, ...], allow_remove: bool, problem: str
):
    policy = Policy(allow_remove=allow_remove)
    if not problem:
        check_edit(PositionSide.LONG, LEVELS, new, edited, policy, PRICE)
        return
    with pytest.raises(CallerError, match=problem):
        check_edit(PositionSide.LONG, LEVELS, new, edited, policy, PRICE)


def test_an_edit_is_told_in_words():
    new = LevelPair(Decimal("42500.50"), None)
    assert told(LEVELS, new, (SL, TP)) == "stopLoss 42000 -> 42500.5, takeProfit 45000 -> none"


def test_what_is_over_is_shown_for_a_day_and_what_never_opened_not_at_all():
    closed = replace(STATE, status=StateStatus.CLOSED, closed_at=NOW)
    assert not is_expired(STATE, LATER + timedelta(days=9))
    assert not is_expired(closed, NOW + timedelta(hours=23))
    assert is_expired(closed, NOW + timedelta(hours=25))
    assert is_expired(replace(closed, opened_at=None), NOW)


def body(version: int, uid: str = "a", name: str = "x", created: str = "1") -> dict[str, Any]:
    metadata = {"name": name, "uid": uid, "resourceVersion": str(version)}
    return {"metadata": metadata | {"creationTimestamp": created}}


def test_a_shelf_keeps_the_newest():
    shelf = Shelf()
    assert shelf.put(body(9))
    assert not shelf.put(body(9))
    assert not shelf.put(body(8))
    assert shelf.put(body(10))
    assert shelf.put(body(11, uid="b", created="2"))
    assert not shelf.put(body(12, uid="a", created="1"))
    shelf.drop(body(10, uid="a"))
    assert shelf["x"] == body(11, uid="b", created="2")


def test_a_listing_tells_what_is_new_and_what_is_gone():
    shelf = Shelf()
    for name in ("kept", "moved", "gone"):
        shelf.put(body(1, name=name))
    known = shelf.uids()
    listing = [body(1, name="kept"), body(2, name="moved"), body(3, name="made")]
    assert shelf.replace(listing, known) == {"moved", "made", "gone"}
    assert list(shelf) == ["kept", "moved", "made"]


def test_a_listing_that_was_asked_for_before_does_not_hide_what_came_since():
    shelf = Shelf()
    shelf.put(body(1, name="again"))
    known = shelf.uids()
    shelf.put(body(5, uid="b", name="again", created="2"))
    shelf.put(body(4, name="made"))
    assert shelf.replace([], known) == set()
    assert set(shelf) == {"again", "made"}
