"""What every chapter of the demo is played with."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from guardian_cli.demo.books import Books, Venue
from guardian_cli.demo.child import Child
from guardian_cli.demo.market import Acknowledged, Market
from guardian_cli.demo.timeline import Timeline
from guardian_cli.place import Place
from guardian_cli.rows import StateLine, WebhookLine
from guardian_core.domain.alerts import WebhookStatus
from guardian_core.domain.money import plain, round_price
from guardian_core.domain.orders import Role
from guardian_core.ports import Clock
from guardian_core.protocol import (
    CancelByHand,
    FaultKind,
    InjectFault,
    PaperCommand,
    PaperReport,
)

PROMISE_S = 10.0
"""No open position stays without its legs for longer."""
PATIENCE_S = 30.0
"""How long the demo looks before it says that something did not happen at all."""
LOOK_EVERY_S = 0.03
TICK = Decimal("0.1")


class ChapterFailed(Exception):
    """An expectation that the rest of the chapter stands on did not come true."""


@dataclass(frozen=True, slots=True)
class Levels:
    stop_loss: Decimal
    take_profit: Decimal

    def fields(self) -> dict[str, str]:
        return {"PrixSL": plain(self.stop_loss), "PrixTP": plain(self.take_profit)}

    def __str__(self) -> str:
        return f"stop-loss {plain(self.stop_loss)}, take-profit {plain(self.take_profit)}"


@dataclass(frozen=True, slots=True)
class Stage:
    market: Market
    books: Books
    child: Child
    place: Place
    timeline: Timeline
    account: str

    @property
    def clock(self) -> Clock:
        return self.place.clock

    @property
    def price(self) -> Decimal:
        return self.market.candle.close

    def levels(self, stop_percent: str, take_percent: str) -> Levels:
        """Levels so many percent from the present price; below 0 is below it."""
        return Levels(self.off(stop_percent), self.off(take_percent))

    def off(self, percent: str) -> Decimal:
        return round_price(self.price * (100 + Decimal(percent)) / 100, TICK, up=False)

    # Doing

    def told(self, text: str, trace_id: str | None = None) -> None:
        self.timeline.tell(text, trace_id=trace_id)

    async def alert(self, action: str, levels: Levels | None = None, **fields: Any) -> Acknowledged:
        """Sends an action with the next bar."""
        told = {} if levels is None else levels.fields()
        sent = await self.market.act(Action=action, **told, **fields)
        with_levels = "" if levels is None else f", {levels}"
        self.told(f"{action}{with_levels}: 200 in {sent.ack_ms:.0f} ms", sent.trace_id)
        return sent

    async def paper(self, command: PaperCommand) -> PaperReport:
        async with self.place.gateway() as gateway:
            return await gateway.paper(self.account, command)

    async def fault(self, kind: FaultKind, role: Role) -> None:
        await self.paper(InjectFault(fault=kind, role=role, count=1))
        self.told(f"the venue will {_HARMS[kind]}")

    async def forget_stop(self) -> None:
        report = await self.paper(InjectFault(fault=FaultKind.FORGET_STOP, count=1))
        self.told(f"the venue {report.message}")

    async def cancel_by_hand(self, order_id: str) -> None:
        report = await self.paper(CancelByHand(order_id=order_id))
        self.told(f"by hand, on the exchange: {report.message}")

    # Expecting

    def expect(self, held: bool, text: str, **more: Any) -> None:
        self.timeline.tell(text, held=held, **more)

    async def wait(
        self, text: str, condition: Callable[[], Awaitable[bool]], *, trace_id: str | None = None
    ) -> None:
        """An expectation that must come true for the chapter to go on."""
        if await self._becomes_true(condition) is None:
            self.expect(False, f"did not happen in {PATIENCE_S:.0f} s: {text}", trace_id=trace_id)
            raise ChapterFailed
        self.expect(True, text, trace_id=trace_id)

    async def repaired(self, levels: Levels, since_s: float, trace_id: str | None) -> None:
        """Expects both legs to work for the whole position, within the promise.

        `since_s`: when the harm was done, on the monotonic clock.
        """
        if await self._becomes_true(lambda: self.guarded(levels)) is None:
            self.expect(False, f"not repaired in {PATIENCE_S:.0f} s", trace_id=trace_id)
            raise ChapterFailed
        took_s = self.clock.monotonic() - since_s
        text = f"both legs work again: {levels}"
        self.expect(took_s <= PROMISE_S, text, trace_id=trace_id, repaired_s=took_s)

    async def guarded(self, levels: Levels) -> bool:
        """Whether the venue's own books have exactly these legs for the whole position."""
        return (await self.books.venue()).guards(levels.stop_loss, levels.take_profit)

    async def finished(self, sent: Acknowledged, status: WebhookStatus, why: str) -> WebhookLine:
        """Expects the alert to end so, and returns its row."""
        line: WebhookLine | None = None

        async def is_over() -> bool:
            nonlocal line
            line = await self.books.alert(sent.trace_id)
            return line is not None and line.status in _OVER

        if await self._becomes_true(is_over) is None or line is None:
            self.expect(False, "the alert was never finished", trace_id=sent.trace_id)
            raise ChapterFailed
        text = f"{why} ({line.message})" if line.message else why
        self.expect(line.status == status.value, text, trace_id=sent.trace_id)
        return line

    async def state(self) -> StateLine:
        """The live state. Its absence fails the chapter."""
        found = await self.books.live()
        if found is None:
            self.expect(False, "there is no live position in our rows")
            raise ChapterFailed
        return found

    async def venue(self) -> Venue:
        return await self.books.venue()

    async def flat(self) -> bool:
        """Whether position and orders are gone, and our row is closed with its result."""
        venue = await self.books.venue()
        if venue.position is not None or venue.orders or await self.books.live() is not None:
            return False
        closed = await self.books.closed()
        return bool(closed) and closed[-1].realized_pnl is not None

    def now(self) -> datetime:
        return self.clock.now()

    async def _becomes_true(self, condition: Callable[[], Awaitable[bool]]) -> float | None:
        """Seconds until the condition held; None when it never did."""
        started_s = self.clock.monotonic()
        while not await condition():
            if self.clock.monotonic() - started_s > PATIENCE_S:
                return None
            await asyncio.sleep(LOOK_EVERY_S)
        return self.clock.monotonic() - started_s


_OVER = (WebhookStatus.PROCESSED.value, WebhookStatus.ERROR.value)
_HARMS = {
    FaultKind.REFUSE_CREATE: "refuse the next stop-loss",
    FaultKind.LOSE_ANSWER: "lose its answer to the next entry",
}
