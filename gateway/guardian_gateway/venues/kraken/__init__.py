"""Kraken: futures (`krakenfutures`) and spot (`kraken`), two exchanges with one name."""

from guardian_gateway.venues.kraken.futures import KrakenFutures
from guardian_gateway.venues.kraken.spot import KrakenSpot

__all__ = ["KrakenFutures", "KrakenSpot"]
