"""Writes the reference pages of docs/ from what they describe; with --check only compares them.

docs/settings.md comes from the settings model, docs/alerts.md from the alert's JSON schema,
docs/helm-values.md from the chart's values.yaml.
"""

import json
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from helm_values_page import values_page
from pydantic.fields import FieldInfo

from guardian_core.settings import PREFIX, Settings

DOCS = Path(__file__).parent.parent / "docs"
MADE = "<!-- Written by `make docs` from {source}: change that, not this page. -->\n\n"


def settings_page() -> str:
    lines = [
        "# Settings\n\n",
        MADE.format(source="core/guardian_core/settings.py"),
        "Every setting is an environment variable. An unknown `GUARDIAN_…` variable is refused, "
        "so that a mistyped one cannot pass for its default.\n\n",
        "| Variable | Default | Meaning |\n|---|---|---|\n",
    ]
    for name, field in Settings.model_fields.items():
        lines.append(f"| `{PREFIX}{name.upper()}` | {_default(field)} | {field.description} |\n")
    return "".join(lines)


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None or field.default is None:
        return "unset" if field.default is None else "derived"
    value = getattr(field.default, "value", field.default)
    return f"`{value}`"


def alerts_page() -> str:
    text = (files("guardian_receiver") / "alert.schema.json").read_text("utf-8")
    schema = json.loads(text)
    lines = [
        "# Alerts\n\n",
        MADE.format(source="receiver/guardian_receiver/alert.schema.json"),
        f"{schema['description']}\n\n",
        "The token goes in the body (`Token`), in the path (`/webhook/TOKEN`), as `?token=`, or, "
        "for senders that can set headers, as `X-Webhook-Token`.\n\n",
        "| Field | Also called | Meaning |\n|---|---|---|\n",
    ]
    for name, field in schema["properties"].items():
        needed = " **Required.**" if name in schema.get("required", ()) else ""
        aliases = ", ".join(f"`{alias}`" for alias in field.get("x-aliases", ()))
        lines.append(f"| `{name}` | {aliases} | {_meaning(field)}{needed} |\n")
    lines += ["\n## Answers\n\n", ANSWERS, "\n## JSON schema\n\n"]
    lines.append(f"Also served as `GET /schema/alert.json`.\n\n```json\n{text.strip()}\n```\n")
    return "".join(lines)


ANSWERS = """\
| Status | Meaning |
|---|---|
| 200 `received` | committed; `trace_id` finds its story with `guardian trace` |
| 200 `duplicate` | the same alert came before; not executed again |
| 400 | stored, not executed: the body says which field is wrong, and the fix |
| 401 | no token, or a wrong one; not stored |
| 403 | stored, not executed: this token does not command that account |
| 403, field `source` | not stored: sources are enforced, and this is none of TradingView's |
| 413 | larger than 64 KiB |
| 503 | not stored: the database is away or the queue is full; send it again |
"""


def _meaning(field: dict[str, Any]) -> str:
    return str(field.get("description", "")).replace("|", "\\|").replace("\n", " ")


def helm_values_page() -> str:
    made = MADE.format(source="helm/position-guardian/values.yaml")
    return f"# Values of the chart\n\n{made}{values_page()}"


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "alerts.md": alerts_page,
    "helm-values.md": helm_values_page,
}


def main() -> None:
    stale = []
    for name, make in PAGES.items():
        path, text = DOCS / name, make()
        if "--check" in sys.argv:
            if not path.exists() or path.read_text("utf-8") != text:
                stale.append(f"docs/{name}")
        else:
            path.write_text(text, "utf-8")
    if stale:
        sys.exit(f"{', '.join(stale)} is stale: run `make docs`")


if __name__ == "__main__":
    main()
