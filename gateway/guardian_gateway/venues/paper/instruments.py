"""What the paper venue trades: the steps and ticks of a big exchange, rounded to one minimum.

Ticks and steps per coin are about those of Binance's exchangeInfo (spot and USD-M), so that
rounding mistakes show here before they cost money; minimum notionals are one number for all.
"""

from decimal import Decimal
from functools import cache

from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import Instrument, MarketKind

MIN_NOTIONAL = Decimal(5)

_COINS = """
#       linear             spot
# coin  tick     step      tick     step
BTC     0.1      0.001     0.01     0.00001
ETH     0.01     0.001     0.01     0.0001
BNB     0.01     0.01      0.01     0.001
SOL     0.01     0.01      0.01     0.001
XRP     0.0001   0.1       0.0001   0.1
ADA     0.0001   1         0.0001   0.1
DOGE    0.00001  1         0.00001  1
AVAX    0.001    0.1       0.01     0.01
DOT     0.001    0.1       0.001    0.01
LINK    0.001    0.01      0.01     0.01
LTC     0.01     0.001     0.01     0.001
BCH     0.01     0.001     0.1      0.001
TRX     0.00001  1         0.0001   0.1
POL     0.0001   1         0.0001   0.1
ATOM    0.001    0.01      0.001    0.01
UNI     0.001    0.1       0.001    0.01
ETC     0.001    0.01      0.01     0.01
XLM     0.00001  1         0.0001   1
NEAR    0.001    0.1       0.001    0.1
APT     0.001    0.1       0.001    0.01
ARB     0.0001   0.1       0.0001   0.1
OP      0.0001   0.1       0.001    0.01
FIL     0.001    0.1       0.001    0.01
SUI     0.0001   0.1       0.0001   0.1
TON     0.0001   0.1       0.001    0.01
INJ     0.001    0.1       0.001    0.01
AAVE    0.01     0.1       0.01     0.001
GALA    0.00001  1         0.00001  1
SAND    0.0001   1         0.0001   1
MANA    0.0001   1         0.0001   1
AXS     0.001    1         0.01     0.01
EGLD    0.01     0.1       0.01     0.01
THETA   0.001    0.1       0.001    0.1
ALGO    0.0001   0.1       0.0001   1
VET     0.00001  1         0.00001  0.1
HBAR    0.00001  1         0.0001   1
ICP     0.001    1         0.01     0.01
GRT     0.00001  1         0.0001   1
LDO     0.0001   1         0.001    0.01
RUNE    0.001    1         0.001    0.1
CRV     0.001    0.1       0.001    0.1
COMP    0.01     0.001     0.01     0.001
CHZ     0.00001  1         0.0001   1
DYDX    0.001    0.1       0.001    0.01
IMX     0.0001   1         0.001    0.01
TIA     0.001    1         0.001    0.01
SEI     0.0001   1         0.0001   0.1
WLD     0.0001   1         0.001    0.1
ZEC     0.01     0.001     0.01     0.001
DASH    0.01     0.001     0.01     0.001
"""


@cache
def instruments(market: MarketKind, quote: str) -> dict[str, Instrument]:
    """Every instrument of one market by symbol (coin and quote written together)."""
    table: dict[str, Instrument] = {}
    for line in _COINS.strip().splitlines():
        if line.startswith("#"):
            continue
        coin, linear_tick, linear_step, spot_tick, spot_step = line.split()
        spot = market is MarketKind.SPOT
        step = Decimal(spot_step if spot else linear_step)
        table[coin + quote] = Instrument(
            symbol=coin + quote,
            base=coin,
            quote=quote,
            kind=market,
            tick=Decimal(spot_tick if spot else linear_tick),
            step=step,
            min_quantity=step,
            min_notional=MIN_NOTIONAL,
        )
    return table


def instrument(market: MarketKind, quote: str, symbol: str) -> Instrument:
    """Raises CallerError on Symbol, with what there is."""
    table = instruments(market, quote)
    found = table.get(symbol)
    if found is None:
        shown = symbol if len(symbol) <= 40 else symbol[:37] + "..."
        raise CallerError(
            "Symbol",
            f"the paper venue does not trade {shown!r}",
            "it trades " + ", ".join(table),
        )
    return found
