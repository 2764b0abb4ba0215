"""Faults on request: what goes wrong between a caller and the paper exchange.

They live in the memory of one venue object, not in the books: a restart ends them. What
forget-stop has done to the books stays done.
"""

from collections.abc import Collection
from dataclasses import dataclass

from guardian_core.domain.errors import CallerError
from guardian_core.domain.orders import OrderType, Role
from guardian_core.ports import Clock
from guardian_core.protocol import FaultKind, InjectFault
from guardian_gateway.venues.port import VenueOrder

MAX_FAULTS = 100


@dataclass(slots=True)
class _Fault:
    """`left`: calls to come, or None; `until_s`: on the monotonic clock, or None."""

    kind: FaultKind
    role: Role | None
    left: int | None
    until_s: float | None


class Faults:
    """The faults that are still to happen."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._faults: list[_Fault] = []

    def inject(self, command: InjectFault) -> None:
        """Any fault but forget-stop. Raises CallerError."""
        if command.count is not None and command.seconds is not None:
            raise CallerError("seconds", "a fault has a count or seconds", "leave one of them out")
        if command.fault is FaultKind.DOWN and command.role is not None:
            raise CallerError("role", "a venue is down for every role", "leave it out")
        self._forget_the_past()
        if len(self._faults) >= MAX_FAULTS:
            raise CallerError("fault", f"{MAX_FAULTS} faults are waiting already", "wait")
        if command.seconds is None:
            fault = _Fault(command.fault, command.role, command.count or 1, None)
        else:
            until_s = self._clock.monotonic() + command.seconds
            fault = _Fault(command.fault, command.role, None, until_s)
        self._faults.append(fault)

    def strikes(self, kind: FaultKind, roles: Collection[Role] = ()) -> bool:
        """Whether a fault of this kind happens to this call; it is one less to come then."""
        self._forget_the_past()
        for fault in self._faults:
            if fault.kind is kind and (fault.role is None or fault.role in roles):
                if fault.left is not None:
                    fault.left -= 1
                return True
        return False

    def _forget_the_past(self) -> None:
        now_s = self._clock.monotonic()
        self._faults = [
            fault
            for fault in self._faults
            if fault.left != 0 and (fault.until_s is None or now_s < fault.until_s)
        ]


def stops_to_forget(command: InjectFault, working: list[VenueOrder]) -> list[VenueOrder]:
    """The newest working stop-losses (or take-profits, by role), `count` of them.

    Raises CallerError for what forget-stop cannot mean.
    """
    if command.seconds is not None:
        raise CallerError("seconds", "forget-stop happens at once", "use count")
    if command.role not in (None, Role.STOP_LOSS, Role.TAKE_PROFIT):
        raise CallerError("role", "forget-stop forgets a leg", "stop_loss or take_profit")
    type_ = OrderType.TAKE_PROFIT if command.role is Role.TAKE_PROFIT else OrderType.STOP_LOSS
    found = [order for order in working if order.type is type_ and order.child_id is None]
    return found[::-1][: command.count or 1]
