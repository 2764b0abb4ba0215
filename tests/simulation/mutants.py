"""Planted bugs: each a patch of the product for the length of a run, that the oracle must notice.

Where several fences stand behind each other the patch takes all of them away: what is shown is
that the simulator would see the harm, not that one fence alone prevents it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid5

from sqlalchemy import update

from guardian_core.domain import exits, flatness, legs
from guardian_core.domain.decision import Submit
from guardian_core.domain.errors import Ambiguous, RejectReason, Unavailable
from guardian_core.domain.orders import OrderBody, entry_order_id
from guardian_core.ports import Tx
from guardian_core.storage.schema import Webhook
from guardian_engine import claimer, entry
from guardian_engine.dispatch import dispatch
from guardian_gateway import rows, shapes, spot, write_ahead
from guardian_gateway.decisions import _Run
from guardian_gateway.outcomes import Resolver
from guardian_gateway.sightings import Sight
from guardian_gateway.venue_calls import VenueCalls
from guardian_gateway.writes import Writes
from guardian_operator.guardian import Guardian
from guardian_receiver import reception
from guardian_receiver.committer import Committer
from guardian_receiver.duplicates import DedupKey
from guardian_receiver.insert import Stored

Mutant = Callable[[ExitStack], None]


def _swap(stack: ExitStack, owner: Any, name: str, value: Any) -> None:
    stack.enter_context(patch.object(owner, name, value))


def _nothing(*_: Any, **__: Any) -> None:
    """In a check's place: everything passes."""


def fresh_id_on_retry(stack: ExitStack) -> None:
    """An entry that is sent again gets a new client order id."""
    send = entry._send

    async def send_anew(job: Any, body: OrderBody, *args: Any, **kwargs: Any) -> Any:
        fresh = entry_order_id(job.tools.installation, job.tools.ids.uuid())
        return await send(job, replace(body, client_order_id=fresh), *args, **kwargs)

    _swap(stack, entry, "_send", send_anew)
    _swap(stack, shapes, "_check_id", _nothing)
    _swap(stack, write_ahead._Check, "_entry", _nothing)
    _swap(stack, write_ahead._Check, "_nothing_else_works", _nothing)


def failed_listing_is_empty(stack: ExitStack) -> None:
    """Orders that could not be listed are taken for gone."""
    read = VenueCalls.read

    async def read_or_empty(self: Any, call: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return await read(self, call, *args, **kwargs)
        except Unavailable:
            if call == "open_orders":
                return ()
            raise

    async def gone(self: Any, row: Any, *_: Any) -> None:
        def end(tx: Tx) -> None:
            for trade in rows.get(tx, [row.id]).values():
                rows.end(trade, tx.now())

        await self._context.database.run(end)

    _swap(stack, VenueCalls, "read", read_or_empty)
    _swap(stack, Sight, "_missing", gone)


def cancelled_before_replaced(stack: ExitStack) -> None:
    """The old leg goes first, though the venue could hold both."""
    submit = _Run._submit

    async def cancel_first(self: Any, index: int, action: Submit) -> None:
        await submit(self, index, replace(action, cancel_first=bool(action.replaces)))

    _swap(stack, _Run, "_submit", cancel_first)


def ambiguous_is_refused(stack: ExitStack) -> None:
    """A create whose answer was lost counts as refused, and nobody looks it up."""
    not_created = Writes._not_created

    async def refused(self: Any, action: int, bodies: Any, error: Any) -> Any:
        if isinstance(error, Ambiguous):
            reason = RejectReason.NOT_SENT
            await self._tell(lambda tx: self._refuse(tx, bodies, reason, str(error)))
        return await not_created(self, action, bodies, error)

    _swap(stack, Writes, "_not_created", refused)
    _swap(stack, Writes, "_look_up", _nothing)


def exits_without_bound(stack: ExitStack) -> None:
    """Each attempt of an exit sells what the position seems to be above its target."""
    _swap(stack, exits, "_left_unfilled", lambda plan, excess: excess)
    _swap(stack, exits, "_left_by_fills", lambda plan, target, excess, now: excess)
    _swap(stack, write_ahead, "_check_exit", _nothing)


def flat_at_first_sight(stack: ExitStack) -> None:
    """A position that is not listed is over, whatever the fills say; and does not come back."""
    _swap(stack, flatness, "_wait_for_flat", lambda plan, now: None)
    _swap(stack, flatness, "_comes_back", lambda *_: False)


def processed_before_done(stack: ExitStack) -> None:
    """An alert is marked as processed first, and carried out afterwards."""

    async def marked_first(tools: Any, claim: Any) -> Any:
        def mark(tx: Tx) -> None:
            tx.execute(
                update(Webhook).where(Webhook.id == claim.webhook_id).values(status="processed")
            )

        await tools.database.run(mark)
        return await dispatch(tools, claim)

    _swap(stack, claimer, "dispatch", marked_first)


def acknowledged_before_stored(stack: ExitStack) -> None:
    """The receiver answers 200, and commits afterwards."""
    commit = Committer._commit

    async def answer_first(self: Any, batch: list[Any]) -> None:
        for waiting in batch:
            row = waiting.new.row
            waiting.done.set_result(Stored(row["id"], row["trace_id"], None, False))
        await commit(self, batch)

    _swap(stack, Committer, "_commit", answer_first)


def no_duplicates_known(stack: ExitStack) -> None:
    """An alert that is sent again is another alert."""
    count = iter(range(10**9))

    def unique(*_: Any) -> DedupKey:
        name = str(uuid5(UUID(int=0), str(next(count))))
        return DedupKey(name, name)

    _swap(stack, reception, "dedup_key", unique)
    _swap(stack, claimer, "dispatch", _without_twins)


async def _without_twins(tools: Any, claim: Any) -> Any:
    return await dispatch(tools, replace(claim, webhook=replace(claim.webhook, bar_time=None)))


def guardian_asleep(stack: ExitStack) -> None:
    """Nobody looks after positions between alerts."""

    async def sleeps(self: Any, account: str) -> None:
        return None

    _swap(stack, Guardian, "_pass", sleeps)


def guardian_too_slow(stack: ExitStack) -> None:
    """A pass every 15 s."""

    async def seldom(self: Any) -> dict[str, float]:
        return dict.fromkeys(await self._original_intervals(), 15.0)

    stack.enter_context(
        patch.object(Guardian, "_original_intervals", Guardian._intervals, create=True)
    )
    _swap(stack, Guardian, "_intervals", seldom)


def siblings_stay(stack: ExitStack) -> None:
    """When one leg has closed the position, the other is forgotten."""
    _swap(stack, flatness, "_sweep", lambda lane: ())


def legs_keep_their_size(stack: ExitStack) -> None:
    """A leg counts as right whatever it covers of the position."""
    is_right = legs._is_right

    def whatever_size(order: Any, *args: Any) -> bool:
        return is_right(replace(order, whole_position=True), *args)

    _swap(stack, legs, "_is_right", whatever_size)


def absent_is_gone(stack: ExitStack) -> None:
    """An order that a first look-up does not find never was."""
    note = Resolver._note_absence

    def at_once(self: Any, trade: Any, now: Any, asked_at: Any) -> None:
        late = asked_at.replace(year=asked_at.year + 1)
        note(self, trade, now, late)

    _swap(stack, Resolver, "_note_absence", at_once)


def all_coins_are_ours(stack: ExitStack) -> None:
    """On spot, whatever is there is the position."""
    position = spot.position

    def everything(holding: Any, instrument: Any, balances: Any, orders: Sequence[Any]) -> Any:
        held = replace(holding, quantity=holding.quantity and holding.quantity + 1)
        return position(held, instrument, balances, orders)

    _swap(stack, spot, "position", everything)


MUTANTS: dict[str, Mutant] = {
    mutant.__name__: mutant
    for mutant in (
        fresh_id_on_retry,
        failed_listing_is_empty,
        cancelled_before_replaced,
        ambiguous_is_refused,
        exits_without_bound,
        flat_at_first_sight,
        processed_before_done,
        acknowledged_before_stored,
        no_duplicates_known,
        guardian_asleep,
        guardian_too_slow,
        siblings_stay,
        legs_keep_their_size,
        absent_is_gone,
        all_coins_are_ours,
    )
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The product with this bug in it."""
    with ExitStack() as stack:
        MUTANTS[name](stack)
        yield
