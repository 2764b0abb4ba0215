"""Requests that can never succeed, whoever asks and whenever."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from guardian_core.domain.decision import Amend, Cancel, Reduce, Submit
from guardian_core.domain.errors import CallerError
from guardian_core.domain.orders import OrderBody, OrderRef
from guardian_gateway.shapes import check_request
from tests.gateway.world import (
    INSTALLATION,
    SYMBOL,
    entry,
    exit_body,
    request,
    stop_loss,
    take_profit,
)

STATE, OTHER, WEBHOOK = UUID(int=1), UUID(int=2), UUID(int=3)
REF = OrderRef("1", SYMBOL, True, INSTALLATION + "x")


def check(*actions: Any, state_id: UUID | None = STATE, revision: int = 1) -> None:
    check_request(request(state_id, *actions, revision=revision), SYMBOL, INSTALLATION)


def test_every_action_in_its_right_shape_passes() -> None:
    check(
        entry(WEBHOOK),
        Submit((stop_loss(STATE), take_profit(STATE)), (REF,), cancel_first=True),
        Reduce(exit_body(STATE), (REF,)),
        Cancel(REF, "Surplus"),
    )
    check(Amend(REF, stop_loss(STATE)))
    check(Cancel(REF, "PositionClosed"), state_id=None, revision=0)


def test_an_entry_may_be_older_than_the_desire() -> None:
    check(entry(WEBHOOK, revision=1), revision=4)


@pytest.mark.parametrize(
    ("field", "ask"),
    [
        ("state_id", lambda: check(Submit((stop_loss(STATE),)), state_id=None)),
        ("body.role", lambda: check(Submit((exit_body(STATE),)))),
        ("body.role", lambda: check(Reduce(stop_loss(STATE)))),
        ("body.role", lambda: check(Amend(REF, exit_body(STATE)))),
        ("bodies", lambda: check(Submit(()))),
        ("bodies", lambda: check(Submit((stop_loss(STATE), stop_loss(STATE, attempt=2))))),
        ("body.symbol", lambda: check(Submit((replace(stop_loss(STATE), symbol="ETHUSDT"),)))),
        ("order.symbol", lambda: check(Cancel(replace(REF, symbol="ETHUSDT"), "x"))),
        ("order", lambda: check(Cancel(OrderRef("", SYMBOL, True), "x"))),
        ("client_order_id", lambda: check(Submit((stop_loss(OTHER),)))),
        ("client_order_id", lambda: check(_renamed(entry(WEBHOOK)))),
        ("client_order_id", lambda: check(Submit((_under_the_stops_id(),)))),
        ("client_order_id", lambda: check(*(Submit((stop_loss(STATE),)) for _ in range(2)))),
        ("body.revision", lambda: check(Submit((stop_loss(STATE),)), revision=2)),
        ("body.revision", lambda: check(entry(WEBHOOK, revision=2))),
    ],
)
def test_a_shape_that_can_never_succeed_names_its_field(
    field: str, ask: Callable[[], None]
) -> None:
    with pytest.raises(CallerError) as refusal:
        ask()
    assert refusal.value.field == field


def test_another_installations_id_is_refused_with_the_one_expected() -> None:
    with pytest.raises(CallerError, match=stop_loss(STATE).client_order_id):
        check_request(
            request(STATE, Submit((replace(stop_loss(STATE), client_order_id="other1x"),))),
            SYMBOL,
            INSTALLATION,
        )


def _renamed(action: Any) -> Any:
    body = replace(action.body, client_order_id=INSTALLATION + "fresh")
    return action.model_copy(update={"body": body})


def _under_the_stops_id() -> OrderBody:
    return replace(take_profit(STATE), client_order_id=stop_loss(STATE).client_order_id)
