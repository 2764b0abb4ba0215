"""Where the programs are that `make test-cluster` has put into the user's cache folder."""

import functools
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]


def cache_folder() -> Path:
    """The project's folder in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "position-guardian"


def node_program(name: str) -> Path:
    """One of the Kubernetes programs that kube_program has not, or coredns, traefik, pause."""
    return _program("ensure-node", name)


def kube_program(name: str) -> Path:
    """One of etcd, kube-apiserver, kubectl and helm.

    Those that the project builds, also where KUBEBUILDER_ASSETS names others: a kubelet must not be
    newer than its API server.
    """
    return _program("ensure-kube", name)


@functools.cache
def _program(script: str, name: str) -> Path:
    environment = {k: v for k, v in os.environ.items() if k != "KUBEBUILDER_ASSETS"}
    done = subprocess.run(
        [str(ROOT / "scripts" / script), "--path"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    path = Path(done.stdout.strip()) / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run scripts/{script}")
    return path
