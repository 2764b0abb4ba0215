"""The exchanges that an account may name, and those that are refused for a reason.

Read without loading any of them: ccxt takes a second to load.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from guardian_core.accounts import Environment
from guardian_core.domain.money import MarketKind
from guardian_core.domain.orders import TriggerBasis
from guardian_gateway.budget import Rate


@dataclass(frozen=True, slots=True)
class VenueFacts:
    """`practice`: its environments with test money.
    `rate`: calls a second that one address may make here, well below the venue's own limit.
    `poll`: what a look at an account at rest costs, in the venue's own units and in words.
    `passphrase`: its keys come with one."""

    title: str
    market: MarketKind
    practice: tuple[Environment, ...]
    trigger_bases: tuple[TriggerBasis, ...]
    rate: Rate
    poll: str
    passphrase: bool = False

    @property
    def environments(self) -> tuple[Environment, ...]:
        """Those with test money first."""
        return (*self.practice, Environment.LIVE)


EXCHANGES: Mapping[str, VenueFacts] = {
    "binance": VenueFacts(
        title="Binance spot",
        market=MarketKind.SPOT,
        practice=(Environment.DEMO, Environment.TESTNET),
        trigger_bases=(TriggerBasis.LAST,),
        rate=Rate(per_second=20, capacity=60),
        poll="20 for balances and 6 for each symbol in use, every 3 s, and 80 for all orders every"
        " 30 s; of 6000 a minute: 15 % with 3 symbols",
    ),
    "binanceusdm": VenueFacts(
        title="Binance USD-M futures",
        market=MarketKind.LINEAR,
        practice=(Environment.DEMO,),
        trigger_bases=(TriggerBasis.LAST, TriggerBasis.MARK),
        rate=Rate(per_second=10, capacity=40),
        poll="5 for positions and 2 for each symbol in use, every 3 s, and 80 for all orders every"
        " 30 s; of 2400 a minute: 16 % with 3 symbols",
    ),
    "bybit": VenueFacts(
        title="Bybit spot",
        market=MarketKind.SPOT,
        practice=(Environment.DEMO, Environment.TESTNET),
        trigger_bases=(TriggerBasis.LAST,),
        rate=Rate(per_second=8, capacity=10),
        poll="1 call for balances and 2 for all orders, or as many again where there are any, every"
        " 3 s; of 50 a second each: 3 % whatever the symbols",
    ),
    "bybitlinear": VenueFacts(
        title="Bybit linear perpetuals",
        market=MarketKind.LINEAR,
        practice=(Environment.DEMO, Environment.TESTNET),
        trigger_bases=(TriggerBasis.LAST, TriggerBasis.MARK),
        rate=Rate(per_second=8, capacity=10),
        poll="2 calls for positions and 4 for all orders, or as many again where there are any,"
        " every 3 s; of 50 a second each: 6 % whatever the symbols",
    ),
    "kraken": VenueFacts(
        title="Kraken spot",
        market=MarketKind.SPOT,
        practice=(),
        trigger_bases=(TriggerBasis.LAST,),
        rate=Rate(per_second=2, capacity=15),
        poll="1 for all orders, every 6 s, and 1 for balances, every minute; of 60 a minute that a"
        " Pro account has: 18 % whatever the symbols (Intermediate: 37 %, Starter: 55 %)",
    ),
    "krakenfutures": VenueFacts(
        title="Kraken linear perpetuals",
        market=MarketKind.LINEAR,
        practice=(Environment.DEMO,),
        trigger_bases=(TriggerBasis.LAST, TriggerBasis.MARK),
        rate=Rate(per_second=10, capacity=25),
        poll="2 for positions and 2 for all orders, every 3 s; of 500 in 10 s: 3 % whatever the"
        " symbols",
    ),
    "okx": VenueFacts(
        title="OKX spot",
        market=MarketKind.SPOT,
        practice=(Environment.DEMO,),
        trigger_bases=(TriggerBasis.LAST,),
        rate=Rate(per_second=8, capacity=15),
        poll="1 call for balances, of 10 in 2 s, and 1 for plain and 3 for conditional orders, of"
        " 60 and 20 in 2 s, every 3 s: 10 % at most, whatever the symbols",
        passphrase=True,
    ),
    "okxswap": VenueFacts(
        title="OKX linear perpetual swaps",
        market=MarketKind.LINEAR,
        practice=(Environment.DEMO,),
        trigger_bases=(TriggerBasis.LAST, TriggerBasis.MARK),
        rate=Rate(per_second=8, capacity=15),
        poll="1 call for positions, of 10 in 2 s, and 1 for plain and 3 for conditional orders, of"
        " 60 and 20 in 2 s, every 3 s: 10 % at most, whatever the symbols",
        passphrase=True,
    ),
    "bitget": VenueFacts(
        title="Bitget spot",
        market=MarketKind.SPOT,
        practice=(Environment.DEMO,),
        trigger_bases=(TriggerBasis.LAST,),
        rate=Rate(per_second=8, capacity=10),
        poll="1 call for balances, of 10 a second, and 1 for plain orders and 2 for each symbol in"
        " use, of 20 a second each, every 3 s: 5 % with 3 symbols",
        passphrase=True,
    ),
    "bitgetswap": VenueFacts(
        title="Bitget USDT futures",
        market=MarketKind.LINEAR,
        practice=(Environment.DEMO,),
        trigger_bases=(TriggerBasis.LAST, TriggerBasis.MARK),
        rate=Rate(per_second=8, capacity=10),
        poll="1 for positions and 2 for all orders, and 1 more for positions where there are"
        " protective ones, every 3 s; of 10 a second each: 7 % whatever the symbols",
        passphrase=True,
    ),
}

REFUSED: Mapping[str, str] = {
    "mexc": "it takes no stop-loss orders through its interface, so nothing could be guarded",
    "coinbase": "it has no stop that sells at market, and takes reduce-only for close-everything",
    "binancecoinm": "inverse contracts are worth a changing number of coins and cannot be guarded",
}
