"""kill -9 of `guardian up` at any moment under a stream of alerts, again and again.

`E2E_KILLS=300` makes it longer; `E2E_SEED=n` draws the alerts and the moments of an earlier run
again, as far as a real machine ever does the same twice.
"""

import os
import random
import time
from pathlib import Path

import pytest

from tests.e2e.installation import Installation, one_machine
from tests.e2e.judge import Judge
from tests.e2e.stream import Stream
from tests.e2e.under_fire import (
    SEED,
    SPECS,
    busy,
    charts,
    covered_again,
    judged_quiet,
    no_surprise,
)

KILLS = int(os.environ.get("E2E_KILLS", "30"))


@pytest.mark.timeout(120 + 40 * KILLS)
def test_no_kill_loses_an_alert_or_trades_twice_or_leaves_a_position_naked(
    tmp_path: Path,
) -> None:
    lanes = charts()
    house = one_machine(tmp_path / "home", SPECS)
    stream, judge = Stream(house, lanes, SEED), Judge(house, lanes)
    print(f"E2E_SEED={SEED}, {KILLS} kills")
    try:
        house.start()
        stream.start()
        killed(house, stream, judge)
        stream.stop()
        print(f"{len(stream.sent)} alerts, answers {dict(stream.statuses)}")
        judged_quiet(judge, stream)
    finally:
        print(house.logs())
        house.stop()
    no_surprise(house)


def killed(house: Installation, stream: Stream, judge: Judge) -> None:
    dice = random.Random(f"kills/{SEED}")
    for number in range(1, KILLS + 1):
        busy(stream, judge, dice)
        house.kill("engine")
        stream.check()
        judge.acknowledged_are_stored(stream.sent)
        naked = judge.uncovered()
        if dice.random() < 0.15:
            killed_while_starting(house, dice)
        ready_s = house.restart("engine")
        # Where it is not waited for, the next kill meets a repair under way.
        took_s = covered_again(judge, naked) if dice.random() < 0.7 else None
        told = "not waited for" if took_s is None else f"covered after {took_s:.1f} s"
        print(f"kill {number}: {len(naked)} lanes uncovered, ready in {ready_s:.1f} s, {told}")
    covered_again(judge, judge.uncovered())


def killed_while_starting(house: Installation, dice: random.Random) -> None:
    house.start_only("engine")
    time.sleep(dice.uniform(0, 2.5))
    house.kill("engine")
