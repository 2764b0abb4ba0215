"""What errors mean: every class that ccxt may raise, and every code that an adapter lists."""

import json
from dataclasses import replace

import aiohttp
import ccxt  # type: ignore[import-untyped]
import pytest
from ccxt.base.errors import error_hierarchy  # type: ignore[import-untyped]

from guardian_core.domain.errors import (
    Ambiguous,
    ConfigurationError,
    NotSent,
    OrderGone,
    Rejected,
    RejectReason,
    Unavailable,
)
from guardian_gateway.venues.binance.codes import SPOT, USDM
from guardian_gateway.venues.exchange.errors import Answer, of_read, of_write
from tests.support.paper import body
from tests.venues import loop
from tests.venues.loop import on_jumping_time
from tests.venues.rigs import SYMBOL, rig

JSON = {"Content-Type": "application/json"}


def classes_below(tree):
    for name, below in tree.items():
        yield name
        yield from classes_below(below)


ALL_CLASSES = sorted(set(classes_below(error_hierarchy)))

WITHOUT_ANSWER = {
    "ArgumentsRequired": Rejected,
    "BadSymbol": Rejected,
    "NotSupported": Rejected,
    "AuthenticationError": ConfigurationError,
    "PermissionDenied": ConfigurationError,
    "AccountNotEnabled": ConfigurationError,
    "AccountSuspended": ConfigurationError,
    "ExchangeClosedByUser": NotSent,
}
"""What ccxt raises by itself, before it sends. Every other class may follow a request."""


@pytest.mark.parametrize("name", ALL_CLASSES)
def test_a_write_that_failed_without_an_answer_may_have_happened(name):
    error = getattr(ccxt, name)("binance POST https://host/path?signature=abc")
    seen = of_write(error, USDM, "a write")
    assert type(seen) is WITHOUT_ANSWER.get(name, Ambiguous)
    assert "signature" not in str(seen)


@pytest.mark.parametrize("name", ALL_CLASSES)
def test_a_read_that_failed_is_unavailable(name):
    error = getattr(ccxt, name)("binance GET https://host/path?signature=abc")
    seen = of_read(error, USDM, "a read")
    keys_are_missing = WITHOUT_ANSWER.get(name) is ConfigurationError
    assert type(seen) is (ConfigurationError if keys_are_missing else Unavailable)
    assert "signature" not in str(seen)


@pytest.mark.parametrize("name", ALL_CLASSES)
def test_the_class_never_makes_an_unlisted_code_a_refusal(name):
    error = getattr(ccxt, name)("binance something")
    error.answer = Answer(400, "-9999", "something new")
    assert type(of_write(error, USDM, "a write")) is Ambiguous
    assert type(of_read(error, USDM, "a read")) is Unavailable


def test_without_a_connection_nothing_was_sent():
    key = aiohttp.client_reqrep.ConnectionKey("host", 443, True, True, None, None, None)
    error = ccxt.ExchangeNotAvailable("binance POST https://host/path")
    error.__cause__ = aiohttp.ClientConnectorError(key, OSError("refused"))
    assert type(of_write(error, USDM, "a write")) is NotSent
    error.__cause__ = aiohttp.ServerDisconnectedError()
    assert type(of_write(error, USDM, "a write")) is Ambiguous


CASES = [
    (name, code, reason)
    for name, table in (("binanceusdm", USDM), ("binance", SPOT))
    for code, reason in table.refused.items()
    if code not in table.worded
]


@pytest.mark.parametrize("name", ["binanceusdm", "binance"])
@on_jumping_time
async def test_every_listed_code_is_that_refusal_through_ccxt(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        call = "POST /fapi/v1/order" if name == "binanceusdm" else "POST /api/v3/order"
        for _, code, reason in [case for case in CASES if case[0] == name]:
            told = json.dumps({"code": int(code), "msg": "told so"})
            made.wire.fault(call, (400, told, JSON), executes=False)
            with pytest.raises(Rejected) as refusal:
                await made.venue.create(body("id", "buy", "market", "0.01"))
            assert refusal.value.reason is reason, code
            assert "told so" in str(refusal.value)
        assert await made.venue.open_orders() == []


WORDED = {
    "-2010 Account has insufficient balance for requested action.": "insufficient_funds",
    "-2010 Duplicate order sent.": "duplicate_id",
    "-2010 Stop price would trigger immediately.": "crossed",
    "-2010 Order would trigger immediately.": "crossed",
    "-2010 The relationship of the prices for the orders is not correct.": "crossed",
    "-2010 Order would immediately match and take.": "crossed",
    "-2010 This action is disabled on this account.": "not_permitted",
    "-2010 Market is closed.": "not_permitted",
    "-2010 Something else.": "invalid_order",
    "-1013 Filter failure: NOTIONAL": "below_minimum",
    "-1013 Filter failure: MIN_NOTIONAL": "below_minimum",
    "-1013 Filter failure: LOT_SIZE": "below_minimum",
    "-1013 Filter failure: PRICE_FILTER": "invalid_order",
    "-1013 Filter failure: PERCENT_PRICE_BY_SIDE": "invalid_order",
}


@pytest.mark.parametrize(("told", "reason"), WORDED.items(), ids=WORDED)
def test_a_code_of_several_meanings_is_told_by_its_words(told, reason):
    code, _, message = told.partition(" ")
    error = ccxt.InvalidOrder("binance something")
    error.answer = Answer(400, code, message)
    seen = of_write(error, SPOT, "a write")
    assert isinstance(seen, Rejected)
    assert seen.reason is RejectReason(reason)


@pytest.mark.parametrize("code", ["-1000", "-1001", "-1006", "-1007", "-1016", "-1004"])
@pytest.mark.parametrize("table", [USDM, SPOT], ids=["usdm", "spot"])
def test_what_binance_does_not_know_itself_is_ambiguous(table, code):
    for status in (400, 408, 503):
        error = ccxt.OperationFailed("binance something")
        error.answer = Answer(status, code, "unknown")
        assert type(of_write(error, table, "a write")) is Ambiguous


@pytest.mark.parametrize("code", ["-2011", "-2013"])
def test_an_order_that_is_gone_is_gone_whatever_class_ccxt_gives_it(code):
    error = ccxt.ExchangeError("binance something")
    error.answer = Answer(400, code, "Unknown order sent.")
    for table in (USDM, SPOT):
        assert type(of_write(error, table, "a cancel")) is OrderGone
        assert type(of_read(error, table, "a look")) is OrderGone


def test_a_refusal_by_a_broken_server_is_not_believed():
    error = ccxt.InsufficientFunds("binance something")
    error.answer = Answer(502, "-2019", "Margin is insufficient.")
    assert type(of_write(error, USDM, "a write")) is Ambiguous
    error.answer = replace(error.answer, status=400)
    assert type(of_write(error, USDM, "a write")) is Rejected


@pytest.mark.parametrize("name", ["binanceusdm", "binance"])
@on_jumping_time
async def test_a_refused_connection_is_not_sent_and_unavailable(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        await made.venue.open_orders()
        await made.wire.stop()
        with pytest.raises(Unavailable):
            await made.venue.find(SYMBOL, "anything")
        with pytest.raises(NotSent):
            await made.venue.create(body("id", "buy", "market", "0.01"))
