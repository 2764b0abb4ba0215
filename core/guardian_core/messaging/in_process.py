"""The bus within one process."""

import asyncio
import weakref
from collections.abc import AsyncIterator

WAITING_MAX = 1_000
"""Messages that a slow subscriber may leave unread; beyond it the oldest go."""


class InProcessBus:
    """Hands each message to every subscription of this process, in the order published."""

    def __init__(self) -> None:
        # A reader that has gone takes its subscription with it.
        self._subscriptions: weakref.WeakSet[_Subscription] = weakref.WeakSet()
        self._closed = False

    async def publish(self, message: dict[str, str]) -> None:
        for subscription in self._subscriptions:
            subscription.put(message)

    def subscribe(self) -> AsyncIterator[dict[str, str]]:
        """Messages from now on; ends when the bus is closed."""
        subscription = _Subscription()
        if self._closed:
            subscription.put(None)
        self._subscriptions.add(subscription)
        return subscription

    async def close(self) -> None:
        self._closed = True
        for subscription in self._subscriptions:
            subscription.put(None)


class _Subscription:
    def __init__(self) -> None:
        self._waiting: asyncio.Queue[dict[str, str] | None] = asyncio.Queue(WAITING_MAX)

    def put(self, message: dict[str, str] | None) -> None:
        if self._waiting.full():
            self._waiting.get_nowait()
        self._waiting.put_nowait(message)

    def __aiter__(self) -> "_Subscription":
        return self

    async def __anext__(self) -> dict[str, str]:
        message = await self._waiting.get()
        if message is None:
            self.put(None)
            raise StopAsyncIteration
        return message
