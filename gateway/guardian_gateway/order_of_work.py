"""Which parts of a decision wait for others, and how many requests it may become. Pure."""

from collections.abc import Sequence

from guardian_core.domain.decision import Amend, Cancel, Reduce, Submit
from guardian_core.protocol import DecisionRequest, Enter, WireAction
from guardian_gateway.shapes import creates_of, refs_of


def writes_of(request: DecisionRequest) -> int:
    """How many requests to the venue a decision may become."""
    return sum(
        len(refs_of(action)) + bool(creates_of(action)) + _asks_leverage(action)
        for action in request.actions
    )


def sent_at_once(actions: Sequence[WireAction]) -> set[int]:
    """The actions whose creates nothing precedes: their rows are written in the first passage of
    the fence. The others' rows wait, because a row's order must leave within a second."""
    if any(isinstance(action, Cancel) for action in actions):
        return set()
    creating = [index for index, action in enumerate(actions) if creates_of(action)]
    in_turn = [i for i in creating if isinstance(actions[i], Enter)]
    in_turn += [i for i in creating if isinstance(actions[i], Reduce)]
    first = in_turn[:1] or creating
    return {index for index in first if not _prepares(actions[index])}


def _prepares(action: WireAction) -> bool:
    """Whether something is sent for this action before its create."""
    match action:
        case Enter():
            return _asks_leverage(action)
        case Reduce():
            return bool(action.frees)
        case Submit():
            return action.cancel_first and bool(action.replaces)
        case Amend() | Cancel():
            return False


def _asks_leverage(action: WireAction) -> bool:
    return isinstance(action, Enter) and action.leverage is not None
