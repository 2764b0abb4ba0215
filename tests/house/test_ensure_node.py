"""`scripts/ensure-node`: where a cluster's programs are kept, and who may not have one.

What it builds and installs is tried by `make test-cluster`.
"""

import os
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts/ensure-node"


def run(*command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_programs_are_in_the_users_cache_under_a_name_that_says_their_sources() -> None:
    said = run(str(SCRIPT), "--path", XDG_CACHE_HOME="/somewhere")
    assert said.returncode == 0, said.stderr
    folder = Path(said.stdout.strip())
    assert folder.parent == Path("/somewhere/position-guardian")
    assert folder.name.startswith("node-")
    assert not folder.exists()


def test_without_root_it_says_so_and_how_to_go_on(tmp_path: Path) -> None:
    stranger = tmp_path / "id"
    stranger.write_text("#!/bin/sh\necho 1000\n")
    stranger.chmod(0o755)
    said = run(str(SCRIPT), PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert said.returncode == 1
    assert "sudo make test-cluster" in said.stderr
