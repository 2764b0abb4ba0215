"""The limits of an account's entries: its largest order, its loss of a day, and being armed at all.

Checked by the fence, in the transaction that writes an entry down; what is refused is written down
as such. Exits and protective orders have no limits.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from guardian_core.accounts import AccountSpec, Environment, LimitsSpec
from guardian_core.domain.money import EXACT, ZERO, plain
from guardian_core.domain.orders import OrderBody, OrderSide
from guardian_core.ports import Tx
from guardian_core.settlement import realized_since
from guardian_core.storage.ledgers import ledgers_since

MONEY = frozenset(
    {"USD", "USDT", "USDC", "FDUSD", "TUSD", "USDE", "USDG", "USD1", "PYUSD", "RLUSD", "DAI"}
    | {"EUR", "EURC", "EURI", "EURQ", "GBP", "CHF", "AUD", "CAD", "SGD", "AED", "PLN", "RON"}
    | {"CZK", "TRY", "BRL", "MXN", "ARS", "COP", "ZAR", "UAH", "JPY", "IDR", "IDRT", "HKD"}
)
"""Quote currencies of which one is worth little more than a dollar, at most: a limit of 500 is no
limit where it means 500 BTC."""


def is_limited(spec: AccountSpec) -> bool:
    """Whether entries of the account must be held against limits."""
    return spec.limits is not None or spec.environment is Environment.LIVE


@dataclass(frozen=True, slots=True)
class EntryLimits:
    """`limits` None: real money that was not armed. `price`: the market's, in `quote`. `distrust`:
    why no entry may be sent, however small; else empty."""

    limits: LimitsSpec | None
    price: Decimal
    quote: str
    distrust: str = ""

    def refusal(self, tx: Tx, account: str, body: OrderBody) -> str | None:
        """Why this entry must not be sent; None when it may."""
        if self.distrust:
            return f"the account is not as it must be for real money: {self.distrust}"
        if self.limits is None:
            return (
                "the account trades real money and is not armed:"
                f" guardian accounts arm {account} --max-order ... --max-daily-loss ..."
            )
        if self.quote not in MONEY:
            return f"{body.symbol} is quoted in {self.quote}, and the account's limits are in money"
        value = EXACT.multiply(body.quantity, self._price_of(body))
        if value > self.limits.max_order:
            return f"worth {plain(value)}, at most {plain(self.limits.max_order)} is allowed"
        lost = -realized_today(tx, account)
        if lost >= self.limits.max_daily_loss:
            return (
                f"{plain(lost)} was lost since midnight UTC, of {plain(self.limits.max_daily_loss)}"
                " allowed: no entries until the next day"
            )
        return None

    def _price_of(self, body: OrderBody) -> Decimal:
        """The highest that it may be filled at. What is sold below the market gets the market's."""
        limit = body.price or self.price
        return limit if body.side is OrderSide.BUY else max(limit, self.price)


def realized_today(tx: Tx, account: str) -> Decimal:
    """What the account has earned since midnight UTC, by the fills that are known."""
    since = _midnight(tx.now())
    found = ledgers_since(tx, account, since)
    return sum((realized_since(ledger, since) for ledger in found), ZERO)


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)
