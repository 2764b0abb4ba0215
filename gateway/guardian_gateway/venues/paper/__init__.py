"""The paper venue: a full exchange in memory or in the database, for one account each."""

from guardian_gateway.venues.paper.database_store import DatabaseStore
from guardian_gateway.venues.paper.exchange import PaperExchange
from guardian_gateway.venues.paper.records import EventKind, LedgerEvent
from guardian_gateway.venues.paper.rules import Rules
from guardian_gateway.venues.paper.store import MemoryStore, PaperStore
from guardian_gateway.venues.paper.venue import PaperTiming, PaperVenue

__all__ = [
    "DatabaseStore",
    "EventKind",
    "LedgerEvent",
    "MemoryStore",
    "PaperExchange",
    "PaperStore",
    "PaperTiming",
    "PaperVenue",
    "Rules",
]
