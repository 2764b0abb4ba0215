"""Every call to a venue goes through here: its tokens, its time limit, its honest error.

1. A read ends within its limit with an answer or with Unavailable.
2. A write that may have left ends in an answer, Rejected, OrderGone, NotSent or Ambiguous.
   Whatever an adapter raises besides is its bug, and Ambiguous too: it may have left.
3. Time spent waiting for tokens counts as not sent.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from loguru import logger

from guardian_core.domain.errors import (
    Ambiguous,
    CallerError,
    ConfigurationError,
    GuardianError,
    NotSent,
    OrderGone,
    Rejected,
    Unavailable,
)
from guardian_core.metrics import GatewayMetrics
from guardian_gateway.budget import Budget

T = TypeVar("T")

READ_WITHIN_S = 2.0
WRITE_WITHIN_S = 3.0
TOKENS_WITHIN_S = 3.0

_SURE = (Rejected, NotSent, OrderGone, CallerError, ConfigurationError, Ambiguous)
"""Errors that a write may raise and that mean what they say."""


class VenueCalls:
    """The way to one account's venue."""

    def __init__(self, account: str, budget: Budget, metrics: GatewayMetrics) -> None:
        self._account = account
        self._budget = budget
        self._metrics = metrics

    async def read(
        self, call: str, ask: Callable[[], Awaitable[T]], within_s: float = READ_WITHIN_S
    ) -> T:
        """The answer, or Unavailable within `within_s` (tokens included)."""
        try:
            async with asyncio.timeout(within_s):
                await self._budget.spend(writing=False)
                with self._measured(call):
                    return await ask()
        except TimeoutError as error:
            raise Unavailable(f"{call}: no answer within {within_s:g} s") from error
        except GuardianError:
            raise
        except Exception as error:
            logger.exception("{} of {} failed inside its adapter", call, self._account)
            raise Unavailable(f"{call} failed: {type(error).__name__}") from error

    async def ease(self) -> None:
        """To be awaited before each of many reads that nobody waits for: the guarding's own must
        find their tokens."""
        await self._budget.ease()

    async def reserve(self, calls: int = 1) -> None:
        """Takes the tokens of writes about to come. Raises NotSent when there are none in time."""
        try:
            async with asyncio.timeout(TOKENS_WITHIN_S):
                await self._budget.spend(calls, writing=True)
        except TimeoutError as error:
            raise NotSent(f"no rate token within {TOKENS_WITHIN_S:g} s") from error

    async def write(self, call: str, send: Callable[[], Awaitable[T]]) -> T:
        """Sends; tokens have been reserved before."""
        try:
            async with asyncio.timeout(WRITE_WITHIN_S):
                with self._measured(call):
                    return await send()
        except TimeoutError as error:
            raise Ambiguous(f"{call}: no answer within {WRITE_WITHIN_S:g} s") from error
        except _SURE:
            raise
        except Unavailable as error:
            raise Ambiguous(f"{call}: {error}") from error
        except Exception as error:
            logger.exception("{} of {} failed inside its adapter", call, self._account)
            raise Ambiguous(f"{call} failed: {type(error).__name__}") from error

    def _measured(self, call: str) -> AbstractContextManager[object]:
        return self._metrics.venue_call_seconds.labels(self._account, call).time()
