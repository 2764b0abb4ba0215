"""The cluster's images, built without a container engine: `python -m tests.cluster.node.images`.

No registry is asked. What the chart and the Dockerfile name is built here under just these names:
the services from the project's Dockerfile, Python, PostgreSQL and Valkey from Debian's packages.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.cluster.node.programs import ROOT, cache_folder, node_program

FOLDER = Path(__file__).parent / "dockerfiles"
CHART = ROOT / "helm/position-guardian"
SUITE = "trixie"
"""Debian 13: Python 3.13, PostgreSQL 17 and Valkey 8, as in the images whose place it takes."""
DEBIAN = "localhost/debian:node"
PYTHON = "localhost/python:3.13-slim"
PROGRAMS = ("pause", "coredns", "traefik")
_BUILD_WITHIN_S = 1200.0
# The build machine's trust, for pip: mounted while a step runs, not part of the image.
_TRUST = (Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pip.conf"))


@dataclass(frozen=True, slots=True)
class ChartImages:
    """The names in the chart's own values."""

    services: str
    version: str
    postgresql: str
    valkey: str

    @classmethod
    def read(cls) -> "ChartImages":
        values = yaml.safe_load((CHART / "values.yaml").read_text())
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        return cls(
            services=values["image"]["repository"],
            version=chart["appVersion"],
            postgresql=values["database"]["bundled"]["image"],
            valkey=values["redis"]["bundled"]["image"],
        )


class Images:
    """Builds what is missing or old, and keeps one archive per image for the node to import."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or cache_folder() / "node-images"
        self._archives = self._folder / "archives"
        self._archives.mkdir(parents=True, exist_ok=True)

    def build(self) -> list[Path]:
        """Every archive, the images of the sources as they are now."""
        names = ChartImages.read()
        self._debian()
        self._from_folder("python", PYTHON)
        archives = [
            self._archive("postgresql", self._from_folder("postgresql", names.postgresql)),
            self._archive("valkey", self._from_folder("valkey", names.valkey)),
            *(self._archive(name, self._program(name)) for name in PROGRAMS),
        ]
        services = f"{names.services}:{names.version}"
        trust = [f"--volume={path}:{path}:ro" for path in _TRUST if path.is_file()]
        self._build(services, ROOT, ROOT / "Dockerfile", *trust)
        return [*archives, self._archive("services", services)]

    def _debian(self) -> None:
        """The smallest Debian, as a first layer for the others. Made once."""
        if self._id(DEBIAN):
            return
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            root = Path(folder) / "root.tar"
            _say(f"Putting together Debian {SUITE}: once, about a minute")
            without = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc")]
            _run(["mmdebstrap", "--quiet", "--variant=minbase", *without, SUITE, str(root)])
            container = self._buildah("from", "scratch")
            self._buildah("add", "--quiet", container, str(root), "/")
            path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
            self._buildah("config", "--env", f"PATH={path}", container)
            self._buildah("commit", "--quiet", "--rm", container, DEBIAN)

    def _from_folder(self, name: str, image: str) -> str:
        self._build(image, FOLDER, FOLDER / f"{name}.Dockerfile")
        return image

    def _program(self, name: str) -> str:
        image = f"localhost/guardian-node/{name}:1"
        program = node_program(name)
        dockerfile = FOLDER / "program.Dockerfile"
        self._build(image, program.parent, dockerfile, "--build-arg", f"PROGRAM={program.name}")
        return image

    def _build(self, image: str, context: Path, dockerfile: Path, *more: str) -> None:
        """Steps that were done before are taken from there."""
        before = self._id(image)
        if not before:
            _say(f"Building {image}")
        options = ("--quiet", "--layers", "--pull-never", *more)
        self._buildah("bud", *options, "--tag", image, "--file", str(dockerfile), str(context))
        if before and before != self._id(image):
            _say(f"Built {image} anew: its sources have changed")
            # What others stand on, such as Debian's image under the rest, stays.
            _run([*self._command(), "rmi", before], may_fail=True)

    def _archive(self, name: str, image: str) -> Path:
        stamp = hashlib.sha256(f"{image} {self._id(image)}".encode()).hexdigest()[:12]
        path = self._archives / f"{name}-{stamp}.tar"
        if not path.exists():
            for old in self._archives.glob(f"{name}-*"):
                old.unlink()
            making = path.with_suffix(".making")
            self._buildah("push", "--quiet", image, f"docker-archive:{making}:{image}")
            making.rename(path)
        return path

    def _id(self, image: str) -> str:
        """The image's id; empty when there is none."""
        found = _run(
            [*self._command(), "inspect", "--type=image", "--format={{.FromImageID}}", image],
            may_fail=True,
        )
        return found.strip()

    def _buildah(self, *arguments: str) -> str:
        return _run([*self._command(), *arguments]).strip()

    def _command(self) -> list[str]:
        places = ["--root", str(self._folder / "root"), "--runroot", str(self._folder / "run")]
        # Else it would leave a mount of its own folder behind.
        driver = ("--storage-driver", "overlay", "--storage-opt", "overlay.skip_mount_home=true")
        return ["buildah", *places, *driver]


def _run(command: Sequence[str], *, may_fail: bool = False) -> str:
    # Chroot: its steps need neither a network of their own nor control groups.
    environment = os.environ | {"BUILDAH_ISOLATION": "chroot"}
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_BUILD_WITHIN_S,
    )
    if done.returncode != 0 and not may_fail:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout if done.returncode == 0 else ""


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    Images().build()
    sys.exit(0)
