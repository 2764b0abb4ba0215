"""One text per symbol, and one row per lane."""

import asyncio
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from guardian_core.domain.errors import CallerError
from guardian_core.ports import Database, Tx
from guardian_core.storage.database import open_database
from guardian_core.storage.lanes import SYMBOL_MAX, lane_for, normalise_symbol
from guardian_core.storage.schema import Lane
from tests.support import rows
from tests.support.clock import FakeClock
from tests.support.rows import call


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        pytest.param("BTCUSDT", "BTCUSDT", id="as it is"),
        pytest.param(" btcusdt\n", "BTCUSDT", id="lower case and white space"),
        pytest.param("BINANCE:BTCUSDT", "BTCUSDT", id="venue prefix"),
        pytest.param("BTCUSDT.P", "BTCUSDT", id="TradingView's perpetual"),
        pytest.param("BINANCE:BTCUSDT.P", "BTCUSDT", id="both"),
        pytest.param("BTC/USDT", "BTCUSDT", id="slash"),
        pytest.param("BTC-USDT", "BTCUSDT", id="dash"),
        pytest.param("BTC/USDT:USDT", "BTCUSDT", id="ccxt's perpetual"),
        pytest.param("BINANCE:BTC/USDT", "BTCUSDT", id="venue prefix before a slash"),
        pytest.param("1000SHIB/USDT:USDT", "1000SHIBUSDT", id="digits in the base"),
        pytest.param(
            "BTC/USDT:USDT-250627", "BTCUSDT-250627", id="a dated contract keeps its date"
        ),
        pytest.param("BTC-27JUN25", "BTC-27JUN25", id="a date is no quote"),
        pytest.param("BTC-USDT-SWAP", "BTC-USDT-SWAP", id="two dashes are the venue's own"),
        pytest.param("BRK.B", "BRK.B", id="a dot of its own"),
    ],
)
def test_what_an_alert_calls_a_symbol(text: str, symbol: str):
    assert normalise_symbol(text, {}) == symbol


@pytest.mark.parametrize(
    ("text", "symbol_map", "symbol"),
    [
        pytest.param("BINANCE:XBT", {"BINANCE:XBT": "BTCUSDT"}, "BTCUSDT", id="the raw text"),
        pytest.param("KRAKEN:XBT", {"XBT": "BTCUSDT"}, "BTCUSDT", id="the normal form"),
        pytest.param("xbt", {"Xbt": "btc/usdt"}, "BTCUSDT", id="any case, in normal form too"),
        pytest.param(
            "BINANCE:XBT", {"XBT": "A", "BINANCE:XBT": "B"}, "B", id="the raw text goes first"
        ),
        pytest.param("ETHUSDT", {"XBT": "BTCUSDT"}, "ETHUSDT", id="not mapped"),
        pytest.param("A", {"A": "B", "B": "C"}, "B", id="mapped once"),
    ],
)
def test_an_account_maps_symbols(text: str, symbol_map: dict[str, str], symbol: str):
    assert normalise_symbol(text, symbol_map) == symbol


@pytest.mark.parametrize(
    "text",
    ["", "  ", "BINANCE:", ".P", ":", "/", "X" * (SYMBOL_MAX + 1), "BTC USDT", "A:B:C", "BTC\0",
     "\u0392TC",
     "b\u0131tcoin", "straße", "../etc", "..", "A/B/C", "/USDT", "{{ticker}}", "\ud800"],
    ids=ascii,
)  # fmt: skip
def test_what_no_symbol_can_be_is_refused_by_its_field(text: str):
    with pytest.raises(CallerError) as caught:
        normalise_symbol(text, {})
    assert caught.value.field == "Symbol"


def test_a_bad_target_of_the_map_is_refused():
    with pytest.raises(CallerError, match="Symbol"):
        normalise_symbol("BTC", {"BTC": "no such thing"})


@given(st.text(string.ascii_letters + string.digits + ":/-._ P", max_size=50))
def test_the_normal_form_is_its_own_normal_form(text: str):
    try:
        symbol = normalise_symbol(text, {})
    except CallerError:
        return
    assert normalise_symbol(symbol, {}) == symbol


async def test_a_lane_is_made_once(each_database: Database):
    first = await each_database.run(rows.lane)
    assert await each_database.run(rows.lane) == first
    assert await each_database.run(call(rows.lane, "ETHUSDT")) != first
    assert await each_database.run(call(rows.lane, rows.SYMBOL, "other")) != first


async def test_many_who_make_a_lane_at_once_get_the_same(database_url: str, clock: FakeClock):
    receivers = [open_database(database_url, clock=clock) for _ in range(3)]
    await receivers[0].run(rows.account)
    make = call(lane_for, rows.ACCOUNT, rows.SYMBOL)
    ids = await asyncio.gather(*(receiver.run(make) for _ in range(8) for receiver in receivers))
    assert len(set(ids)) == 1

    def count(tx: Tx) -> int:
        return len(tx.execute(select(Lane.id)).all())

    assert await receivers[0].run(count) == 1
    for receiver in receivers:
        await receiver.close()
