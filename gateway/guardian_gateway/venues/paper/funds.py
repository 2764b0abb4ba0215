"""Who owns what: free and locked money, margin, positions, and what one fill does to them.

1. Spot: total = what deposits and fills left; each working order locks what it would pay with
   (a pair locks once, the larger of its two); free = total - locked, never below 0.
2. Derivatives: one wallet in quote. Positions use cost / leverage of it; working limit orders
   that are not reduce-only use as much, and their fee. Profit and loss enter it when realised.
   There is no liquidation: losses beyond the wallet make its total negative, and free stays 0.
3. wallet = deposits - fees - sum of (signed quantity x price) of all fills + cost of what is
   open, to the last digit.
"""

from collections.abc import Iterable
from decimal import Decimal

from guardian_core.domain.money import ZERO, Instrument
from guardian_core.domain.orders import OrderSide, OrderType
from guardian_gateway.venues.paper.book import Book
from guardian_gateway.venues.paper.records import (
    PaperOrder,
    PaperPosition,
    ratio,
    share,
)
from guardian_gateway.venues.paper.rules import Rules


class Funds:
    """The money side of one account's book."""

    def __init__(self, book: Book, rules: Rules) -> None:
        self._book = book
        self.rules = rules

    def free(self, currency: str) -> Decimal:
        return max(ZERO, self._book.total(currency) - self.locked(currency))

    def locked(self, currency: str) -> Decimal:
        """What orders lock and positions use of a currency."""
        if not self.rules.spot:
            return self._used_margin() if currency == self.rules.quote else ZERO
        groups: dict[str, Decimal] = {}
        for order in self._book.working:
            held, amount = self._spot_lock(order)
            if held == currency:
                group = order.pair_id or order.order_id
                groups[group] = max(groups.get(group, ZERO), amount)
        return sum(groups.values(), ZERO)

    def exposure(self, symbol: str) -> Decimal:
        """The signed position in base units; on spot the coins owned."""
        if self.rules.spot:
            return self._book.total(self.rules.instrument(symbol).base)
        return self._book.position(symbol).quantity

    def closable(self, symbol: str, side: OrderSide) -> Decimal:
        """How much an order of this side can take off the position."""
        held = self.exposure(symbol)
        if self.rules.spot:
            return held if side is OrderSide.SELL else ZERO
        return max(ZERO, -side.sign * held)

    def needed(self, order: PaperOrder, price: Decimal) -> tuple[str, Decimal]:
        """What an order must find free to be accepted, if it is to fill at this price."""
        if self.rules.spot:
            return self._spot_need(order, price)
        if order.reduce_only or order.type.is_conditional:
            return self.rules.quote, ZERO
        if order.type is OrderType.MARKET:
            return self.rules.quote, self._turn_need(order, price)
        return self.rules.quote, self._margin_need(order.symbol, order.remaining * price)

    def affordable(self, order: PaperOrder, price: Decimal) -> Decimal:
        """How much of a triggered order's child the account can pay for at this price."""
        currency, need = self.needed(order, price)
        free = self.free(currency)
        if need <= free:
            return order.remaining
        if self.rules.spot:
            step = self.rules.instrument(order.symbol).step
            cost_per_step = step if order.side is OrderSide.SELL else step * price
            return free // cost_per_step * step
        return min(order.remaining, self.closable(order.symbol, order.side))

    def leverage(self, symbol: str) -> Decimal:
        return self._book.leverage(symbol) or self.rules.leverage

    def settle(
        self, order: PaperOrder, quantity: Decimal, price: Decimal, *, maker: bool
    ) -> tuple[Decimal, str]:
        """Moves the money of one fill; returns the fee and its currency."""
        percent = self.rules.fee_percent(maker=maker)
        if self.rules.spot:
            instrument = self.rules.instrument(order.symbol)
            return self._settle_spot(instrument, order.side, quantity, price, percent)
        position, realized = after_fill(
            self._book.position(order.symbol), order.side, quantity, price
        )
        fee = share(quantity * price, percent, Decimal(100))
        self._book.put(position)
        self._book.add(self.rules.quote, realized - fee)
        return fee, self.rules.quote

    def _settle_spot(
        self,
        instrument: Instrument,
        side: OrderSide,
        quantity: Decimal,
        price: Decimal,
        percent: Decimal,
    ) -> tuple[Decimal, str]:
        value = quantity * price
        if side is OrderSide.BUY:
            fee = share(quantity, percent, Decimal(100))
            self._book.add(instrument.quote, -value)
            self._book.add(instrument.base, quantity - fee)
            return fee, instrument.base
        fee = share(value, percent, Decimal(100))
        self._book.add(instrument.base, -quantity)
        self._book.add(instrument.quote, value - fee)
        return fee, instrument.quote

    def _spot_lock(self, order: PaperOrder) -> tuple[str, Decimal]:
        """A triggered order has passed its lock on to its child."""
        if order.triggered:
            return self.rules.quote, ZERO
        level = order.level
        if level is None and order.parent_id is not None:
            parent = self._book.order(order.parent_id)
            level = None if parent is None else parent.level
        return self._spot_need(order, level or ZERO)

    def _spot_need(self, order: PaperOrder, price: Decimal) -> tuple[str, Decimal]:
        instrument = self.rules.instrument(order.symbol)
        if order.side is OrderSide.SELL:
            return instrument.base, order.remaining
        return instrument.quote, order.remaining * price

    def _used_margin(self) -> Decimal:
        return self._margin_of_positions() + self._margin_of(self._book.working)

    def _margin_of_positions(self) -> Decimal:
        return sum(map(self._position_margin, self._book.positions.values()), ZERO)

    def _margin_of(self, orders: Iterable[PaperOrder]) -> Decimal:
        return sum(
            (
                self._margin_need(order.symbol, order.remaining * order.price)
                for order in orders
                if order.type is OrderType.LIMIT
                and order.price is not None
                and not order.reduce_only
            ),
            ZERO,
        )

    def _turn_need(self, order: PaperOrder, price: Decimal) -> Decimal:
        """For a fill now: the margin it adds, less what it realises; nothing if it only closes."""
        if order.remaining <= self.closable(order.symbol, order.side):
            return ZERO
        before = self._book.position(order.symbol)
        after, realized = after_fill(before, order.side, order.remaining, price)
        margin = self._position_margin(after) - self._position_margin(before)
        return margin - realized + self._dearest_fee(order.remaining * price)

    def _margin_need(self, symbol: str, notional: Decimal) -> Decimal:
        """Margin and fee: an accepted order can pay for its own fill."""
        return ratio(notional, self.leverage(symbol)) + self._dearest_fee(notional)

    def _position_margin(self, position: PaperPosition) -> Decimal:
        return ratio(abs(position.cost), self.leverage(position.symbol))

    def _dearest_fee(self, notional: Decimal) -> Decimal:
        percent = max(self.rules.taker_fee_percent, self.rules.maker_fee_percent)
        return share(notional, percent, Decimal(100))


def after_fill(
    position: PaperPosition, side: OrderSide, quantity: Decimal, price: Decimal
) -> tuple[PaperPosition, Decimal]:
    """The position after a fill, and the profit (below 0: loss) that the fill realised.

    Opening adds to the cost; closing takes the same share of the cost along; what goes through
    zero opens the other side at the fill's price.
    """
    signed = side.sign * quantity
    held = position.quantity
    if held * signed >= 0:
        opened = PaperPosition(position.symbol, held + signed, position.cost + signed * price)
        return opened, ZERO
    closing = min(quantity, abs(held))
    released = share(position.cost, closing, abs(held))
    if closing == abs(held):
        released = position.cost
    realized = -side.sign * closing * price - released
    rest = side.sign * (quantity - closing)
    cost = position.cost - released + rest * price
    return PaperPosition(position.symbol, held + signed, cost), realized
