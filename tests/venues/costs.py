"""What each exchange charges for a request, by its own documentation, and what it allows a minute.

A pool is what is counted together: an address's weight, or one endpoint's calls of an account.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.venues.fake.server import Asked


@dataclass(frozen=True)
class Tariff:
    """`pools`: what each allows a minute. `prices`: by call, its pool and its cost, with one symbol
    and without. A call that has no price is a mistake of the table."""

    pools: Mapping[str, float]
    prices: Mapping[str, tuple[str, float, float]] = field(default_factory=dict)

    def charge(self, asked: Asked) -> tuple[str, float]:
        pool, of_one, of_all = self.prices[asked.call]
        return pool, of_one if asked.params.get("symbol") else of_all

    def share(self, asked: list[Asked], minutes: float) -> dict[str, float]:
        """The part of each pool that these requests took."""
        spent = dict.fromkeys(self.pools, 0.0)
        for one in asked:
            pool, cost = self.charge(one)
            spent[pool] += cost
        return {pool: cost / (self.pools[pool] * minutes) for pool, cost in spent.items()}


def _by_call(calls: Mapping[str, float]) -> Tariff:
    """Each endpoint counted for itself: how often it may be called a minute."""
    return Tariff(dict(calls), {call: (call, 1, 1) for call in calls})


TARIFFS = {
    "binanceusdm": Tariff(
        {"weight of the address": 2400},
        {
            call: ("weight of the address", of_one, of_all)
            for call, of_one, of_all in (
                ("GET /fapi/v1/time", 1, 1),
                ("GET /fapi/v1/exchangeInfo", 1, 1),
                ("GET /fapi/v1/positionSide/dual", 30, 30),
                ("GET /fapi/v3/positionRisk", 5, 5),
                ("GET /fapi/v1/openOrders", 1, 40),
                ("GET /fapi/v1/openAlgoOrders", 1, 40),
            )
        },
    ),
    "binance": Tariff(
        {"weight of the address": 6000},
        {
            call: ("weight of the address", of_one, of_all)
            for call, of_one, of_all in (
                ("GET /api/v3/time", 1, 1),
                ("GET /api/v3/exchangeInfo", 20, 20),
                ("GET /api/v3/account", 20, 20),
                ("GET /api/v3/openOrders", 6, 80),
            )
        },
    ),
    # Five a second for positions, ten for orders, of each account.
    "bitget": _by_call(
        {
            "GET /api/v2/spot/account/assets": 600,
            "GET /api/v2/spot/trade/unfilled-orders": 1200,
            "GET /api/v2/spot/trade/current-plan-order": 1200,
            "GET /api/v2/spot/market/tickers": 1200,
        }
    ),
    "bitgetswap": _by_call(
        {
            "GET /api/v2/mix/position/all-position": 300,
            "GET /api/v2/mix/order/orders-plan-pending": 600,
            "GET /api/v2/mix/order/orders-pending": 600,
        }
    ),
    # Fifty a second of each account.
    "bybitlinear": _by_call({"GET /v5/order/realtime": 3000, "GET /v5/position/list": 3000}),
    "bybit": _by_call({"GET /v5/order/realtime": 3000, "GET /v5/account/wallet-balance": 3000}),
    # 500 in ten seconds of each account.
    # One a second is what a Pro key gets back.
    "kraken": Tariff(
        {"counter of the key": 60},
        {
            f"POST /0/private/{call}": ("counter of the key", 1, 1)
            for call in ("OpenOrders", "BalanceEx")
        },
    ),
    "krakenfutures": Tariff(
        {"tokens of the account": 3000},
        {
            f"GET /derivatives/api/v3/{call}": ("tokens of the account", 2, 2)
            for call in ("openorders", "openpositions")
        },
    ),
    # In two seconds: 10 for the account, 60 for plain orders, 20 for conditional ones.
    "okxswap": _by_call(
        {
            "GET /api/v5/account/positions": 300,
            "GET /api/v5/trade/orders-pending": 1800,
            "GET /api/v5/trade/orders-algo-pending": 600,
        }
    ),
    "okx": _by_call(
        {
            "GET /api/v5/account/balance": 300,
            "GET /api/v5/trade/orders-pending": 1800,
            "GET /api/v5/trade/orders-algo-pending": 600,
        }
    ),
}
