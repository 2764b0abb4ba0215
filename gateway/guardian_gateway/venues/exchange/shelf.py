"""Listings kept in the database, for all accounts of one venue and environment together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from guardian_core.accounts import Environment
from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import Instrument
from guardian_core.ports import Database, Tx
from guardian_core.storage import listings as rows
from guardian_gateway.venues.exchange.markets import Listing

_INSTRUMENT = TypeAdapter(Instrument)


@dataclass(frozen=True, slots=True)
class DatabaseShelf:
    """`guardian_gateway.venues.exchange.markets.Shelf`."""

    database: Database
    venue: str
    environment: Environment

    async def load(self) -> Mapping[str, Listing]:
        def read(tx: Tx) -> Mapping[str, Any]:
            return rows.load(tx, self.venue, self.environment.value)

        stored = await self.database.run(read)
        found = {symbol: _listing(one) for symbol, one in stored.items()}
        return {symbol: listing for symbol, listing in found.items() if listing is not None}

    async def store(self, listings: Mapping[str, Listing]) -> None:
        wanted = {symbol: _stored(one) for symbol, one in listings.items()}
        await self.database.run(
            lambda tx: rows.store(tx, self.venue, self.environment.value, wanted)
        )


def _stored(listing: Listing) -> dict[str, Any]:
    instrument = _INSTRUMENT.dump_python(listing.instrument, mode="json")
    return {"name": listing.name, "instrument": instrument}


def _listing(stored: Mapping[str, Any]) -> Listing | None:
    """None for what another version has written otherwise."""
    try:
        return Listing(_INSTRUMENT.validate_python(stored["instrument"]), str(stored["name"]))
    except (KeyError, ValidationError, CallerError):
        return None
