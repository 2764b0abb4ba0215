"""What the API server must take and refuse: one case for each constraint of the two specs."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from guardian_core.cluster.resources import ACCOUNTS, POSITIONS

Spec = dict[str, Any]

POSITION: Spec = {"accountRef": "demo", "symbol": "BTCUSDT", "side": "long"}
ACCOUNT: Spec = {"accountId": "42"}
MINIMAL = {POSITIONS: POSITION, ACCOUNTS: ACCOUNT}


@dataclass(frozen=True)
class Case:
    """One constraint at `path`. Over the minimal spec (or `before`, when it is about a change),
    `good` passes; `bad` is refused at that path, and told `says`."""

    plural: str
    path: str
    keyword: str
    says: str
    good: Spec
    bad: Spec
    before: Spec | None = None
    missing: tuple[str, ...] = ()
    """Fields of the minimal spec that the bad one lacks."""

    @property
    def name(self) -> str:
        return f"{self.plural}-{self.path}-{self.keyword}-{self.says[:30]}"


def _nested(path: str, value: Any) -> Spec:
    for part in reversed(path.removeprefix("spec.").split(".")):
        value = {part: value}
    return dict(value)


def _case(plural: str, path: str, keyword: str, says: str, good: Any, bad: Any) -> Case:
    return Case(plural, path, keyword, says, _nested(path, good), _nested(path, bad))


def _decimal(plural: str, path: str, says: str, good: str, bad: str) -> Iterator[Case]:
    """A decimal's three constraints. `says` of its bounds; `good` and `bad` stand just at them."""
    yield _case(plural, path, "rule", says, good, bad)
    yield _case(plural, path, "rule", "in quotes and plain digits", good, "1e0")
    yield _case(plural, path, "pattern", "should match '^[0-9]{1,18}", good, "-1")
    yield _case(plural, path, "pattern", "should match '^[0-9]{1,18}", good, "1" * 19)
    yield _case(plural, path, "maxLength", "may not be more than 37", good, f"1.{'0' * 36}")


def _enum(plural: str, path: str, good: str, bad: str, supported: str) -> Case:
    return _case(plural, path, "enum", f"supported values: {supported}", good, bad)


def _limit(name: str) -> Iterator[Case]:
    """One of the limits, which come together or not at all."""
    both = {"maxOrder": "5", "maxDailyLoss": "5"}
    for case in _decimal(ACCOUNTS, f"spec.limits.{name}", ABOVE_0, SMALLEST, "0"):
        good, bad = ({"limits": both | spec["limits"]} for spec in (case.good, case.bad))
        yield replace(case, good=good, bad=bad)
    without = {"limits": {other: "5" for other in both if other != name}}
    path = f"spec.limits.{name}"
    yield Case(ACCOUNTS, path, "required", "Required value", {"limits": both}, without)


def _required(plural: str, name: str) -> Case:
    return Case(plural, f"spec.{name}", "required", "Required value", {}, {}, missing=(name,))


def _order(side: str, relation: str, good: tuple[str, str], bad: tuple[str, str]) -> Case:
    """`good` and `bad`: stop-loss and take-profit."""
    right, wrong = (
        {"side": side, "stopLoss": levels[0], "takeProfit": levels[1]} for levels in (good, bad)
    )
    says = f"stopLoss of a {side} must lie {relation} its takeProfit: move one of them"
    return Case(POSITIONS, "spec.stopLoss", "spec rule", says, right, wrong)


def _immutable(plural: str, path: str, says: str, before: Spec, bad: Any) -> Case:
    keyword = "spec rule" if isinstance(bad, dict) else "rule"
    other = {"paused": True} if plural == ACCOUNTS else {"levels": "Pinned"}
    return Case(plural, path, keyword, says, other, _nested(path, bad), before=before)


ABOVE_0 = "must be a number above 0, in quotes"
FEE = "must be a number of at least 0 and below 5, in quotes"
LEVERAGE = "must be a number of at least 1 and of at most 125, in quotes"
LIVE = {"venue": "binance", "environment": "Live"}
WORLDS = '"Paper", "Demo", "Testnet", "Live"'
SMALLEST = "0.000000000000000001"
NEW_POSITION = "is immutable: make another TradingPosition"
NEW_ACCOUNT = "is immutable: positions hang on it, so make another ExchangeAccount"

POSITION_CASES = [
    *(_required(POSITIONS, name) for name in ("accountRef", "symbol", "side")),
    _case(POSITIONS, "spec.accountRef", "pattern", "should match '^[a-z0-9]", "demo-1", "Demo 1"),
    _case(POSITIONS, "spec.accountRef", "maxLength", "not be more than 63", "a" * 63, "a" * 64),
    _case(POSITIONS, "spec.symbol", "pattern", "should match '^[A-Z0-9]", "A_B.C-1", "btc/usdt"),
    _case(POSITIONS, "spec.symbol", "maxLength", "not be more than 40", "B" * 40, "B" * 41),
    _enum(POSITIONS, "spec.side", "short", "buy", '"long", "short"'),
    _enum(POSITIONS, "spec.levels", "Pinned", "pinned", '"FollowAlerts", "Pinned"'),
    _enum(POSITIONS, "spec.deletionPolicy", "Close", "Sell", '"Keep", "Release", "Close"'),
    *_decimal(POSITIONS, "spec.stopLoss", ABOVE_0, SMALLEST, "0"),
    *_decimal(POSITIONS, "spec.takeProfit", ABOVE_0, SMALLEST, "0.0"),
    # By number: as texts, "9" comes after "10".
    _order("long", "below", ("9", "10"), ("10", "9")),
    _order("long", "below", ("9.5", "9.6"), ("9.5", "9.5")),
    _order("short", "above", ("10", "9"), ("9", "10")),
    _order("short", "above", ("9.6", "9.5"), ("9.5", "9.50")),
    _immutable(POSITIONS, "spec.accountRef", f"accountRef {NEW_POSITION}", {}, "other"),
    _immutable(POSITIONS, "spec.symbol", f"symbol {NEW_POSITION}", {}, "ETHUSDT"),
    _immutable(POSITIONS, "spec.side", f"side {NEW_POSITION}", {}, "short"),
]

ACCOUNT_CASES = [
    _required(ACCOUNTS, "accountId"),
    Case(
        ACCOUNTS,
        "spec.environment",
        "spec rule",
        "environment of venue paper must be Paper: leave it out, or name an exchange",
        good={"environment": "Paper"},
        bad={"environment": "Live"},
    ),
    Case(
        ACCOUNTS,
        "spec.environment",
        "spec rule",
        "environment Paper is for venue paper only: set it to Demo, Testnet or Live",
        good=LIVE,
        bad={"venue": "binance"},
    ),
    _enum(ACCOUNTS, "spec.environment", "Paper", "paper", WORLDS),
    _case(ACCOUNTS, "spec.guardIntervalSeconds", "minimum", "greater than or equal to 0.5", 1, 0.4),
    # A whole number passes the schema's own minimum, whatever its fraction.
    _case(ACCOUNTS, "spec.guardIntervalSeconds", "rule", "a number of at least 0.5", 0.5, 0),
    _case(ACCOUNTS, "spec.guardIntervalSeconds", "maximum", "less than or equal to 4", 4, 4.5),
    *_decimal(ACCOUNTS, "spec.leverage", LEVERAGE, "1", "0.9"),
    _case(ACCOUNTS, "spec.leverage", "rule", LEVERAGE, "125", "126"),
    _enum(ACCOUNTS, "spec.marginMode", "Isolated", "isolated", '"Cross", "Isolated"'),
    _enum(ACCOUNTS, "spec.policy.direction", "LongOnly", "Short", '"LongOnly", "Both"'),
    _enum(ACCOUNTS, "spec.policy.onCrossedStop", "Alert", "Ignore", '"Close", "Alert"'),
    _enum(ACCOUNTS, "spec.policy.repeatEntry", "Add", "Yes", '"Ignore", "Add"'),
    _enum(ACCOUNTS, "spec.policy.triggerBasis", "mark", "index", '"last", "mark"'),
    _case(ACCOUNTS, "spec.policy.maxEntryAgeSeconds", "minimum", "greater than 0", 0.5, 0),
    _case(ACCOUNTS, "spec.policy.maxEntryAgeSeconds", "maximum", "or equal to 3600", 3600, 3601),
    _case(ACCOUNTS, "spec.policy.maxUnprotectedSeconds", "minimum", "greater than 0", 0.5, 0),
    *_decimal(ACCOUNTS, "spec.policy.maxCrossedPercent", ABOVE_0, SMALLEST, "0"),
    *_limit("maxOrder"),
    *_limit("maxDailyLoss"),
    _enum(ACCOUNTS, "spec.paper.market", "linear", "inverse", '"spot", "linear"'),
    *_decimal(ACCOUNTS, "spec.paper.balance", ABOVE_0, SMALLEST, "0"),
    *_decimal(ACCOUNTS, "spec.paper.takerFeePercent", FEE, "0", "5"),
    *_decimal(ACCOUNTS, "spec.paper.makerFeePercent", FEE, "4.99", "5.0"),
    _immutable(ACCOUNTS, "spec.venue", f"venue {NEW_ACCOUNT}", LIVE, "kraken"),
    _immutable(ACCOUNTS, "spec.environment", f"environment {NEW_ACCOUNT}", LIVE, "Demo"),
    _immutable(ACCOUNTS, "spec.accountId", f"accountId {NEW_ACCOUNT}", {}, "43"),
    _immutable(ACCOUNTS, "spec.paper", f"paper.market {NEW_ACCOUNT}", {}, {"market": "spot"}),
]

CASES = POSITION_CASES + ACCOUNT_CASES
