"""Carries out one decision on one lane, in the order that keeps a position protected.

1. Entries are cancelled first; then the entry is sent, then the exit (after the orders whose
   coins it needs are cancelled); then the legs, side by side; the remaining cancels come last.
2. A replacement works, read back from the venue, before what it replaces is cancelled; a create
   that failed, or is not known to have worked, leaves the old order alone.
3. Where the venue cannot hold both, the old order goes first, and the gap is measured.
4. Whatever was cancelled first and turns out to have filled more than was known stops what
   depended on it: the caller's view was old.
5. Each create passes the fence right before it is sent. A first check of the whole request comes
   before anything is sent at all, so a Conflict is raised only when nothing has happened.
6. An amend that the venue refuses becomes a replacement: a venue that can amend orders cannot
   always amend this one.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from loguru import logger

from guardian_core.domain.decision import Amend, Cancel, Reduce, Submit
from guardian_core.domain.errors import (
    Conflict,
    GuardianError,
    NotSent,
    Rejected,
    RejectReason,
    Unavailable,
)
from guardian_core.domain.orders import OrderBody, OrderRef, OrderStatus, Role
from guardian_core.gateway_codec import NotHolder
from guardian_core.protocol import (
    DecisionRequest,
    DecisionResult,
    Enter,
    OrderOutcome,
    OutcomeKind,
)
from guardian_gateway import answers
from guardian_gateway.desk import Context, Desk, LaneDesk
from guardian_gateway.examiner import Examiner
from guardian_gateway.grant import Grant
from guardian_gateway.limits import EntryLimits, is_limited
from guardian_gateway.order_of_work import sent_at_once, writes_of
from guardian_gateway.outcomes import Resolver, Unresolved
from guardian_gateway.shapes import check_request, creates_of
from guardian_gateway.write_ahead import Admission, Fence, admit
from guardian_gateway.writes import Ended, Permit, Writes

T = TypeVar("T")


class Decisions:
    """Executes decisions for one account."""

    def __init__(
        self, desk: Desk, context: Context, resolver: Resolver, examiner: Examiner
    ) -> None:
        self._desk = desk
        self._context = context
        self._resolver = resolver
        self._examiner = examiner
        self._writes = Writes(desk, context, resolver)

    async def execute(self, symbol: str, request: DecisionRequest) -> DecisionResult:
        """Carries the request out. Raises CallerError, Conflict, NotHolder or NotSent, and then
        nothing was sent; once anything was, the outcomes tell the rest."""
        check_request(request, symbol, self._context.installation)
        lane = self._desk.lane(symbol)
        grant = self._context.holder.grant()
        # Before the lane is taken: it may ask much, and what protects must not wait for it.
        limits = await self._limits(symbol, request)
        async with lane.one_at_a_time():
            try:
                fence = await self._fence(symbol, request, grant, limits)
                await self._resolver.settle(lane, grant)
                await self._desk.calls.reserve(writes_of(request))
                run = _Run(self._context, self._writes, self._resolver, lane, fence, request)
                await run.start()
            except (Conflict, NotHolder, NotSent):
                raise
            except Unavailable as error:
                # The fence's commit may have happened: its rows are looked up before the next
                # write of this lane.
                lane.settled_under = None
                raise NotSent(f"nothing was sent: {error}") from error
            result = await run.carry_out()
        self._count(result)
        return result

    async def _fence(
        self, symbol: str, request: DecisionRequest, grant: Grant, limits: EntryLimits | None
    ) -> Fence:
        fence = Fence(
            account=self._desk.name,
            symbol=symbol,
            installation=self._context.installation,
            grant=grant,
            policy=self._desk.policy,
            clock=self._context.clock,
            limits=limits,
        )
        if not any(creates_of(action) for action in request.actions):
            return fence
        instrument = await self._desk.instrument(symbol)
        return replace(fence, contract_size=instrument.contract_size)

    async def _limits(self, symbol: str, request: DecisionRequest) -> EntryLimits | None:
        """What an entry is held against; None where nothing is. Raises NotSent where the price,
        or the account's state, is not known."""
        enters = any(isinstance(action, Enter) for action in request.actions)
        if not enters or not is_limited(self._desk.spec):
            return None
        distrust = await self._examiner.distrust()
        try:
            instrument = await self._desk.instrument(symbol)
            price = await self._desk.price(symbol)
        except Unavailable as error:
            raise NotSent(f"the entry cannot be valued: {error}") from error
        return EntryLimits(self._desk.spec.limits, price.last, instrument.quote, distrust)

    def _count(self, result: DecisionResult) -> None:
        for outcome in result.outcomes:
            labels = (self._desk.name, outcome.operation, outcome.outcome.value)
            self._context.metrics.orders.labels(*labels).inc()


@dataclass(slots=True)
class _Run:
    """One decision under way."""

    context: Context
    writes: Writes
    resolver: Resolver
    lane: LaneDesk
    fence: Fence
    request: DecisionRequest
    admission: Admission = field(default_factory=lambda: Admission(0.0))
    outcomes: list[OrderOutcome] = field(default_factory=list)
    gaps_ms: list[int] = field(default_factory=list)

    async def start(self) -> None:
        """The first passage of the fence; raises what the fence raises."""
        self.admission = await self._admit(sent_at_once(self.request.actions))

    async def carry_out(self) -> DecisionResult:
        actions = list(enumerate(self.request.actions))
        cancels = [(index, a) for index, a in actions if isinstance(a, Cancel)]
        of_entries = {index for index, a in cancels if self._is_entry(a.order)}
        ended = await _all(self._end(i, a.order) for i, a in cancels if i in of_entries)
        for index, action in actions:
            if isinstance(action, Enter):
                await self._enter(index, action, ended)
        for index, action in actions:
            if isinstance(action, Reduce):
                await self._reduce(index, action)
        await _all(
            self._submit(index, action)
            if isinstance(action, Submit)
            else self._amend(index, action)
            for index, action in actions
            if isinstance(action, Submit | Amend)
        )
        await _all(self._cancel(i, a.order) for i, a in cancels if i not in of_entries)
        self.outcomes.sort(key=lambda outcome: outcome.action)
        gap_ms = max(self.gaps_ms, default=None)
        return DecisionResult(outcomes=tuple(self.outcomes), unprotected_ms=gap_ms)

    def _is_entry(self, ref: OrderRef) -> bool:
        row = self.admission.row_of(ref)
        return row is not None and row.role is Role.ENTRY

    async def _admit(self, write: set[int]) -> Admission:
        return await self.context.database.run(
            lambda tx: admit(tx, self.fence, self.request, write)
        )

    @property
    def _permit(self) -> Permit:
        return Permit(self.fence.grant, self.admission.at_s)

    async def _enter(self, index: int, action: Enter, ended: Sequence[Ended]) -> None:
        body = action.body
        if not all(order.as_expected for order in ended):
            self._skip_creates(index, (body,), "the entry before it filled, or may have")
            return
        if body.client_order_id not in self.admission.stored:
            try:
                await self.writes.set_leverage(body.symbol, action.leverage, self._permit)
            except GuardianError as error:
                outcome = answers.of_create(index, body, OutcomeKind.REJECTED)
                self.outcomes.append(answers.failed(outcome, error))
                return
        self.outcomes += await self._create(index, (body,))

    async def _reduce(self, index: int, action: Reduce) -> None:
        ended = await _all(self._end(index, ref) for ref in action.frees)
        if all(order.as_expected for order in ended):
            self.outcomes += await self._create(index, (action.body,))
        else:
            why = "an order whose coins it needs filled, or may work on"
            self._skip_creates(index, (action.body,), why)

    async def _submit(self, index: int, action: Submit) -> None:
        if action.cancel_first and action.replaces:
            await self._cancel_then_create(index, action)
            return
        created = await self._create(index, action.bodies)
        if not action.replaces:
            self.outcomes += created
            return
        created = [await self._confirmed(outcome) for outcome in created]
        self.outcomes += created
        works = all(outcome.status is OrderStatus.OPEN for outcome in created)
        for ref in action.replaces:
            if works:
                await self._cancel(index, ref)
            else:
                self._skip_cancel(index, ref, "what replaces it is not known to work")

    async def _confirmed(self, outcome: OrderOutcome) -> OrderOutcome:
        """Rule 2's reading back: the outcome with the status that the venue shows now."""
        if outcome.outcome is not OutcomeKind.ACCEPTED or outcome.client_order_id is None:
            return outcome
        order = await self.writes.read_back(self.fence.symbol, outcome.client_order_id)
        if order is None:
            return outcome.model_copy(update={"status": None, "message": "not seen yet"})
        if order.status in (OrderStatus.CANCELLED, OrderStatus.REJECTED):
            refused = Rejected(RejectReason.INVALID_ORDER, f"taken, then {order.status.value}")
            return answers.failed(outcome, refused)
        return outcome.model_copy(
            update={
                "status": order.status,
                "filled_quantity": order.filled_quantity,
                "average_price": order.average_price,
            }
        )

    async def _cancel_then_create(self, index: int, action: Submit) -> None:
        since_s = self.context.clock.monotonic()
        ended = await _all(self._end(index, ref) for ref in action.replaces)
        if any(_may_have_filled(order) for order in ended):
            self._skip_creates(index, action.bodies, "what it replaces filled, or may have")
            return
        self.outcomes += await self._create(index, action.bodies)
        self.gaps_ms.append(round((self.context.clock.monotonic() - since_s) * 1000))

    async def _create(self, index: int, bodies: tuple[OrderBody, ...]) -> list[OrderOutcome]:
        """Passes the fence if that is still to be done, and sends."""
        admission = self.admission
        if not _is_admitted(bodies, admission):
            try:
                admission = await self._admit({index})
            except (Conflict, NotHolder) as error:
                return _not_tried(index, bodies, str(error))
            except GuardianError as error:
                # Its rows may have been committed all the same: look before the next write.
                self.lane.settled_under = None
                refused = (answers.of_create(index, b, OutcomeKind.REJECTED) for b in bodies)
                return [answers.failed(outcome, NotSent(str(error))) for outcome in refused]
        if bodies[0].client_order_id in admission.stored:
            return self._stored(index, bodies, admission)
        permit = Permit(self.fence.grant, admission.at_s)
        return list(await self.writes.create(index, bodies, permit))

    def _stored(
        self, index: int, bodies: tuple[OrderBody, ...], admission: Admission
    ) -> list[OrderOutcome]:
        """What became of orders that are known already."""
        known = [admission.stored[body.client_order_id] for body in bodies]
        for row in known:
            if row.status is OrderStatus.PENDING:
                self.resolver.track(Unresolved.of_row(row))
        return [answers.of_row(index, row) for row in known]

    async def _amend(self, index: int, action: Amend) -> None:
        row = self.admission.row_of(action.order)
        outcome = await self.writes.amend(index, action.order, action.body, row, self._permit)
        if outcome.outcome is OutcomeKind.REJECTED and outcome.reason is not RejectReason.NOT_SENT:
            await self._replace_instead(index, action, outcome.message)
        else:
            self.outcomes.append(outcome)

    async def _replace_instead(self, index: int, action: Amend, why: str) -> None:
        """Rule 6. The old order still stands, unless the venue cannot hold both."""
        logger.warning("{} was not amended ({}): replaced", action.order.venue_order_id, why)
        both = self.writes.capabilities.create_then_cancel
        submit = Submit((action.body,), (action.order,), cancel_first=not both)
        actions = list(self.request.actions)
        actions[index] = submit
        self.request = self.request.model_copy(update={"actions": tuple(actions)})
        await self._submit(index, submit)

    async def _cancel(self, index: int, ref: OrderRef) -> None:
        row = self.admission.row_of(ref)
        self.outcomes.append(await self.writes.cancel(index, ref, row, self._permit))

    async def _end(self, index: int, ref: OrderRef) -> Ended:
        row = self.admission.row_of(ref)
        ended = await self.writes.end(index, ref, row, self._permit)
        self.outcomes.append(ended.outcome)
        return ended

    def _skip_creates(self, index: int, bodies: tuple[OrderBody, ...], why: str) -> None:
        self.outcomes += _not_tried(index, bodies, why)

    def _skip_cancel(self, index: int, ref: OrderRef, why: str) -> None:
        outcome = answers.of_change(index, "cancel", ref, self.admission.row_of(ref))
        self.outcomes.append(answers.skipped(outcome, why))


def _is_admitted(bodies: tuple[OrderBody, ...], admission: Admission) -> bool:
    known = admission.stored.keys() | admission.written.keys()
    return all(body.client_order_id in known for body in bodies)


def _may_have_filled(ended: Ended) -> bool:
    """A cancel that was surely refused stops no create; an order that may be sold does."""
    return not ended.as_expected and ended.outcome.outcome is not OutcomeKind.REJECTED


def _not_tried(index: int, bodies: tuple[OrderBody, ...], why: str) -> list[OrderOutcome]:
    return [answers.of_create(index, body, OutcomeKind.SKIPPED, why) for body in bodies]


async def _all(work: Iterable[Awaitable[T]]) -> list[T]:
    """Everything side by side. What fails fails only after the rest has ended: a write under way
    is never left alone."""
    done = await asyncio.gather(*work, return_exceptions=True)
    results: list[T] = []
    for result in done:
        if isinstance(result, BaseException):
            raise result
        results.append(result)
    return results
