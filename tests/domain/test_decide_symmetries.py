"""What must make no difference to `decide`: the units of the market, and the side of the position.

Each decision is compared with the one on the changed case, changed likewise. Sentences of reasons
hold numbers, so only their codes are compared.
"""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian_core.domain.decide import decide
from guardian_core.domain.decision import Decision
from guardian_core.domain.orders import PositionSide, Role
from tests.domain.builders import NOW, lane, plan
from tests.domain.markets import mirrored, rescaled
from tests.domain.strategies import Case, cases

AROUND = Decimal(43_000)
TIMES = st.sampled_from([Decimal(text) for text in ("0.0001", "0.01", "1", "10", "1000")])


@st.composite
def untidy_cases(draw: st.DrawFn) -> Case:
    """Cases whose desired levels may lie between two ticks, as an alert's often do."""
    case = draw(cases())
    off = draw(st.sampled_from([Decimal(text) for text in ("0", "0", "0.01", "0.05", "0.09")]))
    stop, take = case.plan.stop_loss, case.plan.take_profit
    wish = replace(
        case.plan,
        stop_loss=None if stop is None else stop + off,
        take_profit=None if take is None else take + off,
    )
    return replace(case, plan=wish)


def run(case: Case) -> Decision:
    return decide(case.plan, case.lane, case.policy, NOW)


def wordless(decision: Decision) -> Decision:
    return replace(decision, reasons=tuple(replace(r, message="") for r in decision.reasons))


@given(untidy_cases(), TIMES, TIMES)
def test_the_units_of_the_market_make_no_difference(
    case: Case, price_times: Decimal, quantity_times: Decimal
) -> None:
    other = Case(
        rescaled(case.plan, price_times, quantity_times),
        rescaled(case.lane, price_times, quantity_times),
        case.policy,
    )
    assert wordless(run(other)) == wordless(rescaled(run(case), price_times, quantity_times))


@given(untidy_cases())
def test_a_short_is_guarded_as_the_mirrored_long(case: Case) -> None:
    other = Case(mirrored(case.plan, AROUND), mirrored(case.lane, AROUND), case.policy)
    assert wordless(run(other)) == wordless(mirrored(run(case), AROUND))


@pytest.mark.parametrize("role", [Role.STOP_LOSS, Role.TAKE_PROFIT])
def test_the_mirror_is_no_identity(role: Role) -> None:
    """Else the property above would hold of anything."""
    seen = mirrored(plan(), AROUND)
    assert seen.side is PositionSide.SHORT
    level = plan().level(role)
    assert level is not None
    assert seen.level(role) == 2 * AROUND - level
    assert mirrored(lane(), AROUND).position != lane().position
    assert mirrored(mirrored(lane(), AROUND), AROUND) == lane()
