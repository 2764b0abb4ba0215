"""Simulated processes that can be killed at any await, as by `kill -9`.

1. Every task started inside a process belongs to it, however deep (its context says so).
2. After `kill` no task, callback or timer of the process runs another step: no `finally`, no
   `except CancelledError`. What it held stays alive, so that the garbage collector closes nothing.
3. What the process had sent (see `Process.ask`) goes on without it; nobody hears the answer.
4. A process may be doomed to die at its n-th step, that is at any of its awaits.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any, TypeVar

from tests.simulation.loop import OWNER, VirtualTimeLoop

T = TypeVar("T")


class Process:
    """One life of a simulated process."""

    def __init__(self, name: str, loop: VirtualTimeLoop) -> None:
        self.name = name
        self.alive = True
        self.steps = 0
        self.at_death: dict[object, Callable[[], None]] = {}
        """Called once, outside of the process, at its death."""
        self._loop = loop
        self._dies_at_step: int | None = None
        self._tasks: dict[_MortalCoroutine, asyncio.Task[Any] | None] = {}

    def start(self, main: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """Runs `main` as this process."""
        context = copy_context()
        context.run(OWNER.set, self)
        return self._loop.create_task(context.run(main), context=context)

    def doom(self, steps: int) -> None:
        """Lets it live for so many steps more."""
        self._dies_at_step = self.steps + steps

    def spare(self) -> None:
        """Takes its doom back."""
        self._dies_at_step = None

    def kill(self) -> None:
        if self.alive:
            self.alive = False
            for call in list(self.at_death.values()):
                call()

    def may_step(self) -> bool:
        self.steps += 1
        if self.steps == self._dies_at_step:
            self.kill()
        return self.alive

    def adopt(self, coroutine: "_MortalCoroutine", task: asyncio.Task[Any]) -> None:
        self._tasks[coroutine] = task

    def forget(self, coroutine: "_MortalCoroutine") -> None:
        self._tasks.pop(coroutine, None)

    def bury(self) -> None:
        """After the loop has closed: drops what was held, without a word from it."""
        self.alive = False
        for coroutine, task in self._tasks.items():
            if task is not None:
                task._log_destroy_pending = False  # type: ignore[attr-defined]
            coroutine.dispose()
        self._tasks.clear()


async def ask(loop: VirtualTimeLoop, request: Callable[[], Awaitable[T]]) -> T:
    """Runs a request in the world outside: it goes on when its caller dies or gives up."""
    reply: asyncio.Future[T] = loop.create_future()
    caller = OWNER.get()

    async def serve() -> None:
        value: Any = None
        error: BaseException | None = None
        try:
            value = await request()
        except Exception as raised:
            error = raised
        if reply.done() or (caller is not None and not caller.alive):
            return
        if error is None:
            reply.set_result(value)
        else:
            reply.set_exception(error)
            reply.exception()

    spawn(loop, serve)
    return await reply


def spawn(loop: VirtualTimeLoop, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Starts a task of the world outside."""
    outside = copy_context()
    outside.run(OWNER.set, None)
    task = loop.create_task(work(), context=outside)
    _KEPT[task] = None
    task.add_done_callback(_drop, context=Context())


_KEPT: dict[asyncio.Task[None], None] = {}


def _drop(task: asyncio.Task[None]) -> None:
    _KEPT.pop(task, None)


def task_factory(
    loop: asyncio.AbstractEventLoop,
    coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
    *,
    context: Context | None = None,
    **options: Any,
) -> asyncio.Task[T]:
    """For `loop.set_task_factory`: makes the tasks of a process mortal."""
    owner = OWNER.get() if context is None else context.get(OWNER)
    if not isinstance(owner, Process):
        return asyncio.Task(coro, loop=loop, context=context, **options)
    mortal = _MortalCoroutine(coro, owner, loop)  # type: ignore[arg-type]
    task = asyncio.Task(mortal, loop=loop, context=context, **options)
    owner.adopt(mortal, task)
    return task


class _MortalCoroutine(Coroutine[Any, Any, Any]):
    """A coroutine each of whose steps asks first whether its process still lives."""

    def __init__(
        self, inner: Coroutine[Any, Any, Any], owner: Process, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._inner = inner
        self.owner = owner
        self._loop = loop
        self.__name__ = getattr(inner, "__name__", "coroutine")
        self.__qualname__ = getattr(inner, "__qualname__", "coroutine")

    def send(self, value: Any) -> Any:
        if not self.owner.may_step():
            return self._limbo()
        try:
            return self._inner.send(value)
        except BaseException:
            self.owner.forget(self)
            raise

    def throw(self, *raised: Any) -> Any:
        if not self.owner.may_step():
            return self._limbo()
        try:
            return self._inner.throw(*raised)
        except BaseException:
            self.owner.forget(self)
            raise

    def close(self) -> None:
        """Not while its process is dead: a killed process closes nothing."""

    def dispose(self) -> None:
        with suppress(BaseException):
            self._inner.close()

    def __await__(self) -> Generator[Any, None, Any]:
        return self._inner.__await__()

    def _limbo(self) -> "asyncio.Future[None]":
        """What a dead task waits for: nothing, for ever."""
        never = self._loop.create_future()
        never._asyncio_future_blocking = True
        return never


def is_dead(task: asyncio.Task[Any]) -> bool:
    """Whether the task was of a process that has died: nobody is left to hear what it raised."""
    coroutine: object = task.get_coro()
    return isinstance(coroutine, _MortalCoroutine) and not coroutine.owner.alive


def bury_all(processes: list[Process]) -> None:
    """Ends a run. What killed coroutines do in their last gasp reaches nobody."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda unraisable: None
    try:
        for process in processes:
            process.bury()
        for task in _KEPT:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        _KEPT.clear()
    finally:
        sys.unraisablehook = hook
