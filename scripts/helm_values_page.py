"""docs/helm-values.md, made from the comments of the chart's values.yaml.

A comment that begins with `# --` describes the value on the line below it. Values without one are
listed too: what they mean is in their name, or with the value above them.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

VALUES = Path(__file__).parent.parent / "helm" / "position-guardian" / "values.yaml"

HEAD = """\
Set them with `--set NAME=VALUE` or in a file with `--values FILE`. A name that the chart does not
know is refused, and so is a Live account on the bundled database.

| Value | Default | Meaning |
|---|---|---|
"""

_COMMENT = re.compile(r"^\s*#(?: --)? ?(.*)$")
_KEY = re.compile(r"^(\s*)([A-Za-z][\w-]*):")
_WHOLE = frozenset({"resources", "labels", "metricsFrom"})
"""Shown as one value, not by what is inside."""


class Row(NamedTuple):
    path: tuple[str, ...]
    default: Any
    meaning: str


def values_page() -> str:
    """The table, without the page's title."""
    rows = [_row(each) for each in rows_of(VALUES.read_text("utf-8"))]
    return HEAD + "".join(rows)


def rows_of(text: str) -> Iterator[Row]:
    """Every value that is described or is no group of others."""
    values = yaml.safe_load(text)
    meanings = _meanings(text)
    for path, default in _leaves((), values):
        yield Row(path, default, meanings.get(path, ""))


def _leaves(path: tuple[str, ...], values: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in values.items():
        inner = (*path, name)
        if isinstance(value, dict) and value and name not in _WHOLE:
            yield from _leaves(inner, value)
        else:
            yield inner, value


def _meanings(text: str) -> dict[tuple[str, ...], str]:
    found: dict[tuple[str, ...], str] = {}
    path: list[tuple[int, str]] = []
    said: list[str] = []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            words = _COMMENT.sub(r"\1", line)
            said = [words] if line.lstrip().startswith("# --") else [*said, words] if said else []
            continue
        key = _KEY.match(line)
        if key is not None:
            indent = len(key[1])
            path = [each for each in path if each[0] < indent] + [(indent, key[2])]
            if said:
                found[tuple(name for _, name in path)] = " ".join(said)
        said = []
    return found


def _row(row: Row) -> str:
    default = json.dumps(row.default, ensure_ascii=False).replace("|", "\\|")
    meaning = row.meaning.replace("|", "\\|")
    return f"| `{'.'.join(row.path)}` | `{default}` | {meaning} |\n"
