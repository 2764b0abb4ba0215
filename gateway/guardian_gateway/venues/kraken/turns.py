"""Whose turn it is to send: Kraken refuses a request whose nonce is below one that came before.

Nonces rise as requests leave, so requests that are under way together may arrive in another order.
Questions are asked one at a time. A write goes before whatever waits, and does not wait for the
question that is under way: that one may be refused for it, and is asked again. No question leaves
while a write is under way.

A write that does not get its turn soon is not sent at all: it must not leave so late that it could
still take effect when it counts as lost, and what was not sent may be tried again at once.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from guardian_core.domain.errors import NotSent

TURN_WITHIN_S = 1.0


class Turns:
    def __init__(self) -> None:
        self._questions = asyncio.Lock()
        self._writes = asyncio.Lock()

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        async with self._questions:
            async with self._writes:
                pass
            yield

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Raises NotSent."""
        try:
            async with asyncio.timeout(TURN_WITHIN_S):
                await self._writes.acquire()
        except TimeoutError:
            raise NotSent(f"its turn did not come within {TURN_WITHIN_S:g} s") from None
        try:
            yield
        finally:
            self._writes.release()
