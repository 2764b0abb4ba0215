"""Brings the custom resources' definitions to this version's.

`python -m guardian_operator.crd_upgrade FOLDER`, run by the chart's migration Job: Helm installs
definitions once and never again. Releases in several namespaces share them, so an older version
leaves a newer one's alone.
"""

import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import yaml

from guardian_core.cluster.api import NotFound
from guardian_core.cluster.resources import GROUP
from guardian_core.domain.errors import ConfigurationError, GuardianError, Unavailable
from guardian_operator.errand import APPLY, ApiServer, Body

PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
FIELD_MANAGER = "guardian-crds"
APPLIED_BY = f"{GROUP}/applied-by"
"""On a definition: the version of Position Guardian whose definition it is."""
ATTEMPTS = 6
PAUSE_S = 5.0


def read_definitions(folder: Path) -> list[Body]:
    """Raises ConfigurationError when there are none."""
    found = [
        definition
        for path in sorted(folder.glob("*.yaml"))
        for definition in yaml.safe_load_all(path.read_text("utf-8"))
        if definition
    ]
    if not found:
        raise ConfigurationError(f"there is no definition in {folder}")
    return found


def upgrade(api: ApiServer, definition: Body, ours: str) -> str:
    """Applies one definition of version `ours` and returns what was done."""
    metadata = definition["metadata"]
    name = metadata["name"]
    try:
        standing = api.get(f"{PATH}/{name}")["metadata"]
    except NotFound:
        raise ConfigurationError(
            f"{name} is not installed: apply the chart's crds/ (was it installed with --skip-crds?)"
        ) from None
    theirs = standing.get("annotations", {}).get(APPLIED_BY, "")
    if _order(theirs) > _order(ours):
        return f"{name} is of the newer version {theirs}: left as it is"
    annotations = metadata.get("annotations", {}) | {APPLIED_BY: ours}
    body = definition | {"metadata": metadata | {"annotations": annotations}}
    # Helm made them, so every field is another manager's: forced.
    changed = api.patch(f"{PATH}/{name}", body, APPLY, fieldManager=FIELD_MANAGER, force="true")
    same = changed["metadata"]["generation"] == standing["generation"]
    return f"{name} is {'current' if same else 'upgraded'}"


def _order(text: str) -> tuple[int, ...]:
    """By which versions are compared: 0.10.0 comes after 0.9.1, and anything after none."""
    numbers = text.partition("-")[0].partition("+")[0].split(".")
    return tuple(int(number) for number in numbers if number.isdigit())


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m guardian_operator.crd_upgrade FOLDER\n")
        return 2
    try:
        definitions = read_definitions(Path(arguments[0]))
        api = ApiServer()
        for definition in definitions:
            print(_patiently(api, definition))
    except GuardianError as error:
        sys.stderr.write(f"crd_upgrade: {error}\n")
        return 1
    return 0


def _patiently(api: ApiServer, definition: Body) -> str:
    ours = version("position-guardian")
    for _ in range(ATTEMPTS - 1):
        try:
            return upgrade(api, definition, ours)
        except Unavailable as error:
            sys.stderr.write(f"waiting: {error}\n")
            time.sleep(PAUSE_S)  # noqa: TID251 - a process of its own, outside of any event loop
    return upgrade(api, definition, ours)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
