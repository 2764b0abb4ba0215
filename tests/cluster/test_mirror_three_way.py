"""The three-way rule: a table of what happens, and what must hold for any history of both sides."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian_core.cluster.three_way import (
    Adopt,
    Agree,
    Apply,
    Create,
    Delete,
    Desired,
    Field,
    Forget,
    LaneTaken,
    LetGo,
    Merge,
    Nothing,
    Outcome,
    Pin,
    Shown,
    newest_base,
    three_way,
)
from guardian_core.storage.mirrors import Agreed, LevelPair

OLD = LevelPair(Decimal(42_000), Decimal(45_000))
SL_MOVED = LevelPair(Decimal(42_500), Decimal(45_000))
SL_ELSEWHERE = LevelPair(Decimal(41_000), Decimal(45_000))
TP_MOVED = LevelPair(Decimal(42_000), Decimal(46_000))
BOTH_MOVED = LevelPair(Decimal(42_500), Decimal(46_000))
NO_TP = LevelPair(Decimal(42_000), None)

DB = Desired(OLD, revision=3, uid="one", base=Agreed(OLD, 3))
CR = Shown("one", OLD)


def moved(levels: LevelPair) -> Desired:
    return replace(DB, levels=levels, revision=4)


def edited(levels: LevelPair) -> Shown:
    return replace(CR, levels=levels)


STOP, TAKE = Field.STOP_LOSS, Field.TAKE_PROFIT

TABLE: dict[str, tuple[Desired | None, Shown | None, Outcome]] = {
    "at rest": (DB, CR, Nothing()),
    "the same number, written otherwise": (
        DB,
        edited(LevelPair(Decimal("42000.00"), Decimal("4.5E+4"))),
        Nothing(),
    ),
    "a MAJ": (moved(SL_MOVED), CR, Apply(SL_MOVED)),
    "a leg removed by an alert": (moved(NO_TP), CR, Apply(NO_TP)),
    "an edit": (DB, edited(SL_MOVED), Merge(SL_MOVED, (STOP,))),
    "a leg removed by hand": (DB, edited(NO_TP), Merge(NO_TP, (TAKE,))),
    "both moved the same leg": (
        moved(SL_MOVED),
        edited(SL_ELSEWHERE),
        Merge(SL_ELSEWHERE, (STOP,), overruled=(STOP,)),
    ),
    "both moved the same leg to the same level": (moved(SL_MOVED), edited(SL_MOVED), Agree()),
    "each moved another leg": (
        moved(TP_MOVED),
        edited(SL_MOVED),
        Merge(LevelPair(SL_MOVED.stop_loss, TP_MOVED.take_profit), (STOP,)),
    ),
    "nothing shows a live state": (DB, None, Create()),
    "a live state that was never shown": (replace(DB, uid=None, base=None), None, Create()),
    "made, but the writer died before he noted it": (
        replace(DB, uid=None, base=None),
        replace(CR, applied=Agreed(OLD, 3)),
        Agree(),
    ),
    "made, then edited before it was noted": (
        replace(DB, uid=None, base=None),
        replace(CR, levels=SL_MOVED, applied=Agreed(OLD, 3)),
        Merge(SL_MOVED, (STOP,)),
    ),
    "made without its levels": (
        replace(DB, uid=None, base=None),
        edited(LevelPair()),
        Apply(OLD),
    ),
    "our own write of an earlier revision is no edit": (
        replace(moved(TP_MOVED), revision=5),
        replace(CR, levels=SL_MOVED, applied=Agreed(SL_MOVED, 4)),
        Apply(TP_MOVED),
    ),
    "an old manifest applied again is an edit": (
        replace(DB, base=Agreed(OLD, 3)),
        replace(CR, levels=SL_ELSEWHERE, applied=Agreed(SL_ELSEWHERE, 1)),
        Merge(SL_ELSEWHERE, (STOP,)),
    ),
    "our own write after an edit, at the edit's revision, is no edit": (
        # Its writer died before he noted it, and then came another alert.
        replace(DB, levels=SL_MOVED, revision=5, base=Agreed(SL_MOVED, 4)),
        replace(CR, levels=BOTH_MOVED, applied=Agreed(BOTH_MOVED, 4)),
        Apply(SL_MOVED),
    ),
    "a restore": (
        DB,
        replace(CR, uid="two", levels=SL_ELSEWHERE),
        Apply(OLD, restored=True),
    ),
    "pinned by hand": (DB, replace(CR, pinned=True), Pin(True)),
    "unpinned by hand": (replace(DB, pinned=True), CR, Pin(False)),
    "deleted while live": (DB, replace(CR, deleting=True), Delete()),
    "over": (replace(DB, is_live=False), edited(SL_MOVED), Nothing()),
    "over and being deleted": (replace(DB, is_live=False), replace(CR, deleting=True), LetGo()),
    "over, and another object took its name": (
        replace(DB, is_live=False),
        replace(CR, uid="two"),
        Forget(),
    ),
    "over before it was noted that it was made": (
        replace(DB, is_live=False, uid=None, base=None),
        CR,
        Agree(),
    ),
    "over and gone": (replace(DB, is_live=False), None, Forget()),
    "over and never shown": (replace(DB, is_live=False, uid=None, base=None), None, Nothing()),
    "written by hand": (None, CR, Adopt()),
    "written by hand and deleted": (None, replace(CR, deleting=True), LetGo()),
    "nothing at all": (None, None, Nothing()),
}


@pytest.mark.parametrize(("desired", "shown", "outcome"), TABLE.values(), ids=TABLE.keys())
def test_what_is_done(desired: Desired | None, shown: Shown | None, outcome: Outcome):
    assert three_way(desired, shown) == outcome


def test_a_second_object_for_a_lane_is_not_adopted():
    assert three_way(None, CR, lane_taken=True) == LaneTaken()


levels = st.builds(
    LevelPair,
    st.sampled_from([None, Decimal(1), Decimal(2), Decimal(3)]),
    st.sampled_from([None, Decimal(7), Decimal(8), Decimal(9)]),
)


@st.composite
def sides(draw: st.DrawFn) -> tuple[Desired, Shown]:
    """Any two sides that can meet: live, and neither being deleted."""
    revision = draw(st.integers(2, 5))
    known = draw(st.booleans())
    agreed = st.builds(Agreed, levels, st.integers(1, revision))
    desired = Desired(
        draw(levels),
        revision,
        pinned=known and draw(st.booleans()),
        uid="one" if known else None,
        base=draw(agreed) if known else None,
    )
    shown = Shown(
        draw(st.sampled_from(["one", "two"])),
        draw(levels),
        pinned=draw(st.booleans()),
        applied=draw(st.none() | agreed),
    )
    return desired, shown


def carried_out(desired: Desired, shown: Shown, outcome: Outcome) -> tuple[Desired, Shown]:
    """Both sides once an outcome has been carried out, as mirroring and merge do it."""
    match outcome:
        case Apply(new, restored):
            agreed = Agreed(new, desired.revision)
            pinned = desired.pinned if restored else shown.pinned
            given = replace(shown, levels=new, applied=agreed, pinned=pinned)
            return replace(desired, uid=shown.uid, base=agreed, pinned=pinned), given
        case Agree():
            agreed = Agreed(shown.levels, desired.revision)
            return replace(desired, uid=shown.uid, base=agreed, pinned=shown.pinned), shown
        case Merge(new, _, _):
            revision = desired.revision + 1
            base = Agreed(shown.levels, revision)
            return (
                replace(desired, levels=new, revision=revision, uid=shown.uid, base=base),
                shown,
            )
        case Pin(pinned):
            return replace(desired, pinned=pinned), shown
        case _:
            return desired, shown


@given(sides())
def test_both_sides_agree_in_the_end_and_then_nothing_is_done(both: tuple[Desired, Shown]):
    desired, shown = both
    for _ in range(4):
        outcome = three_way(desired, shown)
        if outcome == Nothing():
            break
        desired, shown = carried_out(desired, shown, outcome)
    assert three_way(desired, shown) == Nothing()
    assert desired.levels == shown.levels
    assert desired.uid == shown.uid
    assert desired.pinned == shown.pinned


@given(sides())
def test_a_level_is_never_invented(both: tuple[Desired, Shown]):
    desired, shown = both
    outcome = three_way(desired, shown)
    if isinstance(outcome, Apply | Merge):
        assert outcome.levels.stop_loss in (desired.levels.stop_loss, shown.levels.stop_loss)
        assert outcome.levels.take_profit in (desired.levels.take_profit, shown.levels.take_profit)


@given(sides())
def test_an_edit_wins_and_whoever_gives_way_is_told(both: tuple[Desired, Shown]):
    desired, shown = both
    outcome = three_way(desired, shown)
    base = newest_base(desired, shown)
    if base is None or shown.uid != (desired.uid or shown.uid) or isinstance(outcome, Pin):
        return
    differs = {
        Field.STOP_LOSS: (
            base.levels.stop_loss,
            desired.levels.stop_loss,
            shown.levels.stop_loss,
        ),
        Field.TAKE_PROFIT: (
            base.levels.take_profit,
            desired.levels.take_profit,
            shown.levels.take_profit,
        ),
    }
    edits = {name for name, (was, wish, now) in differs.items() if now not in (was, wish)}
    given_way = {name for name in edits if differs[name][0] != differs[name][1]}
    assert edits == set(outcome.edited if isinstance(outcome, Merge) else ())
    assert given_way == set(outcome.overruled if isinstance(outcome, Merge) else ())
