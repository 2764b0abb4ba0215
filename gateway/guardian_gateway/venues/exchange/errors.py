"""What an error of ccxt means: surely refused, surely not sent, gone, or unknown.

1. A refusal is believed only when the venue's own code is on the adapter's list, or when ccxt
   refused before anything was sent. Everything else may have happened.
2. Words that reach a caller are the venue's message and our own: ccxt's texts carry whole
   requests, with their signature.
"""

import binascii
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp
import ccxt  # type: ignore[import-untyped]

from guardian_core.domain.errors import (
    Ambiguous,
    CallerError,
    ConfigurationError,
    GuardianError,
    NotSent,
    OrderGone,
    Rejected,
    RejectReason,
    Unavailable,
)

LONGEST_MESSAGE = 200


class Strange(ValueError):
    """An answer that is not what the endpoint promises: after a write, nobody knows."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How the venue answered what ccxt then raised an error for. `status`: HTTP's."""

    status: int
    code: str = ""
    message: str = ""
    retry_after_s: float | None = None


class Refusal(Exception):
    """A refusal that came inside of an answer which ccxt takes for a success."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(answer.code)


@dataclass(frozen=True, slots=True)
class ErrorTable:
    """A venue's codes. `refused`: surely not done, and why; `worded`: codes that mean several
    things, told apart by a part of their message, the first that fits; `gone`: there is no such
    working order; `unclocked`: refused because the request's time was off, so never done;
    `overloaded`: refused by a server that was too busy, whatever HTTP status it came with; `late`:
    the request took too long or its time was off, and nobody knows what came of it; `slow_down`:
    asks to be left alone for a while, as HTTP's 429 does.
    """

    refused: Mapping[str, RejectReason]
    worded: Mapping[str, tuple[tuple[str, RejectReason], ...]] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()
    unclocked: frozenset[str] = frozenset()
    overloaded: frozenset[str] = frozenset()
    late: frozenset[str] = frozenset()
    slow_down: frozenset[str] = frozenset()

    def reason(self, answer: Answer) -> RejectReason | None:
        """Why the venue surely refused; None when that is not sure."""
        if answer.code in self.overloaded:
            return RejectReason.RATE_LIMITED
        if answer.status >= 500:
            return None
        for text, reason in self.worded.get(answer.code, ()):
            if text.lower() in answer.message.lower():
                return reason
        if answer.code in self.refused:
            return self.refused[answer.code]
        return RejectReason.RATE_LIMITED if answer.status in (418, 429) else None


def answer_of(error: BaseException) -> Answer | None:
    """What the venue answered, where it did."""
    answer = getattr(error, "answer", None)
    return answer if isinstance(answer, Answer) else None


def of_write(error: Exception, table: ErrorTable, what: str) -> GuardianError:
    """The error that a write ends in. `what`: the write, in words."""
    answer = answer_of(error)
    words = f"{what}: {_words(error, answer)}"
    if answer is not None:
        if answer.code in table.gone:
            return OrderGone(words)
        if answer.code in table.unclocked:
            return NotSent(words)
        reason = table.reason(answer)
        return Rejected(reason, words) if reason is not None else Ambiguous(words)
    if isinstance(error, _UNUSABLE_KEYS):
        return ConfigurationError(f"{what}: the account's keys are not complete")
    if isinstance(error, _BEFORE_SENDING):
        return Rejected(RejectReason.INVALID_ORDER, words)
    if isinstance(error, ccxt.ExchangeClosedByUser) or never_left(error):
        return NotSent(words)
    return Ambiguous(words)


def of_read(error: Exception, table: ErrorTable, what: str) -> GuardianError:
    """The error that a read ends in."""
    answer = answer_of(error)
    words = f"{what}: {_words(error, answer)}"
    if answer is not None and answer.code in table.gone:
        return OrderGone(words)
    if answer is not None and table.reason(answer) is RejectReason.UNKNOWN_SYMBOL:
        return CallerError("Symbol", f"the venue does not know it ({words})")
    if answer is None and isinstance(error, _UNUSABLE_KEYS):
        return ConfigurationError(f"{what}: the account's keys are not complete")
    return Unavailable(words)


def of_stream(error: Exception) -> Unavailable:
    """The error that a stream ends in."""
    return Unavailable(f"the order stream: {_words(error, answer_of(error))}")


_UNUSABLE_KEYS = (ccxt.AuthenticationError, binascii.Error)
"""Raised without an answer: a key is missing, or the secret is not base64 where it must be."""

_BEFORE_SENDING = (ccxt.ArgumentsRequired, ccxt.NotSupported, ccxt.BadSymbol)
"""Raised by ccxt itself, without an answer of the venue: it did not send."""


def never_left(error: BaseException) -> bool:
    """Whether no connection came about, so that nothing can have been sent."""
    cause = error.__cause__ or error.__context__
    return isinstance(
        cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | socket.gaierror
    )


def _words(error: Exception, answer: Answer | None) -> str:
    if answer is None:
        return "no connection" if never_left(error) else _KINDS.get(type(error).__name__, "failed")
    parts = [f"HTTP {answer.status}" if not answer.code else f"code {answer.code}"]
    if answer.message:
        parts.append(answer.message[:LONGEST_MESSAGE])
    return ", ".join(parts)


_KINDS = {
    "RequestTimeout": "no answer in time",
    "ExchangeNotAvailable": "the connection broke",
    "NetworkError": "the connection broke",
    "AuthenticationError": "the login was refused",
    "ExchangeClosedByUser": "the client is closed",
    "NotSupported": "ccxt does not support it",
    "ArgumentsRequired": "an argument is missing",
}
