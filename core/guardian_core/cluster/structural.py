"""A pydantic model's JSON schema in the narrower form that a custom resource wants.

Structural: no references, no alternatives, a type everywhere. A decimal is a string of plain
digits, and its bounds become a CEL rule, since a string has none. What cannot be said so raises
TypeError, so that no limit of a model is dropped in silence.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

RULES = "x-kubernetes-validations"
DECIMAL_PATTERN = "^[0-9]{1,18}([.][0-9]{1,18})?$"
_DECIMAL_LENGTH_MAX = 37
_SIGNED_PATTERN = "^-?[0-9]+([.][0-9]+)?$"
_SIGNED_LENGTH_MAX = 128

_LEFT_OUT = frozenset({"title", "$defs"})
_KEPT = frozenset(
    {"type", "default", "enum", "pattern", "format", "minLength", "maxLength"}
    | {"minimum", "maximum", "minItems", "maxItems", "required"}
)
_READING_ORDER = ("type", "description", "enum", "default")
_FORMATS = {"integer": "int64", "number": "double"}


def structural(model: type[BaseModel]) -> Schema:
    """The schema of a model, by the names that it has outside."""
    schema = model.model_json_schema(by_alias=True)
    return _converted(schema, schema.get("$defs", {}))


def _converted(schema: Mapping[str, Any], models: Mapping[str, Any]) -> Schema:
    plain = _without_references(schema, models)
    if _is_decimal(plain):
        plain = _decimal(plain)
    made: Schema = {}
    for key in sorted(plain, key=_reading_order):
        made |= _said(key, plain[key], models)
    if number_format := _FORMATS.get(made.get("type", "")):
        made["format"] = number_format
    if rules := [_bound_rule(plain, key) for key in _BOUNDS if plain.get(key, 0) % 1]:
        made[RULES] = rules
    return made


def _bound_rule(schema: Schema, key: str) -> dict[str, str]:
    """The API server (1.37) holds a whole number against a bound without its fraction: 0 would
    pass a minimum of 0.5. A rule compares what both are."""
    comparison, words = _BOUNDS[key]
    message = f"must be a number {words} {schema[key]:g}"
    return {"rule": f"self {comparison} {float(schema[key])}", "message": message}


def _reading_order(key: str) -> int:
    return _READING_ORDER.index(key) if key in _READING_ORDER else len(_READING_ORDER)


def _without_references(schema: Mapping[str, Any], models: Mapping[str, Any]) -> Schema:
    """What a reference points to, under what stands beside it. Null, which says that a field may be
    absent, is no alternative."""
    merged: Schema = {}
    beside = dict(schema)
    if reference := beside.pop("$ref", None):
        merged |= _without_references(models[str(reference).rpartition("/")[2]], models)
    wanted = [one for one in beside.pop("anyOf", ()) if one != {"type": "null"}]
    if len(wanted) == 1:
        merged |= _without_references(wanted[0], models)
    elif wanted:
        beside["anyOf"] = wanted
    return merged | beside


def _said(key: str, value: Any, models: Mapping[str, Any]) -> Schema:
    """One keyword of the schema, as a custom resource says it."""
    if key in _LEFT_OUT or _goes_without_saying(key, value):
        return {}
    if key in _KEPT or key == RULES:
        return {key: value}
    match key:
        case "description":
            return {key: " ".join(value.split())}
        case "properties":
            return {key: {name: _converted(inner, models) for name, inner in value.items()}}
        case "items" | "additionalProperties":
            return {key: _converted(value, models)}
        case "exclusiveMinimum" | "exclusiveMaximum":
            return {key.removeprefix("exclusive").lower(): value, key: True}
        case _:
            raise TypeError(f"a structural schema cannot say {key}: {value!r}")


def _goes_without_saying(key: str, value: Any) -> bool:
    if key == "default":
        # A default object would fill every resource with what its author did not choose.
        return value is None or isinstance(value, dict | list)
    # The API server drops an unknown field, or refuses it when it is asked to.
    return key == "additionalProperties" and value is False


def _is_decimal(schema: Schema) -> bool:
    return {one.get("type") for one in schema.get("anyOf", ())} == {"number", "string"}


def _decimal(schema: Schema) -> Schema:
    [number] = (one for one in schema["anyOf"] if one["type"] == "number")
    beside = {key: value for key, value in schema.items() if key != "anyOf"} | {"type": "string"}
    bounds = [key for key in _BOUNDS if key in number]
    if not bounds:
        return beside | {"pattern": _SIGNED_PATTERN, "maxLength": _SIGNED_LENGTH_MAX}
    tests = [f"double(self) {_BOUNDS[key][0]} {float(number[key])}" for key in bounds]
    words = " and ".join(f"{_BOUNDS[key][1]} {number[key]:g}" for key in bounds)
    # A text that is no number would fail the comparison with a riddle instead of this message.
    rule = " && ".join([f"self.matches('{DECIMAL_PATTERN}')", *tests])
    message = f"must be a number {words}, in quotes and plain digits (18 on each side of the point)"
    return beside | {
        "pattern": DECIMAL_PATTERN,
        "maxLength": _DECIMAL_LENGTH_MAX,
        RULES: [{"rule": rule, "message": message}],
    }


_BOUNDS = {
    "minimum": (">=", "of at least"),
    "exclusiveMinimum": (">", "above"),
    "maximum": ("<=", "of at most"),
    "exclusiveMaximum": ("<", "below"),
}
"""Of a number's schema: the comparison in CEL, and in words."""
