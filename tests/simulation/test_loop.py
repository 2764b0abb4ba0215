"""The virtual-time loop and its mortal processes, before anything real runs on them."""

import asyncio
import gc
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest

from tests.simulation.loop import EPOCH, Stuck, VirtualClock, VirtualTimeLoop
from tests.simulation.mortal import Process, ask, bury_all, task_factory


@pytest.fixture
def loop() -> Iterator[VirtualTimeLoop]:
    with closing(_new_loop(seed=1)) as made:
        yield made


def _new_loop(seed: int) -> VirtualTimeLoop:
    loop = VirtualTimeLoop(seed)
    loop.set_task_factory(task_factory)
    return loop


def test_an_hour_of_sleep_takes_no_time(loop: VirtualTimeLoop) -> None:
    started = time.monotonic()

    async def sleep() -> None:
        clock = VirtualClock(loop)
        await asyncio.sleep(3600)
        assert 3600 <= clock.monotonic() < 3601
        assert 3600 <= (clock.now() - EPOCH).total_seconds() < 3601

    loop.run_until_complete(sleep())
    assert time.monotonic() - started < 1


def test_a_timeout_follows_virtual_time(loop: VirtualTimeLoop) -> None:
    async def wait() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.sleep(50)
        assert 5 <= loop.time() < 5.1

    loop.run_until_complete(wait())


def test_a_timer_is_never_early(loop: VirtualTimeLoop) -> None:
    late: list[float] = []

    async def sleep(seconds: float) -> None:
        due = loop.time() + seconds
        await asyncio.sleep(seconds)
        late.append(loop.time() - due)

    async def many() -> None:
        await asyncio.gather(*(sleep(i % 7 / 10) for i in range(100)))

    loop.run_until_complete(many())
    assert min(late) >= 0
    assert max(late) < 0.01


def test_the_same_seed_gives_the_same_order_and_another_seed_another() -> None:
    assert _order_of(1) == _order_of(1)
    assert len({_order_of(seed) for seed in range(10)}) > 1


def test_tasks_of_one_process_keep_their_order() -> None:
    for seed in range(20):
        by_process: dict[str, list[int]] = {"a": [], "b": []}
        for name, number in _ready_order(seed):
            by_process[name].append(number)
        assert by_process == {"a": [0, 1, 2], "b": [0, 1, 2]}


def test_a_thread_is_refused(loop: VirtualTimeLoop) -> None:
    async def wants_a_thread() -> None:
        await asyncio.to_thread(time.monotonic)

    with pytest.raises(RuntimeError, match="wants a thread"):
        loop.run_until_complete(wants_a_thread())


def test_waiting_for_nothing_is_an_error_and_not_for_ever(loop: VirtualTimeLoop) -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stuck, match="no timer"):
        loop.run_until_complete(wait())
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]


def test_a_spinning_task_is_an_error_and_not_for_ever(loop: VirtualTimeLoop) -> None:
    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Stuck, match="spins"):
        loop.run_until_complete(spin())
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]


class TestKill:
    def test_nothing_of_the_process_runs_afterwards(self) -> None:
        told: list[str] = []

        @asynccontextmanager
        async def resource() -> Any:
            try:
                yield
            finally:
                told.append("closed")

        async def child() -> None:
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                told.append("cancelled")
                raise
            finally:
                told.append("finally")

        async def main() -> None:
            asyncio.get_running_loop().call_later(3, told.append, "timer")
            async with resource(), asyncio.timeout(5), asyncio.TaskGroup() as group:
                group.create_task(child())
                group.create_task(child())
                told.append("started")

        assert run_and_kill(main, after_s=2, told=told) == ["started"]

    def test_another_process_lives_on(self) -> None:
        loop = _new_loop(seed=3)
        ticks: list[str] = []

        async def tick(name: str) -> None:
            while True:
                await asyncio.sleep(1)
                ticks.append(name)

        first, second = Process("first", loop), Process("second", loop)
        first.start(lambda: tick("first"))
        second.start(lambda: tick("second"))
        loop.run_until_complete(asyncio.sleep(3.5))
        first.kill()
        loop.run_until_complete(asyncio.sleep(3))
        loop.close()
        bury_all([first, second])
        assert ticks.count("first") == 3
        assert ticks.count("second") == 6

    @pytest.mark.parametrize("step", range(1, 9))
    def test_it_may_come_at_any_await(self, step: int) -> None:
        done: list[int] = []

        async def main() -> None:
            for number in range(10):
                await asyncio.sleep(1)
                done.append(number)

        loop = _new_loop(seed=step)
        process = Process("doomed", loop)
        process.doom(step)
        process.start(main)
        loop.run_until_complete(asyncio.sleep(60))
        loop.close()
        bury_all([process])
        # Its n-th step would have been the end of its (n-1)th sleep.
        assert done == list(range(max(0, step - 2)))
        assert not process.alive

    def test_what_it_had_asked_for_still_happens(self) -> None:
        effects: list[str] = []
        loop = _new_loop(seed=4)

        async def request() -> str:
            await asyncio.sleep(1)
            effects.append("happened")
            return "answer"

        async def main() -> None:
            effects.append(await ask(loop, request))

        process = Process("client", loop)
        process.start(main)
        loop.run_until_complete(asyncio.sleep(0.5))
        process.kill()
        loop.run_until_complete(asyncio.sleep(5))
        loop.close()
        bury_all([process])
        assert effects == ["happened"]

    @pytest.mark.filterwarnings("error")
    def test_the_end_of_a_run_is_quiet(self, capfd: pytest.CaptureFixture[str]) -> None:
        async def main() -> None:
            event = asyncio.Event()
            tasks = [asyncio.create_task(event.wait()) for _ in range(3)]
            try:
                await asyncio.gather(*tasks)
            finally:
                await asyncio.sleep(1)

        run_and_kill(main, after_s=2)
        gc.collect()
        assert capfd.readouterr().err == ""


def run_and_kill(
    main: Callable[[], Coroutine[Any, Any, None]], after_s: float, told: Sequence[str] = ()
) -> list[str]:
    """What was told by the end of the run, before the dead are buried."""
    loop = _new_loop(seed=2)
    process = Process("victim", loop)
    process.start(main)
    loop.run_until_complete(asyncio.sleep(after_s))
    process.kill()
    loop.run_until_complete(asyncio.sleep(30))
    loop.close()
    gc.collect()
    at_the_end = list(told)
    bury_all([process])
    return at_the_end


def _order_of(seed: int) -> tuple[int, ...]:
    order: list[int] = []

    async def sleep(number: int) -> None:
        await asyncio.sleep(1)
        order.append(number)

    async def many() -> None:
        await asyncio.gather(*(sleep(number) for number in range(6)))

    with closing(_new_loop(seed)) as loop:
        loop.run_until_complete(many())
    return tuple(order)


def _ready_order(seed: int) -> list[tuple[str, int]]:
    order: list[tuple[str, int]] = []

    async def step(name: str, number: int) -> None:
        order.append((name, number))

    async def main(name: str) -> None:
        await asyncio.gather(*(step(name, number) for number in range(3)))

    loop = _new_loop(seed)
    processes = [Process("a", loop), Process("b", loop)]
    for process in processes:
        process.start(lambda name=process.name: main(name))  # type: ignore[misc]
    loop.run_until_complete(asyncio.sleep(1))
    loop.close()
    bury_all(processes)
    return order
