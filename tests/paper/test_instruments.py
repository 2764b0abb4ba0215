"""The table of what is traded."""

from decimal import Decimal

import pytest

from guardian_core.domain.money import MarketKind
from guardian_gateway.venues.paper.instruments import instruments


@pytest.mark.parametrize("market", list(MarketKind))
def test_every_instrument_can_be_traded_at_its_minimum(market):
    table = instruments(market, "USDT")
    assert len(table) >= 25
    for symbol, instrument in table.items():
        assert symbol == instrument.symbol == instrument.base + "USDT"
        assert instrument.kind is market
        assert instrument.is_tradable(instrument.min_quantity, Decimal(1_000_000))


def test_bitcoin_has_the_ticks_of_its_market():
    assert instruments(MarketKind.LINEAR, "USDT")["BTCUSDT"].tick == Decimal("0.1")
    assert instruments(MarketKind.SPOT, "USDT")["BTCUSDT"].tick == Decimal("0.01")
