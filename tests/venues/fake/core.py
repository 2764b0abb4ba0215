"""What all fake venues share: the paper venue's matching core, and names for its orders."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar, TypeVar

from guardian_core.domain.errors import CallerError, OrderGone, Rejected, RejectReason
from guardian_core.domain.orders import OrderBody, OrderRef, OrderSide, OrderType, Role
from guardian_gateway.venues.paper.instruments import instruments
from guardian_gateway.venues.paper.records import PaperFill, PaperOrder
from tests.venues.fake.server import Problem, Wire

D = Decimal
T = TypeVar("T")
Refusals = tuple[tuple[RejectReason, str, int | str, str], ...]


@dataclass
class CoreWire(Wire):
    """`names`: the client order id of each of the core's orders: at most venues an id may be used
    again once its order works no more, in the core never. `refusals`: code and message by the
    core's reason and a word of its message; the first that fits counts."""

    names: dict[str, str] = field(default_factory=dict)
    can_trade: bool = True
    can_withdraw: bool = False

    refusals: ClassVar[Refusals] = ()

    def gone(self) -> Problem:
        """What is said of an order that works no more."""
        raise NotImplementedError

    def wrong(self, message: str) -> Problem:
        """What is said of a parameter that makes no sense."""
        raise NotImplementedError

    def refusal(self, error: Rejected) -> Problem:
        for reason, word, code, message in self.refusals:
            if error.reason is reason and word in str(error):
                return self.refused(code, message)
        return self.wrong(str(error))

    def refused(self, code: int | str, message: str) -> Problem:
        return Problem(400, code, message)

    def refusable(self, command: Callable[[], T]) -> T:
        try:
            return command()
        except Rejected as error:
            raise self.refusal(error) from None

    # Orders

    def body(self, kind: OrderType, of: Mapping[str, Any]) -> OrderBody:
        """`of`: symbol, side (buy or sell), quantity, and price, trigger, reduce_only where they
        are; all in our units."""
        price, trigger = of.get("price"), of.get("trigger")
        try:
            return OrderBody(
                client_order_id=f"core-{len(self.asked)}-{trigger}-{kind}",
                role=Role(kind.value) if kind.is_conditional else Role.ENTRY,
                symbol=of["symbol"],
                side=OrderSide(of["side"]),
                type=kind,
                quantity=D(of["quantity"]),
                revision=1,
                attempt=1,
                price=D(price) if price and kind is OrderType.LIMIT else None,
                trigger_price=D(trigger) if trigger and kind.is_conditional else None,
                reduce_only=of.get("reduce_only", False),
            )
        except KeyError as error:
            raise self.wrong(f"{error} was not sent") from None
        except CallerError as error:
            raise self.wrong(str(error)) from None

    def place(self, body: OrderBody, name: str) -> PaperOrder:
        told = self.refusable(lambda: self.exchange.create(body, self.clock.now()))
        self.names[told.ref.venue_order_id] = name
        return self.order(told.ref.venue_order_id)

    def place_pair(self, stop: OrderBody, profit: OrderBody, names: tuple[str, str]) -> Any:
        """Both core orders, the stop first."""
        made = self.refusable(lambda: self.exchange.create_pair(stop, profit, self.clock.now()))
        self.names |= {o.ref.venue_order_id: name for o, name in zip(made, names, strict=True)}
        return [self.order(one.ref.venue_order_id) for one in made]

    def is_named(self, name: str) -> bool:
        """Whether a working order carries this id."""
        return any(self.names.get(o.order_id) == name for o in self.exchange._book.working)

    def order(self, order_id: str) -> PaperOrder:
        found = self.exchange._book.order(order_id)
        assert found is not None
        return found

    def orders(self, symbol: str | None = None) -> list[PaperOrder]:
        """All that can be seen by now, oldest first."""
        table = self.exchange._book._table(PaperOrder)
        seen = [order for order in table.values() if not order.forgotten]
        seen = [order for order in seen if symbol in (None, order.symbol)]
        now = self.clock.now()
        seen = [o for o in seen if (now - o.created_at).total_seconds() >= self.lag_s]
        return sorted(seen, key=lambda order: order.number)

    def cancel(self, order_id: str) -> None:
        try:
            self.exchange.cancel(order_id, self.clock.now())
        except OrderGone:
            raise self.gone() from None

    def fills_of(self, symbol: str) -> list[PaperFill]:
        """Oldest first."""
        found = [fill for fill in self.exchange._book.fills.values() if fill.symbol == symbol]
        return sorted(found, key=lambda fill: int(fill.fill_id))

    def number_of(self, ref: OrderRef) -> str:
        """The number under which the venue shows one of the core's orders."""
        return ref.venue_order_id

    # Small things

    def instruments(self) -> list[dict[str, Any]]:
        return [
            self.listed(one) for one in instruments(self.rules.market, self.rules.quote).values()
        ]

    def listed(self, one: Any) -> dict[str, Any]:
        """An instrument of ours as the venue lists it."""
        raise NotImplementedError


def ms(at: Any) -> int:
    return int(at.timestamp() * 1000)
