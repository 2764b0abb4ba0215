"""The Helm chart as Helm renders it, and what it says of pods."""

import functools
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.kube import kube_program

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "position-guardian"
VALUES = ROOT / "tests" / "helm" / "values"
RELEASE = "t"
NAME = f"{RELEASE}-position-guardian"
"""What the names of its resources begin with."""

CASES = ("default", *sorted(path.stem for path in VALUES.glob("*.yaml")))
"""Sets of values: the chart's own, and each file of tests/helm/values."""

Document = dict[str, Any]


def values_of(case: str) -> tuple[str, ...]:
    """Helm's options for a case."""
    return () if case == "default" else ("--values", str(VALUES / f"{case}.yaml"))


def helm(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """One call of Helm, whatever came of it."""
    command = [str(kube_program("helm")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def render(*options: str, namespace: str = "trading") -> list[Document]:
    """All documents of the chart with these options. Fails the test when Helm does."""
    words = ("template", RELEASE, str(CHART), "--namespace", namespace, *options)
    done = helm(*words)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@functools.cache
def rendered(case: str) -> list[Document]:
    """A case's documents, for looking only."""
    return render(*values_of(case))


def refusal(*options: str) -> str:
    """What Helm says against these options."""
    done = helm("template", RELEASE, str(CHART), *options)
    assert done.returncode != 0, "Helm took them"
    return done.stderr


def of_kind(documents: list[Document], kind: str) -> dict[str, Document]:
    """The documents of a kind, by name."""
    found = [each for each in documents if each["kind"] == kind]
    named = {each["metadata"]["name"]: each for each in found}
    assert len(named) == len(found), f"two of {kind} have one name"
    return named


@dataclass(frozen=True)
class PodTemplate:
    """A pod, or what makes pods."""

    owner: str
    component: str
    metadata: Document
    spec: Document

    @property
    def containers(self) -> list[Document]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def is_ours(self) -> bool:
        """Whether it runs our image."""
        return self.component not in ("postgresql", "valkey")


def pod_templates(documents: list[Document]) -> Iterator[PodTemplate]:
    """Every pod that the documents ask for."""
    for document in documents:
        inner = document.get("spec", {}).get("template")
        pod = document if document["kind"] == "Pod" else inner
        if pod is None or "containers" not in pod.get("spec", {}):
            continue
        owner = f"{document['kind']}/{document['metadata']['name']}"
        component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
        yield PodTemplate(owner, component, pod["metadata"], pod["spec"])
