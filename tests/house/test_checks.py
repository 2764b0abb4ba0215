"""The static checks bite: each of these plants one offence in a small tree and runs the check.

Nothing is mocked. The tree has the project's own pyproject.toml, so it has the project's own rules.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PACKAGES = [
    "core/guardian_core",
    "core/guardian_core/domain",
    "core/guardian_core/cluster",
    "receiver/guardian_receiver",
    "engine/guardian_engine",
    "gateway/guardian_gateway",
    "operator/guardian_operator",
    "cli/guardian_cli",
]
SOMEWHERE = "engine/guardian_engine/offender.py"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Six empty packages under the project's own rules."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        (tmp_path / package).mkdir(parents=True)
        (tmp_path / package / "__init__.py").touch()
    return tmp_path


PYTHON_OFFENCES = {
    "wall clock": "import time\n\nSTARTED = time.time()\n",
    "wall clock by name": "from time import time as read\n\nSTARTED = read()\n",
    "monotonic clock": "import time\n\nSTARTED = time.monotonic()\n",
    "counter": "from time import perf_counter\n\nSTARTED = perf_counter()\n",
    "blocking sleep": "import time\n\ntime.sleep(1)\n",
    "today": "from datetime import UTC, datetime\n\nSTARTED = datetime.now(UTC)\n",
    "utcnow": "import datetime\n\nSTARTED = datetime.datetime.utcnow()\n",
    "chance": "import random\n\nROLL = random.random()\n",
    "chance by name": "from random import choice\n\nROLL = choice([1, 2])\n",
    "secret": "import secrets\n\nTOKEN = secrets.token_hex()\n",
    "random id": "from uuid import uuid4\n\nID = uuid4()\n",
    "random id by module": "import uuid\n\nID = uuid.uuid4()\n",
    "random bytes": "import os\n\nNOISE = os.urandom(8)\n",
}


@pytest.mark.parametrize("source", PYTHON_OFFENCES.values(), ids=PYTHON_OFFENCES.keys())
def test_a_raw_clock_or_chance_fails_the_lint(tree: Path, source: str) -> None:
    (tree / SOMEWHERE).write_text(source)
    done = run(BIN / "ruff", "check", "--no-cache", ".", cwd=tree)
    assert done.returncode == 1
    assert "TID251" in done.stdout


@pytest.mark.parametrize("port", ["clock", "ids"])
def test_the_ports_may_read_the_clock_and_draw(tree: Path, port: str) -> None:
    source = PYTHON_OFFENCES["monotonic clock"]
    (tree / f"core/guardian_core/{port}.py").write_text(source)
    assert "TID251" not in run(BIN / "ruff", "check", "--no-cache", ".", cwd=tree).stdout


SQL_OFFENCES = {
    "text": "QUERY = \"UPDATE claim SET until = NOW() + interval '1 s'\"\n",
    "keyword": 'QUERY = "INSERT INTO mark VALUES (CURRENT_TIMESTAMP)"\n',
    "sqlite": "QUERY = \"SELECT datetime('now')\"\n",
    "f-string": 'TABLE = "claim"\nQUERY = f"DELETE FROM {TABLE} WHERE until < clock_timestamp()"\n',
    "func": "from sqlalchemy import func\n\nNOW = func.now()\n",
    "func under another name": "from sqlalchemy import func as f\n\nNOW = f.current_timestamp()\n",
    "func by module": "import sqlalchemy as sa\n\nNOW = sa.func.now()\n",
    "class": "from sqlalchemy.sql.functions import now\n\nNOW = now()\n",
    "chance": 'QUERY = "SELECT gen_random_uuid()"\n',
}


@pytest.mark.parametrize("source", SQL_OFFENCES.values(), ids=SQL_OFFENCES.keys())
def test_a_raw_clock_or_chance_in_sql_is_found(tree: Path, source: str) -> None:
    (tree / SOMEWHERE).write_text(source)
    done = run(sys.executable, ROOT / "scripts/check-determinism", tree)
    assert done.returncode == 1
    assert SOMEWHERE in done.stdout


@pytest.mark.parametrize(
    "source",
    [
        pytest.param('"""Runs until now() has passed."""\n', id="docstring"),
        pytest.param("def age(db, at):\n    return db.now() - at\n", id="the port"),
        pytest.param('NAME = "known()"\n', id="a longer word"),
    ],
)
def test_what_only_looks_like_a_clock_passes(tree: Path, source: str) -> None:
    (tree / SOMEWHERE).write_text(source)
    done = run(sys.executable, ROOT / "scripts/check-determinism", tree)
    assert (done.returncode, done.stdout) == (0, "no raw clock or chance in SQL\n")


IMPORT_OFFENCES = {
    "a library in the domain": ("core/guardian_core/domain/a.py", "import sqlalchemy"),
    "storage in the domain": ("core/guardian_core/domain/a.py", "import guardian_core.storage"),
    "a service in core": ("core/guardian_core/a.py", "import guardian_engine"),
    "a service in another": ("engine/guardian_engine/a.py", "import guardian_gateway"),
    "the cli in a service": ("receiver/guardian_receiver/a.py", "import guardian_cli"),
    "kopf in the engine": ("engine/guardian_engine/a.py", "import kopf"),
    "kubernetes in core": ("core/guardian_core/a.py", "import kubernetes"),
    "kubernetes in the engine": ("engine/guardian_engine/a.py", "import kubernetes"),
    "ccxt in the cli": ("cli/guardian_cli/a.py", "import ccxt"),
}


@pytest.mark.parametrize(("path", "line"), IMPORT_OFFENCES.values(), ids=IMPORT_OFFENCES.keys())
def test_a_forbidden_import_breaks_a_contract(tree: Path, path: str, line: str) -> None:
    (tree / "core/guardian_core/storage.py").touch()
    (tree / path).write_text(f"{line}\n")
    done = lint_imports(tree)
    assert done.returncode == 1, done.stdout
    assert "Contracts: 4 kept, 1 broken." in done.stdout


@pytest.mark.parametrize(
    ("path", "line"),
    [
        pytest.param("core/guardian_core/domain/a.py", "import decimal", id="stdlib in the domain"),
        pytest.param("core/guardian_core/a.py", "import guardian_core.domain", id="domain in core"),
        pytest.param("engine/guardian_engine/a.py", "import guardian_core", id="core in a service"),
        pytest.param("operator/guardian_operator/a.py", "import kopf", id="kopf in the operator"),
        pytest.param(
            "operator/guardian_operator/a.py",
            "from kubernetes import client",
            id="kubernetes in the operator",
        ),
        pytest.param(
            "core/guardian_core/cluster/a.py",
            "from kubernetes import client",
            id="kubernetes in core's cluster part",
        ),
        pytest.param("gateway/guardian_gateway/a.py", "import ccxt", id="ccxt in the gateway"),
        pytest.param(
            "cli/guardian_cli/a.py", "import guardian_operator", id="a service in the cli"
        ),
    ],
)
def test_a_rightful_import_keeps_every_contract(tree: Path, path: str, line: str) -> None:
    (tree / path).write_text(f"{line}\n")
    done = lint_imports(tree)
    assert done.returncode == 0, done.stdout


# Written in two halves each, so that this file is no leak itself.
LEAKS = {
    "private key": ("notes.txt", "-----BEGIN RSA PRIVATE " + "KEY-----"),
    "access key": ("notes.txt", "AKI" + "A" + "Q" * 16),
    "API secret": ("notes.py", 'api_secret = "' + "k3" * 20 + '"'),
    "path": ("notes.txt", "see /hom" + "e/someone/notes"),
    "registry": ("notes.txt", "from pyp" + "i.org"),
    "URL in a lock": ("some.lock", "thing @ https" + "://mirror.invalid/thing.whl"),
    "index in a lock": ("some.lock", "--index-url mirror"),
}


@pytest.mark.parametrize(("name", "line"), LEAKS.values(), ids=LEAKS.keys())
def test_a_leak_is_found_and_not_repeated(tmp_path: Path, name: str, line: str) -> None:
    run("git", "init", "--quiet", cwd=tmp_path)
    (tmp_path / name).write_text(f"fine\n{line}\n")
    done = run(sys.executable, ROOT / "scripts/check-leaks", tmp_path)
    assert done.returncode == 1
    assert f"{name}:2: " in done.stdout
    assert line not in done.stdout


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    roots = sorted({package.partition("/")[0] for package in PACKAGES})
    path = os.pathsep.join([str(ROOT / "scripts"), *(str(tree / root) for root in roots)])
    return run(BIN / "lint-imports", "--no-cache", "--no-logo", cwd=tree, PYTHONPATH=path)


def run(
    *command: str | Path, cwd: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
