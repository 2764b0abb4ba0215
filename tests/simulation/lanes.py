"""What the oracle knows of each lane, and the words for what is wrong with one."""

from dataclasses import dataclass, field
from decimal import Decimal

from tests.simulation.faulty_venue import Account

ZERO = Decimal(0)
LEGS = {"stop_loss": "current_sl", "take_profit": "current_tp"}


class Violation(AssertionError):
    """A promise was broken. `rule` is one of the module's words."""

    def __init__(self, rule: str, message: str) -> None:
        self.rule = rule
        super().__init__(f"{rule}: {message}")


@dataclass(slots=True)
class Sent:
    """One alert as the user sees it. `acked_s`: when somebody answered 200."""

    id: int
    account: str
    symbol: str
    action: str
    percent: Decimal
    body: str
    sent_s: float
    trace_ids: set[str] = field(default_factory=set)
    acked_s: float | None = None


@dataclass(slots=True)
class Order:
    id: str
    role: str
    side: str
    ours: bool
    child: bool
    remaining: Decimal
    level: Decimal | None


@dataclass(slots=True)
class Entry:
    """An entry order of ours that the venue accepted, and when it worked no more."""

    at_s: float
    side: str
    client_order_id: str
    ended_s: float = float("inf")


@dataclass(slots=True)
class Lane:
    account: Account
    symbol: str
    foreign_coins: Decimal = ZERO
    position: Decimal = ZERO
    orders: dict[str, Order] = field(default_factory=dict)
    naked_since_s: dict[str, float] = field(default_factory=dict)
    misfit_since_s: dict[str, float] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    """By the venue's id, oldest first."""
    sizes: list[tuple[float, Decimal]] = field(default_factory=list)
    disturbed_s: float = 0.0
    """When the venue, a hand or the market last took an order away, or the position began."""
    exits: dict[str, list[tuple[float, Decimal]]] = field(default_factory=dict)
    """Fills of exit orders by client order id."""
    exited: bool = False
    """Whether an exit has filled since it was last looked at."""
    known_entries: int = 0
    reduced_s: float = 0.0
    """When something of ours last made the position smaller: where a level is passed, a thin
    market may take its time."""

    @property
    def name(self) -> str:
        return f"{self.account.name} {self.symbol}"

    @property
    def exit_side(self) -> str:
        return "sell" if self.position > 0 else "buy"

    @property
    def is_open(self) -> bool:
        """Whether there is a position that an order could protect."""
        return self.tradable(abs(self.position))

    def tradable(self, quantity: Decimal) -> bool:
        instrument = self.account.exchange.instrument(self.symbol)
        whole = quantity // instrument.step * instrument.step
        if whole < instrument.min_quantity or whole <= 0:
            return False
        price = self.account.exchange.price(self.symbol)
        spot = self.account.rules.spot
        return not spot or price is None or whole * price.last >= instrument.min_notional

    def floored(self, quantity: Decimal) -> Decimal:
        step = self.account.exchange.instrument(self.symbol).step
        return quantity // step * step

    def entry_ended(self, order_id: str, at_s: float) -> None:
        if order_id in self.entries:
            self.entries[order_id].ended_s = at_s

    def covering(self, role: str) -> list[Order]:
        """Working orders of ours that stand for a leg of the present position."""
        return [
            order
            for order in self.orders.values()
            if order.ours and order.role == role and order.side == self.exit_side
        ]


def largest(sizes: list[tuple[float, Decimal]], from_s: float, to_s: float) -> Decimal:
    inside = [size for at_s, size in sizes if from_s <= at_s <= to_s]
    before = [size for at_s, size in sizes if at_s < from_s][-1:]
    return max(inside + before, default=ZERO)


def smallest(sizes: list[tuple[float, Decimal]], from_s: float, to_s: float) -> Decimal:
    inside = [size for at_s, size in sizes if from_s <= at_s < to_s]
    before = [size for at_s, size in sizes if at_s < from_s][-1:]
    return min(inside + before, default=ZERO)
