"""A slice of the simulator. `make simulate SEEDS=1000` plays more of it."""

import os
import subprocess
import sys

import pytest

from tests.simulation.mutants import MUTANTS, planted
from tests.simulation.run import Result, play, silence
from tests.simulation.scenario import Scenario

PLAIN = range(5)
HARSH = range(6)
"""Planted bugs are looked for in these; without them each of these must pass."""

CAUGHT_BY = {
    "cancelled_before_replaced": 1,
    "flat_at_first_sight": 3,
    "siblings_stay": 2,
    "legs_keep_their_size": 4,
    "ambiguous_is_refused": 3,
}
"""Where to look first: a seed that is known to show the bug soon."""

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(autouse=True, scope="module")
def quiet() -> None:
    silence()


@pytest.mark.parametrize("seed", PLAIN)
def test_the_promise_is_kept(seed: int) -> None:
    _assert_kept(play(Scenario.of(seed)))


@pytest.mark.parametrize("seed", HARSH)
def test_the_promise_is_kept_in_harsh_weather(seed: int) -> None:
    _assert_kept(play(Scenario.of(seed).harsh()))


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_bug_is_noticed(name: str) -> None:
    first = CAUGHT_BY.get(name, HARSH[0])
    with planted(name):
        for seed in sorted(HARSH, key=lambda seed: seed != first):
            result = play(Scenario.of(seed).harsh())
            if result.violation is not None:
                assert result.violation.rule != "simulator", result.report()
                return
    pytest.fail(f"{name} went unnoticed in harsh seeds {HARSH}")


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_seed_gives_the_same_run(seed: int) -> None:
    scenario = Scenario.of(seed).brief()
    digests = {play(scenario).digest, play(scenario).digest, _digest_elsewhere(seed)}
    assert len(digests) == 1


def test_another_seed_gives_another_run() -> None:
    digests = {play(Scenario.of(seed).brief()).digest for seed in (2, 3)}
    assert len(digests) == 2


def test_a_broken_promise_is_told_with_all_that_is_needed_to_see_it_again() -> None:
    with planted("guardian_asleep"):
        result = play(Scenario.of(0).harsh())
    assert result.violation is not None
    assert result.violation.rule == "naked"
    report = result.report()
    assert f"at {result.virtual_s:.3f} s of virtual time" in report
    assert "--seed 0 --harsh --verbose" in report
    assert 30 <= len(result.last) <= 60


def _assert_kept(result: Result) -> None:
    if result.violation is not None:
        pytest.fail(result.report())
    assert result.entries > 0


def _digest_elsewhere(seed: int) -> str:
    """The same scenario in a process of its own, whose sets and dicts hash otherwise."""
    code = (
        "from tests.simulation.run import play, silence\n"
        "from tests.simulation.scenario import Scenario\n"
        f"silence(); print(play(Scenario.of({seed}).brief()).digest)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONHASHSEED": "4711"},
    )
    return done.stdout.strip()
