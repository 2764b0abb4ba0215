"""The two custom resources: their names, and what their spec and status hold.

These models make the schemas in `crds/` and read what the API server gives back. A spec is read
strictly; a status is ours alone, so an unknown field in one (of another version) is passed over.
"""

import re
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

from guardian_core.accounts import AccountSpec
from guardian_core.domain.decision import Coverage
from guardian_core.domain.money import plain
from guardian_core.domain.orders import PositionSide
from guardian_core.storage.lanes import SYMBOL_MAX

GROUP: Final = "guardian.trading"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
CATEGORY: Final = "guardian"

ACCOUNT_KIND: Final = "ExchangeAccount"
ACCOUNTS: Final = "exchangeaccounts"
POSITION_KIND: Final = "TradingPosition"
POSITIONS: Final = "tradingpositions"

FINALIZER: Final = f"{GROUP}/position"
LABEL_STATE: Final = f"{GROUP}/state"
"""On a TradingPosition: the UUID of the WebhookState it mirrors."""
LABEL_ACCOUNT: Final = f"{GROUP}/account"
FIELD_MANAGER: Final = "guardian"

_STATE_DIGITS = 12

_AsPlainText = PlainSerializer(plain, return_type=str)
"""An exponent (`1E+2`) is no decimal string to the schema."""

Price = Annotated[Decimal, Field(gt=0, max_digits=36, decimal_places=18), _AsPlainText]
Amount = Annotated[Decimal, _AsPlainText]


class Levels(StrEnum):
    FOLLOW_ALERTS = "FollowAlerts"
    PINNED = "Pinned"


class DeletionPolicy(StrEnum):
    KEEP = "Keep"
    RELEASE = "Release"
    CLOSE = "Close"


class ConditionStatus(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class ConditionType(StrEnum):
    READY = "Ready"
    PROTECTED = "Protected"
    SYNCED = "Synced"
    REACHABLE = "Reachable"
    CHECKED = "Checked"


class TakeProfit(StrEnum):
    """Who sells once the price has reached the take-profit."""

    WORKING = "Working"
    WATCHED = "Watched"


class _Resource(BaseModel):
    """camelCase outside, snake_case inside; `kubectl explain` shows a field's docstring."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )


class TradingPositionSpec(_Resource):
    """What should be: the levels that the position is guarded at. Editing them moves the orders."""

    account_ref: Annotated[
        str, Field(max_length=63, pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    ]
    """Name of the ExchangeAccount, in the same namespace, that holds the position. Immutable."""
    symbol: Annotated[str, Field(max_length=SYMBOL_MAX, pattern=r"^[A-Z0-9][A-Z0-9_.-]*$")]
    """The market's symbol as `guardian status` shows it, for example BTCUSDT. Immutable."""
    side: PositionSide
    """Which way the position is held: long or short. Immutable."""
    stop_loss: Price | None = None
    """Price at which the whole position is closed at a loss, as a decimal string. A long's lies
    below its takeProfit, a short's above. Left out: no stop-loss order is kept."""
    take_profit: Price | None = None
    """Price at which the whole position is closed at a profit, as a decimal string. A long's lies
    above its stopLoss, a short's below. Left out: no take-profit order is kept."""
    levels: Levels = Levels.FOLLOW_ALERTS
    """FollowAlerts: alerts that update the levels do so here too. Pinned: the levels stay as they
    are written here, and such an alert is answered with a message."""
    deletion_policy: DeletionPolicy = DeletionPolicy.KEEP
    """What deleting this object means while the position is open. Keep: guarding goes on, and the
    object is made again. Release: its orders stay on the exchange, guarding ends. Close: the
    position is closed first."""


class Condition(_Resource):
    """One statement about the object, as `kubectl wait --for=condition=...` reads it."""

    model_config = ConfigDict(extra="ignore")

    type: str
    """What is stated."""
    status: ConditionStatus
    """Whether it holds: True, False or Unknown."""
    reason: str
    """One CamelCase word that says why."""
    message: str
    """The same for a human."""
    last_transition_time: datetime
    """When the status changed last."""
    observed_generation: int | None = None
    """The generation of the spec that this was stated of."""


class _Status(_Resource):
    model_config = ConfigDict(extra="ignore")

    observed_generation: int | None = None
    """The generation of the spec that this status tells of."""
    conditions: tuple[Condition, ...] = ()
    """What holds and what does not, one entry for each type."""


class TradingPositionStatus(_Status):
    """What is: as the account's latest pass saw it. Written by the operator alone."""

    coverage: Coverage | None = None
    """How much of the desired protection works on the exchange: Protected, Partial, Naked, Flat,
    Unknown, Unguarded or Dust."""
    quantity: Amount | None = None
    """Size of the position in coins, as a decimal string."""
    entry_price: Amount | None = None
    """Average price of the entry, as a decimal string."""
    revision: int | None = None
    """Number of the desire; it grows by one with each change of the levels."""
    stop_loss_order: str | None = None
    """Id of the working stop-loss order."""
    take_profit_order: str | None = None
    """Id of the working take-profit order."""
    take_profit: TakeProfit | None = None
    """Working: an order on the exchange takes the profit. Watched: the exchange holds the stop-loss
    alone, and the guardian itself sells once the price has reached the takeProfit. Left out: there
    is none, or it is not known to work."""
    realized_pnl: Amount | None = None
    """Profit (below 0: loss) of what was closed so far, in the quote currency, fees taken off."""
    repairs: int | None = None
    """How many times a missing stop-loss or take-profit was put back."""
    last_repair: datetime | None = None
    """When that happened last."""


ExchangeAccountSpec = AccountSpec


class ExchangeAccountStatus(_Status):
    """What is: as the account's latest pass saw it. Written by the operator alone."""

    open_positions: int | None = None
    """How many positions are open on the account."""
    naked_positions: int | None = None
    """How many of them stand without a desired stop-loss or take-profit."""


def position_name(account: str, symbol: str, state_id: UUID) -> str:
    """The name of the TradingPosition that mirrors a state: the same whenever it is made again."""
    word = re.sub(r"[^a-z0-9-]", "", symbol.lower()).strip("-")
    return "-".join(part for part in (account, word, state_id.hex[-_STATE_DIGITS:]) if part)
