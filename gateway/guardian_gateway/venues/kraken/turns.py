"""Whose turn it is to send: Kraken refuses a request whose nonce is below one that came before.

Nonces rise as requests leave, so requests that are under way together may arrive in another order.
Questions are asked one at a time. A write goes before whatever waits, and does not wait for the
question that is under way: that one may be refused for it, and is asked again. No question leaves
while a write is under way.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


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
        async with self._writes:
            yield
