"""Bitget, classic accounts: spot (`bitget`) and USDT futures (`bitgetswap`), by their own
endpoints."""

from guardian_gateway.venues.bitget.spot import BitgetSpot
from guardian_gateway.venues.bitget.swap import BitgetSwap

__all__ = ["BitgetSpot", "BitgetSwap"]
