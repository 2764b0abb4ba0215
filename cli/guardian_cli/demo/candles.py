"""BTCUSDT on 10 March 2023, minute by minute: the market of the demo.

Columns: open_time (UTC), open, high, low and close in USDT, volume in BTC.
"""

import csv
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from importlib.resources import files

SYMBOL = "BTCUSDT"
DATA = "data/btcusdt-1m-2023-03-10.csv"


@dataclass(frozen=True, slots=True)
class Candle:
    time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


def load_day() -> tuple[Candle, ...]:
    """1440 candles, oldest first."""
    text = files("guardian_cli.demo").joinpath(DATA).read_text("utf-8")
    return tuple(
        Candle(
            datetime.fromisoformat(row["open_time"]),
            *(Decimal(row[name]) for name in ("open", "high", "low", "close")),
        )
        for row in csv.DictReader(text.splitlines())
    )
