"""A look at rest, every 3 s, with positions on three symbols: what it costs of each exchange's own
limits, as docs/venues.md says it."""

import asyncio

import pytest

from guardian_core.domain.snapshot import LegsMode
from tests.support.paper import body
from tests.venues import loop
from tests.venues.costs import TARIFFS
from tests.venues.loop import on_jumping_time
from tests.venues.rigs import ADAPTERS, rig

EVERY_S = 3
MINUTES = 3
AT_MOST = 0.20
SYMBOLS = {"BTCUSDT": ("0.1", "43000"), "ETHUSDT": ("1", "2000"), "SOLUSDT": ("10", "100")}


async def guarded(made, symbol, quantity, price):
    """Bought, with what this venue holds of its legs."""
    made.set_price(price, symbol)
    await made.venue.instrument(symbol)
    name = f"guardn{symbol.lower():0>10}"
    await made.venue.create(body(f"{name}in", "buy", "market", quantity, symbol=symbol))
    last, half = int(price), str(float(quantity) / 2)
    how = {"symbol": symbol, "reduce_only": not made.spot}
    stop = body(f"{name}sl", "sell", "stop_loss", half, str(last * 95 // 100), **how)
    profit = body(f"{name}tp", "sell", "take_profit", half, str(last * 105 // 100), **how)
    mode = made.venue.capabilities().legs
    if mode is LegsMode.PAIR:
        await made.venue.create_pair(stop, profit)
        return
    for leg in (stop,) if mode is LegsMode.STOP_ONLY else (stop, profit):
        await made.venue.create(leg)


@pytest.mark.parametrize("name", ADAPTERS)
@on_jumping_time
async def test_looking_takes_a_fifth_of_what_the_exchange_allows_at_most(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        for symbol, (quantity, price) in SYMBOLS.items():
            await guarded(made, symbol, quantity, price)
        before = len(made.wire.asked)
        reports = made.venue.capabilities().reports_positions
        for _ in range(MINUTES * 60 // EVERY_S):
            orders = await made.venue.open_orders()
            assert {order.ref.symbol for order in orders} == SYMBOLS.keys()
            await (made.venue.positions() if reports else made.venue.balances())
            await asyncio.sleep(EVERY_S)
        shares = TARIFFS[name].share(made.wire.asked[before:], MINUTES)
        assert max(shares.values()) <= AT_MOST, shares
