"""OKX's codes: each that is listed is that refusal through ccxt, and each other is unknown."""

import json

import pytest

from guardian_core.domain.errors import (
    Ambiguous,
    NotSent,
    OrderGone,
    Rejected,
    RejectReason,
    Unavailable,
)
from guardian_gateway.venues.exchange.errors import Answer, of_read, of_write
from guardian_gateway.venues.okx.codes import TABLE, read_code
from tests.support.paper import body
from tests.venues import loop
from tests.venues.families import okx
from tests.venues.loop import on_jumping_time
from tests.venues.rigs import SYMBOL, rig

JSON = {"Content-Type": "application/json"}
BUY = body("anid", "buy", "market", "0.01")
each_market = pytest.mark.parametrize("name", list(okx.UNDER_TEST))


def told(code, message="told so", outer="1"):
    """As an item's own code, below the answer's."""
    item = {"clOrdId": "anid", "ordId": "", "sCode": code, "sMsg": message}
    return json.dumps({"code": outer, "msg": "", "data": [item]})


def seen(code, status=200, of=of_write):
    error = Exception("okx something")
    error.answer = Answer(status, code, "told so")  # type: ignore[attr-defined]
    return of(error, TABLE, "a call")


@each_market
@on_jumping_time
async def test_every_listed_code_is_that_refusal_through_ccxt(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        for code, reason in TABLE.refused.items():
            made.wire.fault("POST /api/v5/trade/order", (200, told(code), JSON), executes=False)
            with pytest.raises(Rejected) as refusal:
                await made.venue.create(BUY)
            assert refusal.value.reason is reason, code
            assert "told so" in str(refusal.value)
        assert await made.venue.open_orders() == []


@pytest.mark.parametrize("outer", ["0", "1", "2"])
@on_jumping_time
async def test_an_items_own_code_counts_whatever_the_answers_is(outer, tmp_path):
    """ccxt takes 0 and 2 for success, and does not look at the items."""
    async with rig("okxswap", tmp_path, loop.clock()) as made:
        answer = (200, told("51008", outer=outer), JSON)
        made.wire.fault("POST /api/v5/trade/order", answer, executes=False)
        with pytest.raises(Rejected) as refusal:
            await made.venue.create(BUY)
        assert refusal.value.reason is RejectReason.INSUFFICIENT_FUNDS


STRANGE = {
    "no code": {"data": []},
    "no data": {"code": "0", "msg": ""},
    "an empty list": {"code": "0", "msg": "", "data": []},
    "no code of its own": {"code": "0", "data": [{"ordId": "1", "clOrdId": "anid"}]},
    "another order": {"code": "0", "data": [{"ordId": "1", "clOrdId": "x", "sCode": "0"}]},
    "no number": {"code": "0", "data": [{"ordId": "", "clOrdId": "anid", "sCode": "0"}]},
    "two orders": {"code": "0", "data": [{"ordId": "1", "clOrdId": "anid", "sCode": "0"}] * 2},
    "all failed, nobody knows how": {"code": "1", "msg": "", "data": []},
    "part of it failed": {"code": "2", "msg": "", "data": []},
    "a code of no list": {"code": "1", "data": [{"sCode": "59999", "sMsg": "something new"}]},
}


@pytest.mark.parametrize("answer", STRANGE.values(), ids=STRANGE)
@on_jumping_time
async def test_a_strange_answer_to_a_write_is_none(answer, tmp_path):
    async with rig("okxswap", tmp_path, loop.clock()) as made:
        told_so = (200, json.dumps(answer), JSON)
        made.wire.fault("POST /api/v5/trade/order", told_so, executes=True)
        with pytest.raises(Ambiguous):
            await made.venue.create(BUY)
        found = await made.venue.find(SYMBOL, "anid")
        assert found is not None


@on_jumping_time
async def test_a_strange_answer_to_a_question_is_not_less_than_asked(tmp_path):
    async with rig("okxswap", tmp_path, loop.clock()) as made:
        await made.venue.open_orders()
        for call in ("GET /api/v5/trade/orders-pending", "GET /api/v5/trade/orders-algo-pending"):
            for code in ("0", "1", "2"):
                answer = json.dumps({"code": code, "msg": "", "data": None})
                made.wire.fault(call, (200, answer, JSON), executes=False)
                with pytest.raises(Unavailable):
                    await made.venue.open_orders()


@pytest.mark.parametrize("code", sorted(TABLE.gone))
def test_an_order_that_is_gone_is_gone(code):
    assert type(seen(code)) is OrderGone
    assert type(seen(code, of=of_read)) is OrderGone


@pytest.mark.parametrize("code", sorted(TABLE.unclocked))
def test_a_request_whose_time_was_off_was_not_taken(code):
    assert type(seen(code)) is NotSent


UNKNOWN = ("50001", "50004", "50005", "50013", "50026", "50037", "50042", "51054", "51149")


@pytest.mark.parametrize("code", [*UNKNOWN, "1", "2", "51410", "51412", "99999"])
def test_what_okx_does_not_know_itself_is_ambiguous(code):
    for status in (200, 400, 500, 503):
        assert type(seen(code, status)) is Ambiguous


def test_a_busy_exchange_refused_where_it_says_so_by_its_status():
    refusal = seen("50013", 429)
    assert isinstance(refusal, Rejected)
    assert refusal.reason is RejectReason.RATE_LIMITED


def test_a_refusal_by_a_broken_server_is_not_believed():
    assert type(seen("51008", 502)) is Ambiguous
    assert type(seen("51008", 200)) is Rejected


def test_the_code_that_counts_is_the_one_of_the_item_that_failed():
    failed = {"sCode": "51008", "sMsg": "no money"}
    assert read_code({"code": "1", "msg": "", "data": [failed]}) == ("51008", "no money")
    assert read_code({"code": "2", "data": [{"sCode": "0"}, failed]}) == ("51008", "no money")
    assert read_code({"code": "50011", "msg": "slow", "data": []}) == ("50011", "slow")
    assert read_code({"code": "0", "data": [{"instId": "BTC-USDT"}]}) == ("0", "")
    with pytest.raises(ValueError, match="no code"):
        read_code({"data": [failed]})
