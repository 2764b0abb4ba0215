"""What a venue lists is kept, so that a start does not depend on the venue."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from guardian_core.accounts import Environment
from guardian_core.domain.errors import CallerError, Unavailable
from guardian_core.domain.money import Instrument, MarketKind
from guardian_core.storage.inline import InlineDatabase
from guardian_core.storage.schema import VenueListing
from guardian_gateway.venue_calls import READ_WITHIN_S
from guardian_gateway.venues.exchange.markets import (
    GOOD_FOR_S,
    SILENT_FOR_S,
    Listing,
    Markets,
)
from guardian_gateway.venues.exchange.shelf import DatabaseShelf
from tests.support.clock import FakeClock
from tests.support.paper import body
from tests.venues import loop
from tests.venues.loop import on_jumping_time
from tests.venues.rigs import ADAPTERS, SYMBOL, rig

D = Decimal


def listing(symbol: str = "BTCUSDT", tick: str = "0.1") -> Listing:
    base = symbol.removesuffix("USDT")
    numbers = (D(tick), D("0.001"), D("0.001"), D(5), D("0.01"))
    instrument = Instrument(symbol, base, "USDT", MarketKind.LINEAR, *numbers)
    return Listing(instrument, f"{base}-USDT-SWAP")


class Venue:
    """Lists what it has; None: it is away. `hangs`: or says nothing at all."""

    def __init__(self, *listed: Listing) -> None:
        self.listed: tuple[Listing, ...] | None = listed
        self.asked = 0
        self.hangs = False

    async def ask(self, _symbol: str) -> dict[str, Listing]:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.listed is None:
            raise Unavailable("away")
        return {one.instrument.symbol: one for one in self.listed}


class Hands:
    def __init__(self, *listed: Listing) -> None:
        self.clock = FakeClock()
        self.database = InlineDatabase(clock=self.clock)
        self.venue = Venue(*listed)

    def markets(self, venue: str = "some", environment: Environment = Environment.LIVE) -> Markets:
        shelf = DatabaseShelf(self.database, venue, environment)
        return Markets(self.clock, self.venue.ask, venue, shelf)


async def test_what_was_listed_is_known_while_the_venue_is_away() -> None:
    hands = Hands(listing(), listing("ETHUSDT"))
    await hands.markets().listing("BTCUSDT")
    hands.venue.listed = None
    anew = hands.markets()
    for symbol in ("BTCUSDT", "ETHUSDT"):
        assert await anew.listing(symbol) == listing(symbol)
    assert anew.symbol_of("ETH-USDT-SWAP") == "ETHUSDT"
    with pytest.raises(Unavailable):
        await anew.listing("XRPUSDT")


async def test_what_was_kept_gives_way_to_the_venues_own_word() -> None:
    hands = Hands(listing(tick="0.5"))
    await hands.markets().listing("BTCUSDT")
    hands.venue.listed = None
    anew = hands.markets()
    await anew.listing("BTCUSDT")
    hands.venue.listed = (listing(tick="0.1"),)
    assert (await anew.instrument("BTCUSDT")).tick == D("0.1")


async def test_an_hour_old_listing_still_serves_while_the_venue_is_away() -> None:
    hands = Hands(listing())
    markets = Markets(hands.clock, hands.venue.ask, "some")
    await markets.listing("BTCUSDT")
    hands.clock.advance(GOOD_FOR_S + 1)
    hands.venue.listed = None
    assert await markets.listing("BTCUSDT") == listing()


@on_jumping_time
async def test_a_venue_that_says_nothing_holds_up_nobody_who_knows_enough() -> None:
    """Each read ends within its own limit, and would end in nothing."""
    hands = Hands(listing(), listing("ETHUSDT"), listing("XRPUSDT"))
    old = hands.markets()
    await old.listing("BTCUSDT")
    hands.clock.advance(GOOD_FOR_S + 1)
    hands.venue.hangs = True
    for markets in (old, hands.markets()):
        async with asyncio.timeout(READ_WITHIN_S):
            await markets.ready()
        symbols = ("BTCUSDT", "ETHUSDT", "XRPUSDT")
        async with asyncio.timeout(READ_WITHIN_S):
            found = await asyncio.gather(*map(markets.listing, symbols))
        assert [one.instrument.symbol for one in found] == list(symbols)
    hands.venue.hangs = False
    hands.venue.listed = (listing(tick="0.5"),)
    hands.clock.advance(SILENT_FOR_S)
    assert (await old.instrument("BTCUSDT")).tick == D("0.5")


async def test_each_world_of_each_venue_is_kept_for_itself() -> None:
    hands = Hands(listing())
    await hands.markets().listing("BTCUSDT")
    hands.venue.listed = None
    for others in (hands.markets("other"), hands.markets(environment=Environment.DEMO)):
        with pytest.raises(Unavailable):
            await others.listing("BTCUSDT")


async def test_what_does_not_change_is_not_written_again() -> None:
    hands = Hands(listing())
    await hands.markets().listing("BTCUSDT")

    async def stored_at() -> Any:
        row = await hands.database.run(lambda tx: tx.get(VenueListing, ("some", "Live")))
        return row and row.stored_at

    first = await stored_at()
    hands.clock.advance(60)
    await hands.markets().listing("BTCUSDT")
    assert await stored_at() == first
    hands.venue.listed = (listing("ETHUSDT"),)
    await hands.markets().listing("ETHUSDT")
    assert await stored_at() > first


async def test_a_database_that_is_away_takes_no_listing_from_anybody() -> None:
    hands = Hands(listing())
    await hands.database.close()
    assert await hands.markets().listing("BTCUSDT") == listing()


async def test_what_another_version_wrote_is_passed_over() -> None:
    hands = Hands(listing())
    await hands.markets().listing("BTCUSDT")
    kept = {"BTCUSDT": {"name": "x"}, "ETHUSDT": {"instrument": {"tick": "0"}, "name": "y"}}

    def spoil(tx: Any) -> None:
        tx.get(VenueListing, ("some", "Live")).listings = kept

    await hands.database.run(spoil)
    hands.venue.listed = None
    with pytest.raises(Unavailable):
        await hands.markets().listing("BTCUSDT")


@pytest.mark.parametrize("name", [name for name, one in ADAPTERS.items() if one.listings])
@on_jumping_time
async def test_a_gateway_starts_while_the_venues_listings_are_away(name, tmp_path) -> None:
    shelf = DatabaseShelf(InlineDatabase(clock=loop.clock()), name, Environment.LIVE)
    async with rig(name, tmp_path, loop.clock(), shelf=shelf) as made:
        await made.venue.instrument(SYMBOL)
    async with rig(name, tmp_path, loop.clock(), shelf=shelf) as made:
        made.wire.fault(ADAPTERS[name].listings, (502, "", {}), executes=False, times=99)
        with pytest.raises((Unavailable, CallerError)):
            await made.venue.instrument("NOSUCH")
        order = await made.venue.create(body("in", "buy", "limit", "0.1", "40000"))
        assert [one.ref for one in await made.venue.open_orders()] == [order.ref]
