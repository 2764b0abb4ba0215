"""What both kill -9 tests do: lanes to trade on, moments to kill at, and the verdict."""

import os
import random
import time
from decimal import Decimal

from guardian_core.accounts import AccountSpec, PaperSpec
from guardian_core.domain.money import MarketKind
from tests.e2e.installation import PARTS, Installation
from tests.e2e.judge import Judge, LaneView
from tests.e2e.stream import Chart, Stream
from tests.support.wait import eventually

SEED = int(os.environ.get("E2E_SEED", "0")) or random.randrange(1, 1_000_000)
PROMISE_S = 10.0
QUIET_WITHIN_S = 90.0
BUSY_MAX_S = 10.0
LOOK_EVERY_S = 0.05

SPECS = {
    name: AccountSpec(account_id=name, paper=PaperSpec(market=market, balance=Decimal(100_000)))
    for name, market in {"futures": MarketKind.LINEAR, "coins": MarketKind.SPOT}.items()
}


def charts() -> list[Chart]:
    d = Decimal
    return [
        Chart("futures", "BTCUSDT", False, d("43000.0"), tick=d("0.1"), step=d("0.001")),
        Chart("futures", "ETHUSDT", False, d("2400.00"), tick=d("0.01"), step=d("0.001")),
        Chart("futures", "SOLUSDT", False, d("110.00"), tick=d("0.01"), step=d("0.01")),
        Chart("coins", "BTCUSDT", True, d("43000.00"), tick=d("0.01"), step=d("0.00001")),
        Chart("coins", "ETHUSDT", True, d("2400.00"), tick=d("0.01"), step=d("0.0001")),
    ]


def busy(stream: Stream, judge: Judge, dice: random.Random) -> None:
    """Lets some alerts be acknowledged; then, mostly, waits for one to be at work. On a machine
    that has no time for that, the next kill comes all the same."""
    enough = stream.acknowledged + dice.choice((0, 1, 3, 6, 12, 20))
    until_s = time.monotonic() + BUSY_MAX_S
    while stream.acknowledged < enough and time.monotonic() < until_s:
        time.sleep(LOOK_EVERY_S)
    if dice.random() < 0.7:
        while not judge.is_working() and time.monotonic() < until_s:
            time.sleep(0)
    time.sleep(dice.choice((0, 0.02, 0.05, 0.1, 0.2, 0.5)))


def covered_again(judge: Judge, naked: list[LaneView]) -> float:
    """Seconds until each of these lanes was seen flat or covered, by the venue's books."""
    began_s = time.monotonic()
    left = [view.chart for view in naked]
    while left:
        uncovered = judge.uncovered(left)
        took_s = time.monotonic() - began_s
        assert not uncovered or took_s <= PROMISE_S, "\n".join(map(str, uncovered))
        left = [view.chart for view in uncovered]
        time.sleep(LOOK_EVERY_S)
    return time.monotonic() - began_s


def judged_quiet(judge: Judge, stream: Stream) -> None:
    """Everything that must be true once the stream has stopped and all is finished."""
    eventually(judge.is_finished, within_s=QUIET_WITHIN_S, what="every alert to be finished")
    eventually(judge.all_is_as_desired, within_s=QUIET_WITHIN_S, what="every lane to be as desired")
    judge.each_alert_counted_once(stream.sent)
    judge.each_entry_bought_once(stream.sent)
    judge.no_exit_sold_more_than_asked()
    judge.rows_and_venue_agree()


def no_surprise(house: Installation) -> None:
    """No process has logged a traceback: an error that nobody foresaw."""
    lines = [line for part in PARTS for line in house.log_lines(part)]
    surprises = [line for line in lines if "exception" in line]
    assert not surprises, surprises[:3]
