"""A fake venue's private streams: who is connected, what each is told, and what goes wrong.

News come from the core's ledger: whatever happens to an order, by whoever's hand. What the frames
look like, and what a login is, a venue's own subclass knows.
"""

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from aiohttp import WSMsgType, web

from guardian_gateway.venues.paper.records import EventKind, LedgerEvent

Frame = Any
"""Told as JSON; a text as it is."""


@dataclass(eq=False)
class Connection:
    """`path`: of its address; `channels`: what it has subscribed to; `logged_in`: whether it
    may."""

    socket: web.WebSocketResponse
    path: str = ""
    channels: set[str] = field(default_factory=set)
    logged_in: bool = False

    async def tell(self, *frames: Frame) -> None:
        for frame in frames:
            text = frame if isinstance(frame, str) else json.dumps(frame)
            if not self.socket.closed:
                await self.socket.send_str(text)


class Sockets:
    """`away`: nobody is let in; `stalls`: nor told so; `deaf`: what is connected is answered no
    more, be it to a ping or to anything else, and hears no news; `refuses`: logins are. `joined`
    counts connections, of which one listener has `each_has`."""

    each_has: ClassVar[int] = 1

    def __init__(self, wire: Any) -> None:
        self.wire = wire
        self.connections: list[Connection] = []
        self.away = self.stalls = self.deaf = self.refuses = False
        self._released = asyncio.Event()
        self.joined = 0
        self._told = 0
        self._sending: set[asyncio.Task[None]] = set()

    # What a venue's own class says

    def greet(self, connection: Connection, request: web.Request) -> Iterable[Frame] | None:
        """What is said to who connects; None: it is not let in."""
        raise NotImplementedError

    def answer(self, connection: Connection, frame: Any) -> Iterable[Frame]:
        """What a client's frame is answered with."""
        raise NotImplementedError

    def news(self, connection: Connection, event: LedgerEvent) -> Iterable[Frame]:
        """What a connection is told of an event."""
        raise NotImplementedError

    # What happens

    @property
    def listening(self) -> list[Connection]:
        """Those that are told of orders."""
        return [one for one in self.connections if one.channels]

    def watch(self) -> None:
        """Tells what the core's ledger takes up from now on."""
        book = self.wire.exchange._book
        book.events = _Ledger(book.events, self._soon)
        self._told = len(book.events)

    def drop(self) -> None:
        """Every connection breaks."""
        for one in self.connections:
            if one.socket._req is not None and one.socket._req.transport is not None:
                one.socket._req.transport.abort()

    def say(self, *frames: Frame) -> None:
        """The same to all."""
        for one in self.connections:
            self._send(one, frames)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoping=False)
        one = Connection(socket)
        if self.stalls:
            await self._released.wait()
        greeting = None if self.away else self.greet(one, request)
        if greeting is None:
            return web.Response(status=503 if self.away else 403)
        await socket.prepare(request)
        self.connections.append(one)
        self.joined += 1
        try:
            await one.tell(*greeting)
            async for message in socket:
                if not self.deaf:
                    await self._react(one, message)
        finally:
            self.connections.remove(one)
        return socket

    async def close(self) -> None:
        self._released.set()
        for one in list(self.connections):
            self.drop()
            await one.socket.close()

    async def _react(self, one: Connection, message: Any) -> None:
        if message.type is WSMsgType.PING:
            await one.socket.pong(message.data)
        elif message.type is WSMsgType.TEXT:
            text = message.data
            await one.tell(*self.answer(one, json.loads(text) if text[:1] in "{[" else text))

    def _soon(self) -> None:
        # Later, as a command that fails takes its events back.
        asyncio.get_running_loop().call_soon(self._tell_all)

    def _tell_all(self) -> None:
        fresh = self.wire.exchange.events[self._told :]
        self._told = len(self.wire.exchange.events)
        for event in fresh:
            if event.kind is EventKind.FORGOTTEN or self.deaf:
                continue
            for one in self.listening:
                self._send(one, self.news(one, event))

    def _send(self, one: Connection, frames: Iterable[Frame]) -> None:
        task = asyncio.ensure_future(one.tell(*frames))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)


class _Ledger(list[LedgerEvent]):
    def __init__(self, events: Iterable[LedgerEvent], grown: Callable[[], None]) -> None:
        super().__init__(events)
        self._grown = grown

    def append(self, event: LedgerEvent) -> None:
        super().append(event)
        self._grown()
