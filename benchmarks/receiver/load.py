"""A small load generator over raw sockets, in a process of its own: `python -m … PLAN RESULT`.

The plan is JSON; the result is written to a file, being larger than a pipe holds.

Closed loop: each connection sends its next alert when the last one was answered. Every body is
another one. The burst opens its connections first, then sends one alert on each at once.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

BODY = (
    '{"Action":"MAJ","Symbol":"BTCUSDT","Exchange":"BINANCE","Interval":"1","Close":42050.5,'
    '"BarTime":"2025-06-01T12:00:00Z","PrixSL":41000,"PrixTP":45000,"PourCent":100,'
    '"UserExchangeID":"main","IndicateurName":"bench","Volume":%s}'
)
ANSWER_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Plan:
    port: int
    path: str
    connections: int
    warmup_s: float
    seconds: float
    bursts: int
    burst_size: int
    first_number: int


@dataclass(frozen=True, slots=True)
class Measured:
    """`acknowledged` counts every 200, those of the warm-up and of the bursts too."""

    requests: int
    seconds: float
    latencies_ms: list[float]
    bursts_ms: list[float]
    acknowledged: int
    refused: int


class _Connection(asyncio.Protocol):
    """One kept connection; `send` starts a request, `answered` is called with its status."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._buffer = b""
        self.answered: Callable[[int], None] = lambda status: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        lowered = head.lower()
        at = lowered.find(b"content-length:")
        length = int(lowered[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(rest) >= length:
            self._buffer = rest[length:]
            self.answered(int(head[9:12]))


class _Load:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._number = plan.first_number
        self._head = (
            f"POST {plan.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        )
        self.acknowledged = 0
        self.refused = 0

    def request(self) -> bytes:
        self._number += 1
        body = BODY % self._number
        return f"{self._head}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    async def connect(self, count: int) -> list[_Connection]:
        loop = asyncio.get_running_loop()
        made = []
        for _ in range(count):
            _, connection = await loop.create_connection(_Connection, "127.0.0.1", self._plan.port)
            made.append(connection)
        return made

    def count(self, status: int) -> None:
        if status == 200:
            self.acknowledged += 1
        else:
            self.refused += 1

    async def closed_loop(self, seconds: float) -> tuple[list[float], float]:
        """Latencies in ms, and how long it took."""
        connections = await self.connect(self._plan.connections)
        latencies: list[float] = []
        started = time.perf_counter()
        until = started + seconds
        open_ = len(connections)
        finished = asyncio.get_running_loop().create_future()

        def drive(connection: _Connection) -> None:
            sent_at = 0.0

            def send() -> None:
                nonlocal sent_at
                sent_at = time.perf_counter()
                connection.transport.write(self.request())

            def answered(status: int) -> None:
                nonlocal open_
                now = time.perf_counter()
                latencies.append((now - sent_at) * 1000)
                self.count(status)
                if now < until:
                    send()
                    return
                open_ -= 1
                if open_ == 0:
                    finished.set_result(None)

            connection.answered = answered
            send()

        for connection in connections:
            drive(connection)
        await asyncio.wait_for(finished, seconds + ANSWER_WITHIN_S)
        took = time.perf_counter() - started
        for connection in connections:
            connection.transport.close()
        return latencies, took

    async def burst(self) -> float:
        """Milliseconds from the first byte sent to the last acknowledgement."""
        connections = await self.connect(self._plan.burst_size)
        requests = [self.request() for _ in connections]
        open_ = len(connections)
        finished = asyncio.get_running_loop().create_future()

        def answered(status: int) -> None:
            nonlocal open_
            self.count(status)
            open_ -= 1
            if open_ == 0:
                finished.set_result(time.perf_counter())

        for connection in connections:
            connection.answered = answered
        await asyncio.sleep(0.2)
        started = time.perf_counter()
        for connection, request in zip(connections, requests, strict=True):
            connection.transport.write(request)
        last: float = await asyncio.wait_for(finished, ANSWER_WITHIN_S)
        for connection in connections:
            connection.transport.close()
        return (last - started) * 1000


async def measure(plan: Plan) -> Measured:
    load = _Load(plan)
    await load.closed_loop(plan.warmup_s)
    latencies, took = await load.closed_loop(plan.seconds)
    bursts = [await load.burst() for _ in range(plan.bursts)]
    return Measured(len(latencies), took, latencies, bursts, load.acknowledged, load.refused)


if __name__ == "__main__":
    measured = uvloop.run(measure(Plan(**json.loads(sys.argv[1]))))
    Path(sys.argv[2]).write_text(json.dumps(asdict(measured)))
