"""Fake exchanges that a real process trades on: served over HTTP by a thread of the test process.

Each is one account. What is looked at and done to one happens on its own loop, between two
requests, so that a look sees one moment.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from guardian_core.clock import SystemClock
from guardian_core.domain.errors import Rejected, RejectReason
from guardian_core.domain.money import MarketKind
from guardian_core.domain.orders import OrderBody, OrderType
from guardian_gateway.venues.catalogue import EXCHANGES
from guardian_gateway.venues.paper import PaperExchange
from tests.e2e.exchange_books import Book, role_of, take_look
from tests.support.server_process import free_port
from tests.venues.fake.server import Asked, Fault, Wire
from tests.venues.families.under_test import UnderTest
from tests.venues.rigs import ADAPTERS

T = TypeVar("T")

SYMBOL = "BTCUSDT"
PRICE = "43000"
OWN_COINS = Decimal("0.5")
"""What the user holds of the coin besides, on spot: nobody may ever sell it."""
ANSWERS_WITHIN_S = 20.0


class Refusing(PaperExchange):
    """Refuses the next `refusals` orders of one type, in whatever words its venue has for it."""

    refusals: int = 0
    refused: OrderType = OrderType.STOP_LOSS

    def create(self, body: OrderBody, now: Any) -> Any:
        self._refuse(body)
        return super().create(body, now)

    def create_pair(self, stop_loss: OrderBody, take_profit: OrderBody, now: Any) -> Any:
        self._refuse(stop_loss)
        self._refuse(take_profit)
        return super().create_pair(stop_loss, take_profit, now)

    def _refuse(self, body: OrderBody) -> None:
        if self.refusals > 0 and body.type is self.refused:
            self.refusals -= 1
            raise Rejected(RejectReason.INSUFFICIENT_FUNDS, "no funds, as a fault")


@dataclass(slots=True)
class EveryRead(Fault):
    """Strikes whatever is asked, but for what changes something. `writing`: the calls that do."""

    writing: tuple[str, ...] = ()

    def fits(self, asked: Asked) -> bool:
        return self.times > 0 and not asked.call.startswith(self.writing)


@dataclass
class Exchange:
    """One account on a fake of `venue`, as tests use it from their own thread."""

    venue: str
    loop: asyncio.AbstractEventLoop
    wire: Any
    facts: UnderTest
    port: int = field(default_factory=free_port)

    @property
    def spot(self) -> bool:
        return EXCHANGES[self.venue].market is MarketKind.SPOT

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def writing(self) -> tuple[str, ...]:
        """The calls that change something."""
        known = (self.facts.order, self.facts.leg, self.facts.pair, self.facts.cancel)
        return tuple(call for call in known if call)

    def do(self, work: Callable[[], T]) -> T:
        """What it gives, done between two requests."""

        async def on_loop() -> T:
            return work()

        return self._await(on_loop())

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(ANSWERS_WITHIN_S)

    def open(self) -> None:
        self._await(self.wire.start(self.port))

    def go_away(self) -> None:
        """Whoever calls is refused, and every connection ends."""
        self._await(self.wire.stop())

    # What it holds

    def look(self) -> Book:
        own = OWN_COINS if self.spot else Decimal(0)
        return self.do(lambda: take_look(self.wire.exchange, SYMBOL, own))

    def asked(self, since: int = 0) -> list[Asked]:
        """The requests that came after the first `since`."""
        return self.do(lambda: list(self.wire.asked[since:]))

    def count(self) -> int:
        return self.do(lambda: len(self.wire.asked))

    def writes(self, since: int = 0) -> list[Asked]:
        return [asked for asked in self.asked(since) if asked.call.startswith(self.writing)]

    def money(self) -> Decimal:
        """All that is owned of the quote currency."""
        exchange: PaperExchange = self.wire.exchange
        return self.do(lambda: next(b.total for b in exchange.balances() if b.currency == "USDT"))

    # What happens to it

    def price(self, price: int | str) -> None:
        self.do(lambda: self.wire.set_price(str(price)))

    def fault(self, call: str, answer: Any, *, executes: bool, times: int = 1) -> None:
        self.do(lambda: self.wire.fault(call, answer, executes=executes, times=times))

    def fault_reads(self, answer: Any) -> None:
        """Until `heal`."""
        fault = EveryRead("", False, answer, times=1_000_000, writing=self.writing)
        self.do(lambda: self.wire.faults.append(fault))

    def heal(self) -> None:
        self.do(self.wire.faults.clear)

    def refuse(self, kind: OrderType, times: int) -> None:
        def refuse() -> None:
            self.wire.exchange.refused, self.wire.exchange.refusals = kind, times

        self.do(refuse)

    def forget(self, role: str) -> None:
        """Loses the leg's order, with the other one of its pair, and tells nobody."""
        self._lose(role, self.wire.exchange.forget)

    def cancel_by_hand(self, role: str) -> None:
        self._lose(role, self.wire.exchange.cancel)

    def _lose(self, role: str, how: Callable[[str, Any], None]) -> None:
        def lose() -> None:
            exchange, now = self.wire.exchange, self.wire.clock.now()
            [lost] = [order for order in exchange._book.working if role_of(order) == role]
            how(lost.order_id, now)
            others = [o for o in exchange._book.working if o.pair_id and o.pair_id == lost.pair_id]
            for other in others:
                how(other.order_id, now)

        self.do(lose)


class FakeExchanges:
    """The thread that serves them. `opened`: all there ever were."""

    def __init__(self) -> None:
        self.opened: list[Exchange] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="exchanges")
        self._thread.start()

    def open(self, venue: str, **how: Any) -> Exchange:
        """A new account with 10,000 USDT, and on spot the user's own coins."""
        facts = ADAPTERS[venue]
        wire: Wire = facts.fake(clock=SystemClock(), **how)
        wire.exchange = Refusing(wire.rules, keep_events=True)
        made = Exchange(venue, self._loop, wire, facts)
        made.price(PRICE)
        if made.spot:
            made.do(lambda: _deposit(wire.exchange))
        made.open()
        self.opened.append(made)
        return made

    def close(self) -> None:
        for exchange in self.opened:
            exchange.go_away()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _deposit(exchange: PaperExchange) -> None:
    with exchange._book.command():
        exchange._book.add("BTC", OWN_COINS)
