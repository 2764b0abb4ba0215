"""The CustomResourceDefinitions: the models' schemas, with what only an API server can check."""

from typing import Any

from pydantic import BaseModel

from guardian_core.cluster.resources import (
    ACCOUNT_KIND,
    ACCOUNTS,
    CATEGORY,
    GROUP,
    POSITION_KIND,
    POSITIONS,
    VERSION,
    ExchangeAccountSpec,
    ExchangeAccountStatus,
    TradingPositionSpec,
    TradingPositionStatus,
)
from guardian_core.cluster.structural import DECIMAL_PATTERN, RULES, Schema, structural


def documents() -> dict[str, dict[str, Any]]:
    """Each CustomResourceDefinition by its plural name."""
    return {ACCOUNTS: exchange_accounts(), POSITIONS: trading_positions()}


def exchange_accounts() -> dict[str, Any]:
    spec = _with_rules(structural(ExchangeAccountSpec), _ACCOUNT_RULES, _ACCOUNT_FIELD_RULES)
    definition = _definition(
        kind=ACCOUNT_KIND,
        plural=ACCOUNTS,
        short_name="xacc",
        description="One account on an exchange (or on paper) whose positions are traded by "
        "alerts and guarded. Its keys are files in a Secret and never stand here.",
        spec=spec,
        status=_status(ExchangeAccountStatus),
        columns=[
            _column("Venue", ".spec.venue"),
            _column("Environment", ".spec.environment"),
            _column("Ready", _condition("Ready", "status")),
            _column("Open", ".status.openPositions", kind="integer"),
            _column("Naked", ".status.nakedPositions", kind="integer"),
            _column("Paused", ".spec.paused", kind="boolean"),
            _column("Age", ".metadata.creationTimestamp", kind="date"),
            _column("AccountID", ".spec.accountId", wide=True),
            _column("Reason", _condition("Ready", "reason"), wide=True),
        ],
    )
    [version] = definition["spec"]["versions"]
    version["schema"]["openAPIV3Schema"][RULES] = _ACCOUNT_NAME_RULES
    return definition


def trading_positions() -> dict[str, Any]:
    spec = _with_rules(structural(TradingPositionSpec), _POSITION_RULES, _POSITION_FIELD_RULES)
    definition = _definition(
        kind=POSITION_KIND,
        plural=POSITIONS,
        short_name="tpos",
        description="One position and the stop-loss and take-profit that it is kept under. Edit "
        "the spec to move them; the status says what the exchange holds.",
        spec=spec,
        status=_status(TradingPositionStatus),
        columns=[
            _column("Account", ".spec.accountRef"),
            _column("Symbol", ".spec.symbol"),
            _column("Side", ".spec.side"),
            _column("Qty", ".status.quantity"),
            _column("SL", ".spec.stopLoss"),
            _column("TP", ".spec.takeProfit"),
            _column("Coverage", ".status.coverage"),
            _column("Repairs", ".status.repairs", kind="integer"),
            _column("Age", ".metadata.creationTimestamp", kind="date"),
            _column("Entry", ".status.entryPrice", wide=True),
            _column("PnL", ".status.realizedPnl", wide=True),
            _column("Reason", _condition("Protected", "reason"), wide=True),
        ],
    )
    [version] = definition["spec"]["versions"]
    version["selectableFields"] = [
        {"jsonPath": ".spec.accountRef"},
        {"jsonPath": ".spec.symbol"},
    ]
    return definition


def _rule(rule: str, message: str, field: str | None = None) -> dict[str, str]:
    """`field`: of an object, the field that the message is about."""
    return {"rule": rule, "message": message} | ({"fieldPath": f".{field}"} if field else {})


def _immutable(field: str, instead: str) -> list[dict[str, str]]:
    return [_rule("self == oldSelf", f"{field} is immutable: {instead}")]


_NEW_POSITION = "make another TradingPosition"
_NEW_ACCOUNT = "positions hang on it, so make another ExchangeAccount"

_BOTH_LEVELS = (
    "has(self.stopLoss) && has(self.takeProfit)"
    f" && self.stopLoss.matches('{DECIMAL_PATTERN}')"
    f" && self.takeProfit.matches('{DECIMAL_PATTERN}')"
)

_POSITION_RULES = [
    _rule(
        f"!(self.side == 'long' && {_BOTH_LEVELS})"
        " || double(self.stopLoss) < double(self.takeProfit)",
        "stopLoss of a long must lie below its takeProfit: move one of them, or both in one change",
        "stopLoss",
    ),
    _rule(
        f"!(self.side == 'short' && {_BOTH_LEVELS})"
        " || double(self.stopLoss) > double(self.takeProfit)",
        "stopLoss of a short must lie above its takeProfit: move one of them, or both in one "
        "change",
        "stopLoss",
    ),
]
_POSITION_FIELD_RULES = {
    "accountRef": _immutable("accountRef", _NEW_POSITION),
    "symbol": _immutable("symbol", _NEW_POSITION),
    "side": _immutable("side", _NEW_POSITION),
}

_MARKET = "(has({0}.paper) ? {0}.paper.market : 'linear')"

_ACCOUNT_RULES = [
    _rule(
        "self.venue != 'paper' || self.environment == 'Paper'",
        "environment of venue paper must be Paper: leave it out, or name an exchange as venue",
        "environment",
    ),
    _rule(
        "self.venue == 'paper' || self.environment != 'Paper'",
        "environment Paper is for venue paper only: set it to Demo, Testnet or Live",
        "environment",
    ),
    _rule(
        f"{_MARKET.format('self')} == {_MARKET.format('oldSelf')}",
        f"paper.market is immutable: {_NEW_ACCOUNT}",
        "paper",
    ),
]
_ACCOUNT_NAME_RULES = [
    _rule(
        "self.metadata.name.matches('^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$')",
        "metadata.name must be 1 to 63 of a-z, 0-9 and - inside: it is a folder's name and a "
        "label too",
    )
]
_ACCOUNT_FIELD_RULES = {
    "venue": _immutable("venue", _NEW_ACCOUNT),
    "environment": _immutable("environment", _NEW_ACCOUNT),
    "accountId": _immutable("accountId", _NEW_ACCOUNT),
}


def _with_rules(
    schema: Schema, rules: list[dict[str, str]], field_rules: dict[str, list[dict[str, str]]]
) -> Schema:
    fields = {
        name: field
        | ({RULES: field.get(RULES, []) + more} if (more := field_rules.get(name, [])) else {})
        for name, field in schema["properties"].items()
    }
    return schema | {"properties": fields, RULES: rules}


def _status(model: type[BaseModel]) -> Schema:
    schema = structural(model)
    schema["properties"]["conditions"] |= {
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    }
    return schema


def _column(name: str, path: str, *, kind: str = "string", wide: bool = False) -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "type": kind, "jsonPath": path}
    return column | ({"priority": 1} if wide else {})


def _condition(name: str, part: str) -> str:
    return f'.status.conditions[?(@.type=="{name}")].{part}'


def _definition(
    *,
    kind: str,
    plural: str,
    short_name: str,
    description: str,
    spec: Schema,
    status: Schema,
    columns: list[dict[str, Any]],
) -> dict[str, Any]:
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": columns,
        "schema": {
            "openAPIV3Schema": {
                "type": "object",
                "description": description,
                "required": ["spec"],
                "properties": {"spec": spec, "status": status},
            }
        },
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short_name],
                "categories": [CATEGORY],
            },
            "versions": [version],
        },
    }
