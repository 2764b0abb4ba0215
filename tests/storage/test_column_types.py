"""What goes into a column comes out the same, on both databases."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, MetaData, Table, select
from sqlalchemy.exc import StatementError
from sqlalchemy.schema import Column
from sqlalchemy.types import JSON, Integer, Text

from guardian_core.domain.money import MAX_DIGITS_AFTER_POINT, MAX_DIGITS_BEFORE_POINT
from guardian_core.storage.engines import migration_engine, parse_url
from guardian_core.storage.types import ExactDecimal, UtcDateTime

METADATA = MetaData()
SAMPLE = Table(
    "sample",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("number", ExactDecimal),
    Column("at", UtcDateTime),
    Column("words", Text),
    Column("body", JSON),
)

# One server for all examples of a property.
one_database = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

DIGITS = MAX_DIGITS_BEFORE_POINT + MAX_DIGITS_AFTER_POINT
numbers = st.integers(-(10**DIGITS) + 1, 10**DIGITS - 1).flatmap(
    lambda digits: st.integers(0, MAX_DIGITS_AFTER_POINT).map(
        lambda places: Decimal(f"{digits}E-{places}")
    )
)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=offsets)  # noqa: DTZ001
# PostgreSQL's text has no NUL, and a lone surrogate has no UTF-8.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@pytest.fixture(params=["sqlite", "postgres"])
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    url = request.getfixturevalue(f"migrated_{request.param}_url")
    engine = migration_engine(parse_url(url))
    METADATA.create_all(engine)
    with engine.connect() as connection:
        # One connection for all examples.
        yield connection
    engine.dispose()


def round_trip(connection: Connection, **values: object) -> Any:
    with connection.begin():
        connection.execute(SAMPLE.delete())
        connection.execute(SAMPLE.insert().values(**values))
        return connection.execute(select(SAMPLE)).one()


@one_database
@given(number=numbers)
@example(number=Decimal("0.000000000000000001"))
@example(number=Decimal("999999999999999999.999999999999999999"))
@example(number=Decimal("1E+17"))
@example(number=Decimal("-0"))
def test_a_decimal_keeps_its_value_to_the_last_digit(connection: Connection, number: Decimal):
    found = round_trip(connection, number=number).number
    assert type(found) is Decimal
    assert found == number


@one_database
@given(at=instants)
def test_an_instant_is_the_same_and_comes_back_as_utc(connection: Connection, at: datetime):
    found = round_trip(connection, at=at).at
    assert found == at
    assert found.utcoffset() == timedelta(0)


@one_database
@given(moments=st.lists(instants, min_size=2, max_size=8))
def test_instants_sort_in_the_database_as_in_python(
    connection: Connection, moments: list[datetime]
):
    with connection.begin():
        connection.execute(SAMPLE.delete())
        connection.execute(SAMPLE.insert(), [{"at": at} for at in moments])
        ordered = list(connection.scalars(select(SAMPLE.c.at).order_by(SAMPLE.c.at)))
        middle = ordered[len(ordered) // 2]
        before = list(connection.scalars(select(SAMPLE.c.at).where(SAMPLE.c.at < middle)))
    assert ordered == sorted(moments)
    assert sorted(before) == [at for at in ordered if at < middle]


@one_database
@given(words=texts)
def test_text_is_kept_as_it_is(connection: Connection, words: str):
    row = round_trip(connection, words=words, body={"words": words})
    assert row.words == words
    assert row.body == {"words": words}


def test_absent_values_are_absent(connection: Connection):
    row = round_trip(connection, number=None, at=None)
    assert (row.number, row.at) == (None, None)


def test_a_time_without_zone_is_refused(connection: Connection):
    with pytest.raises(StatementError, match="no time zone"):
        round_trip(connection, at=datetime(2025, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    "number", [Decimal("NaN"), Decimal("Infinity"), Decimal("-Infinity"), 0.1, "0.1"], ids=repr
)
def test_what_is_not_a_finite_decimal_is_refused(connection: Connection, number: object):
    with pytest.raises(StatementError, match="finite"):
        round_trip(connection, number=number)


def test_the_present_is_utc(connection: Connection):
    at = datetime(2025, 6, 1, 12, 0, 0, 123456, tzinfo=UTC)
    assert round_trip(connection, at=at).at.isoformat() == "2025-06-01T12:00:00.123456+00:00"
