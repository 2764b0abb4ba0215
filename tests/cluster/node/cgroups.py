"""The node's own control groups, below the machine's: version 2, version 1, or both."""

from contextlib import suppress
from pathlib import Path

from tests.cluster.node.configuration import NAME

_CGROUPS = Path("/sys/fs/cgroup")


def _hierarchies() -> list[Path]:
    """The mounted control group hierarchies: one of version 2, several of version 1."""
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS]
    return [path for path in _CGROUPS.iterdir() if path.is_dir() and not path.is_symlink()]


def make_cgroups() -> None:
    """What the kubelet takes for the root of its pods."""
    for hierarchy in _hierarchies():
        own = hierarchy / NAME
        own.mkdir(exist_ok=True)
        # Version 1 leaves these empty, and then no process may enter.
        for limit in ("cpuset.cpus", "cpuset.mems"):
            if hierarchy.name == "cpuset":
                (own / limit).write_text((hierarchy / limit).read_text())


def remove_cgroups() -> bool:
    """Whether none is left."""
    for hierarchy in _hierarchies():
        if not (hierarchy / NAME).exists():
            continue
        folders = [path for path in (hierarchy / NAME).rglob("*") if path.is_dir()]
        for path in [*sorted(folders, reverse=True), hierarchy / NAME]:
            with suppress(OSError):
                path.rmdir()
    return not any((hierarchy / NAME).exists() for hierarchy in _hierarchies())
