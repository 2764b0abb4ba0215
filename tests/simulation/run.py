"""Plays seeds, and tells of a failure all that is needed to play it again."""

import asyncio
import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from loguru import logger

from tests.simulation.eventlog import EventLog
from tests.simulation.lanes import Violation
from tests.simulation.loop import VirtualTimeLoop
from tests.simulation.mortal import bury_all, is_dead, task_factory
from tests.simulation.mutants import planted
from tests.simulation.scenario import Scenario
from tests.simulation.shapes import SHAPES
from tests.simulation.world import World


@dataclass(frozen=True, slots=True)
class Result:
    """`digest`: of every event. `virtual_s`: how long the run was for the system inside."""

    seed: int
    shape: str
    digest: str
    virtual_s: float
    real_s: float
    events: int
    longest_naked_s: float
    alerts: int
    entries: int
    violation: Violation | None = None
    last: tuple[str, ...] = ()

    def report(self) -> str:
        shape = "" if self.shape == "plain" else f" --shape {self.shape}"
        again = f"python -m tests.simulation --seed {self.seed}{shape} --verbose"
        lines = [
            f"seed {self.seed}: {self.violation}",
            f"at {self.virtual_s:.3f} s of virtual time; the last events:",
            *self.last,
            f"seed {self.seed}: {self.violation}",
            f"again, with all of its log: {again}",
        ]
        return "\n".join(lines)


def play(scenario: Scenario, echo: Callable[[str], None] | None = None) -> Result:
    """One scenario, to its end or to the first broken promise."""
    started = time.perf_counter()
    loop = VirtualTimeLoop(scenario.seed)
    loop.set_task_factory(task_factory)
    log = EventLog(loop, echo)
    loop.set_exception_handler(lambda _, context: _unhandled(log, context))
    world = World(scenario, loop, log)
    violation: Violation | None = None
    deafen = log.listen()
    try:
        with _garbage_kept():
            loop.run_until_complete(world.run())
    except Violation as broken:
        violation = broken
    except Exception as error:
        violation = Violation("simulator", f"{type(error).__name__}: {error}")
        violation.__cause__ = error
    finally:
        deafen()
        virtual_s = loop.time()
        loop.close()
        bury_all(world.processes)
        gc.collect()
    return Result(
        seed=scenario.seed,
        shape=scenario.name,
        digest=log.digest(),
        virtual_s=virtual_s,
        real_s=time.perf_counter() - started,
        events=log.count,
        longest_naked_s=world.oracle.longest_naked_s,
        alerts=len(world.oracle.sent),
        entries=sum(len(lane.entries) for lane in world.oracle.lanes),
        violation=violation,
        last=tuple(log.last),
    )


@contextmanager
def _garbage_kept() -> Iterator[None]:
    """When the garbage collector comes depends on what the interpreter did before this run; and
    what it finds may speak up, of this world or of one before. It comes when it is called."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _unhandled(log: EventLog, context: dict[str, Any]) -> None:
    """A task's error that nobody looked at; of a task that lives, or ended as it should."""
    task = context.get("task") or context.get("future")
    if isinstance(task, asyncio.Task) and is_dead(task):
        return
    log.internal_errors.append(f"{context.get('message')}: {context.get('exception')!r}")


def silence() -> None:
    """Keeps the product's log lines out of the terminal."""
    with suppress(ValueError):
        logger.remove(0)


def main(seeds: list[int], *, verbose: bool, shape: str, mutant: str | None) -> int:
    """Exit status: 1 when a seed failed. With a planted bug that is what should happen."""
    silence()
    scenarios = [SHAPES[shape](seed) for seed in seeds]
    with planted(mutant) if mutant else nullcontext():
        return _play_all(scenarios, verbose=verbose, until_first=mutant is not None)


def _play_all(scenarios: list[Scenario], *, verbose: bool, until_first: bool) -> int:
    started, virtual_s, played, failed = time.perf_counter(), 0.0, 0, []
    for scenario in scenarios:
        result = play(scenario, print if verbose else None)
        virtual_s += result.virtual_s
        played += 1
        if result.violation is not None:
            failed.append(scenario.seed)
            print(result.report(), flush=True)
            if until_first:
                break
        elif sys.stdout.isatty() or verbose:
            print(_line(result), flush=True)
    real_s = time.perf_counter() - started
    print(
        f"{played} seeds, {len(failed)} failed; {virtual_s / 60:.0f} virtual minutes in"
        f" {real_s:.0f} s ({virtual_s / real_s:.0f} times real time)"
    )
    if failed:
        print("failed: " + ", ".join(map(str, failed)))
    return 1 if failed else 0


def _line(result: Result) -> str:
    return (
        f"seed {result.seed}: kept; {result.alerts} alerts, {result.entries} entries,"
        f" {result.events} events, naked at most {result.longest_naked_s:.1f} s,"
        f" {result.virtual_s / result.real_s:.0f} times real time, {result.digest}"
    )
