"""Log lines: what they carry, and what they must never carry."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from loguru import logger

from guardian_core.logs import LogFormat, Point, log_point, log_points, setup_logging


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    yield io.StringIO()
    logger.remove()
    logging.basicConfig(handlers=[], force=True)


def lines_of(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_there_are_fourteen_points_and_each_has_words() -> None:
    assert len(Point) == 14
    assert all(point.text for point in Point)


def test_a_json_line_carries_point_trace_and_fields(stream: io.StringIO) -> None:
    setup_logging(LogFormat.JSON, "INFO", "receiver", stream=stream)
    log_point(Point.STORED, trace_id="ab" * 16, symbol="BTCUSDT", absent=None)
    [line] = lines_of(stream)
    assert line["point"] == "T6.2"
    assert line["trace_id"] == "ab" * 16
    assert line["symbol"] == "BTCUSDT"
    assert line["service"] == "receiver"
    assert line["message"] == Point.STORED.text
    assert "absent" not in line


@pytest.mark.parametrize("log_format", LogFormat)
@pytest.mark.parametrize("odd", ["{x} {0} {}", "<red>", "line\nbreak", "%s"])
def test_text_is_never_taken_as_a_template_or_as_a_line_of_its_own(
    stream: io.StringIO, log_format: LogFormat, odd: str
) -> None:
    setup_logging(log_format, "INFO", "receiver", stream=stream)
    log_point(Point.RECEIVED, trace_id=None, symbol=odd)
    [line] = stream.getvalue().splitlines()
    assert json.dumps(odd)[1:-1] in line


def test_a_batch_gives_a_line_per_row(stream: io.StringIO) -> None:
    setup_logging(LogFormat.JSON, "INFO", "receiver", stream=stream)
    log_points(Point.STORED, [{"trace_id": "a", "n": 1}, {"trace_id": "b", "n": 2}])
    log_points(Point.STORED, [])
    assert [(line["trace_id"], line["n"]) for line in lines_of(stream)] == [("a", 1), ("b", 2)]


def test_text_lines_name_point_message_and_fields(stream: io.StringIO) -> None:
    setup_logging(LogFormat.TEXT, "INFO", "receiver", stream=stream)
    log_point(Point.LEG_REPAIRED, "put back", trace_id="abc", leg="stop_loss")
    log_points(Point.STORED, [{"trace_id": "x"}, {"trace_id": "y"}])
    repaired, first, second = stream.getvalue().splitlines()
    assert "T7.3 put back" in repaired
    assert "trace_id=abc leg=stop_loss" in repaired
    assert "trace_id=x" in first
    assert "trace_id=y" in second


@pytest.mark.parametrize("log_format", LogFormat)
def test_a_traceback_does_not_show_the_values_of_variables(
    stream: io.StringIO, log_format: LogFormat
) -> None:
    setup_logging(log_format, "INFO", "receiver", stream=stream)
    secret = "s3cr3t-" + "value"

    def fail(word: str) -> None:
        raise RuntimeError(f"failed with {len(word)} characters")

    try:
        fail(secret)
    except RuntimeError:
        logger.exception("it failed")
        logging.getLogger("some.library").exception("it failed there too")
    assert stream.getvalue().count("RuntimeError: failed with 12 characters") == 2
    assert secret not in stream.getvalue()


def test_the_standard_library_logs_through_loguru(stream: io.StringIO) -> None:
    setup_logging(LogFormat.JSON, "INFO", "receiver", stream=stream)
    logging.getLogger("uvicorn.error").warning("port %s {taken}", 80)
    logging.getLogger("sqlalchemy.engine").info("SELECT 1")
    [line] = lines_of(stream)
    assert line["message"] == "port 80 {taken}"
    assert line["logger"] == "uvicorn.error"
    assert line["level"] == "WARNING"


def test_lines_below_the_level_are_not_written(stream: io.StringIO) -> None:
    setup_logging(LogFormat.JSON, "INFO", "receiver", stream=stream)
    log_point(Point.PASS_VALIDATED, trace_id=None, level="DEBUG")
    assert stream.getvalue() == ""
