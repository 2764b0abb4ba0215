"""What crosses the line comes out as it went in: values, and the classes of errors."""

from decimal import Decimal

import pytest

from guardian_core.domain.errors import (
    Ambiguous,
    CallerError,
    ConfigurationError,
    Conflict,
    GuardianError,
    InvariantBroken,
    NotSent,
    OrderGone,
    Rejected,
    RejectReason,
    Unavailable,
)
from guardian_core.gateway_codec import (
    NotHolder,
    UnknownAccount,
    error_of,
    read_report,
    report_of,
)

CALLER = CallerError("quantity", "is too small", "send more")


@pytest.mark.parametrize(
    ("error", "status", "reading", "writing"),
    [
        (CALLER, 400, CallerError, CallerError),
        (UnknownAccount("nobody"), 404, CallerError, CallerError),
        (Conflict("busy", "wait"), 409, Conflict, Conflict),
        (NotHolder("http://b:1"), 421, Unavailable, NotSent),
        (NotSent("down"), 503, NotSent, NotSent),
        (Unavailable("down"), 503, Unavailable, Ambiguous),
        (Ambiguous("who knows"), 504, Unavailable, Ambiguous),
        (ConfigurationError("venue"), 500, ConfigurationError, ConfigurationError),
        (Rejected(RejectReason.CROSSED, "no"), 502, Unavailable, Ambiguous),
        (OrderGone("gone"), 500, Unavailable, Ambiguous),
        (InvariantBroken("us"), 500, Unavailable, Ambiguous),
        (ValueError("us"), 500, Unavailable, Ambiguous),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_an_error_reaches_its_caller_as_what_it_means(
    error: Exception, status: int, reading: type[GuardianError], writing: type[GuardianError]
) -> None:
    told, report = report_of(error)
    assert told == status
    again = read_report(told, report.model_dump_json().encode())
    assert type(error_of(told, again, writing=False)) is reading
    assert type(error_of(told, again, writing=True)) is writing


def every_error(base: type[GuardianError] = GuardianError) -> set[type[GuardianError]]:
    return {base}.union(*(every_error(kind) for kind in base.__subclasses__()))


def test_every_error_of_ours_has_been_thought_of() -> None:
    """A new class must be given its status here, or be told as `internal` on purpose. The API
    server's are none of the gateway's: it knows no Kubernetes."""
    ours = {
        kind
        for kind in every_error()
        if kind.__module__.startswith("guardian_core.")
        and not kind.__module__.startswith("guardian_core.cluster.")
    }
    assert ours == {
        GuardianError, CallerError, UnknownAccount, ConfigurationError, Conflict, Unavailable,
        NotSent, NotHolder, Rejected, Ambiguous, OrderGone, InvariantBroken,
    }  # fmt: skip


def test_a_callers_error_keeps_its_field_and_words() -> None:
    again = error_of(*report_of(CALLER), writing=True)
    assert isinstance(again, CallerError)
    assert (again.field, str(again)) == ("quantity", str(CALLER))


def test_a_conflict_keeps_its_code_and_words() -> None:
    conflict = Conflict("stale_revision", "decided on 1, now at 2")
    again = error_of(*report_of(conflict), writing=True)
    assert isinstance(again, Conflict)
    assert (again.code, str(again)) == ("stale_revision", str(conflict))


def test_an_error_that_is_not_ours_tells_no_words_of_its_own() -> None:
    _, report = report_of(ValueError(f"key={Decimal(42)} secret"))
    assert "secret" not in report.message


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"code": 3}'])
def test_a_strangers_page_becomes_a_report_that_says_so(body: bytes) -> None:
    report = read_report(502, body)
    assert report.code == "unreadable"
    assert isinstance(error_of(502, report, writing=True), Ambiguous)
