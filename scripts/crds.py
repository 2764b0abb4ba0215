"""Writes the CustomResourceDefinitions, and the chart's equal copies of them, from the models;
with --check only compares them."""

import sys
from pathlib import Path

import yaml

from guardian_core.cluster.crds import documents

ROOT = Path(__file__).parent.parent
FOLDERS = ("crds", "helm/position-guardian/crds")
MADE = "# Written by `make docs` from core/guardian_core/cluster: change that, not this file.\n"


def main() -> None:
    stale = []
    for plural, document in documents().items():
        text = MADE + yaml.safe_dump(document, sort_keys=False, width=100, allow_unicode=True)
        for folder in FOLDERS:
            path = ROOT / folder / f"{plural}.yaml"
            if "--check" not in sys.argv:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")
            elif not path.exists() or path.read_text("utf-8") != text:
                stale.append(str(path.relative_to(ROOT)))
    if stale:
        sys.exit(f"{', '.join(stale)} is stale: run `make docs`")


if __name__ == "__main__":
    main()
