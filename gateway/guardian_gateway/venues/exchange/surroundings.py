"""What an adapter is made in: its account's world, keys and clock."""

from dataclasses import dataclass

from guardian_core.accounts import Environment, MarginMode
from guardian_core.ports import Clock
from guardian_gateway.venues.exchange.keys import KeyFiles
from guardian_gateway.venues.exchange.markets import Shelf


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Of one account. `elsewhere`: scheme and host to call instead of the exchange's own, for
    tests. `shelf`: where listings are kept."""

    environment: Environment
    keys: KeyFiles
    clock: Clock
    margin_mode: MarginMode = MarginMode.CROSS
    elsewhere: str | None = None
    shelf: Shelf | None = None
