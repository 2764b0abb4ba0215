"""What an exchange lists, as it was last told: one document for each venue and environment."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from guardian_core.ports import Tx
from guardian_core.storage.schema import VenueListing
from guardian_core.storage.upsert import insert_if_absent

Listings = Mapping[str, Any]
"""JSON by our symbol."""


def load(tx: Tx, venue: str, environment: str) -> Listings:
    """Empty where none are kept."""
    row = tx.get(VenueListing, (venue, environment))
    return {} if row is None else row.listings


def store(tx: Tx, venue: str, environment: str, listings: Listings) -> None:
    """Adds them to what is kept; writes nothing where nothing changes."""
    if _holds(load(tx, venue, environment), listings):
        return
    key = {"venue": venue, "environment": environment}
    insert_if_absent(tx, VenueListing, key | {"listings": {}, "stored_at": tx.now()})
    query = select(VenueListing).filter_by(**key).with_for_update()
    row = tx.execute(query.execution_options(populate_existing=True)).scalar_one()
    row.listings = {**row.listings, **listings}
    row.stored_at = tx.now()


def _holds(kept: Listings, listings: Listings) -> bool:
    return all(kept.get(symbol) == one for symbol, one in listings.items())
