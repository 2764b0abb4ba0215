"""The gateway client of `guardian up`: the same messages and errors as over HTTP, no socket.

Everything passes through its JSON form, each way, so whatever would be lost or refused on the
wire is lost or refused here too; and each call has the deadline that an HTTP caller would keep.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from loguru import logger

from guardian_core.domain.errors import GuardianError
from guardian_core.domain.snapshot import AccountSnapshot
from guardian_core.gateway_codec import (
    CHECK_DEADLINE_S,
    PAPER_COMMAND,
    READ_DEADLINE_S,
    SUBMIT_DEADLINE_S,
    dump_paper_command,
    dump_snapshot,
    error_of,
    load_snapshot,
    no_answer,
    read_report,
    report_of,
)
from guardian_core.protocol import (
    BalanceReport,
    CheckReport,
    DecisionRequest,
    DecisionResult,
    FillReport,
    InstrumentReport,
    Message,
    PaperCommand,
    PaperReport,
)
from guardian_gateway.service import Gateway

T = TypeVar("T")
M = TypeVar("M", bound=Message)


class InProcessGatewayClient:
    """`guardian_core.ports.GatewayClient` over a gateway in the same event loop."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def snapshot(self, account: str, symbol: str | None = None) -> AccountSnapshot:
        found = await self._read(lambda: self._gateway.snapshot(account, symbol))
        return load_snapshot(dump_snapshot(found))

    async def submit(self, account: str, symbol: str, request: DecisionRequest) -> DecisionResult:
        sent = DecisionRequest.model_validate_json(request.model_dump_json())
        result = await self._call(
            lambda: self._gateway.submit(account, symbol, sent), SUBMIT_DEADLINE_S, writing=True
        )
        return _copied(result)

    async def balances(self, account: str) -> BalanceReport:
        return _copied(await self._read(lambda: self._gateway.balances(account)))

    async def check(self, account: str) -> CheckReport:
        report = await self._call(
            lambda: self._gateway.check(account), CHECK_DEADLINE_S, writing=False
        )
        return _copied(report)

    async def instrument(self, account: str, symbol: str) -> InstrumentReport:
        return _copied(await self._read(lambda: self._gateway.instrument(account, symbol)))

    async def fills(self, account: str, symbol: str, since: datetime | None = None) -> FillReport:
        return _copied(await self._read(lambda: self._gateway.fills(account, symbol, since)))

    async def paper(self, account: str, command: PaperCommand) -> PaperReport:
        sent = PAPER_COMMAND.validate_json(dump_paper_command(command))
        return _copied(await self._read(lambda: self._gateway.paper(account, sent)))

    async def close(self) -> None:
        """The gateway is closed by whoever made it."""

    async def _read(self, call: Callable[[], Awaitable[T]]) -> T:
        return await self._call(call, READ_DEADLINE_S, writing=False)

    async def _call(self, call: Callable[[], Awaitable[T]], within_s: float, *, writing: bool) -> T:
        try:
            async with asyncio.timeout(within_s):
                return await call()
        except TimeoutError as error:
            raise no_answer(within_s, writing=writing) from error
        except Exception as error:
            if not isinstance(error, GuardianError):
                logger.exception("a call to the gateway failed")
            status, report = report_of(error)
            told = read_report(status, report.model_dump_json().encode())
            raise error_of(status, told, writing=writing) from error


def _copied(message: M) -> M:
    return type(message).model_validate_json(message.model_dump_json())
