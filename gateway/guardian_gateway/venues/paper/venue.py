"""The paper venue: the Venue port over a paper exchange, its books and its faults."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar, assert_never

from guardian_core.accounts import AccountSpec
from guardian_core.domain.errors import (
    Ambiguous,
    GuardianError,
    NotSent,
    Rejected,
    RejectReason,
    Unavailable,
)
from guardian_core.domain.money import Instrument, plain
from guardian_core.domain.orders import OrderBody, OrderRef
from guardian_core.domain.snapshot import Capabilities, LegsMode, Position, Price
from guardian_core.ports import Clock
from guardian_core.protocol import (
    Bar,
    CancelByHand,
    FaultKind,
    InjectFault,
    PaperCommand,
    PaperReport,
    SetPrice,
)
from guardian_gateway.venues.paper.exchange import PaperExchange
from guardian_gateway.venues.paper.faults import Faults, stops_to_forget
from guardian_gateway.venues.paper.records import LedgerEvent
from guardian_gateway.venues.paper.rules import Rules
from guardian_gateway.venues.paper.store import PaperStore
from guardian_gateway.venues.port import Balance, VenueFill, VenueOrder

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PaperTiming:
    """How slow the venue pretends to be. `visibility_delay_s`: how long an accepted order is
    missing from the listings, while `find` knows it already."""

    visibility_delay_s: float = 0.0
    request_s: float = 0.0
    answer_s: float = 0.0


class PaperVenue:
    """One paper account. `rules`: other than what the spec says, for tests and the simulator."""

    name = "paper"

    def __init__(
        self,
        account: str,
        spec: AccountSpec,
        store: PaperStore,
        clock: Clock,
        *,
        rules: Rules | None = None,
        timing: PaperTiming = PaperTiming(),
    ) -> None:
        self._rules = rules or Rules.of(spec)
        self._books = store.open(account, self._rules)
        self._clock = clock
        self._timing = timing
        self._faults = Faults(clock)

    @property
    def events(self) -> list[LedgerEvent]:
        """What happened on the venue, for whoever judges from outside; see the store."""
        return self._books.events

    def capabilities(self) -> Capabilities:
        return Capabilities(
            legs=LegsMode.PAIR if self._rules.spot else LegsMode.INDEPENDENT,
            amend=self._rules.amend,
            create_then_cancel=not self._rules.spot,
            reports_positions=not self._rules.spot,
            visibility_delay_s=self._timing.visibility_delay_s,
        )

    # Reads

    async def instrument(self, symbol: str) -> Instrument:
        await self._reach()
        return self._rules.instrument(symbol)

    async def balances(self) -> Sequence[Balance]:
        return await self._read(lambda exchange: exchange.balances())

    async def positions(self) -> Sequence[Position]:
        return await self._read(lambda exchange: exchange.positions())

    async def open_orders(self, symbol: str | None = None) -> Sequence[VenueOrder]:
        delay = timedelta(seconds=self._timing.visibility_delay_s)

        def listed(exchange: PaperExchange) -> list[VenueOrder]:
            newest = self._clock.now() - delay
            orders = exchange.open_orders(symbol)
            return [o for o in orders if o.created_at is not None and o.created_at <= newest]

        return await self._read(listed)

    async def find(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        return await self._read(
            lambda exchange: exchange.find(symbol, client_order_id), recall=(client_order_id,)
        )

    async def fills(self, symbol: str, since: datetime | None = None) -> Sequence[VenueFill]:
        await self._reach()
        fills = await self._books.fills(symbol, since)
        await self._pause(self._timing.answer_s)
        return fills

    async def price(self, symbol: str) -> Price:
        """Raises Unavailable while no price was ever told."""
        self._rules.instrument(symbol)
        price = await self._read(lambda exchange: exchange.price(symbol))
        if price is None:
            raise Unavailable(
                f"the paper venue has no price for {symbol} yet: send an alert with Close,"
                f" or `guardian paper price {symbol} PRICE`"
            )
        return price

    # Writes

    async def create(self, body: OrderBody) -> VenueOrder:
        return await self._write(
            lambda exchange: exchange.create(body, self._clock.now()), (body,), creates=True
        )

    async def create_pair(
        self, stop_loss: OrderBody, take_profit: OrderBody
    ) -> Sequence[VenueOrder]:
        return await self._write(
            lambda exchange: exchange.create_pair(stop_loss, take_profit, self._clock.now()),
            (stop_loss, take_profit),
            creates=True,
        )

    async def amend(self, order: OrderRef, body: OrderBody) -> VenueOrder:
        return await self._write(
            lambda exchange: exchange.amend(order, body, self._clock.now()), (body,)
        )

    async def cancel(self, order: OrderRef) -> None:
        await self._write(lambda exchange: exchange.cancel(order.venue_order_id, self._clock.now()))

    async def set_leverage(self, symbol: str, leverage: Decimal) -> None:
        await self._write(
            lambda exchange: exchange.set_leverage(symbol, leverage, self._clock.now())
        )

    async def close(self) -> None:
        return None

    # What only a paper venue can

    async def paper_command(self, command: PaperCommand) -> PaperReport:
        """Raises CallerError, or Unavailable: doing it again is then harmless, but for a count
        of forgotten stops."""
        match command:
            case Bar():
                changed = await self._books.write(
                    lambda exchange: exchange.apply_bar(command, self._clock.now())
                )
                done = "applied" if changed else "ignored: no newer than the last one"
                return PaperReport(message=f"bar of {command.symbol} {done}", changed=changed)
            case SetPrice():
                await self._books.write(
                    lambda exchange: exchange.set_price(
                        command.symbol, command.price, self._clock.now()
                    )
                )
                return PaperReport(message=f"{command.symbol} is at {plain(command.price)}")
            case CancelByHand():
                order = await self._books.write(
                    lambda exchange: exchange.cancel_by_hand(command.order_id, self._clock.now()),
                    recall=(command.order_id,),
                )
                return PaperReport(message=f"cancelled {_shown(order)}")
            case InjectFault():
                return await self._inject(command)
            case _:
                assert_never(command)

    async def _inject(self, command: InjectFault) -> PaperReport:
        if command.fault is not FaultKind.FORGET_STOP:
            self._faults.inject(command)
            return PaperReport(message=f"{command.fault} is set")

        def forget(exchange: PaperExchange) -> list[VenueOrder]:
            orders = stops_to_forget(command, exchange.open_orders())
            for order in orders:
                exchange.forget(order.ref.venue_order_id, self._clock.now())
            return orders

        forgotten = await self._books.write(forget)
        if not forgotten:
            return PaperReport(message="no such order works: nothing forgotten", changed=False)
        return PaperReport(message="forgot " + ", ".join(_shown(order) for order in forgotten))

    async def _read(self, fn: Callable[[PaperExchange], T], *, recall: Collection[str] = ()) -> T:
        await self._reach()
        value = await self._books.read(fn, recall=recall)
        await self._pause(self._timing.answer_s)
        return value

    async def _write(
        self,
        command: Callable[[PaperExchange], T],
        bodies: tuple[OrderBody, ...] = (),
        *,
        creates: bool = False,
    ) -> T:
        roles = frozenset(body.role for body in bodies)
        await self._pause(self._timing.request_s)
        if self._faults.strikes(FaultKind.DOWN):
            raise NotSent("the paper venue is down (paper fault)")
        if creates and self._faults.strikes(FaultKind.REFUSE_CREATE, roles):
            raise Rejected(RejectReason.INVALID_ORDER, "the order was refused (paper fault)")
        lost = bool(bodies) and self._faults.strikes(FaultKind.LOSE_ANSWER, roles)
        recall = tuple(body.client_order_id for body in bodies)
        try:
            value = await self._books.write(command, recall=recall)
        except Unavailable as error:
            raise Ambiguous(f"whether the paper venue did it is unknown: {error}") from error
        except GuardianError as error:
            await self._pause(self._timing.answer_s)
            if lost:
                raise _lost_answer() from error
            raise
        await self._pause(self._timing.answer_s)
        if lost:
            raise _lost_answer()
        return value

    async def _reach(self) -> None:
        await self._pause(self._timing.request_s)
        if self._faults.strikes(FaultKind.DOWN):
            raise Unavailable("the paper venue is down (paper fault)")

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            await asyncio.sleep(seconds)


def _lost_answer() -> Ambiguous:
    return Ambiguous("the paper venue's answer was lost (paper fault)")


def _shown(order: VenueOrder) -> str:
    level = order.trigger_price if order.trigger_price is not None else order.price
    at = "" if level is None else f" at {plain(level)}"
    size = plain(order.quantity)
    return f"{order.type} {order.side} {size} {order.ref.symbol}{at} ({order.ref.venue_order_id})"
