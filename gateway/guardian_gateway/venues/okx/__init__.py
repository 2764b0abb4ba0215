"""OKX: linear perpetual swaps (`okxswap`) by its own endpoints."""

from guardian_gateway.venues.okx.swap import OkxSwap

__all__ = ["OkxSwap"]
