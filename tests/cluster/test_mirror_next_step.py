"""What is done about an object as the API server has it: marks are believed if they are ours."""

from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from guardian_core.cluster.mirroring import next_step
from guardian_core.cluster.objects import new_object, read_position
from guardian_core.cluster.three_way import Apply, Nothing
from guardian_core.storage.mirrors import Agreed, LevelPair, MirrorRow, ShownState
from tests.operator.test_operator_shown import STATE

OTHER = replace(STATE, id=UUID(int=9), levels=LevelPair(Decimal(40_000), Decimal(45_000)))


def shown(state: ShownState) -> dict[str, Any]:
    body = new_object(state)
    body["metadata"] |= {"uid": "one", "resourceVersion": "1", "name": "mine"}
    return body


def test_what_another_state_was_given_is_not_what_this_one_agreed_on():
    """A saved manifest, marks and all, is edited and applied for a position opened since."""
    body = shown(OTHER)
    body["spec"]["stopLoss"] = "42000"
    agreed = Agreed(STATE.levels, 1)
    mirror = MirrorRow("trading", "mine", "one", agreed, pinned=False)
    adopted = replace(STATE, revision=1, mirror=mirror)
    assert next_step(adopted, read_position(body)) == Nothing()
    moved = LevelPair(Decimal(42_500), Decimal(45_000))
    alerted = replace(adopted, levels=moved, revision=2)
    assert next_step(alerted, read_position(body)) == Apply(moved)
