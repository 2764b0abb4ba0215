"""Single writes to the venue, each told to its row and to the caller as an outcome.

1. Nothing is created later than a second after its fence, and nothing is sent under a lease
   that is no longer held.
2. A create's row says `pending` until the outcome is known; when the database cannot be told,
   the row is looked up like any other unknown outcome.
3. An outcome is what surely happened; what may have happened is `ambiguous`.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from loguru import logger

from guardian_core.domain.errors import (
    Ambiguous,
    CallerError,
    ConfigurationError,
    GuardianError,
    NotSent,
    OrderGone,
    Rejected,
    RejectReason,
    Unavailable,
)
from guardian_core.domain.money import ZERO, MarketKind
from guardian_core.domain.orders import OrderBody, OrderRef, OrderStatus, Role
from guardian_core.domain.snapshot import Capabilities
from guardian_core.ports import Tx
from guardian_core.protocol import OrderOutcome, OutcomeKind
from guardian_gateway import answers, rows
from guardian_gateway.desk import Context, Desk
from guardian_gateway.grant import Grant
from guardian_gateway.outcomes import SEND_WITHIN_S, Resolver, Unresolved
from guardian_gateway.rows import TradeRow
from guardian_gateway.venues.port import VenueOrder
from guardian_gateway.write_ahead import row_id

LOOK_AGAIN_S = 0.2

_REFUSED = (Rejected, NotSent, CallerError, ConfigurationError)
_FAILED = (*_REFUSED, Ambiguous, OrderGone)


@dataclass(frozen=True, slots=True)
class Permit:
    """The fence's leave to send: under this lease, and to create only for a second from `at_s`."""

    grant: Grant
    at_s: float


@dataclass(frozen=True, slots=True)
class Ended:
    """How a cancelled order ended. `known`: it surely works no more, and how much of it filled
    is known; `filled_more`: more than its row said when the decision was admitted."""

    outcome: OrderOutcome
    known: bool
    filled_more: bool = False

    @property
    def as_expected(self) -> bool:
        return self.known and not self.filled_more


class Writes:
    """The writes of one account."""

    def __init__(self, desk: Desk, context: Context, resolver: Resolver) -> None:
        self._desk = desk
        self._context = context
        self._resolver = resolver

    @property
    def capabilities(self) -> Capabilities:
        """What the account's venue can do."""
        return self._desk.capabilities

    async def create(
        self, action: int, bodies: tuple[OrderBody, ...], permit: Permit
    ) -> tuple[OrderOutcome, ...]:
        """Sends one order, or two as a pair, whose rows are written. One outcome each."""
        lane = self._desk.lane(bodies[0].symbol)
        ids = {body.client_order_id for body in bodies}
        lane.sending |= ids
        try:
            orders = await self._send(bodies, permit)
            lane.owes_fills |= any(order.filled_quantity > 0 for order in orders)
            await self._tell_rows(bodies, lambda tx: self._absorb(tx, orders))
            return tuple(
                answers.of_order(action, body, order)
                for body, order in zip(bodies, orders, strict=True)
            )
        except _FAILED as error:
            return await self._not_created(action, bodies, error)
        finally:
            lane.sending -= ids

    async def _send(self, bodies: tuple[OrderBody, ...], permit: Permit) -> list[VenueOrder]:
        async def send() -> Sequence[VenueOrder]:
            self._check_lease(permit)
            self._check_in_time(permit)
            if len(bodies) == 1:
                return (await self._desk.venue.create(bodies[0]),)
            stop, profit = sorted(bodies, key=lambda body: body.role is Role.TAKE_PROFIT)
            return await self._desk.venue.create_pair(stop, profit)

        answered = {o.ref.client_order_id: o for o in await self._desk.calls.write("create", send)}
        named = [answered.get(body.client_order_id) for body in bodies]
        orders = [order for order in named if order is not None and order.ref.venue_order_id]
        if len(orders) != len(bodies):
            raise Ambiguous("create: the venue's answer does not name the order that was sent")
        return orders

    async def _not_created(
        self, action: int, bodies: tuple[OrderBody, ...], error: GuardianError
    ) -> tuple[OrderOutcome, ...]:
        reason = answers.reason_of(error)
        # A duplicate id means that an earlier send of this very order got there.
        if isinstance(error, _REFUSED) and reason is not RejectReason.DUPLICATE_ID:
            await self._tell_rows(bodies, lambda tx: self._refuse(tx, bodies, reason, str(error)))
            refused = (answers.of_create(action, b, OutcomeKind.REJECTED) for b in bodies)
            return tuple(answers.failed(outcome, error) for outcome in refused)
        self._look_up(bodies)
        return tuple(
            answers.of_create(action, body, OutcomeKind.AMBIGUOUS, str(error)) for body in bodies
        )

    async def read_back(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        """The order as the venue has it now; None when it cannot be seen (yet)."""
        patience_s = self._desk.capabilities.visibility_delay_s
        since_s = self._context.clock.monotonic()
        try:
            found = await self._find(symbol, client_order_id)
            while found is None and self._context.clock.monotonic() - since_s < patience_s:
                await asyncio.sleep(LOOK_AGAIN_S)
                found = await self._find(symbol, client_order_id)
        except Unavailable as error:
            logger.warning("order {} not read back: {}", client_order_id, error)
            return None
        if found is not None:
            await self._tell(lambda tx: self._absorb(tx, [found]))
        return found

    async def cancel(
        self, action: int, ref: OrderRef, row: TradeRow | None, permit: Permit
    ) -> OrderOutcome:
        """Cancels. An order that works no more already is as good as cancelled."""
        outcome = await self._cancel(action, ref, row, permit)
        gone = outcome.outcome is OutcomeKind.ACCEPTED and outcome.status is None
        if gone and outcome.client_order_id is not None:
            await self.read_back(ref.symbol, outcome.client_order_id)
        return outcome

    async def _cancel(
        self, action: int, ref: OrderRef, row: TradeRow | None, permit: Permit
    ) -> OrderOutcome:
        """Accepted without a status: it was gone before."""
        outcome = answers.of_change(action, "cancel", ref, row)

        async def send() -> None:
            self._check_lease(permit)
            await self._desk.venue.cancel(ref)

        try:
            await self._desk.calls.write("cancel", send)
        except OrderGone as error:
            return outcome.model_copy(update={"status": None, "message": f"was gone: {error}"})
        except _FAILED as error:
            return answers.failed(outcome, error)
        if row is not None:
            await self._tell(lambda tx: self._end(tx, row))
        return outcome

    async def end(self, action: int, ref: OrderRef, row: TradeRow | None, permit: Permit) -> Ended:
        """Cancels, then learns how the order ended: something else depends on it."""
        outcome = await self._cancel(action, ref, row, permit)
        client_order_id = outcome.client_order_id
        if outcome.outcome is not OutcomeKind.ACCEPTED or client_order_id is None:
            return Ended(outcome, known=False)
        try:
            found = await self._find(ref.symbol, client_order_id)
        except Unavailable:
            return Ended(outcome, known=False)
        if found is None:
            # Cancelled by us and forgotten: nothing of it filled. Gone before that, or too young
            # to be seen: nobody knows.
            cancelled_by_us = outcome.status is OrderStatus.CANCELLED
            return Ended(outcome, known=cancelled_by_us and self._would_be_seen(row))
        if row is not None:
            await self._tell(lambda tx: self._absorb(tx, [found]))
        before = row.filled_quantity if row else ZERO
        update = {
            "status": found.status if found.status.is_terminal else outcome.status,
            "filled_quantity": found.filled_quantity,
            "average_price": found.average_price,
        }
        filled_more = found.filled_quantity > before
        return Ended(outcome.model_copy(update=update), known=True, filled_more=filled_more)

    def _would_be_seen(self, row: TradeRow | None) -> bool:
        age_s = row.acknowledged_age_s if row is not None else None
        return age_s is not None and age_s >= self._desk.capabilities.visibility_delay_s

    async def amend(
        self, action: int, ref: OrderRef, body: OrderBody, row: TradeRow | None, permit: Permit
    ) -> OrderOutcome:
        """Changes a working order in place; its row takes the new body once that is sure."""
        outcome = answers.of_change(action, "amend", ref, row)

        async def send() -> VenueOrder:
            self._check_lease(permit)
            self._check_in_time(permit)
            return await self._desk.venue.amend(ref, body)

        try:
            order = await self._desk.calls.write("amend", send)
        except _FAILED as error:
            return answers.failed(outcome, error)
        if row is not None:
            await self._tell(lambda tx: self._amended(tx, row, body, order))
        return outcome.model_copy(update={"venue_order_id": order.ref.venue_order_id})

    async def set_leverage(self, symbol: str, leverage: Decimal | None, permit: Permit) -> None:
        """Sets what an entry asks for, where the market knows leverage and it is not set yet."""
        if leverage is None or self._desk.spec.market() is MarketKind.SPOT:
            return
        if self._desk.leverage.get(symbol) == leverage:
            return

        async def send() -> None:
            self._check_lease(permit)
            await self._desk.venue.set_leverage(symbol, leverage)

        await self._desk.calls.write("set_leverage", send)
        self._desk.leverage[symbol] = leverage

    async def _find(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        return await self._desk.calls.read(
            "find", lambda: self._desk.venue.find(symbol, client_order_id)
        )

    def _check_lease(self, permit: Permit) -> None:
        if not self._context.holder.still(permit.grant):
            raise NotSent("abandoned: this gateway no longer holds the lease")

    def _check_in_time(self, permit: Permit) -> None:
        waited_s = self._context.clock.monotonic() - permit.at_s
        if waited_s > SEND_WITHIN_S:
            raise NotSent(f"abandoned: {waited_s:.1f} s passed between the fence and the send")

    def _look_up(self, bodies: Sequence[OrderBody]) -> None:
        for body in bodies:
            self._resolver.track(Unresolved.of_body(self._desk.name, body))

    async def _tell_rows(self, bodies: Sequence[OrderBody], fn: Callable[[Tx], None]) -> None:
        if not await self._tell(fn):
            self._look_up(bodies)

    async def _tell(self, fn: Callable[[Tx], None]) -> bool:
        """Writes what happened into the rows; False when the database cannot be told now."""
        try:
            await self._context.database.run(fn)
        except Unavailable as error:
            logger.warning("what became of an order is not written yet: {}", error)
            return False
        return True

    def _absorb(self, tx: Tx, orders: Sequence[VenueOrder]) -> None:
        identities = {
            row_id(self._desk.name, order.ref.client_order_id): order
            for order in orders
            if order.ref.client_order_id is not None
        }
        for identity, trade in rows.get(tx, list(identities)).items():
            rows.absorb(trade, identities[identity], tx.now())

    def _refuse(
        self, tx: Tx, bodies: Sequence[OrderBody], reason: RejectReason, message: str
    ) -> None:
        identities = [row_id(self._desk.name, body.client_order_id) for body in bodies]
        for trade in rows.get(tx, identities).values():
            rows.refuse(trade, reason, message, tx.now())

    def _end(self, tx: Tx, row: TradeRow) -> None:
        for trade in rows.get(tx, [row.id]).values():
            rows.end(trade, tx.now())

    def _amended(self, tx: Tx, row: TradeRow, body: OrderBody, order: VenueOrder) -> None:
        for trade in rows.get(tx, [row.id]).values():
            trade.exchange_order_id = order.ref.venue_order_id
            trade.quantity, trade.price = body.quantity, body.price
            trade.trigger_price = body.trigger_price
            trade.revision, trade.attempt = body.revision, body.attempt
            trade.updated_at = tx.now()
