"""What a fake exchange's own books say of one symbol: the judge of the scenarios."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from guardian_core.domain.money import ZERO
from guardian_core.domain.orders import OrderType
from guardian_core.domain.snapshot import LegsMode
from guardian_gateway.venues.paper import EventKind, LedgerEvent, PaperExchange
from guardian_gateway.venues.paper.records import PaperOrder
from tests.e2e.venue_books import STOP_LOSS, TAKE_PROFIT

BASE = "BTC"


@dataclass(frozen=True, slots=True)
class Book:
    """One account at one moment. `position`: signed, in base units; on spot the coins beyond the
    user's own `own_coins`."""

    spot: bool
    step: Decimal
    own_coins: Decimal
    position: Decimal
    working: tuple[PaperOrder, ...]
    events: tuple[LedgerEvent, ...]

    def legs(self) -> dict[str, list[PaperOrder]]:
        found: dict[str, list[PaperOrder]] = {}
        for order in self.working:
            found.setdefault(role_of(order), []).append(order)
        return found

    def leg(self, role: str) -> PaperOrder:
        [order] = self.legs()[role]
        return order

    def is_guarded(self, at: Mapping[str, Decimal], mode: LegsMode) -> bool:
        """Whether the legs that this venue can hold work at these levels, each once, for all of
        the position but what is below a step, and nothing else does."""
        wanted = set(at) - ({TAKE_PROFIT} if mode is LegsMode.STOP_ONLY else set())
        legs = self.legs()
        pairs = {order.pair_id for order in self.working}
        return (
            abs(self.position) >= self.step
            and legs.keys() == wanted
            and len(self.working) == len(wanted)
            and (mode is not LegsMode.PAIR or (len(pairs) == 1 and pairs != {None}))
            and all(self._covers(legs[role][0], at[role]) for role in wanted)
        )

    def _covers(self, order: PaperOrder, level: Decimal) -> bool:
        return (
            order.level == level
            and order.side.value == ("sell" if self.position > 0 else "buy")
            and ZERO <= abs(self.position) - order.remaining < self.step
            and (self.spot or order.reduce_only)
        )

    @property
    def is_flat(self) -> bool:
        """Nothing works, and nothing that could be sold is left."""
        return not self.working and abs(self.position) < self.step

    def accepted(self) -> list[LedgerEvent]:
        """Every order that was ever sent and taken."""
        return [e for e in self.events if e.kind is EventKind.ACCEPTED and e.parent_id is None]

    def entries(self) -> list[LedgerEvent]:
        """Those that open a long."""
        return [e for e in self.accepted() if e.side.value == "buy" and not e.reduce_only]

    def stops(self) -> list[LedgerEvent]:
        return [event for event in self.accepted() if event.type is OrderType.STOP_LOSS]

    def check_own_coins(self) -> None:
        """Fails where less was left, at any moment, than the user had before."""
        least = min((e.position_after for e in self.events), default=self.own_coins)
        assert not self.spot or least >= self.own_coins, f"only {least} {BASE} were left"


def take_look(exchange: PaperExchange, symbol: str, own_coins: Decimal) -> Book:
    held = exchange._funds.exposure(symbol)
    return Book(
        spot=exchange.rules.spot,
        step=exchange.instrument(symbol).step,
        own_coins=own_coins,
        position=held - own_coins,
        working=tuple(order for order in exchange._book.working if order.symbol == symbol),
        events=tuple(exchange.events),
    )


def role_of(order: PaperOrder) -> str:
    """The leg that an order is, or its type. A pair's limit order is a take-profit."""
    if order.type is OrderType.STOP_LOSS:
        return STOP_LOSS
    is_profit = order.type is OrderType.TAKE_PROFIT or order.pair_id is not None
    return TAKE_PROFIT if is_profit else order.type.value
