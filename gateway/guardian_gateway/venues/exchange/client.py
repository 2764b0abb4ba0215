"""The way to one account on one exchange: ccxt signs and sends, this decides what that meant.

1. No order is sent twice: ccxt's own repeats are off, and a write's error says what is known.
   (A cancel or a read that meets a broken connection may be repeated once, by aiohttp.)
2. A request is valid for 3 s after the venue's clock says that it was made, so a write that was
   not answered is over then (see outcomes.EFFECT_WITHIN_S).
3. Asked to wait (429, 418), nothing is read and no position entered until the time is over; what
   protects a position is still tried.
4. Keys are read when they change, handed to ccxt alone, and cut out of whatever is said.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from guardian_core.accounts import Environment
from guardian_core.domain.errors import (
    Ambiguous,
    ConfigurationError,
    GuardianError,
    NotSent,
    Unavailable,
)
from guardian_gateway.venues.exchange.errors import (
    Strange,
    answer_of,
    of_read,
    of_stream,
    of_write,
)
from guardian_gateway.venues.exchange.keys import Keys
from guardian_gateway.venues.exchange.making import VALID_FOR_MS, Wiring, make, make_streaming
from guardian_gateway.venues.exchange.reading import row
from guardian_gateway.venues.exchange.surroundings import Surroundings

__all__ = ["Client", "Wiring"]

T = TypeVar("T")
Params = Mapping[str, str | int | bool]

CLOCK_GOOD_FOR_S = 600.0
WAIT_AFTER_429_S = 5.0
WAIT_AFTER_418_S = 120.0
LONGEST_WAIT_S = 600.0


class Client:
    """One account's connection. Made without I/O; the first call opens it."""

    def __init__(self, wiring: Wiring, around: Surroundings) -> None:
        self._wiring = wiring
        self._around = around
        self._keys = around.keys
        self._clock = around.clock
        self._exchange: Any = None
        self._synced_at_s: float | None = None
        self._clock_is_off = False
        self._wait_until_s = 0.0
        self.skew_ms = 0
        """How far this machine's clock is ahead of the venue's, as last measured."""

    def __repr__(self) -> str:
        return f"Client({self._wiring.ccxt_id}, {self._keys.account})"

    @property
    def is_live(self) -> bool:
        """Whether real money is traded."""
        return self._around.environment is Environment.LIVE

    async def read(
        self, call: str, params: Params, parse: Callable[[Any], T], *, signed: bool = True
    ) -> T:
        """What the endpoint answers, parsed. Raises Unavailable, OrderGone for what the venue
        does not know, ConfigurationError without keys."""
        self._check_wait(Unavailable)
        if signed:
            await self._prepare(fresh_clock=True)
        try:
            return parse(await self._call(call, params))
        except Strange as error:
            raise Unavailable(f"{call}: {error}") from None
        except GuardianError:
            raise
        except Exception as error:
            raise self._noted(error, of_read(error, self._wiring.table, call)) from None

    async def write(
        self, call: str, params: Params, parse: Callable[[Any], T], *, entering: bool = False
    ) -> T:
        """The same for what changes something; raises what a venue's write raises."""
        if entering:
            self._check_wait(NotSent)
        try:
            await self._prepare(fresh_clock=False)
        except Unavailable as error:
            raise NotSent(str(error)) from None
        try:
            return parse(await self._call(call, params))
        except Strange as error:
            raise Ambiguous(f"{call}: {error}") from None
        except GuardianError:
            raise
        except Exception as error:
            raise self._noted(error, of_write(error, self._wiring.table, call)) from None

    async def streaming(self, kind: type) -> Any:
        """A ccxt.pro exchange of this account with the keys and the `skew_ms` of now, for whoever
        closes it. Raises Unavailable, ConfigurationError."""
        self._check_wait(Unavailable)
        await self._prepare(fresh_clock=True)
        exchange = make_streaming(self._wiring, self._around, kind)
        exchange.skew_ms = self.skew_ms
        self._give_keys(exchange)
        return exchange

    def has_keys_of(self, exchange: Any) -> bool:
        """Whether what was made before is still of the account's keys. Raises
        ConfigurationError."""
        return bool(
            Keys(exchange.apiKey, exchange.secret, exchange.password) == self._keys.current()
        )

    def stream_error(self, error: Exception) -> Unavailable:
        """What ended a stream, without any key."""
        seen = of_stream(error)
        self._noted(error, seen)
        return seen

    async def deadline(self) -> datetime:
        """When a request that is made now is over, by the venue's clock. Raises NotSent."""
        try:
            await self._prepare(fresh_clock=False)
        except Unavailable as error:
            raise NotSent(str(error)) from None
        return self._clock.now() + timedelta(milliseconds=VALID_FOR_MS - self.skew_ms)

    async def close(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            await exchange.close()

    async def _call(self, call: str, params: Params) -> Any:
        return await getattr(self._opened(), call)(dict(params))

    def _opened(self) -> Any:
        if self._exchange is None:
            self._exchange = make(self._wiring, self._around)
        return self._exchange

    async def _prepare(self, *, fresh_clock: bool) -> None:
        """Keys and clock. A write does not wait for a clock that is only old."""
        self._give_keys(self._opened())
        now_s = self._clock.monotonic()
        old = self._synced_at_s is not None and now_s - self._synced_at_s > CLOCK_GOOD_FOR_S
        if self._synced_at_s is None or self._clock_is_off or (old and fresh_clock):
            await self._sync_clock()

    def _give_keys(self, exchange: Any) -> None:
        keys = self._keys.current()
        if exchange.requiredCredentials["password"] and not keys.passphrase:
            raise self._keys.lacks_passphrase()
        exchange.apiKey, exchange.secret = keys.key, keys.secret
        exchange.password = keys.passphrase

    async def _sync_clock(self) -> None:
        """Raises Unavailable."""
        wiring = self._wiring
        began_s, began_ms = self._clock.monotonic(), self._now_ms()
        theirs_ms = await self.read(
            wiring.time_call, {}, lambda found: wiring.read_time_ms(row(found)), signed=False
        )
        took_s = self._clock.monotonic() - began_s
        self.skew_ms = round(began_ms + took_s * 500 - theirs_ms)
        self._opened().options["timeDifference"] = self.skew_ms
        self._synced_at_s, self._clock_is_off = self._clock.monotonic(), False

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)

    def _check_wait(self, kind: type[Unavailable]) -> None:
        left_s = self._wait_until_s - self._clock.monotonic()
        if left_s > 0:
            raise kind(f"{self._wiring.ccxt_id} asked to wait: {left_s:.0f} s are left")

    def _noted(self, error: Exception, seen: GuardianError) -> GuardianError:
        """Remembers what the error tells about later calls; returns it without any key."""
        answer = answer_of(error)
        if answer is not None:
            table = self._wiring.table
            self._clock_is_off |= answer.code in table.unclocked | table.late
            if answer.status in (418, 429) or answer.code in table.slow_down:
                usual_s = WAIT_AFTER_418_S if answer.status == 418 else WAIT_AFTER_429_S
                wait_s = answer.retry_after_s or usual_s
                until_s = self._clock.monotonic() + min(wait_s, LONGEST_WAIT_S)
                self._wait_until_s = max(self._wait_until_s, until_s)
        try:
            keys = self._keys.current()
        except ConfigurationError:
            return seen
        seen.args = tuple(keys.scrub(a) if isinstance(a, str) else a for a in seen.args)
        return seen
