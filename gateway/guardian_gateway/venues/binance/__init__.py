"""Binance: USD-M futures (`binanceusdm`) and spot (`binance`), each by its own endpoints."""

from guardian_gateway.venues.binance.spot import BinanceSpot, make_spot
from guardian_gateway.venues.binance.usdm import BinanceUsdm, make_usdm

__all__ = ["BinanceSpot", "BinanceUsdm", "make_spot", "make_usdm"]
