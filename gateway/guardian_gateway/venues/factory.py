"""Which adapter serves an account."""

import importlib
from collections.abc import Callable, Mapping

from guardian_core.accounts import AccountSpec
from guardian_core.domain.errors import ConfigurationError
from guardian_core.ports import Clock, Database
from guardian_gateway.desk import VenueMaker
from guardian_gateway.venues.catalogue import EXCHANGES, REFUSED
from guardian_gateway.venues.exchange.checks import CheckedVenue
from guardian_gateway.venues.exchange.keys import KeyFolder
from guardian_gateway.venues.exchange.markets import Shelf
from guardian_gateway.venues.exchange.shelf import DatabaseShelf
from guardian_gateway.venues.exchange.surroundings import Surroundings
from guardian_gateway.venues.paper import DatabaseStore, PaperStore, PaperVenue
from guardian_gateway.venues.port import Venue

ADAPTERS: Mapping[str, str] = {
    "binance": "binance:BinanceSpot",
    "binanceusdm": "binance:BinanceUsdm",
    "bybit": "bybit:BybitSpot",
    "bybitlinear": "bybit:BybitLinear",
    "kraken": "kraken:KrakenSpot",
    "krakenfutures": "kraken:KrakenFutures",
    "okx": "okx:OkxSpot",
    "okxswap": "okx:OkxSwap",
    "bitget": "bitget:BitgetSpot",
    "bitgetswap": "bitget:BitgetSwap",
}
"""Module and class of each exchange's adapter."""

VENUES = ("paper", *EXCHANGES)
"""Every venue that an account may name."""


def venue_maker(
    database: Database,
    clock: Clock,
    paper: PaperStore | None = None,
    keys: KeyFolder | None = None,
) -> VenueMaker:
    """Makes the adapter of an account by its spec. `paper`: where paper books are kept, by
    default in the database; `keys`: where those of real exchanges are.

    What it returns raises ConfigurationError for what no adapter serves. It asks nobody, and
    needs no keys: they are read with the first call.
    """
    store = paper if paper is not None else DatabaseStore(database)

    def make(account: str, spec: AccountSpec) -> Venue:
        if spec.venue == "paper":
            return PaperVenue(account=account, spec=spec, store=store, clock=clock)
        shelf = DatabaseShelf(database, spec.venue, spec.environment)
        return make_exchange(account, spec, keys, clock, shelf=shelf)

    return make


def make_exchange(
    account: str,
    spec: AccountSpec,
    keys: KeyFolder | None,
    clock: Clock,
    *,
    elsewhere: str | None = None,
    shelf: Shelf | None = None,
) -> CheckedVenue:
    """The adapter of an account on a real exchange. `elsewhere`: scheme and host to call instead
    of the exchange's own, for tests; `shelf`: where its listings are kept. Raises
    ConfigurationError."""
    check_spec(account, spec)
    if keys is None:
        raise ConfigurationError(f"account {account}: this process has no folder of exchange keys")
    around = Surroundings(
        spec.environment, keys.of(account), clock, spec.margin_mode, elsewhere, shelf
    )
    return _adapter(spec.venue)(around)


def _adapter(venue: str) -> Callable[[Surroundings], CheckedVenue]:
    # ccxt takes a second to load: only whoever trades on an exchange waits for it.
    module, _, name = ADAPTERS[venue].partition(":")
    adapter: Callable[[Surroundings], CheckedVenue]
    adapter = getattr(importlib.import_module(f"guardian_gateway.venues.{module}"), name)
    return adapter


def check_spec(account: str, spec: AccountSpec) -> None:
    """Raises ConfigurationError for what no adapter serves."""
    if spec.venue == "paper":
        return
    facts = EXCHANGES.get(spec.venue)
    if facts is None:
        why = REFUSED.get(spec.venue)
        shown = f"venue {spec.venue!r} is " + (f"refused: {why}" if why else "not supported")
        raise ConfigurationError(
            f"account {account}: {shown}; set venue to one of: {', '.join(VENUES)}"
        )
    if spec.environment not in facts.environments:
        there = ", ".join(environment.value for environment in facts.environments)
        raise ConfigurationError(
            f"account {account}: {facts.title} has no {spec.environment.value};"
            f" set environment to one of: {there}"
        )
    if spec.policy.trigger_basis not in facts.trigger_bases:
        raise ConfigurationError(
            f"account {account}: {facts.title} has no {spec.policy.trigger_basis.value} price;"
            f" set policy.triggerBasis to {facts.trigger_bases[0].value}"
        )
