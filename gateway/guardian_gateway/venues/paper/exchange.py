"""The paper exchange: one account on a venue that exists in memory alone.

Pure and synchronous: no clock, no I/O, no chance. Every command takes `now`, draws ids from the
account's own counter, and changes all or nothing; `drain()` then gives the changed records to
whoever stores them. A refused order is not remembered: its id may be used again.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal, localcontext

from guardian_core.domain.errors import CallerError, OrderGone, Rejected, RejectReason
from guardian_core.domain.money import Instrument, parse_decimal
from guardian_core.domain.orders import (
    OrderBody,
    OrderRef,
    OrderStatus,
    OrderType,
    PositionSide,
)
from guardian_core.domain.snapshot import Position, Price
from guardian_core.protocol import Bar
from guardian_gateway.venues.paper import checks
from guardian_gateway.venues.paper.book import EXACTLY, Book
from guardian_gateway.venues.paper.funds import Funds
from guardian_gateway.venues.paper.matching import Matcher, bar_path
from guardian_gateway.venues.paper.records import (
    EventKind,
    LedgerEvent,
    PaperBalance,
    PaperLeverage,
    PaperOrder,
    Record,
)
from guardian_gateway.venues.paper.rules import Rules
from guardian_gateway.venues.port import Balance, VenueFill, VenueOrder

MAX_LEVERAGE = Decimal(125)


class PaperExchange:
    """One account. `records`: what an earlier exchange's drains gave; none is a new account."""

    def __init__(
        self, rules: Rules, records: Iterable[Record] = (), *, keep_events: bool = False
    ) -> None:
        self.rules = rules
        self._book = Book(records, keep_events=keep_events)
        self._funds = Funds(self._book, rules)
        self._matcher = Matcher(self._book, self._funds)
        if not self._book.balances:
            with self._book.command():
                self._book.put(PaperBalance(rules.quote, rules.balance))

    @property
    def events(self) -> list[LedgerEvent]:
        """The ledger since this object was made; empty unless it keeps one."""
        return self._book.events

    def drain(self) -> tuple[Record, ...]:
        """Every record that changed since the last call, as it stands now."""
        return self._book.drain()

    # Queries

    def instrument(self, symbol: str) -> Instrument:
        """Raises CallerError on Symbol."""
        return self.rules.instrument(symbol)

    def balances(self) -> list[Balance]:
        with localcontext(EXACTLY):
            return [
                Balance(b.currency, self._funds.free(b.currency), b.total)
                for _, b in sorted(self._book.balances.items())
                if b.total != 0 or b.currency == self.rules.quote
            ]

    def positions(self) -> list[Position]:
        """Empty on spot."""
        return [
            Position(
                symbol=held.symbol,
                side=PositionSide.LONG if held.quantity > 0 else PositionSide.SHORT,
                quantity=abs(held.quantity),
                entry_price=held.entry_price,
            )
            for _, held in sorted(self._book.positions.items())
            if held.quantity != 0
        ]

    def open_orders(self, symbol: str | None = None) -> list[VenueOrder]:
        """Oldest first. A triggered order and its child are both listed until the child is done."""
        return [
            order.as_venue_order() for order in self._book.working if symbol in (None, order.symbol)
        ]

    def find(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        order = self._book.order_of_client(client_order_id)
        if order is None or order.symbol != symbol or order.forgotten:
            return None
        return order.as_venue_order()

    def find_by_id(self, order_id: str) -> VenueOrder | None:
        """By the venue's own id, children among them."""
        order = self._book.order(order_id)
        return None if order is None or order.forgotten else order.as_venue_order()

    def fills(self, symbol: str, since: datetime | None = None) -> list[VenueFill]:
        return [
            fill.as_venue_fill()
            for fill in self._book.fills.values()
            if fill.symbol == symbol and (since is None or fill.at >= since)
        ]

    def price(self, symbol: str) -> Price | None:
        """The last price, however old: on an idle exchange it is still the price."""
        known = self._book.price(symbol)
        return None if known is None else Price(symbol, known.last)

    # Orders

    def create(self, body: OrderBody, now: datetime) -> VenueOrder:
        """Raises Rejected."""
        with self._book.command():
            order = self._checked(body, now)
            self._accept(order, now)
            self._matcher.arrive(order, now)
            return self._told(order.order_id)

    def create_pair(
        self, stop_loss: OrderBody, take_profit: OrderBody, now: datetime
    ) -> list[VenueOrder]:
        """One cancels the other. The take-profit may be a limit order. Raises Rejected."""
        with self._book.command():
            checks.check_pair(self.rules, stop_loss, take_profit)
            pair_id = self._book.next_number()
            orders = []
            for body in (stop_loss, take_profit):
                # Each must be payable alone: together they lock only once.
                orders.append(replace(self._checked(body, now), pair_id=pair_id))
            if orders[1].type is OrderType.LIMIT:
                checks.check_rests(self._book, orders[1])
            for order in orders:
                self._accept(order, now)
            return [self._told(order.order_id) for order in orders]

    def amend(self, ref: OrderRef, body: OrderBody, now: datetime) -> VenueOrder:
        """New trigger, limit and quantity; ids stay. Raises OrderGone or Rejected."""
        with self._book.command():
            before = self._working(ref.venue_order_id)
            checks.check_amendable(self.rules, before, body)
            self._book.put(replace(before, status=OrderStatus.PENDING))
            after = replace(
                before,
                quantity=body.quantity,
                price=body.price if body.type is OrderType.LIMIT else None,
                trigger_price=body.trigger_price if body.type.is_conditional else None,
                updated_at=now,
            )
            self._check(after, body)
            self._book.put(after)
            self._matcher.note(now, EventKind.AMENDED, after)
            self._matcher.arrive(after, now)
            return self._told(after.order_id)

    def cancel(self, order_id: str, now: datetime) -> None:
        """By the venue's id. Raises OrderGone when it is not working, or has triggered."""
        with self._book.command():
            self._matcher.cancel(self._working(order_id), now)

    def cancel_by_hand(self, any_id: str, now: datetime) -> VenueOrder:
        """By the venue's or the client's id, as on the exchange's own page."""
        order = self._book.order(any_id) or self._book.order_of_client(any_id)
        if order is None or order.forgotten or not order.working:
            raise CallerError("order_id", f"{any_id[:40]!r} is no working order", "list the orders")
        try:
            self.cancel(order.order_id, now)
        except OrderGone as error:
            raise CallerError("order_id", str(error)) from error
        return self._told(order.order_id)

    def forget(self, order_id: str, now: datetime) -> None:
        """A fault: the venue loses a resting order and says nothing to anybody.

        Raises OrderGone for what does not rest: not working, or on its way to be filled.
        """
        with self._book.command():
            order = self._working(order_id)
            if order.parent_id is not None:
                raise OrderGone(f"order {order_id} is being filled")
            order = replace(
                order,
                status=OrderStatus.CANCELLED,
                forgotten=True,
                updated_at=now,
            )
            self._book.put(order)
            self._matcher.note(now, EventKind.FORGOTTEN, order)

    def set_leverage(self, symbol: str, leverage: Decimal, now: datetime) -> None:
        """Raises Rejected, too when open positions would then use more than there is."""
        with self._book.command():
            checks.check_symbol(self.rules, symbol)
            if self.rules.spot:
                if leverage != 1:
                    raise Rejected(RejectReason.NOT_PERMITTED, "spot has no leverage")
                return
            if not 1 <= leverage <= MAX_LEVERAGE:
                raise Rejected(
                    RejectReason.INVALID_ORDER, f"leverage {leverage} is not 1 to {MAX_LEVERAGE}"
                )
            locked_before = self._funds.locked(self.rules.quote)
            self._book.put(PaperLeverage(symbol, leverage))
            locked = self._funds.locked(self.rules.quote)
            if locked > max(locked_before, self._book.total(self.rules.quote)):
                raise Rejected(
                    RejectReason.INSUFFICIENT_FUNDS,
                    f"at leverage {leverage} the open positions need more margin than there is",
                )

    # Prices

    def apply_bar(self, bar: Bar, now: datetime) -> bool:
        """Moves the price through a candle; False when it is no newer than the last one."""
        self.rules.instrument(bar.symbol)
        if bar.time is not None and bar.time.tzinfo is None:
            raise CallerError("Time", "the bar's time has no zone", "end it with Z")
        path = _path_of(bar)
        known = self._book.price(bar.symbol)
        newest = None if known is None else known.bar_time
        if bar.time is not None and newest is not None and bar.time <= newest:
            return False
        with self._book.command():
            self._matcher.travel(bar.symbol, path, bar.time or newest, now)
        return True

    def set_price(self, symbol: str, price: Decimal, now: datetime) -> None:
        """The price jumps."""
        self.rules.instrument(symbol)
        price = _usable(price, "price")
        known = self._book.price(symbol)
        with self._book.command():
            bar_time = None if known is None else known.bar_time
            self._matcher.travel(symbol, (price,), bar_time, now)

    def _checked(self, body: OrderBody, now: datetime) -> PaperOrder:
        """The order of an acceptable body, not yet in the book."""
        checks.check_new(self._book, body.client_order_id)
        checks.check_symbol(self.rules, body.symbol)
        order = PaperOrder(
            order_id=self._book.next_number(),
            client_order_id=body.client_order_id,
            symbol=body.symbol,
            side=body.side,
            type=body.type,
            role=body.role,
            quantity=body.quantity,
            price=body.price if body.type is OrderType.LIMIT else None,
            trigger_price=body.trigger_price if body.type.is_conditional else None,
            trigger_basis=body.trigger_basis if body.type.is_conditional else None,
            reduce_only=body.reduce_only,
            created_at=now,
            updated_at=now,
        )
        self._check(order, body)
        return order

    def _check(self, order: PaperOrder, body: OrderBody) -> None:
        instrument = checks.check_symbol(self.rules, order.symbol)
        checks.check_shape(instrument, body)
        price = checks.fill_price(self._book, order)
        checks.check_notional(self.rules, instrument, order, price)
        checks.check_not_crossed(self._book, order)
        checks.check_reduces(self._funds, order)
        checks.check_funds(self._funds, order, price)

    def _accept(self, order: PaperOrder, now: datetime) -> None:
        self._book.put(order)
        self._matcher.note(now, EventKind.ACCEPTED, order)

    def _working(self, order_id: str) -> PaperOrder:
        order = self._book.order(order_id)
        if order is None or not order.working:
            raise OrderGone(f"order {order_id} is not working")
        if order.triggered:
            raise OrderGone(f"order {order_id} has triggered")
        return order

    def _told(self, order_id: str) -> VenueOrder:
        order = self._book.order(order_id)
        assert order is not None
        return order.as_venue_order()


def _path_of(bar: Bar) -> tuple[Decimal, ...]:
    """Missing prices are the close; a high or low inside the body is the body's."""
    close = _usable(bar.close, "Close")
    open_ = close if bar.open is None else _usable(bar.open, "Open")
    high = close if bar.high is None else _usable(bar.high, "High")
    low = close if bar.low is None else _usable(bar.low, "Low")
    return bar_path(open_, max(open_, high, close), min(open_, low, close), close)


def _usable(price: Decimal, field: str) -> Decimal:
    price = parse_decimal(price, field)
    if price <= 0:
        raise CallerError(field, f"{price} is not above 0", "send a price")
    return price
