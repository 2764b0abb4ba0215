"""Binance: USD-M futures (`binanceusdm`) and spot (`binance`), each by its own endpoints."""

from guardian_gateway.venues.binance.spot import BinanceSpot
from guardian_gateway.venues.binance.usdm import BinanceUsdm

__all__ = ["BinanceSpot", "BinanceUsdm"]
