"""One simulated installation: processes, their shared database and venues, and what befalls them.

The services are the real ones, put together by their own `build` functions; only what lies
outside a process is simulated.
"""

import asyncio
import gc
import random
from collections.abc import Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass, replace
from typing import Any

from prometheus_client import CollectorRegistry

from guardian_core.domain.errors import GuardianError
from guardian_core.ports import NoMirror
from guardian_core.storage.accounts_store import put_account
from guardian_core.storage.inline import InlineDatabase
from guardian_core.storage.tokens import create_token
from guardian_engine.build import build_engine
from guardian_gateway.holder import Holder
from guardian_gateway.service import Gateway
from guardian_gateway.venues.paper import Rules
from guardian_operator.build import build_guardian
from guardian_receiver.committer import Committer, Waiting
from guardian_receiver.directory import Directory
from guardian_receiver.insert import Stored
from guardian_receiver.metrics import ReceiverMetrics
from guardian_receiver.publisher import Publisher
from guardian_receiver.reception import Reception, log_stored
from tests.simulation.eventlog import EventLog
from tests.simulation.faulty_database import FaultyDatabase
from tests.simulation.faulty_venue import Account, FaultyVenue
from tests.simulation.gateway_client import RemoteGatewayClient, Switchboard
from tests.simulation.loop import VirtualClock, VirtualTimeLoop
from tests.simulation.mortal import Process
from tests.simulation.network import ConnectionLost, ConnectionRefused, Hub, SimulatedBus, request
from tests.simulation.oracle import Oracle
from tests.simulation.rows import sql_reader
from tests.simulation.scenario import Scenario
from tests.simulation.weather import CALM, Answers, Odds, Weather
from tests.simulation.workload import Workload
from tests.support.ids import SeededIds

INSTALLATION = "simula"
CLOCK_SKEW_S = 0.3
"""How far a machine's wall clock may be off the database's."""
WATCHED_EVERY_S = 0.25
SETTLES_S = 15.0
"""After the faults the market moves on for a while, before it stands still to be judged."""


@dataclass(slots=True, eq=False)
class Life:
    """One service's place: its present process, and how to start the next."""

    kind: str
    name: str
    main: Callable[[Process], Coroutine[Any, Any, None]]
    process: Process
    count: int = 0


class World:
    """Built from a scenario; `run` plays it to the end, and the oracle judges it."""

    def __init__(self, scenario: Scenario, loop: VirtualTimeLoop, log: EventLog) -> None:
        self.scenario = scenario
        self.loop = loop
        self.log = log
        self.processes: list[Process] = []
        self._dice = random.Random(f"world/{scenario.seed}")
        self._calm = False
        self._clock = VirtualClock(loop)
        self._inner = InlineDatabase(clock=self._clock)
        self._answers = Answers(loop)
        self._database_weather = self._new_weather("database")
        self._wire = self._new_weather("wire")
        self._bus_weather = self._new_weather("bus")
        self._hub = Hub(loop, self._bus_weather)
        self._switchboard = Switchboard()
        self._receivers: dict[str, Reception] = {}
        self.accounts = [
            Account(
                plan.name,
                plan.spec,
                loop,
                log,
                self._new_weather(plan.name),
                visibility_delay_s=plan.delay_s,
                rules=replace(
                    Rules.of(plan.spec),
                    max_fill_quantity=plan.fill_max,
                    child_waits=plan.child_waits,
                ),
            )
            for plan in scenario.accounts
        ]
        read = sql_reader(self._inner.run_now)
        self.oracle = Oracle(self.accounts, loop, log, self._answers, read, INSTALLATION)
        self._token = self._set_up()
        self.workload = Workload(scenario, self.accounts, loop, log, self.oracle, self._post)
        self._lives = [
            Life(kind, f"{kind}{number}", main, Process(kind, loop))
            for kind, main in self._mains().items()
            for number in range(1, scenario.replicas[kind] + 1)
        ]

    def _new_weather(self, name: str) -> Weather:
        return Weather(name, self.scenario.seed, self._fair(name))

    def _fair(self, name: str) -> Odds:
        """The odds of every day are a venue's; elsewhere every day is fine."""
        fair = self.scenario.fair
        if any(name == plan.name for plan in self.scenario.accounts):
            return fair
        return Odds(latency_s=fair.latency_s / 5 if name == "database" else fair.latency_s)

    def _set_up(self) -> str:
        def write(tx: Any) -> str:
            for plan in self.scenario.accounts:
                put_account(tx, plan.name, plan.spec)
            return create_token(tx, SeededIds(1), "simulation")[0]

        return self._inner.run_now(write)

    # The services

    def _mains(self) -> dict[str, Callable[[Process], Coroutine[Any, Any, None]]]:
        return {
            "receiver": self._receiver,
            "engine": self._engine,
            "gateway": self._gateway,
            "operator": self._operator,
        }

    def _parts(self, process: Process) -> dict[str, Any]:
        skew_s = self._dice.uniform(-CLOCK_SKEW_S, CLOCK_SKEW_S)
        return {
            "database": self._database(),
            "clock": VirtualClock(self.loop, skew_s),
            "ids": SeededIds(self._dice.getrandbits(64)),
            "registry": CollectorRegistry(),
        }

    def _database(self) -> FaultyDatabase:
        return FaultyDatabase(
            self._inner, self.loop, self.log, self._database_weather, self._answers
        )

    def _client(self) -> RemoteGatewayClient:
        return RemoteGatewayClient(self.loop, self._wire, self._switchboard)

    async def _engine(self, process: Process) -> None:
        engine = build_engine(
            **self._parts(process),
            gateway=self._client(),
            bus=SimulatedBus(self._hub),
            mirror=NoMirror(),
            installation=INSTALLATION,
        )
        await engine.run()

    async def _operator(self, process: Process) -> None:
        guardian = build_guardian(
            **self._parts(process),
            gateway=self._client(),
            mirror=NoMirror(),
            installation=INSTALLATION,
        )
        await guardian.run()

    async def _gateway(self, process: Process) -> None:
        parts = self._parts(process)
        holder = Holder(
            parts["database"],
            parts["clock"],
            identity=f"{process.name}-{parts['ids'].uuid()}",
            url=process.name,
        )
        gateway = Gateway(
            parts["database"],
            parts["clock"],
            installation=INSTALLATION,
            make_venue=self._venue,
            holder=holder,
            registry=parts["registry"],
        )
        self._switchboard.connect(process.name, process, gateway)
        await holder.run()

    def _venue(self, name: str, _: object) -> FaultyVenue:
        account = next(account for account in self.accounts if account.name == name)
        return FaultyVenue(account, self.loop, self.log, self._answers)

    async def _receiver(self, process: Process) -> None:
        parts = self._parts(process)
        metrics = ReceiverMetrics(parts["registry"])
        directory = Directory(parts["database"], parts["clock"])
        publisher = Publisher(SimulatedBus(self._hub), metrics)

        def on_stored(outcomes: Any) -> None:
            stored: list[tuple[Waiting, Stored]] = list(outcomes)
            log_stored(stored)
            for _, each in stored:
                if not each.is_duplicate:
                    publisher.offer(each)

        committer = Committer(
            parts["database"], parts["clock"], metrics, queue_size=1000, on_stored=on_stored
        )
        self._receivers[process.name] = Reception(
            directory, committer, parts["clock"], parts["ids"], metrics
        )
        await asyncio.gather(committer.run(), publisher.run(), directory.run())

    async def _post(self, body: bytes) -> tuple[int, bytes]:
        """As TradingView posts. Raises ConnectionError when there is no answer."""
        life = self._dice.choice([life for life in self._lives if life.kind == "receiver"])

        async def handle() -> tuple[int, bytes]:
            answer = await self._receivers[life.name].accept(body, self._token)
            return answer.status, answer.body

        def server() -> Process | None:
            return life.process if life.name in self._receivers else None

        try:
            answer = await request(self.loop, self._wire, server, handle)
            if self._dice.random() < self.scenario.dies_on_alert:
                workers = [each for each in self._lives if each.kind in self.scenario.dying]
                self._doom(self._dice.choice(workers), self.scenario.dies_within)
            return answer
        except (ConnectionRefused, ConnectionLost) as error:
            raise ConnectionError(str(error)) from None

    # Life and death

    def _start(self, life: Life) -> None:
        life.count += 1
        process = life.process = Process(life.name, self.loop)
        self.processes.append(process)
        self.log.note("start", f"{life.name}, life {life.count}")
        process.at_death[life] = lambda: self._died(life, process)
        self._receivers.pop(life.name, None)

        async def main() -> None:
            try:
                await life.main(process)
            except GuardianError as error:
                self.log.note("exit", f"{type(error).__name__}: {error}")
            except Exception as error:
                self.log.internal_errors.append(f"{life.name} ended: {error!r}")
            else:
                self.log.internal_errors.append(f"{life.name} ended without a reason")
            self.loop.call_soon(process.kill)

        process.start(main)

    def _died(self, life: Life, process: Process) -> None:
        self.log.note("death", f"{life.name} after {process.steps} steps")
        if all(not other.process.alive for other in self._lives if other.kind == life.kind):
            self.oracle.out_s = float("inf")
        self._later(self._dice.uniform(0.3, 4.0), lambda: self._revive(life))

    def _revive(self, life: Life) -> None:
        self._start(life)
        if self.oracle.out_s == float("inf") and self._all_kinds_alive():
            self.oracle.out_s = self.loop.time()

    def _all_kinds_alive(self) -> bool:
        alive = {life.kind for life in self._lives if life.process.alive}
        return alive == set(self.scenario.replicas)

    def _later(self, delay_s: float, call: Callable[[], None]) -> None:
        # Not in the context of a process that has just died: its timers never go off.
        self.loop.call_later(delay_s, call, context=Context())

    async def _kill(self) -> None:
        """Now and then one process is doomed to die at one of its next awaits."""
        every_s = self.scenario.kills_every_s
        while every_s and not self._calm:
            await asyncio.sleep(self._dice.expovariate(1 / every_s))
            self._doom(self._dice.choice(self._lives), steps=150)
            await asyncio.sleep(5)

    def _doom(self, life: Life, steps: int) -> None:
        """About so many steps more it may live, if it may die at all."""
        if not self._may_die(life):
            return
        left = int(self._dice.expovariate(1 / steps)) + 1
        self.log.note("doom", f"{life.name} in {left} steps")
        life.process.doom(left)

    def _may_die(self, life: Life) -> bool:
        """One replica at a time, where there are two; none once the faults are over."""
        if self._calm:
            return False
        same = [other for other in self._lives if other.kind == life.kind]
        return all(other.process.alive for other in same)

    # Weather

    async def _storms(self) -> None:
        every_s = self.scenario.storms_every_s
        while every_s and not self._calm:
            await asyncio.sleep(self._dice.expovariate(1 / every_s))
            weather = self._dice.choice(self._stormy)
            away = self._dice.random() < 0.35
            lasts_s = self._dice.uniform(1, 8) if away else self._dice.uniform(3, 20)
            if self._over():
                return
            self.log.note("storm", f"{weather.name} {'away' if away else 'rough'} {lasts_s:.1f} s")
            weather.change(replace(self.scenario.rough, away=away))
            await asyncio.sleep(lasts_s)
            if self._over():
                return
            weather.change(self._fair(weather.name))
            self.log.note("storm", f"{weather.name} over")

    @property
    def _stormy(self) -> list[Weather]:
        """What storms befall, the venues most often."""
        venues = [account.weather for account in self.accounts]
        peers = [*venues, *venues, self._database_weather, self._wire, self._bus_weather]
        return [p for p in peers if p.name in (self.scenario.storms_on or (p.name,))]

    def _over(self) -> bool:
        return self._calm

    def _all_calm(self) -> None:
        self._calm = True
        self.workload.over = True
        everything = [account.weather for account in self.accounts]
        for weather in (*everything, self._database_weather, self._wire, self._bus_weather):
            weather.change(CALM)
            weather.refusing.clear()
        for life in self._lives:
            life.process.spare()
        self.log.note("calm", "the faults end here")

    # The run

    async def run(self) -> None:
        """Raises Violation."""
        self.workload.prepare()
        for life in self._lives:
            self._start(life)
        markets = list(self.workload.markets.values())
        background = [
            *(self.workload.move(market) for market in markets),
            *(self.workload.trade(market) for market in markets),
            self.workload.meddle(),
            self._kill(),
            self._storms(),
        ]
        tasks = [self.loop.create_task(work) for work in background]
        await self._watch(self.scenario.active_s)
        self._all_calm()
        await self._watch(SETTLES_S)
        for market in markets:
            market.lively = False
        await self._watch(self.scenario.quiet_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        gc.collect()  # whose finalizers tell of errors that nobody looked at
        self.oracle.judge()

    async def _watch(self, seconds: float) -> None:
        until_s = self.loop.time() + seconds
        while self.loop.time() < until_s:
            await asyncio.sleep(WATCHED_EVERY_S)
            self.oracle.tick()
