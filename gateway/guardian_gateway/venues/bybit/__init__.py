"""Bybit v5, unified trading account: linear perpetuals (`bybitlinear`) and spot (`bybit`)."""

from guardian_gateway.venues.bybit.linear import BybitLinear
from guardian_gateway.venues.bybit.spot import BybitSpot

__all__ = ["BybitLinear", "BybitSpot"]
