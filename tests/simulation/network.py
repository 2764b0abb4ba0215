"""The ways between processes: requests that get lost with their server, and wake-ups that may not
come at all."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from guardian_core.domain.errors import Unavailable
from tests.simulation.loop import OWNER, VirtualTimeLoop
from tests.simulation.mortal import Process, ask
from tests.simulation.weather import Weather

T = TypeVar("T")


class ConnectionRefused(Exception):
    """Nobody listens: the request surely did nothing."""


class ConnectionLost(Exception):
    """The server died, or its answer got lost: the request may have done anything."""


async def request(
    loop: VirtualTimeLoop,
    weather: Weather,
    server: Callable[[], Process | None],
    handle: Callable[[], Awaitable[T]],
) -> T:
    """Has `handle` run inside the server's process, and brings its answer back.

    It runs on there when the caller gives up or dies.
    """

    async def travel() -> T:
        await asyncio.sleep(weather.latency_s())
        process = server()
        if process is None or not process.alive or weather.happens(weather.odds.not_sent):
            raise ConnectionRefused
        value = await _inside(loop, process, handle)
        await asyncio.sleep(weather.latency_s() + weather.slowness_s())
        if weather.happens(weather.odds.lost_answer):
            raise ConnectionLost("the answer was lost")
        return value

    return await ask(loop, travel)


async def _inside(loop: VirtualTimeLoop, process: Process, handle: Callable[[], Awaitable[T]]) -> T:
    answer: asyncio.Future[T] = loop.create_future()

    async def serve() -> None:
        value: Any = None
        problem: Exception | None = None
        try:
            value = await handle()
        except Exception as error:
            problem = error
        if answer.done():
            return
        if problem is None:
            answer.set_result(value)
        else:
            answer.set_exception(problem)

    def died() -> None:
        if not answer.done():
            answer.set_exception(ConnectionLost(f"{process.name} died"))

    process.at_death[answer] = died
    process.start(serve)
    try:
        return await answer
    finally:
        del process.at_death[answer]


class Hub:
    """What Redis is to the processes: everybody hears, unless it gets lost."""

    def __init__(self, loop: VirtualTimeLoop, weather: Weather) -> None:
        self._loop = loop
        self._weather = weather
        self._listeners: list[tuple[Process, asyncio.Queue[dict[str, str]]]] = []

    def listen(self, process: Process) -> asyncio.Queue[dict[str, str]]:
        self._listeners = [each for each in self._listeners if each[0].alive]
        queue: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._listeners.append((process, queue))
        return queue

    async def tell(self, message: dict[str, str]) -> None:
        async def travel() -> None:
            await asyncio.sleep(self._weather.latency_s())
            if self._weather.odds.away:
                raise Unavailable("the bus is away")
            for process, queue in self._listeners:
                if process.alive and not self._weather.happens(self._weather.odds.lost_answer):
                    queue.put_nowait(dict(message))

        await ask(self._loop, travel)


class SimulatedBus:
    """`guardian_core.ports.Bus` as one process has it."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def publish(self, message: dict[str, str]) -> None:
        await self._hub.tell(message)

    def subscribe(self) -> AsyncIterator[dict[str, str]]:
        process = OWNER.get()
        assert isinstance(process, Process)
        return _messages(self._hub.listen(process))

    async def close(self) -> None:
        return None


async def _messages(queue: asyncio.Queue[dict[str, str]]) -> AsyncIterator[dict[str, str]]:
    while True:
        yield await queue.get()
