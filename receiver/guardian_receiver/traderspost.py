"""Alerts in TradersPost's form, put into this project's words (facts: JSON Message Reference).

Only what means the same here is taken. The rest is refused by name: a quantity that were passed
over would trade with everything the account holds.
"""

from decimal import Decimal

from guardian_core.domain.alerts import AlertAction
from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import EXACT, plain
from guardian_receiver import fields as of
from guardian_receiver.body import Pairs, plain_name
from guardian_receiver.fields import Fields

_OWN = frozenset({"sentiment", "orderType", "quantity", "quantityType", "signalPrice"})
_LONG, _SHORT, _FLAT = ("bullish", "long"), ("bearish", "short"), ("flat",)
_PERCENT_TYPES = ("percentofequity", "percentofposition")
_PLACES = Decimal("1e-12")


def speaks(fields: Fields) -> bool:
    """Whether the alert uses a word that only TradersPost's form has."""
    if not _OWN.isdisjoint(fields):
        return True
    return isinstance(fields.get("PrixSL"), Pairs) or isinstance(fields.get("PrixTP"), Pairs)


def translate(action: AlertAction, fields: Fields) -> tuple[AlertAction, Fields]:
    """Raises CallerError for what has no meaning here."""
    translated = dict(fields)
    action = _with_order_type(_with_sentiment(action, fields), fields)
    if "Prix" not in fields and "signalPrice" in fields:
        translated["Prix"] = fields["signalPrice"]
    if "quantity" in fields:
        translated["PourCent"] = _percent(fields)
    for name, toward_profit in (("PrixSL", False), ("PrixTP", True)):
        if isinstance(fields.get(name), Pairs):
            up = action.is_buy is toward_profit
            translated[name] = _level(name, fields[name], translated, up)
    return action, translated


def _with_sentiment(action: AlertAction, fields: Fields) -> AlertAction:
    sentiment = (of.text(fields, "sentiment") or "").casefold()
    if not sentiment or (action.is_buy and sentiment in _LONG):
        return action
    if action.is_sell and sentiment in _SHORT:
        return action
    if sentiment in _FLAT and (action.is_buy or action.is_sell or action is AlertAction.CLOSE):
        return AlertAction.CLOSE
    raise CallerError(
        "sentiment",
        f"{sentiment[:20]!r} with {action} is not understood",
        "bullish with buy, bearish with sell, flat to close",
    )


def _with_order_type(action: AlertAction, fields: Fields) -> AlertAction:
    kind = (of.text(fields, "orderType") or "market").casefold()
    if kind == "market" or action.is_limit:
        return action
    if kind == "limit" and action is AlertAction.BUY_MARKET:
        return AlertAction.BUY_LIMIT
    if kind == "limit" and action is AlertAction.SELL_MARKET:
        return AlertAction.SELL_LIMIT
    raise CallerError("orderType", f"{kind[:20]!r} is not supported", "send market or limit")


def _percent(fields: Fields) -> object:
    kind = plain_name(of.text(fields, "quantityType") or "")
    if kind not in _PERCENT_TYPES:
        raise CallerError(
            "quantity", "an absolute quantity is not supported", "send PourCent, a percentage"
        )
    return fields["quantity"]


def _level(name: str, leg: Pairs, fields: Fields, up: bool) -> str:
    """A level from an absolute price, a distance, or a percentage of the alert's price."""
    parts = {plain_name(word): value for word, value in leg}
    kind = str(parts.get("type", "stop")).casefold()
    if "trail" in kind or any(word.startswith("trail") for word in parts):
        raise CallerError(name, "a trailing stop is not supported", "send MAJ as it moves")
    for word in ("stopprice", "limitprice", "price"):
        if (given := of.price({name: parts.get(word)}, name)) is not None:
            return plain(given)
    reference = of.price(fields, "Prix") or of.price(fields, "Close")
    distance = of.price({name: parts.get("amount")}, name)
    share = of.price({name: parts.get("percent")}, name)
    if reference is None or (distance is None and share is None):
        raise CallerError(name, "cannot be computed", "send stopPrice, or percent with a price")
    if distance is None:
        assert share is not None
        distance = EXACT.divide(EXACT.multiply(reference, share), Decimal(100))
    level = reference + distance if up else reference - distance
    if level <= 0:
        raise CallerError(name, "lies at or below 0", "send a smaller distance")
    return plain(level.quantize(_PLACES, context=EXACT))
