"""What a human may write into a TradingPosition: the same that a MAJ may say. Pure."""

from collections.abc import Collection, Sequence
from decimal import Decimal

from guardian_core.cluster.three_way import Field
from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import plain
from guardian_core.domain.orders import PositionSide, Role
from guardian_core.domain.plan import Policy, check_levels, crossed_percent
from guardian_core.storage.mirrors import LevelPair

_ROLES = {Field.STOP_LOSS: Role.STOP_LOSS, Field.TAKE_PROFIT: Role.TAKE_PROFIT}


def check_edit(
    side: PositionSide,
    old: LevelPair,
    new: LevelPair,
    edited: Collection[Field],
    policy: Policy,
    price: Decimal | None,
) -> None:
    """Raises CallerError that names the field. `price`: the market's, None where nothing is open
    yet to be closed by it."""
    try:
        check_levels(side, new.stop_loss, new.take_profit)
    except CallerError as error:
        raise CallerError("stopLoss", error.problem, error.fix) from None
    for field in sorted(edited):
        level = level_of(new, field)
        if level is None:
            if level_of(old, field) is not None and not policy.allow_remove:
                raise CallerError(
                    field.value,
                    "this account does not allow a level to be removed",
                    "set policy.allowRemove in its ExchangeAccount, or a price here",
                )
        elif price is not None:
            _check_price(side, field, level, price, policy.max_crossed_percent)


def _check_price(
    side: PositionSide, field: Field, level: Decimal, price: Decimal, tolerance_percent: Decimal
) -> None:
    beyond = crossed_percent(side, _ROLES[field], level, price)
    if beyond is not None and beyond > tolerance_percent:
        raise CallerError(
            field.value,
            f"{plain(level)} is on the wrong side of the price {plain(price)} for a {side.value}",
            f"at most {plain(tolerance_percent)} % beyond it counts as reached",
        )


def told(old: LevelPair, new: LevelPair, fields: Sequence[Field]) -> str:
    """An edit in words: `stopLoss 42000 -> 42500`."""
    return ", ".join(
        f"{field.value} {_shown(level_of(old, field))} -> {_shown(level_of(new, field))}"
        for field in fields
    )


def difference(old: LevelPair, new: LevelPair) -> tuple[Field, ...]:
    return tuple(field for field in Field if level_of(old, field) != level_of(new, field))


def level_of(levels: LevelPair, field: Field) -> Decimal | None:
    return levels.stop_loss if field is Field.STOP_LOSS else levels.take_profit


def _shown(level: Decimal | None) -> str:
    return "none" if level is None else plain(level)
