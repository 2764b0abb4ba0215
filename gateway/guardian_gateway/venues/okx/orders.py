"""Orders and fills of one kind of instrument on OKX: the same for spot and swaps.

1. OKX answers that it took an order, and no more: a plain one is read back for what it filled.
2. The list of conditional orders is asked for by their types, and holds those only that have not
   triggered. One that has is known by the plain order that it became, which names it.
3. An id is looked for among plain orders and conditional ones, then in the lists of conditional
   orders that wait and that have ended: only when all do not know it is it unknown.
4. A cancel is asked for, not done, when it is answered: the order is then looked at.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from guardian_core.domain.errors import Ambiguous, OrderGone, Unavailable
from guardian_core.domain.orders import OrderBody, OrderRef, OrderStatus, Role
from guardian_core.ports import Clock
from guardian_gateway.venues.exchange.asking import both
from guardian_gateway.venues.exchange.errors import Strange
from guardian_gateway.venues.exchange.names import OrderNames, Unsure
from guardian_gateway.venues.exchange.reading import text, text_or_none, to_ms
from guardian_gateway.venues.okx import words
from guardian_gateway.venues.okx.codes import acknowledged, data
from guardian_gateway.venues.okx.questions import (
    ENDED_ALGOS,
    PENDING,
    PENDING_ALGOS,
    Questions,
)
from guardian_gateway.venues.port import VenueFill, VenueOrder

OURS = "conditional,oco"
WAITING_TYPES = (OURS, "trigger", "move_order_stop")
"""Stops of all kinds. The others (twap, iceberg, chase) show by the plain orders that they send."""
ENDED_STATES = ("effective", "canceled", "order_failed")

RECENT = timedelta(days=3) - timedelta(minutes=5)
"""How far back the list of recent fills surely reaches; the older ones are in another."""
FILLS_KEPT = timedelta(days=89)

NUMBERS_KEPT = 1_000

LOOKS = 3
PAUSE_S = 0.1
"""Between two looks at an order whose cancel is under way."""


class Orders:
    """Of one account."""

    def __init__(self, questions: Questions, clock: Clock) -> None:
        self._ask = questions
        self._client = questions.client
        self._clock = clock
        self._names = OrderNames(self._read_name)
        self._numbers: OrderedDict[str, str] = OrderedDict()
        """Of pairs that were seen, by the id of each leg."""

    # Reads

    async def open(self, symbol: str | None) -> list[VenueOrder]:
        """Conditional ones are asked for before plain ones: one that triggers in between shows as
        what it became."""
        await self._ask.markets.ready()
        where = {"instId": await self._ask.name_of(symbol)} if symbol is not None else {}
        algos = {one.number: await self._as_it_stands(one) for one in await self._waiting(where)}
        plain_ones: list[VenueOrder] = []
        for row in await self._ask.every(PENDING, where, "ordId"):
            parent = text_or_none(row, "algoId")
            algo = await self._ask.algo(algoId=parent) if parent is not None else None
            if algo is not None and algo.legs and not algo.hidden:
                algos[algo.number] = await self._as_it_stands(algo)
            else:
                plain_ones.append(self._ask.parsed(words.plain_order, row))
        legs = [leg for algo in algos.values() for leg in algo.legs]
        return [leg for leg in legs if leg.status is OrderStatus.OPEN] + plain_ones

    async def find(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        name = await self._ask.name_of(symbol)
        algo, order = await both(
            self._ask.algo(algoClOrdId=client_order_id),
            self._ask.plain(name, clOrdId=client_order_id),
        )
        if algo is None or algo.leg(symbol, client_order_id) is None:
            if order is not None:
                return order
            algo = await self._by_number(symbol, client_order_id)
            algo = algo or await self._listed(symbol, name, client_order_id)
        if algo is None:
            return None
        return (await self._as_it_stands(algo)).leg(symbol, client_order_id)

    async def fills(self, symbol: str, since: datetime | None) -> list[VenueFill]:
        """All from `since` on, oldest first."""
        now = self._clock.now()
        start = max(since or now - RECENT, now - FILLS_KEPT)
        where = {"instId": await self._ask.name_of(symbol), "begin": str(to_ms(start))}
        calls = ["privateGetTradeFills"]
        if start < now - RECENT:
            calls = ["privateGetTradeFillsHistory", *calls]
        found: dict[str, VenueFill] = {}
        for call in calls:
            async for row in self._ask.pages(call, where, "billId"):
                one = self._ask.parsed(words.fill, row)
                found[one.venue_fill_id] = one
        return await self._names.told(sorted(found.values(), key=_by_time), now)

    # Writes

    async def create(self, params: Mapping[str, Any], body: OrderBody) -> VenueOrder:
        """A plain order, with what it has filled by now if that can be seen."""
        taken = await self._client.write(
            "privatePostTradeOrder",
            params,
            lambda answer: _number(answer, "ordId", "clOrdId", body.client_order_id),
            entering=body.role is Role.ENTRY,
        )
        order = words.accepted(body, taken)
        which = {"instId": params["instId"], "clOrdId": body.client_order_id}
        try:
            seen = await self._client.read("privateGetTradeOrder", which, self._seen)
        except (Unavailable, OrderGone):
            # Taken, and not shown yet: whoever asks next will see.
            seen = None
        if seen is not None and seen.ref == order.ref:
            order = seen
        self._names.learn(order)
        return order

    def _seen(self, answer: Any) -> VenueOrder | None:
        """Raises Ambiguous for a strange answer: the order was taken, and is none that we know."""
        try:
            return next((words.plain_order(row, self._ask.unit) for row in data(answer)), None)
        except Strange as error:
            raise Ambiguous(f"the order was taken, and then shown as: {error}") from None

    async def create_algo(self, params: Mapping[str, Any]) -> str:
        """A conditional order's number, once it was taken."""
        name = params["algoClOrdId"]
        return await self._client.write(
            "privatePostTradeOrderAlgo",
            params,
            lambda answer: _number(answer, "algoId", "algoClOrdId", name),
        )

    def learn_pair(self, number: str, *client_order_ids: str | None) -> None:
        """OKX knows a pair by its number, and by neither id of ours."""
        for one in client_order_ids:
            if one is not None:
                self._numbers[one] = number
                self._numbers.move_to_end(one)
        while len(self._numbers) > NUMBERS_KEPT:
            self._numbers.popitem(last=False)

    async def cancel(self, ref: OrderRef) -> None:
        name = (await self._ask.markets.listing_to_write(ref.symbol)).name
        if ref.conditional:
            await self._cancel_algo(name, ref)
            return
        which = {"ordId": ref.venue_order_id}
        if not ref.venue_order_id:
            which = {"clOrdId": ref.client_order_id or ""}
        await self._client.write(
            "privatePostTradeCancelOrder", {"instId": name, **which}, acknowledged
        )
        await _until_ended(lambda: self._ask.plain(name, **which))

    async def _cancel_algo(self, name: str, ref: OrderRef) -> None:
        number = words.algo_number(ref)
        if not number:
            found = await self.find(ref.symbol, ref.client_order_id or "")
            if found is None or found.status.is_terminal:
                raise OrderGone(f"order {ref.client_order_id} is not working")
            number = words.algo_number(found.ref)
        await self._client.write(
            "privatePostTradeCancelAlgos", {"instId": name, "algoId": number}, acknowledged
        )

        async def look() -> VenueOrder | None:
            algo = await self._ask.algo(algoId=number)
            waits = algo is not None and not algo.hidden and algo.acted is None
            return next(iter(algo.legs), None) if algo is not None and waits else None

        await _until_ended(look)

    # Details

    async def _waiting(self, where: Mapping[str, str]) -> list[words.Algo]:
        """Conditional orders that have not triggered, by the types that one question may name."""
        lists = await asyncio.gather(
            *(
                self._ask.every(PENDING_ALGOS, {**where, "ordType": kind}, "algoId")
                for kind in WAITING_TYPES
            ),
            return_exceptions=True,
        )
        found: list[words.Algo] = []
        for one in lists:
            if isinstance(one, BaseException):
                raise one
            found += [self._ask.parsed(words.algo, row) for row in one]
        for algo in found:
            if len(algo.legs) > 1:
                self.learn_pair(algo.number, *(leg.ref.client_order_id for leg in algo.legs))
        return found

    async def _by_number(self, symbol: str, client_order_id: str) -> words.Algo | None:
        """A pair that was seen: for a moment it may be in no list, and the lists may be long."""
        number = self._numbers.get(client_order_id)
        algo = await self._ask.algo(algoId=number) if number is not None else None
        return algo if algo is not None and algo.leg(symbol, client_order_id) else None

    async def _listed(self, symbol: str, name: str, client_order_id: str) -> words.Algo | None:
        """The conditional order of this id, from the lists: the waiting ones first, since that is
        the way they go. A pair is in no other place, for whoever knows the id of one leg only."""
        where = {"instId": name, "ordType": OURS}
        ended = [(ENDED_ALGOS, {**where, "state": state}) for state in ENDED_STATES]
        for call, params in [(PENDING_ALGOS, where), *ended]:
            async for row in self._ask.pages(call, params, "algoId"):
                algo = self._ask.parsed(words.algo, row)
                if algo.leg(symbol, client_order_id) is not None:
                    return algo
        return None

    async def _as_it_stands(self, algo: words.Algo) -> words.Algo:
        """With what became of it once it has triggered. Raises Unavailable where that is hid."""
        if algo.hidden:
            raise Unavailable(f"what order {algo.number} became is not told")
        if algo.acted is None:
            return algo
        for leg in algo.legs:
            self._names.learn(leg)
        children = [await self._ask.plain(algo.instrument, ordId=one) for one in algo.children]
        seen = [child for child in children if child is not None]
        if len(seen) < len(children):
            raise Unavailable(f"what order {algo.number} became is not shown")
        return algo.with_children(seen)

    async def _read_name(self, symbol: str, order_id: str) -> str | None:
        """A plain order's own id, or that of the conditional one that became it."""
        row = await self._ask.plain_row(await self._ask.name_of(symbol), ordId=order_id)
        parent = text_or_none(row, "algoId") if row is not None else None
        if row is None:
            raise Unsure(None)
        if parent is None:
            return text_or_none(row, "clOrdId")
        algo = await self._ask.algo(algoId=parent)
        if algo is None:
            raise Unavailable(f"order {parent}, which became {order_id}, is not shown")
        acted = [leg for leg in algo.legs if leg.child_id] or algo.legs
        if len(acted) != 1:
            raise Unsure(None)
        return acted[0].ref.client_order_id


async def _until_ended(look: Callable[[], Awaitable[VenueOrder | None]]) -> None:
    """Raises Ambiguous where a cancelled order still works, OrderGone where it was filled."""
    for index in range(LOOKS):
        if index:
            await asyncio.sleep(PAUSE_S)
        try:
            order = await look()
        except Unavailable as error:
            raise Ambiguous(f"the cancel was taken, and not seen: {error}") from None
        if order is None or order.status is OrderStatus.CLOSED:
            raise OrderGone("it ended before its cancel")
        if order.status.is_terminal:
            return
    raise Ambiguous("the cancel was taken, and the order still works")


def _number(answer: Any, number: str, name: str, ours: str) -> str:
    """The number of the order that was taken. Raises Strange for another one's."""
    taken = acknowledged(answer)
    if taken.get(name) != ours:
        raise Strange("the answer is about another order")
    return text(taken, number)


def _by_time(fill: VenueFill) -> tuple[datetime, int, str]:
    """Numbers of one length sort as text; longer ones are later."""
    return fill.at, len(fill.venue_fill_id), fill.venue_fill_id
