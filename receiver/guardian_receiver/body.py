"""From the bytes of a request to JSON's values and to text that any database can store.

Read by hand, whatever the content type says: TradingView chooses it by its own guess, and an
automatic 422 would lose the alert. A number becomes a Decimal, never a float.
"""

import json
import re
from decimal import Decimal
from json import JSONDecodeError
from typing import Any
from urllib.parse import parse_qsl

from guardian_core.domain.errors import CallerError

BODY_MAX_BYTES = 64 * 1024
BLANK = '"***"'
SECRET_NAMES = frozenset(
    {"token", "secret", "webhooktoken", "webhooksecret", "passphrase", "password"}
    | {"apikey", "apisecret"}
)


class Pairs(list[tuple[str, Any]]):
    """A JSON object with its names in order, repeated ones included."""


def decode_text(raw: bytes) -> str:
    """The body as text. Raises CallerError on `body` when it is not UTF-8."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise CallerError(
            "body", f"byte {error.start} is not UTF-8", "send JSON in UTF-8"
        ) from None
    return text.removeprefix("\ufeff")


def storable(raw: bytes) -> str:
    """The body as text that PostgreSQL can hold: what is not UTF-8, and NUL, is shown escaped."""
    return raw.decode("utf-8", "backslashreplace").replace("\x00", "\\x00")


def read_object(text: str) -> tuple[Pairs, str]:
    """The JSON object in the text, and the text it was found in: a urlencoded form's is
    the decoded one. Raises CallerError on `body`.
    """
    try:
        value = _read(text)
    except CallerError:
        unwrapped = unwrap_form(text)
        if unwrapped is None:
            raise
        text = unwrapped
        value = _read(text)
    if not isinstance(value, Pairs):
        raise CallerError("body", f"is {_kind(value)}, not a JSON object", _EXAMPLE)
    # Only an escape can bring in what no text column holds: raw ones are not valid JSON or UTF-8.
    if "\\u" in text:
        _refuse_unstorable(value)
    return value, text


def unwrap_form(text: str) -> str | None:
    """JSON inside a urlencoded form, as some relays send it: `{…}=`, `%7B…%7D=`, `name=%7B…`."""
    text = text.strip()
    if text.startswith("{") and text.endswith("="):
        return text[:-1]
    if "%7b" not in text[:200].lower():
        return None
    fields = parse_qsl(text, keep_blank_values=True, max_num_fields=10)
    return next((part for pair in fields for part in pair if part.lstrip().startswith("{")), None)


_EXAMPLE = 'send for example {"Action": "PING", "Symbol": "BTCUSDT"}'


_decode = json.JSONDecoder(
    object_pairs_hook=Pairs, parse_float=Decimal, parse_int=Decimal, parse_constant=Decimal
).decode


def _read(text: str) -> Any:
    try:
        return _decode(text)
    except JSONDecodeError as error:
        where = f"{error.msg} at line {error.lineno} column {error.colno}"
        problem = "is empty" if not text.strip() else f"is not JSON: {where}"
        raise CallerError("body", problem, _EXAMPLE) from None
    except RecursionError:
        raise CallerError("body", "is nested too deeply", "send one flat JSON object") from None
    except ArithmeticError:
        raise CallerError(
            "body", "holds a number out of all bounds", "send usual numbers"
        ) from None


def _kind(value: object) -> str:
    kinds = {list: "an array", str: "a text", bool: "a truth value", type(None): "null"}
    return kinds.get(type(value), "a number")


def _refuse_unstorable(value: Pairs) -> None:
    # A list of what is still to be seen, not recursion: the body chooses the depth.
    ahead: list[tuple[str, Any]] = [("body", value)]
    while ahead:
        name, seen = ahead.pop()
        if isinstance(seen, Pairs):
            for key, inner in seen:
                ahead += [(name, key), (_printable(key), inner)]
        elif isinstance(seen, list):
            ahead += [(name, inner) for inner in seen]
        elif isinstance(seen, str) and not _is_storable(seen):
            raise CallerError(
                name, "holds a NUL (\\u0000) or half of a surrogate pair", "send plain text"
            )


def _is_storable(text: str) -> bool:
    return "\x00" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _printable(name: str) -> str:
    return name if name.isprintable() and len(name) <= 40 else "body"


# The text of a JSON name, up to where its value begins. Also in a body that is not valid JSON.
_NAME = re.compile(r'"((?:[^"\\]|\\.)*+)"\s*+:\s*+', re.DOTALL)
_ESCAPED_TEXT = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_ASSIGNED = re.compile(
    r"\b((?:webhook|api)?[ _-]?(?:token|secret|key)|passphrase|password)(\s*+[=:]\s*+)[^\s,;&\"]++",
    re.IGNORECASE,
)
_MAYBE_SECRET = ("tok", "secr", "pass", "api", "\\u")
_any_value = json.JSONDecoder(strict=False)


def blank_secrets(text: str, presented: str) -> str:
    """The text as received, with the value of every token-like field replaced by "***".

    `presented` is the token that the request was let in with: no copy of it stays either,
    whatever its field is called and however it is escaped.
    """
    if presented:
        text = text.replace(presented, "***")
        if "\\" in text:
            text = _ESCAPED_TEXT.sub(lambda found: _without(found[0], presented), text)
    lowered = text.lower()
    if not any([hint in lowered for hint in _MAYBE_SECRET]):
        return text
    kept: list[str] = []
    position = 0
    for name in _NAME.finditer(text):
        if name.start() >= position and _is_secret_name(name[1]):
            kept += [text[position : name.end()], BLANK]
            position = _end_of_value(text, name.end())
    kept.append(text[position:])
    return _ASSIGNED.sub(r"\1\2***", "".join(kept))


def _without(quoted: str, presented: str) -> str:
    if "\\" not in quoted:
        return quoted
    try:
        return BLANK if presented in json.loads(quoted, strict=False) else quoted
    except ValueError:
        return quoted


def _is_secret_name(escaped: str) -> bool:
    try:
        name = str(json.loads(f'"{escaped}"'))
    except ValueError:
        name = escaped
    return plain_name(name) in SECRET_NAMES


def _end_of_value(text: str, start: int) -> int:
    """Where the value that begins at `start` ends; the end of all when it is no JSON value."""
    try:
        return _any_value.raw_decode(text, start)[1]
    except (ValueError, RecursionError):
        return len(text)


def plain_name(name: str) -> str:
    """A field's name as it is compared: without case, blanks, dashes and underscores."""
    return name.casefold().replace("_", "").replace("-", "").replace(" ", "")
