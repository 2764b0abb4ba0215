"""A slice of the simulator. `make simulate SEEDS=1000` plays more of it."""

import os
import subprocess
import sys

import pytest

from tests.simulation.mutants import MUTANTS, planted
from tests.simulation.run import Result, play, silence
from tests.simulation.shapes import SHAPES, TAILORED

PLAIN = (0, 6, 9)
HARSH = (0, 8, 12)
"""Quick ones, of futures and of spot, with amending and without, with fills in pieces."""
TRIES = range(4)
"""A planted bug is looked for in so many seeds of the shape that shows it."""

HASH_SEEDS = ("1", "2")
"""In which a set of the two accounts' names is iterated one way and the other."""

SHOWN_BY = {
    "fresh_id_on_retry": "deaths",
    "failed_listing_is_empty": "unsure",
    "cancelled_before_replaced": "updates",
    "ambiguous_is_refused": "unsure",
    "exits_without_bound": "part_exits",
    "flat_at_first_sight": "jumps",
    "processed_before_done": "deaths",
    "acknowledged_before_stored": "database_away",
    "no_duplicates_known": "sent_again",
    "guardian_asleep": "hands",
    "guardian_too_slow": "hands",
    "siblings_stay": "jumps",
    "legs_keep_their_size": "part_exits",
    "absent_is_gone": "unsure",
    "all_coins_are_ours": "own_coins",
}

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(autouse=True, scope="module")
def quiet() -> None:
    silence()


@pytest.mark.parametrize("seed", PLAIN)
def test_the_promise_is_kept(seed: int) -> None:
    _assert_kept(play(SHAPES["plain"](seed)))


@pytest.mark.parametrize("seed", HARSH)
def test_the_promise_is_kept_in_harsh_weather(seed: int) -> None:
    _assert_kept(play(SHAPES["harsh"](seed)))


@pytest.mark.parametrize("shape", TAILORED)
def test_the_promise_is_kept_where_planted_bugs_show(shape: str) -> None:
    _assert_kept(play(SHAPES[shape](0)))


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_bug_is_noticed(name: str) -> None:
    shape = SHOWN_BY[name]
    with planted(name):
        for seed in TRIES:
            result = play(SHAPES[shape](seed))
            if result.violation is not None:
                assert result.violation.rule not in ("simulator", "internal"), result.report()
                return
    pytest.fail(f"{name} went unnoticed in {shape}, seeds {list(TRIES)}")


def test_the_same_seed_gives_the_same_run() -> None:
    seed = 1  # has two accounts, which nothing but their order tells apart
    scenario = SHAPES["brief"](seed)
    here = {play(scenario).digest, play(scenario).digest}
    assert here == {_digest_elsewhere(seed, hash_seed) for hash_seed in HASH_SEEDS}


def test_another_seed_gives_another_run() -> None:
    digests = {play(SHAPES["hands"](seed)).digest for seed in (2, 3)}
    assert len(digests) == 2


def test_a_broken_promise_is_told_with_all_that_is_needed_to_see_it_again() -> None:
    with planted("guardian_asleep"):
        result = play(SHAPES["hands"](0))
    assert result.violation is not None
    assert result.violation.rule == "naked"
    report = result.report()
    assert f"at {result.virtual_s:.3f} s of virtual time" in report
    assert "--seed 0 --shape hands --verbose" in report
    assert 30 <= len(result.last) <= 60


def _assert_kept(result: Result) -> None:
    if result.violation is not None:
        pytest.fail(result.report())
    assert result.entries > 0


def _digest_elsewhere(seed: int, hash_seed: str) -> str:
    """The same scenario in a process of its own, whose sets and dicts hash otherwise."""
    code = (
        "from tests.simulation.run import play, silence\n"
        "from tests.simulation.shapes import SHAPES\n"
        f"silence(); print(play(SHAPES['brief']({seed})).digest)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
    )
    return done.stdout.strip()
