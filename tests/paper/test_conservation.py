"""Whatever is asked of a paper account, in whatever order: no money appears or disappears.

After every command, refused ones among them:

1. Wallet = deposit - fees - signed cash of all fills + cost of what is open, to the last digit.
2. Spot: coins and quote are what fills left of the deposit; never negative.
3. Free + locked = total, with what is locked computed here from the listed orders.
4. A reduce-only fill makes a position smaller and never turns it.
5. A refusal changes nothing.
6. An exchange made from the drained records answers as the one that wrote them.
7. The ledger alone explains the position and what works.
"""

from decimal import Decimal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from guardian_core.domain.errors import OrderGone, Rejected
from guardian_core.domain.orders import OrderSide, OrderType
from guardian_core.protocol import Bar
from guardian_gateway.venues.paper import EventKind, PaperExchange, Rules
from guardian_gateway.venues.paper.records import PaperFill, PaperPosition
from tests.support.clock import START
from tests.support.paper import SYMBOL, body, linear, spot

SIDES = st.sampled_from(["buy", "sell"])
TYPES = st.sampled_from(["market", "limit", "stop_loss", "take_profit"])
QUANTITIES = st.integers(1, 4000).map(lambda steps: str(Decimal(steps) / 1000))
PRICES = st.integers(5_000, 15_000).map(lambda ticks: str(Decimal(ticks) / 10))
FINE_PRICES = st.integers(5 * 10**17, 15 * 10**17).map(lambda parts: str(Decimal(parts) / 10**15))
OHLC = st.tuples(PRICES, PRICES, PRICES, PRICES)


class Account(RuleBasedStateMachine):
    rules_: Rules

    def __init__(self) -> None:
        super().__init__()
        self.exchange = PaperExchange(self.rules_, keep_events=True)
        self.records: dict = {}
        self.ids = 0

    @initialize(price=PRICES)
    def first_price(self, price):
        self.exchange.set_price(SYMBOL, Decimal(price), START)

    @rule(side=SIDES, type_=TYPES, quantity=QUANTITIES, level=PRICES, reduce_only=st.booleans())
    def create(self, side, type_, quantity, level, reduce_only):
        order = body(self._id(), side, type_, quantity, level, reduce_only=reduce_only)
        self._try(lambda: self.exchange.create(order, START))

    @rule(side=SIDES, quantity=QUANTITIES)
    def trade(self, side, quantity):
        self._try(lambda: self.exchange.create(body(self._id(), side, "market", quantity), START))

    @rule(quantity=QUANTITIES, up=st.integers(1, 900), down=st.integers(1, 900), data=st.data())
    def protect(self, quantity, up, down, data):
        """Both legs of what is open, as a pair on spot."""
        price = self.exchange.price(SYMBOL)
        assert price is not None
        last = price.last.quantize(Decimal("0.1"))
        long = self.rules_.spot or data.draw(st.booleans())
        side = "sell" if long else "buy"
        low, high = str(last - Decimal(down) / 10), str(last + Decimal(up) / 10)
        stop_at, take_at = (low, high) if long else (high, low)
        stop = body(self._id(), side, "stop_loss", quantity, stop_at, reduce_only=True)
        take = body(self._id(), side, "take_profit", quantity, take_at, reduce_only=True)
        if self.rules_.spot:
            self._try(lambda: self.exchange.create_pair(stop, take, START))
        else:
            self._try(lambda: self.exchange.create(stop, START))
            self._try(lambda: self.exchange.create(take, START))

    @precondition(lambda self: self.exchange.open_orders())
    @rule(data=st.data())
    def cancel(self, data):
        order = data.draw(st.sampled_from(self.exchange.open_orders()))
        self._try(lambda: self.exchange.cancel(order.ref.venue_order_id, START))

    @precondition(lambda self: self.exchange.open_orders())
    @rule(data=st.data(), quantity=QUANTITIES, level=PRICES)
    def amend(self, data, quantity, level):
        order = data.draw(st.sampled_from(self.exchange.open_orders()))
        new = body(self._id(), order.side.value, order.type.value, quantity, level)
        self._try(lambda: self.exchange.amend(order.ref, new, START))

    @precondition(lambda self: self.exchange.open_orders())
    @rule(data=st.data())
    def forget(self, data):
        order = data.draw(st.sampled_from(self.exchange.open_orders()))
        self._try(lambda: self.exchange.forget(order.ref.venue_order_id, START))

    @rule(price=PRICES | FINE_PRICES)
    def jump(self, price):
        self.exchange.set_price(SYMBOL, Decimal(price), START)

    @rule(ohlc=OHLC)
    def move(self, ohlc):
        open_, high, low, close = map(Decimal, ohlc)
        candle = Bar(symbol=SYMBOL, open=open_, high=high, low=low, close=close)
        self.exchange.apply_bar(candle, START)

    @rule(leverage=st.integers(1, 20))
    def set_leverage(self, leverage):
        self._try(lambda: self.exchange.set_leverage(SYMBOL, Decimal(leverage), START))

    def _id(self):
        self.ids += 1
        return f"order{self.ids}"

    def _try(self, command):
        self._collect()
        events = len(self.exchange.events)
        before = _answers(self.exchange)
        try:
            command()
        except (Rejected, OrderGone):
            assert self.exchange.drain() == ()
            assert len(self.exchange.events) == events
            assert _answers(self.exchange) == before

    def _collect(self):
        for record in self.exchange.drain():
            self.records[type(record), record.key] = record

    def _of(self, kind):
        return [record for record in self.records.values() if isinstance(record, kind)]

    @invariant()
    def the_records_are_the_account(self):
        self._collect()
        reloaded = PaperExchange(self.rules_, self.records.values())
        assert _answers(reloaded) == _answers(self.exchange)
        assert reloaded.drain() == ()

    @invariant()
    def the_ledger_explains_positions_and_working_orders(self):
        held = Decimal(0)
        working: dict[str, Decimal] = {}
        for event in self.exchange.events:
            if event.kind is EventKind.FILLED:
                if event.reduce_only and not self.rules_.spot:
                    assert abs(event.position_after) < abs(held)
                    assert event.position_after * held >= 0
                held = event.position_after
            assert self.rules_.spot or held == event.position_after
            over = (EventKind.CANCELLED, EventKind.FORGOTTEN, EventKind.TRIGGERED)
            if event.kind in over or event.remaining == 0:
                working.pop(event.order_id, None)
            else:
                working[event.order_id] = event.remaining
        assert working == {
            order.ref.venue_order_id: order.remaining
            for order in self.exchange.open_orders()
            if order.child_id is None
        }
        assert held == self._signed_position()

    def _signed_position(self):
        if self.rules_.spot:
            return _total(self.exchange, "BTC")
        return sum((p.side.sign * p.quantity for p in self.exchange.positions()), Decimal(0))


class Derivatives(Account):
    rules_ = linear(amend=True)

    @invariant()
    def the_wallet_is_deposit_less_fees_and_cash_plus_cost(self):
        self._collect()
        fills = self._of(PaperFill)
        cash = sum((f.side.sign * f.quantity * f.price for f in fills), Decimal(0))
        fees = sum((f.fee for f in fills), Decimal(0))
        cost = sum((p.cost for p in self._of(PaperPosition)), Decimal(0))
        assert _total(self.exchange, "USDT") == self.rules_.balance - fees - cash + cost
        assert all(p.cost * p.quantity > 0 or p.cost == p.quantity for p in self._of(PaperPosition))
        held = sum((f.side.sign * f.quantity for f in fills), Decimal(0))
        assert held == self._signed_position()

    @invariant()
    def free_is_what_nothing_uses_and_never_negative(self):
        wallet = next(b for b in self.exchange.balances() if b.currency == "USDT")
        assert 0 <= wallet.free <= max(wallet.total, Decimal(0))
        if not self.exchange.positions() and not self.exchange.open_orders():
            assert wallet.free == max(wallet.total, Decimal(0))


class ThinDerivatives(Derivatives):
    rules_ = linear(
        amend=True, leverage=Decimal(5), max_fill_quantity=Decimal("0.7"), child_waits=True
    )


class Spot(Account):
    rules_ = spot(amend=True)

    @invariant()
    def balances_are_what_fills_left_of_the_deposit(self):
        self._collect()
        expected = {"USDT": self.rules_.balance, "BTC": Decimal(0)}
        for fill in self._of(PaperFill):
            expected["USDT"] -= fill.side.sign * fill.quantity * fill.price
            expected["BTC"] += fill.side.sign * fill.quantity
            expected[fill.fee_currency] -= fill.fee
        for currency, total in expected.items():
            assert _total(self.exchange, currency) == total >= 0

    @invariant()
    def free_and_locked_make_the_total(self):
        locked: dict[str, dict[str, Decimal]] = {"USDT": {}, "BTC": {}}
        for order in self.exchange.open_orders():
            if order.parent_id is not None:
                continue  # counted with its parent, whose level it has
            group = order.pair_id or order.ref.venue_order_id
            level = order.price if order.type is OrderType.LIMIT else order.trigger_price
            currency, amount = "BTC", order.remaining
            if order.side is OrderSide.BUY:
                assert level is not None
                currency, amount = "USDT", order.remaining * level
            locked[currency][group] = max(locked[currency].get(group, Decimal(0)), amount)
        for balance in self.exchange.balances():
            assert balance.free >= 0
            assert balance.free + sum(locked[balance.currency].values()) == balance.total


class ThinSpot(Spot):
    rules_ = spot(amend=True, max_fill_quantity=Decimal("0.7"), child_waits=True)


def _total(exchange, currency):
    totals = {b.currency: b.total for b in exchange.balances()}
    return totals.get(currency, Decimal(0))


def _answers(exchange):
    return (
        exchange.balances(),
        exchange.positions(),
        exchange.open_orders(),
        exchange.fills(SYMBOL),
        exchange.price(SYMBOL),
        [exchange.find_by_id(str(number)) for number in range(1000, 1100)],
    )


@pytest.mark.parametrize("account", [Derivatives, ThinDerivatives, Spot, ThinSpot])
def test_no_money_appears_or_disappears(account):
    examples = max(25, settings().max_examples // 4)
    account.TestCase.settings = settings(max_examples=examples, stateful_step_count=30)
    account.TestCase("runTest").runTest()
