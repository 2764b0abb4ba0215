"""The Order Monitor: after a pass, makes sense of the fills that the gateway has ingested.

1. A fill that no order of ours explains gets a trade row of its own (source `order_monitor`),
   linked to the state that was live when it happened. On spot it is linked to none: there a
   user's own coins trade under the same symbol, and are never ours to count.
2. A loose fill waits while an order of ours could still turn out to be its cause: at once when
   none works on its side, else GRACE after it happened. If such an order turns up later all the
   same, it takes its fills back.
3. Each state that may have changed is settled anew from its fills; only what differs is written,
   so a pass that finds nothing new writes nothing.
4. It never talks to an exchange, and never touches a desire or an order of ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from uuid import UUID

from guardian_core import narration
from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import EXACT, ZERO, MarketKind, plain
from guardian_core.domain.orders import OrderSide, Role
from guardian_core.guarding import UNTRACED
from guardian_core.narration import Line
from guardian_core.ports import Database, Tx
from guardian_core.protocol import Source
from guardian_core.settlement import Settlement, settle
from guardian_core.storage import journal
from guardian_core.storage.accounts_store import get_account
from guardian_core.storage.fills import (
    FoundOrder,
    LooseFill,
    Owner,
    StateAt,
    add_found_order,
    attach,
    found_orders,
    loose_fills,
    move_fills,
    owners,
    refresh_found_order,
    state_at,
    working_sides,
)
from guardian_core.storage.ledgers import (
    Ledger,
    due_states,
    ledgers,
    locked_ledger,
    store_result,
    store_trade_pnl,
)

GRACE = timedelta(seconds=5)
"""How long the gateway may need to learn which order a fill belongs to: less than the 10 s for
which decide waits before it believes a flat that our fills do not explain."""


@dataclass(frozen=True, slots=True)
class Told:
    """A line of the journal, written with what it tells and logged after the commit."""

    line: Line
    symbol: str
    trace_id: str
    state_id: UUID | None
    trade_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class MonitorReport:
    """What a pass changed. `found`: trade rows made for fills that no order of ours explains;
    `attached`: fills that got their owner; `settled`: states whose result changed."""

    account: str
    found: tuple[UUID, ...] = ()
    attached: int = 0
    settled: tuple[UUID, ...] = ()
    told: tuple[Told, ...] = ()

    @property
    def changed(self) -> bool:
        return bool(self.found or self.attached or self.settled)


async def monitor_account(db: Database, account_name: str) -> MonitorReport:
    """One pass over an account's fills, in one transaction. Raises Unavailable."""
    report = await db.run(lambda tx: monitor(tx, account_name))
    for told in report.told:
        narration.log(told.line, told.trace_id, account_name, told.symbol)
    return report


def monitor(tx: Tx, account_name: str) -> MonitorReport:
    """The pass itself. Raises CallerError for an account that does not exist."""
    account = get_account(tx, account_name)
    if account is None:
        raise CallerError("account", f"{account_name!r} does not exist", "add it first")
    explained = _explain(tx, account_name, account.spec.market())
    states = due_states(tx, account_name, also=explained.touched)
    regained = _regain(tx, account_name, [state.id for state in states])
    settled, told = _settle_all(tx, ledgers(tx, account_name, states), account_name)
    report = MonitorReport(
        account=account_name,
        found=tuple(t.trade_id for t in explained.told if t.trade_id is not None),
        attached=explained.attached + regained,
        settled=settled,
        told=(*explained.told, *told),
    )
    for one in report.told:
        journal.record(
            tx,
            Source.ORDER_MONITOR.value,
            one.line.point,
            one.line.text,
            trace_id=one.trace_id,
            webhook_state_id=one.state_id,
            trade_id=one.trade_id,
            account=account_name,
            symbol=one.symbol,
        )
    return report


@dataclass(frozen=True, slots=True)
class _Explained:
    attached: int = 0
    touched: frozenset[UUID] = frozenset()
    told: tuple[Told, ...] = ()


def _explain(tx: Tx, account: str, market: MarketKind) -> _Explained:
    """Gives loose fills their owner: an order of ours, else a found one."""
    loose = loose_fills(tx, account)
    if not loose:
        return _Explained()
    known = _by_venue_id(owners(tx, account, {fill.venue_order_id for fill in loose}))
    working = working_sides(tx, account)
    attached, touched, told = 0, set[UUID](), list[Told]()
    for (symbol, order_id), fills in _by_order(loose):
        owner = known.get((symbol, order_id))
        if owner is None:
            if _may_be_ours(fills, working, tx):
                continue
            owner, line = _find(tx, account, market, fills)
            told += line
        attach(tx, [fill.id for fill in fills], owner)
        if owner.is_found:
            refresh_found_order(tx, owner.trade_id)
        attached += len(fills)
        touched |= {owner.state_id} if owner.state_id else set()
    return _Explained(attached, frozenset(touched), tuple(told))


def _by_venue_id(found: Sequence[Owner]) -> dict[tuple[str, str], Owner]:
    """An order of ours beats a found one of the same id."""
    return {
        (owner.symbol, order_id): owner
        for owner in reversed(found)
        for order_id in owner.venue_order_ids
    }


def _by_order(loose: Sequence[LooseFill]) -> list[tuple[tuple[str, str], list[LooseFill]]]:
    def key(fill: LooseFill) -> tuple[str, str]:
        return fill.symbol, fill.venue_order_id or f"fill-{fill.venue_fill_id}"

    return [(order, list(fills)) for order, fills in groupby(sorted(loose, key=key), key)]


def _may_be_ours(fills: Sequence[LooseFill], working: set[tuple[str, OrderSide]], tx: Tx) -> bool:
    newest = max(fill.at for fill in fills)
    return (fills[0].symbol, fills[0].side) in working and tx.now() - newest < GRACE


def _find(
    tx: Tx, account: str, market: MarketKind, fills: Sequence[LooseFill]
) -> tuple[Owner, list[Told]]:
    """The found order for fills of one venue order, and what is new to tell of it."""
    first = min(fills, key=lambda fill: fill.at)
    linear = market is not MarketKind.SPOT
    state = state_at(tx, account, first.symbol, first.at) if linear else None
    found = FoundOrder(
        account=account,
        symbol=first.symbol,
        venue_order_id=first.venue_order_id or f"fill-{first.venue_fill_id}",
        side=first.side,
        role=role_of(first.side, state),
        state_id=state.id if state else None,
        trace_id=state.trace_id if state else UNTRACED,
        first_fill_at=first.at,
    )
    is_new = add_found_order(tx, found)
    owner = Owner(found.trade_id, found.state_id, found.symbol, (found.venue_order_id,), True)
    return owner, [_told_of_found(found, fills)] if is_new else []


def role_of(side: OrderSide, state: StateAt | None) -> Role:
    """What a fill did to the position of its state; one that has no state entered its own."""
    return Role.EXIT if state is not None and side is state.side.exit_side else Role.ENTRY


def _told_of_found(found: FoundOrder, fills: Sequence[LooseFill]) -> Told:
    quantity = ZERO
    for fill in fills:
        quantity = EXACT.add(quantity, fill.quantity)
    text = (
        f"{found.side.value} {plain(quantity)} {found.symbol} at {plain(fills[0].price)} by order "
        f"{found.venue_order_id}, which is not ours ({found.role.value})"
    )
    line = Line("fill_found", "WARNING", text)
    return Told(line, found.symbol, found.trace_id, found.state_id, found.trade_id)


def _regain(tx: Tx, account: str, state_ids: Sequence[UUID]) -> int:
    """Orders of ours that came to be known by an id whose fills were taken for somebody else's."""
    found = found_orders(tx, state_ids)
    if not found:
        return 0
    ids = {order_id for owner in found for order_id in owner.venue_order_ids}
    own = _by_venue_id([o for o in owners(tx, account, ids) if not o.is_found])
    moved = 0
    for one in found:
        ours = own.get((one.symbol, one.venue_order_ids[0]))
        if ours is not None:
            move_fills(tx, one, ours)
            moved += 1
    return moved


def _settle_all(
    tx: Tx, all_ledgers: Sequence[Ledger], account: str
) -> tuple[tuple[UUID, ...], tuple[Told, ...]]:
    settled: list[UUID] = []
    told: list[Told] = []
    for seen in all_ledgers:
        if not _differs(seen, settle(seen)):
            continue
        ledger = locked_ledger(tx, account, seen.state.id)
        result = settle(ledger)
        if not _differs(ledger, result):
            continue
        settled.append(ledger.state.id)
        for trade in result.new_trades(ledger):
            store_trade_pnl(tx, trade.trade_id, trade.average, trade.fifo)
        if result.changes_state(ledger):
            store_result(tx, ledger.state.id, result.realized, result.incomplete)
            told += _told_of_result(ledger, result)
    return tuple(settled), tuple(told)


def _differs(ledger: Ledger, result: Settlement) -> bool:
    return result.changes_state(ledger) or bool(result.new_trades(ledger))


def _told_of_result(ledger: Ledger, result: Settlement) -> list[Told]:
    """A line for every result that a person would ask for: something was closed, or went wrong."""
    state = ledger.state
    exits = any(fill.side is state.side.exit_side for fill in ledger.fills)
    if result.realized is None or not (exits or result.incomplete):
        return []
    text = f"{state.side.value} {state.symbol}: realized {plain(result.realized)}"
    if result.incomplete:
        text += ", incomplete"
    line = Line("pnl", "WARNING" if result.incomplete else "INFO", text)
    return [Told(line, state.symbol, state.trace_id, state.id)]
