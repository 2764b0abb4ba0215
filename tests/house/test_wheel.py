"""The wheel holds all of the product, and works away from this checkout."""

import configparser
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "guardian_core": "core",
    "guardian_receiver": "receiver",
    "guardian_engine": "engine",
    "guardian_gateway": "gateway",
    "guardian_operator": "operator",
    "guardian_cli": "cli",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the sources with the locked backend, so without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    run(
        *(sys.executable, "-m", "build", "--wheel", "--no-isolation"),
        *("--outdir", str(folder), str(ROOT)),
        cwd=folder,
    )
    [built] = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the wheel's packages and scripts, and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("installed")
    run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"),
        *("--no-compile", "--target", str(folder), str(wheel)),
        cwd=folder,
    )
    return folder


@pytest.mark.parametrize("package", PACKAGES)
def test_the_wheel_holds_every_file_of_a_package(wheel: Path, package: str) -> None:
    source_root = ROOT / PACKAGES[package]
    expected = {
        path.relative_to(source_root).as_posix()
        for path in (source_root / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert f"{package}/py.typed" in expected
    assert expected <= names_in(wheel)


def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    top_level = {name.partition("/")[0] for name in names_in(wheel)}
    assert top_level == {*PACKAGES, "position_guardian-0.1.0.dist-info"}


def test_the_wheel_has_a_command_per_service_and_one_for_all(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read("position_guardian-0.1.0.dist-info/entry_points.txt").decode()
    commands = configparser.ConfigParser()
    commands.read_string(text)
    assert dict(commands["console_scripts"]) == {
        "guardian": "guardian_cli.main:main",
        "guardian-receiver": "guardian_receiver.main:main",
        "guardian-engine": "guardian_engine.main:main",
        "guardian-gateway": "guardian_gateway.main:main",
        "guardian-operator": "guardian_operator.main:main",
    }


def test_every_package_imports_from_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    program = (
        "import importlib, operator\n"
        f"for name in {list(PACKAGES)!r}:\n"
        "    print(importlib.import_module(name).__file__)\n"
    )
    printed = run_installed(installed, tmp_path, "-c", program)
    expected = [str(installed / package / "__init__.py") for package in PACKAGES]
    assert printed.splitlines() == expected


def test_the_command_runs_from_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    printed = run_installed(installed, tmp_path, str(installed / "bin" / "guardian"), "--help")
    for command in ("up", "status", "trace", "explain", "demo", "webhook", "accounts", "paper"):
        assert f"  {command} " in printed


def test_what_the_commands_read_comes_with_the_wheel(installed: Path, tmp_path: Path) -> None:
    program = (
        "import guardian_cli.demo.candles as candles\n"
        "from guardian_core.storage.migrations import upgrade\n"
        "from guardian_receiver.api import alert_schema\n"
        "print(candles.__file__, len(candles.load_day()), alert_schema()['title'])\n"
        f"print(upgrade('sqlite:///{tmp_path / 'new.db'}'))\n"
    )
    first, revision = run_installed(installed, tmp_path, "-c", program).splitlines()
    assert first.startswith(f"{installed / 'guardian_cli'}/")
    assert " 1440 " in first
    assert revision


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def run_installed(installed: Path, cwd: Path, *arguments: str) -> str:
    """Runs Python on the installed wheel; the checkout's editable packages come after it."""
    return run(sys.executable, *arguments, cwd=cwd, PYTHONPATH=str(installed))


def run(*command: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
