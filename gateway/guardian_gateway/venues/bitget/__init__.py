"""Bitget, classic accounts: USDT futures (`bitgetswap`), by their own endpoints."""

from guardian_gateway.venues.bitget.swap import BitgetSwap

__all__ = ["BitgetSwap"]
