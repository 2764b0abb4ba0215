"""For tests that run on an event loop of their own."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def to_its_end(test: Coroutine[Any, Any, None]) -> None:
    """Ends what the test left running, so that nothing outlives its loop."""
    try:
        await test
    finally:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
