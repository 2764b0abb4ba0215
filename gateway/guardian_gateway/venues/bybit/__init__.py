"""Bybit v5, unified trading account: linear perpetuals (`bybitlinear`) and spot (`bybit`)."""

from guardian_gateway.venues.bybit.linear import BybitLinear

__all__ = ["BybitLinear"]
