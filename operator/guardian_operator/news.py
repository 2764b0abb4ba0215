"""News of accounts, from the gateway: where something happened is looked at now."""

import asyncio
from collections.abc import Callable

from loguru import logger

from guardian_core.ports import Bus

AGAIN_AFTER_S = 1.0


async def hear(news: Bus, moved: Callable[[str], None]) -> None:
    """Names each account that moved, until the bus is closed. Without news every account is looked
    at in its turn, so nothing that becomes of them touches the guarding."""
    while True:
        try:
            async for message in news.subscribe():
                moved(message.get("account", ""))
            return
        except Exception as error:
            logger.warning("news of the accounts cannot be heard: {}", type(error).__name__)
        await asyncio.sleep(AGAIN_AFTER_S)
