"""OKX: linear perpetual swaps (`okxswap`) and spot (`okx`), by the same endpoints."""

from guardian_gateway.venues.okx.spot import OkxSpot
from guardian_gateway.venues.okx.swap import OkxSwap

__all__ = ["OkxSpot", "OkxSwap"]
