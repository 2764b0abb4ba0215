"""The day as TradingView sends it: one alert per bar, a PING where there is nothing to do.

Bars go out in order, each until it is acknowledged, as TradingView sends again what was not. Their
BarTime is the present: the day is compressed into a minute.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from guardian_cli.demo.books import Books
from guardian_cli.demo.candles import SYMBOL, Candle
from guardian_cli.output import iso
from guardian_core.domain.errors import GuardianError, Unavailable
from guardian_core.domain.money import plain
from guardian_core.ports import Clock

INDICATOR = "guardian demo"
SEND_AGAIN_AFTER_S = 0.2
SENT_WITHIN_S = 60.0
LOOK_EVERY_S = 0.02
LOOK_EVERY_BARS = 10
BEHIND_MAX = 25
"""Alerts that may wait for the engine: a slow machine makes the day longer, not the queue."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """An alert that was answered with 200. `candle`: the day's number of the bar it came with."""

    trace_id: str
    ack_ms: float
    candle: int


@dataclass(slots=True)
class _Wish:
    fields: dict[str, Any]
    done: asyncio.Future[Acknowledged]


class Market:
    """Await `run` in a task; `act` puts an action into the next bar's alert."""

    def __init__(
        self,
        candles: Sequence[Candle],
        books: Books,
        clock: Clock,
        *,
        url: str,
        account_id: str,
        token: str,
        bars_per_s: float,
        on_move: Callable[[int, str], None],
    ) -> None:
        self._candles = candles
        self._books = books
        self._clock = clock
        self._common = {"UserExchangeID": account_id, "Token": token}
        self._wishes: list[_Wish] = []
        self._moved = asyncio.Condition()
        self._gate = 0
        self._url = url
        self._bars_per_s = bars_per_s
        self._on_move = on_move
        self.position = 0
        """How many bars are acknowledged."""

    @property
    def candle(self) -> Candle:
        """The last bar that the product knows of."""
        return self._candles[max(0, self.position - 1)]

    def ahead(self, bars: int) -> Sequence[Candle]:
        """What is to come; the demo's strategy has a good nose."""
        return self._candles[self.position : self.position + bars]

    def open_gate(self, bar: int) -> None:
        """Bars before this one may go out."""
        self._gate = max(self._gate, bar)

    async def reach(self, bar: int) -> None:
        """Returns when that many bars are out."""
        self.open_gate(bar)
        async with self._moved:
            await self._moved.wait_for(lambda: self.position >= bar)

    async def act(self, **fields: Any) -> Acknowledged:
        """Sends an action with the next bar."""
        wish = _Wish(fields, asyncio.get_running_loop().create_future())
        self._wishes.append(wish)
        self.open_gate(self.position + 1)
        return await wish.done

    async def run(self) -> None:
        """Sends the day, as far as the gate is open."""
        started_s, sent = self._clock.monotonic(), 0
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            for number, candle in enumerate(self._candles):
                await self._may_send(number)
                due_s = started_s + sent / self._bars_per_s
                late_s = self._clock.monotonic() - due_s
                if late_s < 0:
                    await asyncio.sleep(-late_s)
                elif late_s > 0.5:
                    # After a pause the day goes on at its pace; it does not catch up.
                    started_s += late_s
                sent += 1
                await self._send_bar(client, number, candle)
                async with self._moved:
                    self.position = number + 1
                    self._moved.notify_all()
                self._on_move(self.position, candle.time.strftime("%H:%M"))

    async def _may_send(self, number: int) -> None:
        """Returns when the gate is open for this bar, and the engine is not too far behind."""
        while True:
            if number < self._gate and not await self._is_behind(number):
                return
            await asyncio.sleep(LOOK_EVERY_S)

    async def _is_behind(self, number: int) -> bool:
        looked_at = number % LOOK_EVERY_BARS == 0
        return looked_at and await self._books.waiting_alerts() > BEHIND_MAX

    async def _send_bar(self, client: httpx.AsyncClient, number: int, candle: Candle) -> None:
        wish = self._wishes.pop(0) if self._wishes else None
        fields = {"Action": "PING"} if wish is None else wish.fields
        body = json.dumps(self._common | _bar(candle, iso(self._clock.now())) | fields)
        try:
            trace_id, ack_ms = await self._post(client, body)
        except GuardianError as error:
            if wish is None:
                raise
            wish.done.set_exception(error)
            return
        if wish is not None:
            wish.done.set_result(Acknowledged(trace_id, ack_ms, number))

    async def _post(self, client: httpx.AsyncClient, body: str) -> tuple[str, float]:
        """The trace id, and how long the last try took. Raises Unavailable for a refusal."""
        try:
            async with asyncio.timeout(SENT_WITHIN_S):
                while True:
                    asked_s = self._clock.monotonic()
                    try:
                        answer = await client.post(f"{self._url}/webhook", content=body)
                    except httpx.TransportError:
                        answer = None
                    ack_ms = (self._clock.monotonic() - asked_s) * 1000
                    if answer is not None and answer.status_code == 200:
                        return answer.json()["trace_id"], ack_ms
                    if answer is not None and answer.status_code < 500:
                        raise Unavailable(f"the receiver answered {answer.status_code}")
                    await asyncio.sleep(SEND_AGAIN_AFTER_S)
        except TimeoutError:
            raise Unavailable(f"no alert was taken for {SENT_WITHIN_S:.0f} s") from None


def _bar(candle: Candle, bar_time: str) -> dict[str, str]:
    prices = {
        "Open": candle.open,
        "High": candle.high,
        "Low": candle.low,
        "Close": candle.close,
    }
    told = {name: plain(price) for name, price in prices.items()}
    return told | {
        "Symbol": SYMBOL,
        "Exchange": "BINANCE",
        "Interval": "1",
        "BarTime": bar_time,
        "IndicateurName": INDICATOR,
    }
