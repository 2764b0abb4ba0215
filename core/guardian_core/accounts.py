"""What an account is: one spec, validated here whether it comes from the cli or a resource."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from guardian_core.domain.money import MarketKind
from guardian_core.domain.orders import TriggerBasis
from guardian_core.domain.plan import Direction, OnCrossedStop, Policy, RepeatEntry

Positive = Annotated[Decimal, Field(gt=0, max_digits=36, decimal_places=18)]


class SpecModel(BaseModel):
    """camelCase outside (as custom resources are written), snake_case inside.

    A field's docstring is also its text in `kubectl explain`.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )


class Environment(StrEnum):
    PAPER = "Paper"
    DEMO = "Demo"
    TESTNET = "Testnet"
    LIVE = "Live"


class MarginMode(StrEnum):
    """What backs a leveraged position: the account's whole balance, or a part set aside for it."""

    CROSS = "Cross"
    ISOLATED = "Isolated"


class PolicySpec(SpecModel):
    """What the account's owner lets Position Guardian do."""

    direction: Direction | None = None
    """LongOnly or Both. Unset: what the market allows (spot LongOnly, derivatives Both)."""
    on_crossed_stop: OnCrossedStop = OnCrossedStop.CLOSE
    """What happens when the price has passed a stop that does not work: Close sells the position,
    Alert reports it and waits."""
    repeat_entry: RepeatEntry = RepeatEntry.IGNORE
    """An entry alert for a position that is open on that side already: Ignore it, or Add to the
    position."""
    max_entry_age_seconds: float = Field(default=60, gt=0, le=3600)
    """An entry that could not be sent for so long is given up: too late is worse than none."""
    max_unprotected_seconds: float | None = Field(default=None, gt=0)
    """A position without its protection for longer is closed. Unset: never for that."""
    max_crossed_percent: Positive = Decimal(2)
    """A level that the price has passed by more percent than this is taken for a mistake."""
    allow_remove: bool = False
    """Whether an alert may take a stop-loss or take-profit away (REMOVE)."""
    trigger_basis: TriggerBasis = TriggerBasis.LAST
    """The price that fires the protective orders: last or mark."""


class LimitsSpec(SpecModel):
    """What keeps a strategy that has gone wrong from costing more than its owner can bear. They
    stop entries, never what protects a position."""

    max_order: Positive
    """The largest value of one entry order, in the quote currency."""
    max_daily_loss: Positive
    """Once the account has lost so much on closed trades since midnight UTC, in the quote currency,
    no entry is sent until the next day."""


class PaperSpec(SpecModel):
    """The paper venue's shape. Other venues do not read it."""

    market: MarketKind = MarketKind.LINEAR
    """What is traded: linear (derivatives) or spot."""
    balance: Positive = Decimal(10_000)
    """What the account starts with, in the quote currency."""
    quote: str = "USDT"
    """The balance's currency."""
    taker_fee_percent: Annotated[Decimal, Field(ge=0, lt=5)] = Decimal("0.05")
    """Fee of an order that is filled at once, in percent."""
    maker_fee_percent: Annotated[Decimal, Field(ge=0, lt=5)] = Decimal("0.02")
    """Fee of an order that waited in the book, in percent."""
    amend: bool = False
    """Whether it pretends to amend triggers in place."""


class AccountSpec(SpecModel):
    """Everything a user chooses about one account, apart from its keys."""

    venue: str = "paper"
    """The exchange, in lower case; paper trades without one. Immutable in a cluster."""
    environment: Environment = Environment.PAPER
    """Which of the exchange's worlds: Paper (venue paper only), Demo, Testnet or Live. Immutable in
    a cluster."""
    user_id: str = ""
    """The alert's UserID, where alerts carry one."""
    account_id: str
    """The alert's UserExchangeID. Immutable in a cluster."""
    guard_interval_seconds: float = Field(default=3, ge=0.5, le=4)
    """Seconds between two looks at the account's positions."""
    symbol_map: dict[str, str] = Field(default_factory=dict)
    """Symbols as alerts write them, and the symbols to trade for them."""
    leverage: Annotated[Decimal, Field(ge=1, le=125)] = Decimal(1)
    """How many times the free balance an entry may be worth, where the market has leverage."""
    margin_mode: MarginMode = MarginMode.CROSS
    """What backs a position where the market has leverage: Cross, the account's whole balance, or
    Isolated, what was set aside for that position."""
    paused: bool = False
    """No new entries; exits and guarding go on."""
    policy: PolicySpec = PolicySpec()
    """What the account's owner lets Position Guardian do."""
    limits: LimitsSpec | None = None
    """Caps on entries. An account with environment Live sends no entry without them; others need
    none."""
    paper: PaperSpec = PaperSpec()
    """The shape of venue paper. Other venues do not read it."""

    def market(self) -> MarketKind:
        """The kind of market this account trades."""
        if self.venue == "paper":
            return self.paper.market
        return MarketKind.SPOT if self.venue in SPOT_VENUES else MarketKind.LINEAR

    def domain_policy(self) -> Policy:
        """The policy as the domain reads it, with the direction that the market allows."""
        spot = self.market() is MarketKind.SPOT
        direction = self.policy.direction or (Direction.LONG_ONLY if spot else Direction.BOTH)
        return Policy(
            direction=Direction.LONG_ONLY if spot else direction,
            on_crossed_stop=self.policy.on_crossed_stop,
            repeat_entry=self.policy.repeat_entry,
            max_entry_age_s=self.policy.max_entry_age_seconds,
            max_unprotected_s=self.policy.max_unprotected_seconds,
            max_crossed_percent=self.policy.max_crossed_percent,
            allow_remove=self.policy.allow_remove,
            trigger_basis=self.policy.trigger_basis,
        )


SPOT_VENUES = frozenset({"binance", "bitget", "bybit", "kraken", "okx"})
"""Exchanges that are traded as spot markets; all others trade linear contracts."""
