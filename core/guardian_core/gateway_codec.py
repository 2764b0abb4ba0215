"""What crosses the line between the gateway and its callers: values as JSON, errors as reports.

Used by the HTTP API, by the HTTP client and by the in-process client, so that a caller sees the
same values and the same error classes however it reaches the gateway.
"""

from http import HTTPStatus
from typing import Any, Final

from pydantic import TypeAdapter

from guardian_core.domain.errors import (
    Ambiguous,
    CallerError,
    ConfigurationError,
    Conflict,
    GuardianError,
    NotSent,
    Rejected,
    Unavailable,
)
from guardian_core.domain.snapshot import AccountSnapshot
from guardian_core.protocol import ErrorReport, PaperCommand

SNAPSHOT: Final[TypeAdapter[AccountSnapshot]] = TypeAdapter(AccountSnapshot)
PAPER_COMMAND: Final[TypeAdapter[PaperCommand]] = TypeAdapter(PaperCommand)

GATEWAY_LEASE = "gateway"
"""The lease of the one gateway that acts; its row holds the address that callers dial."""

SNAPSHOT_WITHIN_S = 2.0
"""The gateway's own limit for reading an account."""
READ_DEADLINE_S = 3.5
CHECK_DEADLINE_S = 15.0
"""A caller waits this long for a read: the gateway's limit, its database and the way there."""
SUBMIT_DEADLINE_S = 20.0
"""A caller waits this long for a decision: wait for the lane, cancel, create, read back, cancel."""


class UnknownAccount(CallerError):
    """No account of that name is known to the database."""

    def __init__(self, account: str) -> None:
        super().__init__("account", f"{account!r} is not known", "see `guardian accounts list`")


class NotHolder(Unavailable):
    """This gateway does not hold the lease; `holder_url` is where the holder answers, if known."""

    def __init__(self, holder_url: str = "") -> None:
        self.holder_url = holder_url
        super().__init__(f"another gateway holds the lease ({holder_url or 'none at the moment'})")


def report_of(error: BaseException) -> tuple[int, ErrorReport]:
    """The HTTP status and body that tell a caller of this error.

    What is not one of our own errors is told as `internal`, without its text.
    """
    status, code = _status_and_code(error)
    message, field, holder_url = str(error), None, None
    if isinstance(error, CallerError):
        field = error.field
        message = message.removeprefix(f"{field}: ")
    elif isinstance(error, Conflict):
        message = message.removeprefix(f"{error.code}: ")
    elif isinstance(error, NotHolder):
        holder_url = error.holder_url or None
    elif code == "internal":
        message = f"the gateway failed: {type(error).__name__}; its log says more"
    return status, ErrorReport(code=code, message=message, field=field, holder_url=holder_url)


def _status_and_code(error: BaseException) -> tuple[int, str]:
    if isinstance(error, Conflict):
        return 409, error.code
    for kind, status, code in _STATUS:
        if isinstance(error, kind):
            return status, code
    return 500, "internal"


_STATUS: Final = (
    # A subclass stands before its base.
    (NotHolder, 421, "not_holder"),
    (UnknownAccount, 404, "unknown_account"),
    (CallerError, 400, "invalid"),
    (NotSent, 503, "not_sent"),
    (Unavailable, 503, "unavailable"),
    (Ambiguous, 504, "ambiguous"),
    (Rejected, 502, "rejected"),
    (ConfigurationError, 500, "configuration"),
)


def error_of(status: int, report: ErrorReport, *, writing: bool) -> GuardianError:  # noqa: PLR0911
    """The error that a caller raises for a report: `report_of` backwards.

    `writing`: an answer that does not say what happened leaves a decision Ambiguous and a read
    Unavailable.
    """
    match status:
        case 400:
            return CallerError(report.field or "request", report.message)
        case 401:
            return ConfigurationError(f"the gateway refused our token: {report.message}")
        case 404 if report.code == "unknown_account":
            return CallerError(report.field or "account", report.message)
        case 404:
            return ConfigurationError(f"that address is not a gateway's: {report.message}")
        case 409:
            return Conflict(report.code, report.message)
        case 421:
            # Only a holder acts, so a decision that met another gateway was surely not sent.
            return NotSent(report.message) if writing else Unavailable(report.message)
        case 503 if report.code == "not_sent":
            return NotSent(report.message)
        case 500 if report.code == "configuration":
            return ConfigurationError(report.message)
        case _:
            kind = f"{_phrase(status)} ({report.code}): {report.message}"
            return Ambiguous(kind) if writing else Unavailable(kind)


def no_answer(within_s: float, *, writing: bool) -> GuardianError:
    """The error for a gateway that did not answer in time."""
    message = f"the gateway did not answer within {within_s:g} s"
    return Ambiguous(message) if writing else Unavailable(message)


def read_report(status: int, body: bytes) -> ErrorReport:
    """The report in a non-2xx answer; a stranger's page becomes one that says so."""
    try:
        return ErrorReport.model_validate_json(body)
    except ValueError:
        return ErrorReport(code="unreadable", message=f"{_phrase(status)} without a report")


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def dump_snapshot(snapshot: AccountSnapshot) -> bytes:
    return SNAPSHOT.dump_json(snapshot)


def load_snapshot(body: bytes) -> AccountSnapshot:
    return SNAPSHOT.validate_json(body)


def dump_paper_command(command: Any) -> bytes:
    return PAPER_COMMAND.dump_json(command)
