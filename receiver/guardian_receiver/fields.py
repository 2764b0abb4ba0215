"""The names an alert's fields may have, and the values they may hold.

Names count without case, dashes and underscores, in the words of this project's users and in
English. `NaN` (Pine's `str.tostring(na)`), null and the empty text mean "absent".
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import parse_decimal, plain
from guardian_receiver.body import plain_name

ALIASES = {
    "Action": ("order",),
    "Symbol": ("ticker",),
    "Exchange": (),
    "Interval": ("timeframe",),
    "Open": (),
    "High": (),
    "Low": (),
    "Close": (),
    "BarTime": ("time", "timestamp"),
    "TimeNow": (),
    "Prix": ("price", "limitPrice"),
    "PrixSL": ("stopLoss", "sl"),
    "PrixTP": ("takeProfit", "tp"),
    "PourCent": ("percent", "percentage"),
    "UserID": ("user",),
    "UserExchangeID": ("accountId", "account", "accounts"),
    "IndicateurName": ("indicatorName", "indicator", "strategy"),
    "IdempotencyKey": ("alertId",),
    "Token": ("secret",),
    # Of TradersPost's form alone.
    "signalPrice": (),
    "sentiment": (),
    "orderType": (),
    "quantity": ("qty",),
    "quantityType": (),
}
_CANONICAL = {
    plain_name(alias): name for name, aliases in ALIASES.items() for alias in (name, *aliases)
}
_AS_WRITTEN = {alias: name for name, others in ALIASES.items() for alias in (name, *others)}
_ABSENT = frozenset({"", "nan", "null", "na", "n/a", "none"})
_ABSENT_MAX = 8
"""With a few blanks around."""
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_SHORT_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,18})(?:\.[0-9]{0,18})?").fullmatch
"""What needs no further check of its size."""

TEXT_MAX = 200

Fields = dict[str, Any]
"""Values by canonical name; absent ones are left out."""


def name_fields(pairs: Iterable[tuple[str, Any]]) -> Fields:
    """Unknown names are passed over. Raises CallerError when a field is given twice, differently:
    whichever were taken, the other may have been meant."""
    fields: Fields = {}
    for written, value in pairs:
        name = _AS_WRITTEN.get(written) or _CANONICAL.get(plain_name(written))
        if name is None or value is None or _says_absent(value):
            continue
        if name in fields and fields[name] != value:
            raise CallerError(name, "is given twice with different values", "send it once")
        fields[name] = value
    return fields


def token_of(pairs: Iterable[tuple[str, Any]]) -> str | None:
    """The body's token, whatever else is wrong with it."""
    for written, value in pairs:
        name = _AS_WRITTEN.get(written) or _CANONICAL.get(plain_name(written))
        if name == "Token" and isinstance(value, str) and value:
            return value
    return None


def _says_absent(value: object) -> bool:
    if type(value) is str:
        return len(value) < _ABSENT_MAX and value.strip().lower() in _ABSENT
    return type(value) is Decimal and value.is_nan()


def text(fields: Fields, name: str, most: int = TEXT_MAX) -> str | None:
    """A text field; a number counts as its text (UserID 12)."""
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, Decimal) and value.is_finite() and -most < value.adjusted() < most:
        value = plain(value)
    if not isinstance(value, str):
        raise CallerError(name, "is not a text", "send a text")
    value = value.strip()
    if len(value) > most or not value.isprintable():
        raise CallerError(name, "is not usable", f"send at most {most} printable characters")
    return value


def number(fields: Fields, name: str) -> Decimal | None:
    """A finite decimal, from a number or a text."""
    value = fields.get(name)
    if value is None:
        return None
    if type(value) is Decimal:
        written = str(value)
    elif isinstance(value, str):
        written = value.strip()
    else:
        raise CallerError(name, f"is {_kind(value)}, not a number", "send a decimal number")
    if _SHORT_DECIMAL(written):
        return value if type(value) is Decimal else Decimal(written)
    # Decimal itself would also take 1_000 and digits of other scripts.
    if not _DECIMAL.fullmatch(written) and "Inf" not in written:
        raise CallerError(name, f"{_shown(written)} is not a number", "send a decimal number")
    return parse_decimal(written, name)


def price(fields: Fields, name: str) -> Decimal | None:
    """A price; 0 means absent, as Pine's `nz()` sends it."""
    value = number(fields, name)
    if value is None or value == 0:
        return None
    if value < 0:
        raise CallerError(name, f"{plain(value)} is below 0", "send a price above 0")
    return value


def percent(fields: Fields, name: str, default: Decimal) -> Decimal:
    """Above 0 and at most 100; `50%` counts as 50."""
    given = fields.get(name)
    if isinstance(given, str) and given.rstrip().endswith("%"):
        fields = {name: given.rstrip()[:-1]}
    value = number(fields, name)
    if value is None:
        return default
    if not 0 < value <= 100:
        raise CallerError(name, f"{plain(value)} is not in range", "above 0, at most 100")
    return value


_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)
_MILLISECONDS_FROM = Decimal(10) ** 11


def instant(fields: Fields, name: str) -> datetime | None:
    """ISO 8601 (UTC unless it says otherwise), or an epoch in seconds or milliseconds."""
    value = fields.get(name)
    if value is None:
        return None
    try:
        moment = _instant(value)
    except (ValueError, ArithmeticError):
        moment = None
    if moment is None or not _EARLIEST <= moment < _LATEST:
        fix = "send ISO 8601 such as 2025-01-31T09:30:00Z, or an epoch in seconds or milliseconds"
        raise CallerError(name, f"{_shown(value)} is not a time", fix)
    return moment


def _instant(value: object) -> datetime | None:
    if isinstance(value, str):
        value = value.strip()
        if not re.fullmatch(r"[0-9]{9,14}(?:\.[0-9]{1,9})?", value):
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is UTC:
                return moment
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        value = Decimal(value)
    if not isinstance(value, Decimal) or not value.is_finite() or value.adjusted() > 14:
        return None
    seconds = value / 1000 if value >= _MILLISECONDS_FROM else value
    return datetime.fromtimestamp(float(seconds), UTC)


def _shown(value: object) -> str:
    shown = str(value)
    return shown if len(shown) <= 40 and shown.isprintable() else "the value"


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "a truth value"
    return "a list" if type(value) is list else "an object"
