"""Looks an account over: what the exchange says of its keys, its symbols, who else trades on it.

Real money is trusted with entries only after a look of the last day that found nothing which the
owner must change first.
"""

import asyncio
import re
from collections.abc import Awaitable, Sequence

from guardian_core.accounts import Environment
from guardian_core.domain.errors import CallerError, NotSent
from guardian_core.domain.orders import belongs_to
from guardian_core.storage.lanes import symbols_of
from guardian_gateway.desk import Context, Desk
from guardian_gateway.venues.exchange.checks import CheckedVenue, Finding, found_out

GOOD_FOR_S = 24 * 3600.0
AGAIN_AFTER_S = 60.0
"""What was found wrong is looked at again after so long: it may have been mended."""
UNASKED_AGAIN_AFTER_S = 5.0
"""What could not be asked: an entry waits for the answer, and is too old soon."""
WITHIN_S = 10.0
MUST_HOLD = frozenset({"keys", "trading", "withdrawal", "position mode"})
"""What keeps real money from being entered when it is not as it should be."""
_OF_AN_INSTALLATION = re.compile("[a-z0-9]{6}[a-z2-7]{12}")
"""Six of the installation, and a hash: see `guardian_core.domain.orders`."""

_UNFINISHED = (Finding("keys", False, "the account has changed meanwhile", asked=False),)


class Examiner:
    """Of one account."""

    def __init__(self, desk: Desk, context: Context) -> None:
        self._desk = desk
        self._context = context
        self._looked_at_s: float | None = None
        self._generation: int | None = None
        self._found: Sequence[Finding] = ()

    async def look(self) -> Sequence[Finding]:
        """Asks anew. Raises nothing that the venue did: what cannot be asked is a finding."""
        generation = self._desk.generation
        asking = asyncio.ensure_future(
            asyncio.gather(
                self._of_the_exchange(),
                _alone("symbols", self._symbols()),
                _alone("other installations", self._others()),
            )
        )
        changing = asyncio.ensure_future(self._desk.changing.wait())
        try:
            await asyncio.wait((asking, changing), return_when=asyncio.FIRST_COMPLETED)
            self._found = _UNFINISHED
            if asking.done():
                self._found = [finding for part in asking.result() for finding in part]
        finally:
            asking.cancel()
            changing.cancel()
            await asyncio.gather(asking, changing, return_exceptions=True)
        self._looked_at_s, self._generation = self._context.clock.monotonic(), generation
        return self._found

    async def distrust(self) -> str:
        """Why no entry with real money may be sent; empty where one may. Raises NotSent while
        that is not known."""
        if self._desk.spec.environment is not Environment.LIVE:
            return ""
        if self._is_due():
            await self.look()
        wrong = self._wrong()
        for one in wrong:
            if not one.asked:
                raise NotSent(f"the account cannot be looked over: {one.what}: {one.found}")
        return "; ".join(f"{one.what} {one.found}" for one in wrong)

    def _is_due(self) -> bool:
        if self._looked_at_s is None or self._generation != self._desk.generation:
            return True
        age_s = self._context.clock.monotonic() - self._looked_at_s
        wrong = self._wrong()
        if any(not one.asked for one in wrong):
            return age_s > UNASKED_AGAIN_AFTER_S
        return age_s > (AGAIN_AFTER_S if wrong else GOOD_FOR_S)

    def _wrong(self) -> list[Finding]:
        return [one for one in self._found if not one.ok and one.what in MUST_HOLD]

    async def _of_the_exchange(self) -> Sequence[Finding]:
        venue = self._desk.venue
        if not isinstance(venue, CheckedVenue):
            return []
        return await found_out("keys", self._desk.calls.read("check", venue.check, WITHIN_S))

    async def _symbols(self) -> Sequence[Finding]:
        names = await self._context.database.run(lambda tx: symbols_of(tx, self._desk.name))
        unknown = []
        for name in names:
            await self._desk.calls.ease()
            try:
                await self._desk.instrument(name)
            except CallerError:
                unknown.append(name)
        if unknown:
            return [Finding("symbols", False, f"not traded here: {', '.join(unknown)}")]
        known = f"{len(names)} in use, all known" if names else "none yet"
        return [Finding("symbols", True, known)]

    async def _others(self) -> Sequence[Finding]:
        orders = await self._desk.calls.read("open_orders", self._desk.venue.open_orders)
        ours = self._context.installation
        names = [order.ref.client_order_id or "" for order in orders]
        theirs = {
            name[: len(ours)]
            for name in names
            if _OF_AN_INSTALLATION.fullmatch(name) and not belongs_to(ours, name)
        }
        if theirs:
            shown = ", ".join(sorted(theirs))
            found = f"{shown} has orders here too: give each installation an account of its own"
            return [Finding("other installations", False, found)]
        return [Finding("other installations", True, "none")]


async def _alone(what: str, asking: Awaitable[Sequence[Finding]]) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(WITHIN_S):
            return await found_out(what, asking)
    except TimeoutError:
        return [Finding(what, False, f"no answer within {WITHIN_S:g} s", asked=False)]
