"""Kraken: futures (`krakenfutures`) and spot (`kraken`), two exchanges with one name."""

from guardian_gateway.venues.kraken.futures import KrakenFutures

__all__ = ["KrakenFutures"]
