"""Which adapter serves an account."""

from guardian_core.accounts import AccountSpec
from guardian_core.domain.errors import ConfigurationError
from guardian_core.ports import Clock, Database
from guardian_gateway.desk import VenueMaker
from guardian_gateway.venues.paper import DatabaseStore, PaperStore, PaperVenue
from guardian_gateway.venues.port import Venue

VENUES = ("paper",)
"""Every venue that an account may name."""


def venue_maker(database: Database, clock: Clock, paper: PaperStore | None = None) -> VenueMaker:
    """Makes the adapter of an account by its spec. `paper`: where paper books are kept, by
    default in the database.

    What it returns raises ConfigurationError for a venue that no adapter serves.
    """
    store = paper if paper is not None else DatabaseStore(database)

    def make(account: str, spec: AccountSpec) -> Venue:
        match spec.venue:
            case "paper":
                return PaperVenue(account=account, spec=spec, store=store, clock=clock)
            case other:
                raise ConfigurationError(
                    f"account {account}: venue {other!r} is not supported; "
                    f"set venue to one of: {', '.join(VENUES)}"
                )

    return make
