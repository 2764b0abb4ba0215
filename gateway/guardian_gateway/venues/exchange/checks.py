"""What is asked of an exchange account before it is trusted with orders."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from guardian_core.domain.errors import GuardianError, Unavailable
from guardian_gateway.venues.port import Venue

SKEW_MAX_MS = 1_000
"""More is worked around, and told: certificates and logs will suffer from it too."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, and how it was found. `asked` False: it could not be, for now,
    and `found` says why."""

    what: str
    ok: bool
    found: str
    asked: bool = True


@runtime_checkable
class CheckedVenue(Venue, Protocol):
    """A venue whose account can be looked over."""

    async def check(self) -> Sequence[Finding]:
        """Raises nothing: what cannot be asked is a finding."""
        ...


async def found_out(what: str, asking: Awaitable[Sequence[Finding]]) -> Sequence[Finding]:
    """What one question found, or, as a finding about `what`, why it found nothing."""
    try:
        return await asking
    except GuardianError as error:
        return [Finding(what, False, str(error), asked=not isinstance(error, Unavailable))]


def clock_finding(skew_ms: int) -> Finding:
    way = "ahead of" if skew_ms > 0 else "behind"
    found = f"{abs(skew_ms)} ms {way} the venue's"
    return Finding("clock", abs(skew_ms) <= SKEW_MAX_MS, found)


def trading_finding(allowed: bool) -> Finding:
    fix = "allowed" if allowed else "not allowed: enable it for this key at the exchange"
    return Finding("trading", allowed, fix)


def withdrawal_finding(allowed: bool) -> Finding:
    fix = "allowed: disable it for this key, it is not needed" if allowed else "not allowed"
    return Finding("withdrawal", not allowed, fix)


def key_findings(may_trade: bool, may_withdraw: bool, *, is_live: bool) -> list[Finding]:
    """What a key may do. Play money cannot be withdrawn."""
    trading = trading_finding(may_trade)
    return [trading, withdrawal_finding(may_withdraw)] if is_live else [trading]


def one_way_finding(told: str = "one-way") -> Finding:
    return Finding("position mode", True, told)
