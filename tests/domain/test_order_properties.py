"""Order ids and bodies."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from guardian_core.domain.errors import CallerError
from guardian_core.domain.orders import (
    CLIENT_ORDER_ID_LENGTH,
    LEGS,
    OrderBody,
    OrderSide,
    OrderStatus,
    OrderType,
    PositionSide,
    Role,
    belongs_to,
    check_installation,
    entry_order_id,
    leg_order_id,
)

D = Decimal
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
installations = st.text(LETTERS, min_size=6, max_size=6)
numbers = st.integers(1, 10**6)
derivations = st.tuples(
    installations,
    st.uuids(),
    st.sampled_from([Role.EXIT, *LEGS]),
    numbers,
    numbers,
)


@given(derivations)
def test_an_id_is_derived_short_alphanumeric_and_ours(inputs):
    one = leg_order_id(*inputs)
    assert one == leg_order_id(*inputs)
    assert len(one) == CLIENT_ORDER_ID_LENGTH <= 18
    assert set(one) <= set(LETTERS)
    assert belongs_to(inputs[0], one)


@given(derivations, derivations, st.integers(0, 4))
def test_an_id_differs_when_any_one_input_differs(inputs, other, index):
    assume(inputs[index] != other[index])
    changed = (*inputs[:index], other[index], *inputs[index + 1 :])
    assert leg_order_id(*inputs) != leg_order_id(*changed)


@given(derivations, numbers, numbers)
def test_revision_and_attempt_are_not_run_together(inputs, revision, attempt):
    installation, state_id, role, *numbered = inputs
    assume([revision, attempt] != numbered)
    assert leg_order_id(*inputs) != leg_order_id(installation, state_id, role, revision, attempt)


@given(installations, st.uuids(), st.uuids())
def test_one_webhook_has_one_entry_id(installation, webhook, other):
    one = entry_order_id(installation, webhook)
    assert one == entry_order_id(installation, webhook)
    assert len(one) <= 18
    assert set(one) <= set(LETTERS)
    assert (one == entry_order_id(installation, other)) is (webhook == other)


@given(derivations)
def test_an_entry_is_never_mistaken_for_a_leg_of_the_same_uuid(inputs):
    assert entry_order_id(inputs[0], inputs[1]) != leg_order_id(*inputs)


@given(installations, installations, st.uuids())
def test_another_installations_orders_are_not_ours(one, other, webhook):
    assume(one != other)
    assert not belongs_to(one, entry_order_id(other, webhook))
    assert not belongs_to(one, None)


@given(installations)
def test_a_usable_installation_is_returned(installation):
    assert check_installation(installation) == installation


@pytest.mark.parametrize(
    "bad", ["", "abc", "abcdefg", "ABCDEF", "abc-ef", "abcdé1", "abc ef", "\uff11\uff12abcd"]
)
def test_an_unusable_installation_is_refused(bad):
    with pytest.raises(CallerError) as caught:
        check_installation(bad)
    assert caught.value.field == "installation"


def test_sides_are_each_others_opposite():
    for side in PositionSide:
        assert side.opposite.opposite is side
        assert side.entry_side is side.opposite.exit_side
        assert side.entry_side.sign == side.sign == -side.exit_side.sign
    assert PositionSide.LONG.entry_side is OrderSide.BUY


def test_only_pending_and_open_orders_can_still_fill():
    assert {s for s in OrderStatus if not s.is_terminal} == {OrderStatus.PENDING, OrderStatus.OPEN}


BODY = OrderBody("id", Role.EXIT, "BTCUSDT", OrderSide.SELL, OrderType.MARKET, D(1), 1, 1)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"quantity": D(0)}, "quantity"),
        ({"quantity": D(-1)}, "quantity"),
        ({"type": OrderType.LIMIT}, "price"),
        ({"type": OrderType.LIMIT, "price": D(0)}, "price"),
        ({"type": OrderType.STOP_LOSS}, "trigger_price"),
        ({"type": OrderType.TAKE_PROFIT, "trigger_price": D(-1)}, "trigger_price"),
    ],
    ids=str,
)
def test_a_body_that_no_venue_could_take_cannot_be_made(changes, field):
    with pytest.raises(CallerError) as caught:
        replace(BODY, **changes)
    assert caught.value.field == field
