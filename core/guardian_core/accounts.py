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
    """camelCase outside (as custom resources are written), snake_case inside."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class Environment(StrEnum):
    PAPER = "Paper"
    DEMO = "Demo"
    TESTNET = "Testnet"
    LIVE = "Live"


class PolicySpec(SpecModel):
    """`direction` unset means: what the market allows (spot LongOnly, derivatives Both)."""

    direction: Direction | None = None
    on_crossed_stop: OnCrossedStop = OnCrossedStop.CLOSE
    repeat_entry: RepeatEntry = RepeatEntry.IGNORE
    max_entry_age_seconds: float = Field(default=60, gt=0, le=3600)
    max_unprotected_seconds: float | None = Field(default=None, gt=0)
    max_crossed_percent: Positive = Decimal(2)
    allow_remove: bool = False
    trigger_basis: TriggerBasis = TriggerBasis.LAST


class PaperSpec(SpecModel):
    """The paper venue's shape. `amend`: whether it pretends to amend triggers in place."""

    market: MarketKind = MarketKind.LINEAR
    balance: Positive = Decimal(10_000)
    quote: str = "USDT"
    taker_fee_percent: Annotated[Decimal, Field(ge=0, lt=5)] = Decimal("0.05")
    maker_fee_percent: Annotated[Decimal, Field(ge=0, lt=5)] = Decimal("0.02")
    amend: bool = False


class AccountSpec(SpecModel):
    """Everything a user chooses about one account, apart from its keys."""

    venue: str = "paper"
    environment: Environment = Environment.PAPER
    user_id: str = ""
    account_id: str
    """The alert's UserExchangeID."""
    guard_interval_seconds: float = Field(default=3, ge=0.5, le=4)
    symbol_map: dict[str, str] = Field(default_factory=dict)
    leverage: Annotated[Decimal, Field(ge=1, le=125)] = Decimal(1)
    paused: bool = False
    policy: PolicySpec = PolicySpec()
    paper: PaperSpec = PaperSpec()

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


SPOT_VENUES = frozenset({"binance", "kraken"})
