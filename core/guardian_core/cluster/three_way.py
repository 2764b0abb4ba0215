"""Desire, three ways: what to do about a state and its TradingPosition, which may have been
edited, deleted, restored or written by hand meanwhile. Pure.

1. Levels are compared one by one, as numbers. What the object says and neither the base nor the
   desire does is an edit, and wins; where the desire moved as well, that is told as overruled.
2. The base is the newer of two: what the database says was agreed, and what the object says it
   was last given (a writer who died between the two must not make his own write an edit). Of the
   same revision, the object's is: an edit is noted first, and the object given the rest then.
3. With no base, and with an object of another uid than the known one (a restore), the desire wins.
4. An object that no state explains is adopted, or in conflict when its lane is taken.
5. After an outcome is carried out and both sides are looked at again, it comes to Nothing.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from guardian_core.storage.mirrors import Agreed, LevelPair


class Field(StrEnum):
    STOP_LOSS = "stopLoss"
    TAKE_PROFIT = "takeProfit"


@dataclass(frozen=True, slots=True)
class Desired:
    """The database's side. `uid` and `base` are the mirror's: None where there is none yet."""

    levels: LevelPair
    revision: int
    is_live: bool = True
    pinned: bool = False
    uid: str | None = None
    base: Agreed | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """The object as the API server has it. `applied`: what it says it was last given."""

    uid: str
    levels: LevelPair
    pinned: bool = False
    deleting: bool = False
    applied: Agreed | None = None


@dataclass(frozen=True, slots=True)
class Nothing:
    """Both sides say the same, or neither exists any more."""


@dataclass(frozen=True, slots=True)
class Create:
    """The state is live, and nothing shows it."""


@dataclass(frozen=True, slots=True)
class Apply:
    """The object gets the desire's levels; when it was restored, its mode too."""

    levels: LevelPair
    restored: bool = False


@dataclass(frozen=True, slots=True)
class Agree:
    """Both say the same, or the state is over; only the base does not know it yet."""


@dataclass(frozen=True, slots=True)
class Merge:
    """The object was edited. `levels`: what the desire becomes, where it is valid; `overruled`:
    fields in which the desire had moved too, and gives way."""

    levels: LevelPair
    edited: tuple[Field, ...]
    overruled: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Pin:
    """The object's mode was changed."""

    pinned: bool


@dataclass(frozen=True, slots=True)
class Delete:
    """The object is being deleted while its state lives: its policy says what that means."""


@dataclass(frozen=True, slots=True)
class LetGo:
    """The object is being deleted, and nothing holds it any more."""


@dataclass(frozen=True, slots=True)
class Forget:
    """State and object are both over, or the name is another object's now; the mirror's row may
    go."""


@dataclass(frozen=True, slots=True)
class Adopt:
    """An object written by hand, on a free lane."""


@dataclass(frozen=True, slots=True)
class LaneTaken:
    """A second object for a lane that is guarded already."""


Outcome = (
    Nothing | Create | Apply | Agree | Merge | Pin | Delete | LetGo | Forget | Adopt | LaneTaken
)


def three_way(desired: Desired | None, shown: Shown | None, *, lane_taken: bool = False) -> Outcome:
    """What to do next. `desired`: of the state that the object belongs to, if there is one."""
    if desired is None:
        return _unexplained(shown, lane_taken=lane_taken)
    if not desired.is_live:
        return _over(desired, shown)
    if shown is None:
        return Create()
    if shown.deleting:
        return Delete()
    if desired.uid is not None and shown.uid != desired.uid:
        return Apply(desired.levels, restored=True)
    if desired.uid is not None and shown.pinned != desired.pinned:
        return Pin(shown.pinned)
    return _compare(desired, shown)


def newest_base(desired: Desired, shown: Shown) -> Agreed | None:
    """Rule 2."""
    known = [base for base in (shown.applied, desired.base) if base is not None]
    return max(known, key=lambda base: base.revision, default=None)


def _unexplained(shown: Shown | None, *, lane_taken: bool) -> Outcome:
    if shown is None:
        return Nothing()
    if shown.deleting:
        return LetGo()
    return LaneTaken() if lane_taken else Adopt()


def _over(desired: Desired, shown: Shown | None) -> Outcome:
    if shown is None:
        return Nothing() if desired.uid is None else Forget()
    if shown.deleting:
        return LetGo()
    if desired.uid is None:
        return Agree()
    # A later object of that name is not this state's.
    return Nothing() if shown.uid == desired.uid else Forget()


@dataclass(slots=True)
class _Comparison:
    merged: dict[Field, Decimal | None] = field(default_factory=dict)
    edited: list[Field] = field(default_factory=list)
    overruled: list[Field] = field(default_factory=list)


def _compare(desired: Desired, shown: Shown) -> Outcome:
    if shown.levels == desired.levels:
        known = desired.base is not None and desired.base.levels == shown.levels
        return Nothing() if known else Agree()
    base = newest_base(desired, shown)
    if base is None:
        return Apply(desired.levels)
    found = _Comparison()
    for name in Field:
        _compare_field(
            found, name, _of(base.levels, name), _of(desired.levels, name), _of(shown.levels, name)
        )
    if not found.edited:
        return Apply(desired.levels)
    levels = LevelPair(found.merged[Field.STOP_LOSS], found.merged[Field.TAKE_PROFIT])
    return Merge(levels, tuple(found.edited), tuple(found.overruled))


def _compare_field(
    found: _Comparison,
    name: Field,
    base: Decimal | None,
    desired: Decimal | None,
    shown: Decimal | None,
) -> None:
    found.merged[name] = desired
    if shown in (base, desired):
        return
    found.merged[name] = shown
    found.edited.append(name)
    if desired != base:
        found.overruled.append(name)


def _of(levels: LevelPair, name: Field) -> Decimal | None:
    return levels.stop_loss if name is Field.STOP_LOSS else levels.take_profit
