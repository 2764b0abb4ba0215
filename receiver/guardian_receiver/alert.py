"""The alert: parsed from JSON's values, checked, frozen. Pure; `alert.schema.json` describes it.

Named tuples, here and in what an alert passes on its way: frozen, and made in a quarter of the
time that a frozen dataclass takes, which is much of what one alert costs.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from guardian_core.domain.alerts import REMOVE, AlertAction
from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import plain
from guardian_receiver import fields as of
from guardian_receiver import traderspost
from guardian_receiver.body import Pairs, plain_name
from guardian_receiver.fields import Fields, name_fields

HUNDRED = Decimal(100)
ACCOUNTS_MAX = 20
SYMBOL_MAX = 64

ACTION_ALIASES = {
    AlertAction.PING: (),
    AlertAction.BUY_MARKET: ("buy", "long"),
    AlertAction.SELL_MARKET: ("sell", "short"),
    AlertAction.BUY_LIMIT: (),
    AlertAction.SELL_LIMIT: (),
    AlertAction.MAJ: ("update", "modify"),
    AlertAction.CLOSE: ("exit", "flat"),
}
_ACTIONS = {
    plain_name(word): action
    for action, aliases in ACTION_ALIASES.items()
    for word in (action.value, *aliases)
}
_EXACT_ACTIONS = {action.value: action for action in AlertAction}


class Bar(NamedTuple):
    """The candle that an alert was fired on; prices in quote, each None where not told."""

    time: datetime | None
    open: Decimal | None
    high: Decimal | None
    low: Decimal | None
    close: Decimal | None


class Alert(NamedTuple):
    """What somebody's script asks for.

    `symbol` is as sent. `stop_loss` and `take_profit`: a decimal as text, REMOVE, or None to
    leave the leg as it is. `percent`: of an entry or exit; 100 where it has no meaning.
    `account_ids`: the UserExchangeIDs; none where the token shall tell. `is_timed`: whether the
    body itself tells one firing from another (a time, or an explicit key).
    """

    action: AlertAction
    symbol: str
    bar: Bar
    exchange: str | None = None
    interval: str | None = None
    price: Decimal | None = None
    stop_loss: str | None = None
    take_profit: str | None = None
    percent: Decimal = HUNDRED
    user_id: str | None = None
    account_ids: tuple[str, ...] = ()
    indicator: str = ""
    idempotency_key: str | None = None
    is_timed: bool = False


def parse_alert(pairs: Pairs) -> Alert:
    """Raises CallerError that names the field and the fix."""
    fields = name_fields(pairs)
    action = _action(fields)
    if traderspost.speaks(fields):
        action, fields = traderspost.translate(action, fields)
    symbol = of.text(fields, "Symbol", SYMBOL_MAX)
    if symbol is None:
        raise CallerError("Symbol", "is missing", "send the ticker, such as BTCUSDT")
    price = of.price(fields, "Prix")
    if action.is_limit and price is None:
        raise CallerError("Prix", f"is missing for {action}", "send the limit price")
    bar_time = of.instant(fields, "BarTime")
    key = of.text(fields, "IdempotencyKey")
    return Alert(
        action=action,
        symbol=symbol,
        bar=Bar(bar_time, *[of.price(fields, name) for name in ("Open", "High", "Low", "Close")]),
        exchange=of.text(fields, "Exchange"),
        interval=of.text(fields, "Interval"),
        price=price,
        stop_loss=_level(fields, "PrixSL"),
        take_profit=_level(fields, "PrixTP"),
        percent=_percent(fields, action),
        user_id=of.text(fields, "UserID"),
        account_ids=_account_ids(fields),
        indicator=of.text(fields, "IndicateurName") or "",
        idempotency_key=key,
        is_timed=bar_time is not None or key is not None or "TimeNow" in fields,
    )


def check_entry_levels(alert: Alert) -> None:
    """Raises CallerError when an entry's stop-loss lies on the wrong side of its take-profit."""
    if alert.stop_loss in (None, REMOVE) or alert.take_profit in (None, REMOVE):
        return
    stop_loss, take_profit = Decimal(str(alert.stop_loss)), Decimal(str(alert.take_profit))
    levels = f"stop-loss {alert.stop_loss} and take-profit {alert.take_profit} are inverted"
    if alert.action.is_buy and stop_loss >= take_profit:
        raise CallerError("PrixSL", f"{levels} for {alert.action}", "PrixSL lies below PrixTP")
    if alert.action.is_sell and stop_loss <= take_profit:
        raise CallerError("PrixSL", f"{levels} for {alert.action}", "PrixSL lies above PrixTP")


def _action(fields: Fields) -> AlertAction:
    sent = fields.get("Action")
    if isinstance(sent, str) and sent in _EXACT_ACTIONS:
        return _EXACT_ACTIONS[sent]
    word = of.text(fields, "Action")
    if word is None:
        raise CallerError("Action", "is missing", f"send one of {', '.join(AlertAction)}")
    action = _ACTIONS.get(plain_name(word))
    if action is None:
        raise CallerError(
            "Action", f"{word[:40]!r} is not known", f"send one of {', '.join(AlertAction)}"
        )
    return action


def _percent(fields: Fields, action: AlertAction) -> Decimal:
    """Neither MAJ nor PING has a use for it, so nothing in it can be wrong there."""
    if not action.trades:
        return HUNDRED
    return of.percent(fields, "PourCent", HUNDRED)


def _level(fields: Fields, name: str) -> str | None:
    value = fields.get(name)
    if isinstance(value, str) and value.strip().upper() == REMOVE:
        return REMOVE
    level = of.price(fields, name)
    return None if level is None else plain(level)


def _account_ids(fields: Fields) -> tuple[str, ...]:
    value: Any = fields.get("UserExchangeID")
    if type(value) is not list:
        one = of.text(fields, "UserExchangeID")
        return () if one is None else (one,)
    ids = [of.text({"UserExchangeID": each}, "UserExchangeID") for each in value]
    named = tuple(dict.fromkeys(each for each in ids if each))
    if not named or len(named) != len(ids) or len(named) > ACCOUNTS_MAX:
        raise CallerError(
            "UserExchangeID", "is no list of accounts", f"name 1 to {ACCOUNTS_MAX}, each once"
        )
    return named
