"""The stop-loss and take-profit of an alert: read from its row, and checked before they count."""

from dataclasses import dataclass
from decimal import Decimal

from guardian_core.domain.alerts import REMOVE
from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import plain
from guardian_core.domain.orders import PositionSide, Role
from guardian_core.domain.plan import Policy, check_level, check_levels, crossed_percent
from guardian_core.storage.claims import WebhookRow
from guardian_core.storage.desires import Desire

FIELDS = {Role.STOP_LOSS: "PrixSL", Role.TAKE_PROFIT: "PrixTP"}


@dataclass(frozen=True, slots=True)
class Levels:
    stop_loss: Decimal | None
    take_profit: Decimal | None

    def of(self, role: Role) -> Decimal | None:
        return self.stop_loss if role is Role.STOP_LOSS else self.take_profit


def entry_levels(webhook: WebhookRow) -> Levels:
    """The levels an entry gives its position; REMOVE and absent both mean none."""
    return Levels(_level(webhook.prix_sl, "PrixSL", None), _level(webhook.prix_tp, "PrixTP", None))


def moved(webhook: WebhookRow, desire: Desire, policy: Policy) -> Levels:
    """The levels after a MAJ: what it leaves out stays. Raises CallerError on a REMOVE that the
    account does not allow."""
    for text, field in ((webhook.prix_sl, "PrixSL"), (webhook.prix_tp, "PrixTP")):
        if text == REMOVE and not policy.allow_remove:
            raise CallerError(
                field, "this account does not allow REMOVE", "set policy.allowRemove, or a price"
            )
    return Levels(
        _level(webhook.prix_sl, "PrixSL", desire.stop_loss),
        _level(webhook.prix_tp, "PrixTP", desire.take_profit),
    )


def check_against_price(
    side: PositionSide, levels: Levels, price: Decimal, tolerance_percent: Decimal
) -> None:
    """Raises CallerError for levels that are inverted, or that the price has passed by more
    than the tolerance: a typing error, not a market that moved."""
    check_levels(side, levels.stop_loss, levels.take_profit)
    for role, field in FIELDS.items():
        level = levels.of(role)
        if level is None:
            continue
        beyond = crossed_percent(side, role, level, price)
        if beyond is not None and beyond > tolerance_percent:
            raise CallerError(
                field,
                f"{plain(level)} is on the wrong side of the price {plain(price)} for a {side}",
                f"at most {plain(tolerance_percent)} % beyond it counts as reached",
            )


def _level(text: str | None, field: str, otherwise: Decimal | None) -> Decimal | None:
    if text is None:
        return otherwise
    return None if text == REMOVE else check_level(text, field)
