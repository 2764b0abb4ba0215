"""What really happened: the paper venue's own books, and the product's rows, read only.

Read from the database file, so it can be asked while the product is dead.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import func, select

from guardian_cli.demo.candles import SYMBOL
from guardian_cli.rows import Filter, StateLine, WebhookLine, states, webhook_line
from guardian_core.accounts import AccountSpec
from guardian_core.domain.orders import OrderSide, OrderType
from guardian_core.domain.snapshot import Position
from guardian_core.ports import Clock, Database, Tx
from guardian_core.storage import claims
from guardian_core.storage.schema import Journal, Trade, Webhook
from guardian_gateway.venues.paper import DatabaseStore, PaperVenue
from guardian_gateway.venues.port import VenueFill, VenueOrder

EVERY_STATE = 1000


@dataclass(frozen=True, slots=True)
class Venue:
    """The venue's books at one moment; `orders` that work, of the demo's symbol."""

    position: Position | None
    orders: tuple[VenueOrder, ...]

    def legs(self, type_: OrderType) -> tuple[VenueOrder, ...]:
        return tuple(order for order in self.orders if order.type is type_)

    def guards(self, stop_loss: Decimal, take_profit: Decimal) -> bool:
        """Whether exactly these two legs work, each for the whole position."""
        return self.position is not None and (
            self._is(OrderType.STOP_LOSS, stop_loss)
            and self._is(OrderType.TAKE_PROFIT, take_profit)
            and len(self.orders) == 2
        )

    def _is(self, type_: OrderType, level: Decimal) -> bool:
        found = self.legs(type_)
        if len(found) != 1 or self.position is None:
            return False
        [order] = found
        return (
            order.trigger_price == level
            and order.remaining == self.position.quantity
            and order.side is self.position.side.exit_side
            and order.reduce_only
        )


class Books:
    """One demo's account. `database` only reads."""

    def __init__(self, database: Database, account: str, spec: AccountSpec, clock: Clock) -> None:
        self._database = database
        self._account = account
        self._venue = PaperVenue(account, spec, DatabaseStore(database), clock)
        self._quote = spec.paper.quote

    async def venue(self) -> Venue:
        positions = await self._venue.positions()
        position = next((p for p in positions if p.symbol == SYMBOL), None)
        return Venue(position, tuple(await self._venue.open_orders(SYMBOL)))

    async def fills(self, since: datetime, side: OrderSide) -> list[VenueFill]:
        """At or after a moment; the venue itself may return some from before it."""
        found = await self._venue.fills(SYMBOL, since)
        return [fill for fill in found if fill.side is side and fill.at >= since]

    async def money(self) -> Decimal:
        """The venue's balance in quote currency: with everything closed, what is left."""
        balances = await self._venue.balances()
        return next(b.total for b in balances if b.currency == self._quote)

    async def alert(self, trace_id: str) -> WebhookLine | None:
        def read(tx: Tx) -> WebhookLine | None:
            row = tx.scalars(select(Webhook).where(Webhook.trace_id == trace_id)).first()
            return None if row is None else webhook_line(row)

        return await self._database.run(read)

    async def live(self) -> StateLine | None:
        """The position that the product believes in."""
        wanted = Filter(self._account, SYMBOL)
        found = await self._database.run(lambda tx: states(tx, wanted, live=True))
        return found[0] if found else None

    async def closed(self) -> list[StateLine]:
        """Every position that is over, in order."""
        wanted = Filter(self._account, SYMBOL, limit=EVERY_STATE)
        return (await self._database.run(lambda tx: states(tx, wanted, live=False)))[::-1]

    async def trades(self) -> list[Trade]:
        def read(tx: Tx) -> list[Trade]:
            return list(tx.scalars(select(Trade).order_by(Trade.created_at)))

        return await self._database.run(read)

    async def writes(self) -> tuple[int, int]:
        """How many orders were sent and how many journal rows engine and guardian have written;
        the alerts that only bring a bar leave both alone."""

        def read(tx: Tx) -> tuple[int, int]:
            orders = tx.scalar(select(func.count()).select_from(Trade)) or 0
            quiet = select(func.count()).select_from(Journal).where(Journal.point.not_in(_OF_PINGS))
            return orders, tx.scalar(quiet) or 0

        return await self._database.run(read)

    async def waiting_alerts(self) -> int:
        return await self._database.run(claims.pending_count)


_OF_PINGS = ("T6.1", "T6.2", "T6.3", "T3.7")
