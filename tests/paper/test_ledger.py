"""The ledger tells, without asking the venue, for how long a position had no working stop."""

from datetime import timedelta

import pytest

from tests.support.clock import START
from tests.support.paper import bar, body, exchange_at, linear, unprotected_s


def at(seconds):
    return START + timedelta(seconds=seconds)


def stop(name, quantity="1"):
    return body(name, "sell", "stop_loss", quantity, "900", reduce_only=True)


def test_a_position_is_unprotected_until_its_stop_works():
    exchange = exchange_at("1000")
    exchange.create(body("in", "buy", "market", "1"), at(0))
    exchange.create(stop("sl"), at(3))
    assert unprotected_s(exchange.events, until=at(100)) == 3


@pytest.mark.parametrize("how", ["cancelled", "forgotten"])
def test_a_stop_that_is_gone_protects_no_longer(how):
    exchange = exchange_at("1000")
    exchange.create(body("in", "buy", "market", "1"), at(0))
    order_id = exchange.create(stop("sl"), at(0)).ref.venue_order_id
    end = exchange.cancel if how == "cancelled" else exchange.forget
    end(order_id, at(10))
    exchange.create(stop("sl2"), at(14))
    assert unprotected_s(exchange.events, until=at(100)) == 4


def test_a_stop_for_a_part_is_not_enough():
    exchange = exchange_at("1000")
    exchange.create(body("in", "buy", "market", "2"), at(0))
    exchange.create(stop("sl", "1"), at(0))
    exchange.create(stop("sl2", "1"), at(5))
    assert unprotected_s(exchange.events, until=at(100)) == 5


def test_an_amended_stop_protects_as_much_as_it_is_for():
    exchange = exchange_at("1000", linear(amend=True))
    exchange.create(body("in", "buy", "market", "2"), at(0))
    order = exchange.create(stop("sl", "1"), at(0))
    exchange.amend(order.ref, stop("sl", "2"), at(7))
    assert unprotected_s(exchange.events, until=at(100)) == 7


def test_a_take_profit_and_an_order_of_the_other_side_are_no_stops():
    exchange = exchange_at("1000")
    exchange.create(body("in", "buy", "market", "1"), at(0))
    exchange.create(body("tp", "sell", "take_profit", "1", "1100", reduce_only=True), at(0))
    exchange.create(body("more", "buy", "stop_loss", "1", "1200"), at(0))
    assert unprotected_s(exchange.events, until=at(9)) == 9


def test_a_closed_position_needs_no_stop():
    exchange = exchange_at("1000")
    exchange.create(body("in", "buy", "market", "1"), at(0))
    exchange.create(stop("sl"), at(0))
    exchange.apply_bar(bar("850"), at(20))
    assert unprotected_s(exchange.events, until=at(100)) == 0
