"""How orders fill: on arrival, and when the price travels.

1. The price travels from point to point. Between two points of one bar it passes every level on
   the way, and orders act in the order in which it reaches them; from one event to the next it
   jumps, and a trigger that lies in the gap fires at the far side, at the worse price.
2. A limit order fills at its limit; one that is marketable when it arrives takes the last price.
3. A triggered order becomes a market order, its child, and stays open until the child is done.
   Its pair sibling is cancelled first, so that their coins are free for the child.
4. A market order fills what there is at once; the rest is cancelled, as immediate-or-cancel.
5. A reduce-only order shrinks to the position before it fills, and is cancelled when there is
   nothing to reduce. (On spot nothing can be sold that is not owned: there it changes nothing.)
6. One price event fills an order once, at most `max_fill_quantity` of it.
"""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from guardian_core.domain.orders import OrderStatus, OrderType
from guardian_gateway.venues.paper.book import Book
from guardian_gateway.venues.paper.funds import Funds
from guardian_gateway.venues.paper.records import (
    EventKind,
    LedgerEvent,
    PaperFill,
    PaperOrder,
    PaperPrice,
)


class Matcher:
    """Moves the orders of one book. Every method runs inside a command of that book."""

    def __init__(self, book: Book, funds: Funds) -> None:
        self._book = book
        self._funds = funds

    def arrive(self, order: PaperOrder, now: datetime) -> None:
        """An accepted order meets the market as it stands."""
        price = self._book.price(order.symbol)
        if price is None:
            return
        if order.type is OrderType.MARKET:
            self._fill_at_market(order, price.last, now)
        elif order.type is OrderType.LIMIT and order.is_reached(price.last):
            self._fill_limit(order, price.last, now, maker=False)

    def travel(
        self, symbol: str, path: tuple[Decimal, ...], bar_time: datetime | None, now: datetime
    ) -> None:
        """The price jumps to the path's first point and moves on from there to its last."""
        before = self._book.price(symbol)
        start = None if before is None else before.last
        acted: set[str] = set()
        for child in self._waiting_children(symbol):
            acted.add(child.order_id)
            self._fill_at_market(child, path[0], now)
        self._move(symbol, start, path[0], now, acted, jump=True)
        for here, there in pairwise(path):
            self._move(symbol, here, there, now, acted, jump=False)
        self._book.put(PaperPrice(symbol, path[-1], now, bar_time))

    def cancel(self, order: PaperOrder, now: datetime) -> None:
        """Ends a working order that is not triggered, and its pair sibling with it."""
        self._end(order, OrderStatus.CANCELLED, now)
        self._cancel_sibling(order, now)

    def note(
        self,
        at: datetime,
        kind: EventKind,
        order: PaperOrder,
        quantity: Decimal | None = None,
        price: Decimal | None = None,
    ) -> None:
        """Adds to the ledger: the order as it now stands, and the position after."""
        event = LedgerEvent(
            at=at,
            kind=kind,
            symbol=order.symbol,
            order_id=order.order_id,
            client_order_id=order.client_order_id,
            parent_id=order.parent_id,
            side=order.side,
            role=order.role,
            type=order.type,
            reduce_only=order.reduce_only,
            quantity=order.quantity if quantity is None else quantity,
            remaining=order.remaining,
            price=order.level if price is None else price,
            position_after=self._funds.exposure(order.symbol),
        )
        self._book.note(event)

    def _waiting_children(self, symbol: str) -> list[PaperOrder]:
        return [
            order
            for order in self._book.working
            if order.symbol == symbol and order.type is OrderType.MARKET
        ]

    def _move(
        self,
        symbol: str,
        start: Decimal | None,
        end: Decimal,
        now: datetime,
        acted: set[str],
        *,
        jump: bool,
    ) -> None:
        while (order := self._next(symbol, start, end, acted)) is not None:
            acted.add(order.order_id)
            level = order.level
            assert level is not None
            if order.type is OrderType.LIMIT:
                self._fill_limit(order, level, now, maker=True)
            else:
                self._trigger(order, end if jump else level, now)

    def _next(
        self, symbol: str, start: Decimal | None, end: Decimal, acted: set[str]
    ) -> PaperOrder | None:
        """The order whose level the price reaches first; of equals, the older one."""

        def way_to(order: PaperOrder) -> tuple[Decimal, int]:
            level = order.level
            if start is None or level is None:
                return Decimal(0), order.number
            way = start - level if order.acts_when_falling else level - start
            return max(Decimal(0), way), order.number

        reached = (
            order
            for order in self._book.working
            if order.symbol == symbol
            and order.order_id not in acted
            and not order.triggered
            and order.is_reached(end)
        )
        return min(reached, key=way_to, default=None)

    def _trigger(self, parent: PaperOrder, price: Decimal, now: datetime) -> None:
        child = PaperOrder(
            order_id=self._book.next_number(),
            symbol=parent.symbol,
            side=parent.side,
            type=OrderType.MARKET,
            role=parent.role,
            quantity=parent.quantity,
            reduce_only=parent.reduce_only,
            parent_id=parent.order_id,
            created_at=now,
            updated_at=now,
        )
        parent = replace(parent, child_id=child.order_id, updated_at=now)
        self._book.put(parent)
        self.note(now, EventKind.TRIGGERED, parent, price=price)
        self._cancel_sibling(parent, now)
        self._book.put(child)
        self.note(now, EventKind.ACCEPTED, child)
        if not self._funds.rules.child_waits:
            self._fill_at_market(child, price, now)

    def _fill_at_market(self, order: PaperOrder, price: Decimal, now: datetime) -> None:
        shrunk = self._shrink(order, now)
        if shrunk is None:
            return
        quantity = self._available(shrunk)
        if shrunk.parent_id is not None:
            quantity = min(quantity, self._affordable(shrunk, price))
        if quantity > 0:
            shrunk = self._fill(shrunk, quantity, price, now, maker=False)
        if shrunk.working:
            self._end(shrunk, OrderStatus.CANCELLED, now)

    def _affordable(self, child: PaperOrder, price: Decimal) -> Decimal:
        """Its own lock is its own to spend."""
        self._book.put(replace(child, status=OrderStatus.PENDING))
        quantity = self._funds.affordable(child, price)
        self._book.put(child)
        return quantity

    def _fill_limit(self, order: PaperOrder, price: Decimal, now: datetime, *, maker: bool) -> None:
        shrunk = self._shrink(order, now)
        if shrunk is not None and (quantity := self._available(shrunk)) > 0:
            self._fill(shrunk, quantity, price, now, maker=maker)

    def _shrink(self, order: PaperOrder, now: datetime) -> PaperOrder | None:
        """A reduce-only order no larger than the position; None when that cancelled it."""
        if not order.reduce_only or self._funds.rules.spot:
            return order
        closable = self._funds.closable(order.symbol, order.side)
        if closable <= 0:
            self.cancel(order, now)
            return None
        if order.remaining > closable:
            order = replace(order, quantity=order.filled + closable)
            self._book.put(order)
        return order

    def _available(self, order: PaperOrder) -> Decimal:
        most = self._funds.rules.max_fill_quantity
        if most is None or order.remaining <= most:
            return order.remaining
        return self._funds.rules.instrument(order.symbol).floor_quantity(most)

    def _fill(
        self, order: PaperOrder, quantity: Decimal, price: Decimal, now: datetime, *, maker: bool
    ) -> PaperOrder:
        fee, currency = self._funds.settle(order, quantity, price, maker=maker)
        asked = self._parent_of(order) or order
        self._book.put(
            PaperFill(
                fill_id=self._book.next_number(),
                order_id=order.order_id,
                client_order_id=asked.client_order_id,
                symbol=order.symbol,
                side=order.side,
                price=price,
                quantity=quantity,
                fee=fee,
                fee_currency=currency,
                at=now,
            )
        )
        order = _with_fill(order, quantity, price, now)
        if order.remaining == 0:
            order = replace(order, status=OrderStatus.CLOSED)
        self._book.put(order)
        self.note(now, EventKind.FILLED, order, quantity, price)
        self._cancel_sibling(order, now)
        self._tell_parent(order, quantity, price, now)
        return order

    def _tell_parent(
        self, child: PaperOrder, quantity: Decimal, price: Decimal, now: datetime
    ) -> None:
        parent = self._parent_of(child)
        if parent is not None:
            parent = _with_fill(parent, quantity, price, now)
            self._book.put(replace(parent, status=child.status))

    def _end(self, order: PaperOrder, status: OrderStatus, now: datetime) -> None:
        """Finishes an order unfilled or part-filled, and the parent that waits for it."""
        order = replace(order, status=status, updated_at=now)
        self._book.put(order)
        self.note(now, EventKind.CANCELLED, order)
        parent = self._parent_of(order)
        if parent is not None:
            self._book.put(replace(parent, status=status, updated_at=now))

    def _parent_of(self, child: PaperOrder) -> PaperOrder | None:
        return None if child.parent_id is None else self._book.order(child.parent_id)

    def _cancel_sibling(self, order: PaperOrder, now: datetime) -> None:
        if order.pair_id is None:
            return
        for other in self._book.working:
            if other.pair_id == order.pair_id and other.order_id != order.order_id:
                self._end(other, OrderStatus.CANCELLED, now)


def _with_fill(order: PaperOrder, quantity: Decimal, price: Decimal, now: datetime) -> PaperOrder:
    value = order.value + quantity * price
    return replace(order, filled=order.filled + quantity, value=value, updated_at=now)


def bar_path(open_: Decimal, high: Decimal, low: Decimal, close: Decimal) -> tuple[Decimal, ...]:
    """The way through one candle: a rising one dips first, a falling one peaks first."""
    return (open_, low, high, close) if close >= open_ else (open_, high, low, close)
