"""The judge of `make test-cluster`: how long a position was without its stop."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.cluster.node.ledger import STOP_LOSS, TAKE_PROFIT, Ledger, Order

START = datetime(2026, 1, 1, tzinfo=UTC)
SIZE = Decimal("0.1")


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def stop(since_s: float, until_s: float | None = None, quantity: Decimal = SIZE) -> Order:
    until = None if until_s is None else at(until_s)
    return Order("1", STOP_LOSS, quantity, Decimal(42000), at(since_s), until)


def naked_s(*orders: Order, position: Decimal = SIZE) -> float:
    """Between the seconds 0 and 100."""
    return Ledger(position, orders).naked_s(STOP_LOSS, at(0), at(100))


def test_a_stop_that_works_throughout_leaves_nothing_naked() -> None:
    assert naked_s(stop(-5)) == 0
    assert naked_s(stop(-5, 105)) == 0


def test_a_stop_that_takes_over_in_time_leaves_nothing_naked() -> None:
    assert naked_s(stop(-5, 50), stop(50)) == 0
    assert naked_s(stop(-5, 50), stop(40)) == 0


@pytest.mark.parametrize("position", [SIZE, -SIZE])
def test_a_gap_counts_while_it_lasts(position: Decimal) -> None:
    assert naked_s(stop(-5, 50), stop(53.5), position=position) == 3.5
    assert naked_s(stop(10, 90), position=position) == 20
    assert naked_s(position=position) == 100


def test_a_stop_for_a_part_covers_nothing() -> None:
    assert naked_s(stop(-5, quantity=SIZE / 2)) == 100


def test_a_target_is_no_stop() -> None:
    target = Order("1", TAKE_PROFIT, SIZE, Decimal(45000), at(-5), None)
    assert naked_s(target) == 100
