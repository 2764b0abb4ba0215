"""An account as its venue reports it now: orders first, positions last, prices where they decide.

1. A section that could not be read is `failed`, and says so; it is never empty instead.
2. Fills are ingested when a position moved, an order left its listing or filled, and as long as a
   lane has an order in flight or fills that do not add up. When that fails, derivatives keep their
   positions (the venue itself reports them; the lane is asked again by the next snapshot), but
   spot's fail: they are nothing but the sum of our fills.
3. At rest this costs two calls to the venue, two reads of the database, and no write.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from loguru import logger

from guardian_core.domain.errors import CallerError, GuardianError, Unavailable
from guardian_core.domain.money import Instrument
from guardian_core.domain.orders import Role
from guardian_core.domain.snapshot import (
    AccountSnapshot,
    LegsMode,
    Position,
    Price,
    Section,
    WorkingOrder,
)
from guardian_core.gateway_codec import SNAPSHOT_WITHIN_S, NotHolder
from guardian_gateway import spot
from guardian_gateway.desk import Context, Desk
from guardian_gateway.fills import Fills
from guardian_gateway.grant import Grant
from guardian_gateway.outcomes import Resolver
from guardian_gateway.sightings import Books, LiveState, Sight, Sightings
from guardian_gateway.venues.port import Balance, VenueOrder

LATE_S = 0.5
_NOT_READ = "not read: the snapshot's time was over"


@dataclass(slots=True)
class _Reading:
    """A snapshot in the making. Times are monotonic seconds."""

    symbol: str | None
    grant: Grant
    began_s: float
    orders_at_s: float = 0.0
    positions_at_s: float = 0.0
    orders_error: str = ""
    positions_error: str = ""
    listed: Sequence[VenueOrder] = ()
    seen: Sightings = field(default_factory=Sightings)
    positions: list[Position] = field(default_factory=list)
    balances: dict[str, Balance] = field(default_factory=dict)
    instruments: dict[str, Instrument] = field(default_factory=dict)
    prices: list[Price] = field(default_factory=list)


class Snapshots:
    """Takes snapshots of one account."""

    def __init__(self, desk: Desk, context: Context, resolver: Resolver) -> None:
        self._desk = desk
        self._context = context
        self._sight = Sight(desk, context, resolver)
        self._fills = Fills(desk, context)

    async def take(self, symbol: str | None = None) -> AccountSnapshot:
        """Of the whole account, or of one lane. Raises NotHolder, CallerError on a symbol that
        the venue does not trade, Unavailable when the database is away."""
        grant = self._context.holder.grant()
        reading = _Reading(symbol, grant, self._context.clock.monotonic())
        if symbol is not None:
            with suppress(Unavailable):
                reading.instruments[symbol] = await self._desk.instrument(symbol)
        await self._read_orders(reading)
        books = await self._context.database.run(
            lambda tx: self._sight.books(tx, symbol, reading.listed, reading.began_s)
        )
        if not reading.orders_error:
            left_s = self._left_s(reading)
            reading.seen = await self._sight.see(reading.listed, books, grant, left_s)
        await self._read_positions(reading)
        await self._read_instruments(reading, books)
        await self._ingest(reading, books)
        if not self._desk.capabilities.reports_positions:
            await self._add_holdings(reading, books)
        await self._read_prices(reading, books)
        return self._finished(reading)

    def _left_s(self, reading: _Reading) -> float:
        return reading.began_s + SNAPSHOT_WITHIN_S - self._context.clock.monotonic()

    def _late_s(self, reading: _Reading) -> float:
        """For what is worth a moment more: without it, lanes that could be judged could not."""
        return max(self._left_s(reading), LATE_S)

    async def _read_orders(self, reading: _Reading) -> None:
        venue, symbol = self._desk.venue, reading.symbol
        try:
            reading.listed = await self._desk.calls.read(
                "open_orders", lambda: venue.open_orders(symbol), self._left_s(reading)
            )
        except Unavailable as error:
            reading.orders_error = str(error) or _NOT_READ
        reading.orders_at_s = self._context.clock.monotonic()

    async def _read_positions(self, reading: _Reading) -> None:
        venue, left_s = self._desk.venue, self._left_s(reading)
        try:
            if self._desk.capabilities.reports_positions:
                found = await self._desk.calls.read("positions", venue.positions, left_s)
                reading.positions = [p for p in found if reading.symbol in (None, p.symbol)]
            else:
                balances = await self._desk.calls.read("balances", venue.balances, left_s)
                reading.balances = {balance.currency: balance for balance in balances}
        except Unavailable as error:
            reading.positions_error = str(error) or _NOT_READ
        reading.positions_at_s = self._context.clock.monotonic()

    async def _read_instruments(self, reading: _Reading, books: Books) -> None:
        """Of every lane that is concerned; they are cached for long."""
        symbols = {order.ref.symbol for order in reading.seen.orders if order.ours}
        symbols |= {position.symbol for position in reading.positions}
        symbols |= books.states.keys() | self._remembered(reading, books)
        if not self._desk.capabilities.reports_positions:
            symbols |= books.lanes
        if reading.symbol is not None:
            symbols.add(reading.symbol)
        missing = sorted(symbols - reading.instruments.keys())
        within_s = self._late_s(reading)
        found = await asyncio.gather(
            *(self._desk.instrument(symbol, within_s) for symbol in missing),
            return_exceptions=True,
        )
        for symbol, instrument in zip(missing, found, strict=True):
            if isinstance(instrument, Instrument):
                reading.instruments[symbol] = instrument
            elif isinstance(instrument, Unavailable | CallerError):
                reading.seen.warnings.append(f"no instrument for {symbol}: {instrument}")
            else:
                raise instrument

    def _remembered(self, reading: _Reading, books: Books) -> set[str]:
        """Lanes that this process has seen something on, or still owes the fills of."""
        return {
            lane.symbol
            for lane in self._desk.lanes()
            if (lane.seen or lane.owes_fills) and lane.symbol in books.lanes
        }

    async def _ingest(self, reading: _Reading, books: Books) -> None:
        if reading.orders_error or reading.positions_error:
            return
        symbols = [symbol for symbol in reading.instruments if symbol in books.lanes]
        await asyncio.gather(*(self._ingest_lane(reading, books, symbol) for symbol in symbols))

    async def _ingest_lane(self, reading: _Reading, books: Books, symbol: str) -> None:
        """Rule 2 for one lane."""
        lane = self._desk.lane(symbol)
        looks = self._looks(reading, symbol)
        unsettled = symbol in reading.seen.unsettled
        if lane.seen == looks and not unsettled and not lane.owes_fills:
            return
        instrument = reading.instruments[symbol]
        lane.owes_fills = True
        try:
            done = await self._fills.ingest(symbol, instrument, self._left_s(reading))
        except NotHolder:
            raise
        except Unavailable as error:
            logger.warning("fills of {} {} not read: {}", self._desk.name, symbol, error)
            reading.seen.warnings.append(f"fills of {symbol} not read: {error}")
            if not self._desk.capabilities.reports_positions:
                reading.positions_error = f"fills of {symbol} not read: {error}"
            return
        lane.seen = looks
        lane.owes_fills = not done.complete

    def _looks(self, reading: _Reading, symbol: str) -> frozenset[object]:
        """What a lane looks like: changes exactly when something on it moved. Empty: nothing."""
        base = reading.instruments[symbol].base
        looks: set[object] = {
            (order.ref.venue_order_id, order.remaining)
            for order in reading.seen.orders
            if order.ref.symbol == symbol
        }
        looks |= {(p.side, p.quantity) for p in reading.positions if p.symbol == symbol}
        balance = reading.balances.get(base)
        if balance is not None and balance.total > 0:
            looks.add(("coins", balance.total))
        return frozenset(looks)

    async def _add_holdings(self, reading: _Reading, books: Books) -> None:
        """Spot: positions from what our fills left."""
        if reading.orders_error:
            reading.positions_error = reading.positions_error or (
                f"coins locked by our orders unknown: {reading.orders_error}"
            )
        if reading.positions_error:
            return
        symbols = sorted(books.lanes & reading.instruments.keys())
        installation = self._context.installation
        holdings = await self._context.database.run(
            lambda tx: spot.holdings(tx, self._desk.name, symbols, installation)
        )
        for symbol, holding in holdings.items():
            instrument = reading.instruments[symbol]
            held = spot.position(holding, instrument, reading.balances, reading.seen.orders)
            if held is not None:
                reading.positions.append(held)

    async def _read_prices(self, reading: _Reading, books: Books) -> None:
        positions = {position.symbol: position for position in reading.positions}
        wanted = {
            symbol
            for symbol, state in books.states.items()
            if symbol in positions
            and symbol in reading.instruments
            and self._wants_price(state, positions[symbol], reading)
        }
        if reading.symbol is not None:
            wanted.add(reading.symbol)
        names = sorted(wanted)
        within_s = self._late_s(reading)
        found = await asyncio.gather(
            *(self._desk.price(symbol, within_s) for symbol in names), return_exceptions=True
        )
        for symbol, price in zip(names, found, strict=True):
            if isinstance(price, Price):
                reading.prices.append(price)
            elif isinstance(price, GuardianError):
                reading.seen.warnings.append(f"no price for {symbol}: {price}")
            else:
                raise price

    def _wants_price(self, state: LiveState, position: Position, reading: _Reading) -> bool:
        """Whether a decision may turn on the price: some desired leg does not stand as desired."""
        levels = {Role.STOP_LOSS: state.stop_loss, Role.TAKE_PROFIT: state.take_profit}
        if self._desk.capabilities.legs is LegsMode.STOP_ONLY and state.take_profit is not None:
            return True
        orders = [o for o in reading.seen.orders if o.ref.symbol == position.symbol and o.ours]
        instrument = reading.instruments[position.symbol]
        selling = position.side.exit_side.sign < 0
        for role, level in levels.items():
            if level is None:
                continue
            trigger = instrument.trigger_price(level, selling=selling)
            if not any(_stands(o, role, trigger, position, instrument) for o in orders):
                return True
        return False

    def _finished(self, reading: _Reading) -> AccountSnapshot:
        now_s = self._context.clock.monotonic()
        orders_age_ms = round((now_s - reading.orders_at_s) * 1000)
        positions_age_ms = round((now_s - reading.positions_at_s) * 1000)
        gauge = self._context.metrics.snapshot_age_seconds.labels(self._desk.name)
        gauge.set(max(orders_age_ms, positions_age_ms) / 1000)
        return AccountSnapshot(
            account=self._desk.name,
            venue=self._desk.venue.name,
            capabilities=self._desk.capabilities,
            positions_section=_section(reading.positions_error, positions_age_ms),
            orders_section=_section(reading.orders_error, orders_age_ms),
            positions=() if reading.positions_error else tuple(reading.positions),
            orders=tuple(reading.seen.orders),
            prices=tuple(reading.prices),
            instruments=tuple(reading.instruments.values()),
            warnings=tuple(reading.seen.warnings),
        )


def _section(error: str, age_ms: int) -> Section:
    return Section(ok=not error, age_ms=age_ms, error=error)


def _stands(
    order: WorkingOrder, role: Role, trigger: object, position: Position, instrument: Instrument
) -> bool:
    whole = instrument.floor_quantity(position.quantity)
    covers = order.whole_position or order.remaining == whole
    return order.role is role and order.trigger_price == trigger and covers and not order.in_flight
