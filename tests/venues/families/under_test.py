"""What the shared tests must know of one adapter."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from guardian_gateway.venues.exchange.checks import CheckedVenue
from guardian_gateway.venues.exchange.client import Wiring
from guardian_gateway.venues.exchange.surroundings import Surroundings
from tests.venues.fake.server import Wire


@dataclass(frozen=True)
class OwnWords:
    """How the venue itself says, as (HTTP status, body): `unknown`, that it does not know what
    became of a request; `timed_out`, the same of a slow one; `busy`, that it refused for its load;
    `clock_off`, that the request's time is wrong."""

    unknown: tuple[int, str]
    timed_out: tuple[int, str]
    busy: tuple[int, str]
    clock_off: tuple[int, str]


@dataclass(frozen=True)
class UnderTest:
    """`order`, `leg`, `pair`, `cancel`: the calls that create a plain order, a protective one, two
    at once, and that end a protective one. `strange`: what makes an order's answer a strange one.
    `page`: where the size of a page of fills is set. `listings`: the call that lists the
    instruments. `one_way_only`: the venue has no other position mode. `has_notional`: it tells a
    smallest worth of an order. `contract_size`: of its contracts, in base units.
    `pair_has_one_id`: it knows a pair by one id, so neither leg's own is taken there.
    `late_is_doubtful`: a request that was too late is not surely without effect. `fees_in_quote`:
    on spot, a buy's too. `reads`: how its signed questions begin."""

    adapter: Callable[[Surroundings], CheckedVenue]
    wiring: Wiring
    fake: Callable[..., Wire]
    order: str
    leg: str
    cancel: str
    words: OwnWords
    strange: Mapping[str, Any]
    page: str
    listings: str = ""
    pair: str = ""
    one_way_only: bool = False
    has_notional: bool = True
    contract_size: Decimal = Decimal(1)
    pair_has_one_id: bool = False
    late_is_doubtful: bool = False
    fees_in_quote: bool = False
    reads: str = "GET "
