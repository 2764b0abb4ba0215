"""Errors by whose fault they are, and by whether the outcome of a write is known.

GuardianError
├── CallerError            the request is wrong; names the field and the fix
├── ConfigurationError     the installation is wrong; names the setting and the fix
├── Conflict               somebody else was first, or the caller's view is old: gather anew
├── Unavailable            a read failed, or a write was surely not sent: retry is safe
│   └── NotSent
├── Rejected               the venue surely refused the write; `reason` is a RejectReason
├── Ambiguous              the write may have happened: look its id up before anything else
└── InvariantBroken        our own mistake: stop the smallest scope, tell a human
"""

from enum import StrEnum


class GuardianError(Exception):
    """Base of all errors that Position Guardian raises on purpose."""


class CallerError(GuardianError):
    """The caller's input is wrong. `field` is the input's name, `fix` says what would be right."""

    def __init__(self, field: str, problem: str, fix: str = "") -> None:
        self.field = field
        self.problem = problem
        self.fix = fix
        super().__init__(f"{field}: {problem}" + (f" ({fix})" if fix else ""))


class ConfigurationError(GuardianError):
    """The installation is set up wrongly; the message names the setting and the fix."""


class Conflict(GuardianError):
    """The caller acted on an old view (`code` tells which check failed); nothing was sent."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(f"{code}: {message}")


class Unavailable(GuardianError):
    """A peer (database, gateway, venue) did not answer a read. Nothing was changed."""


class NotSent(Unavailable):
    """A write surely did not reach the venue. Sending it again is safe."""


class RejectReason(StrEnum):
    """Why a venue surely refused an order. Only what is listed here counts as a definite reject."""

    INSUFFICIENT_FUNDS = "insufficient_funds"
    INVALID_ORDER = "invalid_order"
    BELOW_MINIMUM = "below_minimum"
    CROSSED = "crossed"
    """A trigger level that the price has already passed."""
    REDUCE_ONLY = "reduce_only"
    """Nothing left to reduce: the position is smaller than the caller believed."""
    DUPLICATE_ID = "duplicate_id"
    UNKNOWN_SYMBOL = "unknown_symbol"
    NOT_PERMITTED = "not_permitted"
    RATE_LIMITED = "rate_limited"
    NOT_SENT = "not_sent"
    """We never sent it: abandoned before the request left (no venue saw it)."""
    EXPIRED = "expired"
    """An entry older than its account allows: too late is worse than none."""
    OVER_LIMIT = "over_limit"
    """An entry that the account's own limits forbid."""


class Rejected(GuardianError):
    """The venue surely refused the write; nothing changed there."""

    def __init__(self, reason: RejectReason, message: str) -> None:
        self.reason = reason
        super().__init__(f"{reason.value}: {message}")


class Ambiguous(GuardianError):
    """A write was sent and its outcome is not known. Never retry without a look-up by id."""


class OrderGone(GuardianError):
    """The order to cancel or amend is not working any more: cancelled, filled, or never was."""


class InvariantBroken(GuardianError):
    """Something that our own code promises did not hold."""
