"""Bybit's codes: each that is listed is that refusal through ccxt, and each other is unknown."""

import json

import pytest

from guardian_core.domain.errors import Ambiguous, NotSent, OrderGone, Rejected, RejectReason
from guardian_gateway.venues.bybit.codes import CODES
from guardian_gateway.venues.exchange.errors import Answer, of_read, of_write
from tests.support.paper import body
from tests.venues import loop
from tests.venues.families import bybit
from tests.venues.loop import on_jumping_time
from tests.venues.rigs import rig

JSON = {"Content-Type": "application/json"}
BUY = body("anid", "buy", "market", "0.01")


def told(code, message="told so"):
    return json.dumps({"retCode": int(code), "retMsg": message, "result": {}})


def write_error(code, message="told so", status=200):
    error = Exception("bybit something")
    error.answer = Answer(status, code, message)  # type: ignore[attr-defined]
    return of_write(error, CODES, "a write")


@pytest.mark.parametrize("name", list(bybit.UNDER_TEST))
@on_jumping_time
async def test_every_listed_code_is_that_refusal_through_ccxt(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        for code, reason in CODES.refused.items():
            made.wire.fault("POST /v5/order/create", (200, told(code), JSON), executes=False)
            with pytest.raises(Rejected) as refusal:
                await made.venue.create(BUY)
            assert refusal.value.reason is reason, code
            assert "told so" in str(refusal.value)
        assert await made.venue.open_orders() == []


@pytest.mark.parametrize("code", sorted(CODES.overloaded))
def test_a_busy_exchange_refused(code):
    seen = write_error(code)
    assert isinstance(seen, Rejected)
    assert seen.reason is RejectReason.RATE_LIMITED


@pytest.mark.parametrize("code", sorted(CODES.gone))
def test_an_order_that_is_gone_is_gone(code):
    assert type(write_error(code)) is OrderGone
    error = Exception("bybit something")
    error.answer = Answer(200, code, "told so")  # type: ignore[attr-defined]
    assert type(of_read(error, CODES, "a look")) is OrderGone


def test_a_request_whose_time_was_off_was_not_taken():
    assert type(write_error("10002")) is NotSent


UNKNOWN = (
    "10000 10016 10014 10019 429 -1 5004 40004 110079 110035 30084 170001 170007 170032 170035"
    " 170144 170146 170147 170149 170150 170191 170212 170234 999999"
)


@pytest.mark.parametrize("code", UNKNOWN.split())
def test_what_bybit_does_not_know_itself_is_ambiguous(code):
    assert type(write_error(code)) is Ambiguous


@on_jumping_time
async def test_a_code_that_ccxt_lets_pass_is_no_success(tmp_path):
    async with rig("bybitlinear", tmp_path, loop.clock()) as made:
        answer = (200, told("30084"), JSON)
        made.wire.fault("POST /v5/order/create", answer, executes=True)
        with pytest.raises(Ambiguous, match="30084"):
            await made.venue.create(BUY)


WORDED = {
    "params error: Qty invalid": RejectReason.INVALID_ORDER,
    "position idx not match position mode": RejectReason.NOT_PERMITTED,
    "params error: symbol invalid": RejectReason.UNKNOWN_SYMBOL,
    "The number of contracts exceeds minimum limit allowed": RejectReason.BELOW_MINIMUM,
}


@pytest.mark.parametrize(("message", "reason"), WORDED.items())
def test_a_parameter_error_is_told_by_its_words(message, reason):
    seen = write_error("10001", message)
    assert isinstance(seen, Rejected)
    assert seen.reason is reason
