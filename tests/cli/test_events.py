"""The lines of `guardian up`: one per event, each with its trace."""

import io
from collections.abc import Callable, Iterator

import pytest
from loguru import logger

from guardian_cli.events import ALERTS_REMEMBERED, EventLines
from guardian_core.logs import Point, log_point, log_points

TRACE = "a" * 32
OTHER = "b" * 32
ALERT = "BuyMarket BTCUSDT 100 % stop-loss 41000 take-profit 45000 on paper"


@pytest.fixture
def lines() -> Iterator[Callable[[], list[str]]]:
    """What was shown so far, without the time."""
    stream = io.StringIO()
    logger.remove()
    number = logger.add(EventLines(stream), level="INFO", format="")
    yield lambda: [line.split(None, 1)[1] for line in stream.getvalue().splitlines()]
    logger.remove(number)


def come(alert: str = ALERT, trace_id: str = TRACE, **more: str) -> None:
    log_points(Point.RECEIVED, [{"trace_id": trace_id, "alert": alert}])
    log_points(Point.STORED, [{"trace_id": trace_id} | more])


def tell(point: str, message: str, level: str = "INFO", trace_id: str = TRACE) -> None:
    logger.bind(point=point, trace_id=trace_id).log(level, "{}", message)


def test_an_alert_is_told_when_it_is_committed_not_when_it_comes(
    lines: Callable[[], list[str]],
) -> None:
    log_points(Point.RECEIVED, [{"trace_id": TRACE, "alert": ALERT}])
    assert lines() == []
    log_points(Point.STORED, [{"trace_id": TRACE}])
    assert lines() == [f"alert committed    {ALERT}  {TRACE}"]


def test_an_opened_position_is_one_line_with_both_legs(lines: Callable[[], list[str]]) -> None:
    come()
    tell("opened", "position opened: long BTCUSDT 0.237 at 42000")
    tell("opened", "position opened: long BTCUSDT 0.237 at 42000")
    tell(Point.NEW_STOP_LOSS, "stop_loss order 1003 sell 0.237 at 41000")
    tell(Point.NEW_TAKE_PROFIT, "take_profit order 1004 sell 0.237 at 45000")
    log_point(Point.WEBHOOK_FINISHED, "BuyMarket processed: entered", trace_id=TRACE)
    opened = "long BTCUSDT 0.237 at 42000, with stop-loss 41000 and take-profit 45000"
    assert lines()[1:] == [
        f"position opened    {opened}  {TRACE}",
        f"alert finished     BuyMarket processed: entered  {TRACE}",
    ]


def test_a_position_that_opens_when_its_alert_is_long_over_is_told_at_once(
    lines: Callable[[], list[str]],
) -> None:
    tell("opened", "position opened: long BTCUSDT 0.2 at 41500")
    assert lines() == [f"position opened    long BTCUSDT 0.2 at 41500  {TRACE}"]


def test_a_leg_that_is_refused_is_told_apart_from_the_opening(
    lines: Callable[[], list[str]],
) -> None:
    come()
    tell("opened", "position opened: long BTCUSDT 0.237 at 42000")
    tell(Point.NEW_STOP_LOSS, "stop_loss create refused", "ERROR")
    tell(Point.NEW_TAKE_PROFIT, "take_profit order 1004 sell 0.237 at 45000")
    log_point(Point.WEBHOOK_FINISHED, "BuyMarket error", trace_id=TRACE, level="ERROR")
    assert [line.split("  ")[0] for line in lines()[1:]] == [
        "stop-loss failed",
        "position opened",
        "alert finished",
    ]
    assert "with take-profit 45000" in lines()[2]


def test_a_lost_leg_and_its_repair_are_a_line_each(lines: Callable[[], list[str]]) -> None:
    tell(Point.LEG_MISSING, "long BTCUSDT: stop_loss missing", "WARNING")
    tell(Point.LEG_REPAIRED, "stop_loss order 1005 sell 0.237 at 41000 after 2.1 s")
    assert [line.split("  ")[0] for line in lines()] == ["leg gone", "repaired"]
    assert "after 2.1 s" in lines()[1]


def test_alerts_at_work_do_not_mix(lines: Callable[[], list[str]]) -> None:
    come()
    come(trace_id=OTHER)
    tell("opened", "position opened: long BTCUSDT 0.237 at 42000")
    tell(Point.NEW_STOP_LOSS, "stop_loss order 9 sell 1 at 99", trace_id=OTHER)
    log_point(Point.WEBHOOK_FINISHED, "BuyMarket processed", trace_id=TRACE)
    shown = [line for line in lines() if "position opened" in line]
    assert shown == [f"position opened    long BTCUSDT 0.237 at 42000  {TRACE}"]


def test_bars_are_silent_and_so_is_what_has_no_label(lines: Callable[[], list[str]]) -> None:
    come("PING BTCUSDT on paper")
    log_point(Point.WEBHOOK_FINISHED, "PING processed", trace_id=TRACE)
    log_point(Point.POSITION_LOOKED_UP, "long open", trace_id=TRACE)
    logger.info("gateway listens")
    assert lines() == []


def test_a_duplicate_names_the_first(lines: Callable[[], list[str]]) -> None:
    come(duplicate_of=OTHER)
    assert lines() == [f"duplicate          {ALERT}, as {OTHER}  {TRACE}"]


def test_a_warning_is_told_even_without_a_point(lines: Callable[[], list[str]]) -> None:
    logger.warning("no claim: {}", "the database is away")
    assert lines() == ["warning            no claim: the database is away"]


def test_what_comes_from_outside_cannot_command_the_terminal(
    lines: Callable[[], list[str]],
) -> None:
    come("BuyMarket \x1b[2J on paper")
    assert "\x1b" not in lines()[0]


def test_alerts_that_never_end_are_forgotten(lines: Callable[[], list[str]]) -> None:
    for number in range(ALERTS_REMEMBERED + 1):
        come(trace_id=f"{number:032x}")
    tell("opened", "position opened: long", trace_id=f"{0:032x}")
    assert "position opened" in lines()[-1]
