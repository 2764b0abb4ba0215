"""How one paper account behaves."""

from dataclasses import dataclass
from decimal import Decimal

from guardian_core.accounts import AccountSpec
from guardian_core.domain.money import Instrument, MarketKind
from guardian_gateway.venues.paper.instruments import instrument


@dataclass(frozen=True, slots=True)
class Rules:
    """`max_fill_quantity`: the most that one order gets from one price event (base units): the
    rest of a limit order waits for the next event, the rest of a market order is cancelled.
    `child_waits`: what a triggered order becomes is filled at the next price event only, as on a
    venue whose trigger and matching engines are apart.
    """

    market: MarketKind = MarketKind.LINEAR
    quote: str = "USDT"
    balance: Decimal = Decimal(10_000)
    taker_fee_percent: Decimal = Decimal("0.05")
    maker_fee_percent: Decimal = Decimal("0.02")
    leverage: Decimal = Decimal(1)
    amend: bool = False
    max_fill_quantity: Decimal | None = None
    child_waits: bool = False

    @classmethod
    def of(cls, spec: AccountSpec) -> "Rules":
        return cls(
            market=spec.paper.market,
            quote=spec.paper.quote,
            balance=spec.paper.balance,
            taker_fee_percent=spec.paper.taker_fee_percent,
            maker_fee_percent=spec.paper.maker_fee_percent,
            leverage=spec.leverage if spec.paper.market is MarketKind.LINEAR else Decimal(1),
            amend=spec.paper.amend,
        )

    @property
    def spot(self) -> bool:
        return self.market is MarketKind.SPOT

    def instrument(self, symbol: str) -> Instrument:
        """Raises CallerError on Symbol."""
        return instrument(self.market, self.quote, symbol)

    def fee_percent(self, *, maker: bool) -> Decimal:
        return self.maker_fee_percent if maker else self.taker_fee_percent
