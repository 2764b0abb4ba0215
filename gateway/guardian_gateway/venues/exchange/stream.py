"""An account's private order stream: it says when something has moved, and never what.

1. Connecting, logging in, subscribing and keeping a listen key alive are ccxt.pro's work. What
   an event tells is not read: a pass over REST finds out.
2. Every connection has a ccxt object of its own, so nothing of one that broke is left to the next,
   and none touches the object that sends orders.
3. A frame that nobody understands ends the connection: a fresh one, and the pass that follows it,
   cost less than a stream that may have lost its tongue.
4. Silence is no sign of life: the venue is pinged, and what does not answer has ended. ccxt's own
   ping counts on the machine's wall clock, and on some venues waits for minutes.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ccxt.async_support.base.ws.client import (  # type: ignore[import-untyped]
    Client as Socket,
)

from guardian_core.domain.errors import GuardianError, Unavailable
from guardian_core.ports import Clock
from guardian_gateway.venues.exchange.client import Client

OPEN_WITHIN_S = 10.0
PING_EVERY_S = 5.0
SILENT_MAX_S = 12.0
"""Two pings without an answer, and a little."""
REFUSED = "the order stream: refused"
SEND_WITHIN_S = 2.0
CLOSE_WITHIN_S = 1.0

END = "guardian: the stream's end"
"""What is waited for on a connection: ccxt's name for it, which no venue ever resolves."""


class Heard(Enum):
    """What a frame is."""

    MOVED = "news of the account"
    NOTHING = "neither news nor an answer"
    SUBSCRIBED = "a subscription that was taken"
    REFUSED = "a refusal that ccxt passes over"
    OVER = "the venue ends the stream"
    OTHER = "for ccxt: answers to a login or a ping, refusals"


@dataclass(frozen=True, slots=True)
class StreamWiring:
    """How one venue's stream is used. `open`: connects, logs in and subscribes, and returns when
    the venue has confirmed it; it is given a `Stream`. `hear`: what a decoded frame is; it may
    raise anything for what is none. `keep`: what is done every few seconds while it stands."""

    open: Callable[[Any], Awaitable[None]]
    hear: Callable[[object], Heard]
    keep: Callable[[Any], Awaitable[None]] | None = None


async def listen(client: Client, wiring: StreamWiring, moved: Callable[[], None]) -> None:
    """`venues.port.Streaming.listen`, over one connection."""
    stream = await client.streaming(Stream)
    stream.begin(wiring, moved)
    try:
        await _opened(stream)
        stream.is_open = True
        moved()
        while not await stream.ended_within(PING_EVERY_S):
            if not client.has_keys_of(stream):
                raise Unavailable("the order stream: the account's keys have changed")
            if stream.silent_s() > SILENT_MAX_S:
                raise Unavailable("the order stream: the venue does not answer pings")
            await stream.send_pings()
            if wiring.keep is not None:
                await wiring.keep(stream)
    except GuardianError:
        raise
    except Exception as error:
        raise client.stream_error(error) from None
    finally:
        await stream.abandon()


async def _opened(stream: Any) -> None:
    """Raises Unavailable, or whatever ended it."""
    opening = asyncio.ensure_future(stream.wiring_of_stream.open(stream))
    try:
        await asyncio.wait(
            (opening, stream.ended), timeout=OPEN_WITHIN_S, return_when=asyncio.FIRST_COMPLETED
        )
        if stream.ended.done():
            stream.ended.result()
        if not opening.done():
            raise Unavailable(f"the order stream: not open after {OPEN_WITHIN_S:g} s")
        opening.result()
    finally:
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)


class Stream:
    """Mixed into a ccxt.pro class: frames come here first, and any failure is the stream's end."""

    clock: Clock
    skew_ms: int
    clients: dict[str, Any]

    def begin(self, wiring: StreamWiring, moved: Callable[[], None]) -> None:
        self.wiring_of_stream = wiring
        self._moved = moved
        # ccxt's own is its class's: shared by every account.
        self.clients = {}
        self.address = ""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_open = self._gone = False
        self._heard_at_s = self.clock.monotonic()
        self._later: set[asyncio.TimerHandle] = set()
        self._working: set[asyncio.Task[Any]] = set()

    # What becomes of the connection

    def silent_s(self) -> float:
        return self.clock.monotonic() - self._heard_at_s

    def hear_a_sign(self) -> None:
        self._heard_at_s = self.clock.monotonic()

    def end(self, error: object) -> None:
        """`error`: why, where it is an exception; what ccxt raises elsewhere is not."""
        if not self.ended.done():
            known = error if isinstance(error, Exception) else Unavailable(REFUSED)
            self.ended.set_exception(known)
            self.ended.exception()

    async def ended_within(self, seconds: float) -> bool:
        """False when it goes on. Raises what ended it."""
        await asyncio.wait((self.ended,), timeout=seconds)
        if self.ended.done():
            self.ended.result()
        return False

    async def send_pings(self) -> None:
        """As the venue wants them: most do not know the protocol's own."""
        for socket in [each for each in self.clients.values() if not each.closed()]:
            async with asyncio.timeout(SEND_WITHIN_S):
                if socket.ping:
                    await socket.send(socket.ping(socket))
                else:
                    await socket.connection.ping()

    async def abandon(self) -> None:
        """Leaves nothing behind: no connection, no timer, no task."""
        self._gone = True
        for timer in self._later:
            timer.cancel()
        working = list(self._working)
        for task in working:
            task.cancel()
        try:
            await asyncio.gather(*working, return_exceptions=True)
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_WITHIN_S):
                    closing = (socket.close() for socket in self.clients.values())
                    await asyncio.gather(*closing, return_exceptions=True)
        finally:
            self.clients.clear()
            await self.close()  # type: ignore[attr-defined] # ccxt's

    # What subscriptions use

    async def connect(self, url: str, subscription: str) -> None:
        """A connection that is subscribed by its address alone. Returns once it stands."""
        self.address = url
        self.watch(url, END, None, subscription)  # type: ignore[attr-defined] # ccxt's
        await self.client(url).connected

    async def subscribe(self, url: str, frame: object, subscriptions: int = 1) -> None:
        """Over a connection that stands. Returns once so many are taken."""
        socket = self.client(url)
        wanted = socket.subscribed + subscriptions
        await socket.send(frame)
        while socket.subscribed < wanted:
            await socket.subscription.wait()
            socket.subscription.clear()

    # What ccxt calls

    def milliseconds(self) -> int:
        """By the venue's clock: logins are signed with it."""
        own: int = super().milliseconds()  # type: ignore[misc] # the client's
        return own - self.skew_ms

    def seconds(self) -> int:
        return self.milliseconds() // 1000

    def client(self, url: str) -> Any:
        """One connection's client, of our kind."""
        if self._gone:
            raise Unavailable("the order stream: closed")
        if url not in self.clients:
            self.open()  # type: ignore[attr-defined] # ccxt's
            self.clients[url] = _Socket(self, url)
        return self.clients[url]

    def handle_message(self, client: Any, message: object) -> None:
        match self.wiring_of_stream.hear(message):
            case Heard.MOVED:
                if self.is_open:
                    self._moved()
            case Heard.NOTHING:
                pass
            case Heard.SUBSCRIBED:
                client.subscribed += 1
                client.subscription.set()
            case Heard.REFUSED:
                self.end(Unavailable(REFUSED))
            case Heard.OVER:
                self.end(Unavailable("the order stream: the venue has ended it"))
            case Heard.OTHER:
                super().handle_message(client, message)  # type: ignore[misc] # ccxt's

    def delay(self, milliseconds: float, method: Callable[..., Any], *args: Any) -> None:
        loop = asyncio.get_running_loop()
        self._later.add(loop.call_later(milliseconds / 1000, self.spawn, method, *args))

    def spawn(self, method: Callable[..., Any], *args: Any) -> None:
        task = asyncio.ensure_future(method(*args))
        self._working.add(task)
        task.add_done_callback(self._worked)

    def _worked(self, task: asyncio.Task[Any]) -> None:
        self._working.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.end(task.exception())


class _Socket(Socket):  # type: ignore[misc]
    """ccxt's client of one connection: whatever it refuses or cannot read ends the stream."""

    connecting: bool

    def __init__(self, stream: Any, url: str) -> None:
        self._stream = stream
        self.subscribed = 0
        self.subscription = asyncio.Event()
        config = {"ping": getattr(stream, "ping", None), **stream.streaming}
        ours = {"keepAlive": 0, "verbose": False, "asyncio_loop": asyncio.get_running_loop()}
        super().__init__(
            url,
            stream.handle_message,
            stream.on_error,
            stream.on_close,
            stream.on_connected,
            {**config, **stream.options.get("ws", {}), **ours},
        )

    def connect(self, session: Any, backoff_delay: float = 0) -> Any:
        if not self.connection and not self.connecting:
            self.connecting = True
            self._stream.spawn(self.open, session, backoff_delay)
        return self.connected

    def future(self, message_hash: str) -> Any:
        made = super().future(message_hash)
        # Where nobody waits any more, asyncio would log the error, address and all.
        made.remove_done_callback(_seen)
        made.add_done_callback(_seen)
        return made

    def reject(self, result: object, message_hash: str | None = None) -> object:
        super().reject(result, message_hash)
        self._stream.end(result)
        return result

    def handle_message(self, message: Any) -> None:
        self._stream.hear_a_sign()
        try:
            super().handle_message(message)
        except Exception:
            self._stream.end(Unavailable("the order stream: a frame that makes no sense"))


def _seen(future: "asyncio.Future[Any]") -> None:
    if not future.cancelled():
        future.exception()
