"""TradingPositions as the API server has them: read into our terms, and the bodies we send."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError

from guardian_core.cluster.resources import (
    API_VERSION,
    FIELD_MANAGER,
    FINALIZER,
    GROUP,
    LABEL_ACCOUNT,
    LABEL_STATE,
    POSITION_KIND,
    Levels,
    TradingPositionSpec,
    position_name,
)
from guardian_core.cluster.three_way import Desired, Field, Shown
from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import plain
from guardian_core.storage.mirrors import Agreed, LevelPair, ShownState

ANNOTATION_APPLIED: Final = f"{GROUP}/applied"
"""What we last gave the object, written together with it: levels, and the desire's revision."""

KOPF_FINALIZER: Final = f"{GROUP}/kopf"
"""kopf's, which takes it off as soon as its timer for the object has ended. FINALIZER is ours, and
holds until what the deletion means is committed."""

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """A TradingPosition. `state_id`: of the state that its label names."""

    name: str
    uid: str
    resource_version: str
    generation: int
    spec: TradingPositionSpec
    shown: Shown
    finalizers: tuple[str, ...]
    state_id: UUID | None
    body: Body

    @property
    def is_dressed(self) -> bool:
        """Whether it carries our finalizer and names its state."""
        return FINALIZER in self.finalizers and self.state_id is not None


def read_position(body: Body) -> Seen:
    """Raises CallerError for an object that the present schema would not let in."""
    metadata = body["metadata"]
    try:
        spec = TradingPositionSpec.model_validate(body.get("spec", {}))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CallerError(f"spec.{where}", first["msg"]) from None
    return Seen(
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        generation=metadata.get("generation", 0),
        spec=spec,
        shown=Shown(
            uid=metadata["uid"],
            levels=LevelPair(spec.stop_loss, spec.take_profit),
            pinned=spec.levels is Levels.PINNED,
            deleting="deletionTimestamp" in metadata,
            applied=_applied(metadata.get("annotations") or {}),
        ),
        finalizers=tuple(metadata.get("finalizers") or ()),
        state_id=_state_id((metadata.get("labels") or {}).get(LABEL_STATE, "")),
        body=body,
    )


def name_of(state: ShownState) -> str:
    """What the state's object is called, or will be."""
    if state.mirror is not None:
        return state.mirror.name
    return position_name(state.account, state.symbol, state.id)


def desired(state: ShownState) -> Desired:
    """The database's side of the three-way rule."""
    mirror = state.mirror
    return Desired(
        levels=state.levels,
        revision=state.revision,
        is_live=state.is_live,
        pinned=state.pinned,
        uid=mirror.uid if mirror else None,
        base=mirror.base if mirror else None,
    )


def new_object(state: ShownState) -> Body:
    """What is created for a state that nothing shows."""
    spec = {"accountRef": state.account, "symbol": state.symbol, "side": state.side.value}
    spec |= {name: text for name, text in _spec_levels(state.levels).items() if text is not None}
    spec["levels"] = _mode(pinned=state.pinned)
    return {
        "apiVersion": API_VERSION,
        "kind": POSITION_KIND,
        "metadata": {"name": name_of(state), "finalizers": [FINALIZER]} | _marks(state),
        "spec": spec,
    }


def levels_patch(state: ShownState, seen: Seen, *, with_mode: bool) -> Body:
    """What brings an object to its state's levels; refused if it changed since it was seen.

    `with_mode`: whether alerts move the levels is the database's to say too (after a restore).
    """
    spec: Body = _spec_levels(state.levels)
    if with_mode:
        spec["levels"] = _mode(pinned=state.pinned)
    metadata: Body = {"resourceVersion": seen.resource_version} | _marks(state)
    if FINALIZER not in seen.finalizers:
        metadata["finalizers"] = [*seen.finalizers, FINALIZER]
    return {"metadata": metadata, "spec": spec}


def release_patch(seen: Seen) -> Body:
    """What takes our finalizer off; refused if the object changed since it was seen."""
    left = [name for name in seen.finalizers if name != FINALIZER]
    return {"metadata": {"resourceVersion": seen.resource_version, "finalizers": left}}


def editor(body: Mapping[str, Any], fields: Collection[Field]) -> str:
    """The field manager that set one of these fields last, apart from ourselves; else, for a field
    that was removed, whoever wrote to the object last."""
    entries = [
        entry
        for entry in body["metadata"].get("managedFields") or ()
        if entry.get("manager") != FIELD_MANAGER and not entry.get("subresource")
    ]
    entries.sort(key=lambda entry: entry.get("time", ""))
    owners = [
        entry["manager"]
        for entry in entries
        if any(f"f:{name}" in _spec_fields(entry) for name in fields)
    ]
    everybody = [entry["manager"] for entry in entries]
    return next(iter(reversed(owners or everybody)), "unknown")


def _spec_fields(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = (entry.get("fieldsV1") or {}).get("f:spec") or {}
    return fields


def _marks(state: ShownState) -> Body:
    told = {"revision": state.revision} | _spec_levels(state.levels)
    return {
        "labels": {LABEL_STATE: str(state.id), LABEL_ACCOUNT: state.account},
        "annotations": {ANNOTATION_APPLIED: json.dumps(told, separators=(",", ":"))},
    }


def _spec_levels(levels: LevelPair) -> dict[str, str | None]:
    return {
        Field.STOP_LOSS.value: _text(levels.stop_loss),
        Field.TAKE_PROFIT.value: _text(levels.take_profit),
    }


def _text(level: Decimal | None) -> str | None:
    return None if level is None else plain(level)


def _mode(*, pinned: bool) -> str:
    return (Levels.PINNED if pinned else Levels.FOLLOW_ALERTS).value


def _applied(annotations: Mapping[str, str]) -> Agreed | None:
    """None also for what no writer of ours has written."""
    try:
        told = json.loads(annotations[ANNOTATION_APPLIED])
        pair = [told[name.value] for name in Field]
        levels = LevelPair(*(None if text is None else Decimal(text) for text in pair))
        return Agreed(levels, int(told["revision"]))
    except (KeyError, ValueError, TypeError, ArithmeticError):
        return None


def _state_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
