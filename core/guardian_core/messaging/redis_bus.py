"""The bus over Redis pub/sub, for services in processes of their own."""

import asyncio
import json
from collections.abc import AsyncIterator

from loguru import logger
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from guardian_core.domain.errors import Unavailable

CALL_TIMEOUT_S = 1.0
POLL_S = 1.0
"""How long a read of the subscription waits before it looks whether the bus was closed."""
HEALTH_CHECK_S = 5.0
"""A subscription with nothing to read sends a PING this often, so a dead peer is noticed."""
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 2.0


class RedisBus:
    """Publishes and subscribes on one channel; a subscription outlives Redis going away."""

    def __init__(self, url: str, channel: str) -> None:
        self._channel = channel
        self._closed = False
        self._redis: Redis = Redis.from_url(
            url,
            socket_timeout=CALL_TIMEOUT_S + POLL_S,
            socket_connect_timeout=CALL_TIMEOUT_S,
            health_check_interval=HEALTH_CHECK_S,
            decode_responses=True,
        )

    async def publish(self, message: dict[str, str]) -> None:
        """Raises Unavailable when Redis did not take the message within CALL_TIMEOUT_S."""
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                await self._publish(json.dumps(message))
        except (RedisError, OSError) as error:
            raise Unavailable(f"redis did not take the message: {_name(error)}") from error

    async def _publish(self, text: str) -> None:
        try:
            await self._redis.publish(self._channel, text)
        except RedisConnectionError:
            # The idle connections may all have died with the last server. A wake-up that went
            # out twice does no harm.
            await self._redis.connection_pool.disconnect(inuse_connections=False)
            await self._redis.publish(self._channel, text)

    async def subscribe(self) -> AsyncIterator[dict[str, str]]:
        """Messages from the first read on; what is published while Redis is away is lost."""
        backoff_s = BACKOFF_FIRST_S
        while not self._closed:
            pubsub = self._redis.pubsub(ignore_subscribe_messages=True)
            try:
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    await pubsub.subscribe(self._channel)
                backoff_s = BACKOFF_FIRST_S
                async for message in self._messages(pubsub):
                    yield message
            except (RedisError, OSError) as error:
                logger.warning("redis is away ({}); again in {} s", _name(error), backoff_s)
                await asyncio.sleep(backoff_s)
                backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)
            finally:
                await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        self._closed = True
        await self._redis.aclose()

    async def _messages(self, pubsub: PubSub) -> AsyncIterator[dict[str, str]]:
        while not self._closed:
            received = await pubsub.get_message(timeout=POLL_S)
            if received is not None:
                message = _decode(received.get("data"))
                if message is not None:
                    yield message


def _decode(data: object) -> dict[str, str] | None:
    """None for what is no message of ours: anybody may publish on a channel."""
    try:
        message = json.loads(str(data))
    except ValueError:
        return None
    if not isinstance(message, dict):
        return None
    return {str(name): str(value) for name, value in message.items()}


def _name(error: BaseException) -> str:
    """The error's kind alone: its text may show the URL, and a URL may hold a password."""
    return type(error).__name__
