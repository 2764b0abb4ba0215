"""What the main of every service does: open what the settings name, run, stop on a signal."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import uvloop
from loguru import logger
from prometheus_client import CollectorRegistry

from guardian_core.clock import SystemClock
from guardian_core.domain.errors import ConfigurationError
from guardian_core.ids import SystemIds
from guardian_core.logs import setup_logging
from guardian_core.messaging import NEWS_CHANNEL, open_bus
from guardian_core.ports import Bus, Clock, Database, Ids
from guardian_core.settings import Settings, load_settings
from guardian_core.storage.database import open_database


@dataclass(frozen=True, slots=True)
class Parts:
    """The outside of one process, as its settings choose it. `bus` carries alerts, `news` which
    account has moved."""

    settings: Settings
    clock: Clock
    ids: Ids
    database: Database
    bus: Bus
    news: Bus
    registry: CollectorRegistry

    async def close(self) -> None:
        await self.bus.close()
        await self.news.close()
        await self.database.close()


def open_parts(settings: Settings) -> Parts:
    """Raises ConfigurationError for URLs that mean nothing here. Connects to nothing yet."""
    clock = SystemClock()
    bus, news = open_bus(settings.redis_url), open_bus(settings.redis_url, NEWS_CHANNEL)
    database = open_database(settings.database_url, clock=clock)
    return Parts(settings, clock, SystemIds(), database, bus, news, CollectorRegistry())


def run_service(name: str, serve: Callable[[Parts], Coroutine[Any, Any, None]]) -> None:
    """Runs a service until SIGTERM or SIGINT; exits 1 on a wrong configuration."""
    try:
        settings = load_settings()
        setup_logging(settings.log_format, settings.log_level, name)
        uvloop.run(_run(settings, serve))
    except ConfigurationError as error:
        sys.exit(f"{name}: {error}")


async def _run(settings: Settings, serve: Callable[[Parts], Coroutine[Any, Any, None]]) -> None:
    parts = open_parts(settings)
    try:
        await until_stopped(serve(parts))
    finally:
        await parts.close()


async def until_stopped(*running: Awaitable[None]) -> None:
    """Runs all until a stop signal, or until one of them ends; then cancels the rest.

    What ended one of them is raised.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    waiting = asyncio.ensure_future(stopped.wait())
    tasks = [asyncio.ensure_future(each) for each in running]
    try:
        done, _ = await asyncio.wait((waiting, *tasks), return_when=asyncio.FIRST_COMPLETED)
        if waiting in done:
            logger.info("stopping")
    finally:
        for task in (waiting, *tasks):
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    for result in results:
        if isinstance(result, Exception):
            raise result
