"""The gateway client of a simulated process: dials the lease's holder over a simulated wire."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from guardian_core.domain.errors import Ambiguous, NotSent, Unavailable
from guardian_core.domain.snapshot import AccountSnapshot
from guardian_core.gateway_codec import (
    READ_DEADLINE_S,
    SUBMIT_DEADLINE_S,
    error_of,
    report_of,
)
from guardian_core.protocol import (
    BalanceReport,
    CheckReport,
    DecisionRequest,
    DecisionResult,
    ErrorReport,
    FillReport,
    InstrumentReport,
    PaperCommand,
    PaperReport,
)
from guardian_gateway.service import Gateway
from tests.simulation.loop import VirtualTimeLoop
from tests.simulation.mortal import Process
from tests.simulation.network import ConnectionLost, ConnectionRefused, request
from tests.simulation.weather import Weather

T = TypeVar("T")


class Switchboard:
    """Where each gateway answers: its process and its service, by name."""

    def __init__(self) -> None:
        self._lines: dict[str, tuple[Process, Gateway]] = {}

    def connect(self, name: str, process: Process, gateway: Gateway) -> None:
        self._lines[name] = (process, gateway)

    @property
    def names(self) -> list[str]:
        return sorted(self._lines)

    def process(self, name: str) -> Process | None:
        line = self._lines.get(name)
        return line[0] if line else None

    def gateway(self, name: str) -> Gateway:
        return self._lines[name][1]


@dataclass(frozen=True, slots=True)
class _Problem:
    """An answer that is not 200."""

    status: int
    report: ErrorReport


class RemoteGatewayClient:
    """`guardian_core.ports.GatewayClient`. A gateway that is not the holder names it (421)."""

    def __init__(self, loop: VirtualTimeLoop, wire: Weather, switchboard: Switchboard) -> None:
        self._loop = loop
        self._wire = wire
        self._switchboard = switchboard
        self._dials = ""

    async def snapshot(self, account: str, symbol: str | None = None) -> AccountSnapshot:
        return await self._read(lambda gateway: gateway.snapshot(account, symbol))

    async def submit(self, account: str, symbol: str, request_: DecisionRequest) -> DecisionResult:
        return await self._call(
            lambda gateway: gateway.submit(account, symbol, request_),
            SUBMIT_DEADLINE_S,
            writing=True,
        )

    async def balances(self, account: str) -> BalanceReport:
        return await self._read(lambda gateway: gateway.balances(account))

    async def check(self, account: str) -> CheckReport:
        return await self._read(lambda gateway: gateway.check(account))

    async def instrument(self, account: str, symbol: str) -> InstrumentReport:
        return await self._read(lambda gateway: gateway.instrument(account, symbol))

    async def fills(self, account: str, symbol: str, since: datetime | None = None) -> FillReport:
        return await self._read(lambda gateway: gateway.fills(account, symbol, since))

    async def paper(self, account: str, command: PaperCommand) -> PaperReport:
        return await self._read(lambda gateway: gateway.paper(account, command))

    async def close(self) -> None:
        return None

    async def _read(self, ask: Callable[[Gateway], Awaitable[T]]) -> T:
        return await self._call(ask, READ_DEADLINE_S, writing=False)

    async def _call(
        self, ask: Callable[[Gateway], Awaitable[T]], within_s: float, *, writing: bool
    ) -> T:
        try:
            async with asyncio.timeout(within_s):
                return await self._dial(ask, writing=writing)
        except (TimeoutError, ConnectionLost) as error:
            message = str(error) or f"no answer within {within_s:g} s"
            raise (Ambiguous(message) if writing else Unavailable(message)) from None

    async def _dial(self, ask: Callable[[Gateway], Awaitable[T]], *, writing: bool) -> T:
        for _ in range(2):
            name = self._dials or (self._switchboard.names or [""])[0]
            try:
                answer = await self._at(name, ask)
            except ConnectionRefused:
                self._dials = self._other_than(name)
                continue
            if not isinstance(answer, _Problem):
                return answer
            status, report = answer.status, answer.report
            if report.code == "not_holder":
                self._dials = report.holder_url or self._other_than(name)
                if report.holder_url:
                    continue
            raise error_of(status, report, writing=writing)
        raise NotSent("no gateway answers") if writing else Unavailable("no gateway answers")

    async def _at(self, name: str, ask: Callable[[Gateway], Awaitable[T]]) -> "T | _Problem":
        async def handle() -> T | _Problem:
            try:
                return await ask(self._switchboard.gateway(name))
            except Exception as error:
                return _Problem(*report_of(error))

        return await request(
            self._loop, self._wire, lambda: self._switchboard.process(name), handle
        )

    def _other_than(self, name: str) -> str:
        return next((other for other in self._switchboard.names if other != name), name)
