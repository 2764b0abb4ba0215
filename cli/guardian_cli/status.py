"""`guardian status`: every position, and how covered it is at this moment.

Coverage is decided anew from what the venue reports, by the same rules that guard it. Without the
gateway it is Unknown, and the rows tell how it was last seen.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from guardian_cli import rows
from guardian_cli.place import Place
from guardian_cli.rows import Filter, StateLine
from guardian_core.accounts import AccountSpec
from guardian_core.domain.decide import decide
from guardian_core.domain.decision import Coverage, Decision
from guardian_core.domain.errors import GuardianError, Unavailable
from guardian_core.domain.money import EXACT
from guardian_core.domain.orders import PositionSide, Role
from guardian_core.domain.snapshot import AccountSnapshot, LaneSnapshot, lane_of
from guardian_core.ports import GatewayClient, Tx
from guardian_core.storage.accounts_store import list_accounts
from guardian_core.storage.desires import Guarded, latest_states, live_states


@dataclass(frozen=True, slots=True)
class PositionLine:
    """Quantities in base units, prices and P&L in quote. `unrealized_pnl` is without fees.
    `take_profit_watched`: the venue holds no order for it, the guardian sells at the price."""

    account: str
    symbol: str
    side: str | None
    status: str
    quantity: Decimal
    entry_price: Decimal | None
    stop_loss: Decimal | None
    take_profit: Decimal | None
    take_profit_watched: bool
    target_quantity: Decimal | None
    last_price: Decimal | None
    coverage: str
    reason: str
    repairs: int
    naked_seconds: float | None
    age_seconds: float | None
    unrealized_pnl: Decimal | None
    realized_pnl: Decimal | None
    state_id: UUID | None
    trace_id: str | None


@dataclass(frozen=True, slots=True)
class Status:
    """`notes`: what kept the answer from being complete."""

    at: datetime
    positions: tuple[PositionLine, ...]
    closed: tuple[PositionLine, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Stored:
    specs: Mapping[str, AccountSpec]
    live: Mapping[tuple[str, str], StateLine]
    closed: tuple[StateLine, ...]
    now: datetime


@dataclass(frozen=True, slots=True)
class _Seen:
    """One account as its venue reported it, or why it did not."""

    snapshot: AccountSnapshot | None
    call_s: float = 0.0
    problem: str = ""
    prices: Mapping[str, Decimal] = field(default_factory=dict)
    """The last ones, of open positions; whatever could be had."""


async def read_status(place: Place, wanted: Filter, *, closed: int = 0) -> Status:
    """`closed`: how many of the positions that are over. Raises as the database does."""
    async with place.reading() as database:
        stored = await database.run(lambda tx: _stored(tx, wanted, closed))
        seen = await _look(place, list(stored.specs))
        guarded, now = await database.run(
            lambda tx: (_guarded(tx, seen, place.installation()), tx.now())
        )
    lines = [
        line
        for account, spec in stored.specs.items()
        for line in _account_lines(account, spec, seen[account], guarded[account], stored, now)
        if wanted.symbol in (None, line.symbol)
    ]
    notes = dict.fromkeys(view.problem for view in seen.values() if view.problem)
    over = tuple(_over(state, now) for state in stored.closed)
    return Status(now, tuple(lines), over, tuple(notes))


def _stored(tx: Tx, wanted: Filter, closed: int) -> _Stored:
    accounts = {row.name: row.spec for row in list_accounts(tx)}
    if wanted.account is not None:
        accounts = {n: spec for n, spec in accounts.items() if n == wanted.account}
    live = rows.states(tx, wanted, live=True)
    over = rows.states(tx, Filter(wanted.account, wanted.symbol, limit=closed), live=False)
    by_lane = {(state.account, state.symbol): state for state in live}
    return _Stored(accounts, by_lane, tuple(over) if closed else (), tx.now())


async def _look(place: Place, accounts: list[str]) -> dict[str, _Seen]:
    try:
        async with place.gateway() as gateway:
            views = await asyncio.gather(*(_snapshot(place, gateway, name) for name in accounts))
    except Unavailable as error:
        return {name: _Seen(None, problem=str(error)) for name in accounts}
    return dict(zip(accounts, views, strict=True))


async def _snapshot(place: Place, gateway: GatewayClient, account: str) -> _Seen:
    started_s = place.clock.monotonic()
    try:
        snapshot = await gateway.snapshot(account)
    except GuardianError as error:
        return _Seen(None, problem=f"{account}: {error}")
    call_s = place.clock.monotonic() - started_s
    symbols = [position.symbol for position in snapshot.positions]
    prices = await asyncio.gather(*(_price(gateway, account, symbol) for symbol in symbols))
    known = {name: last for name, last in zip(symbols, prices, strict=True) if last is not None}
    return _Seen(snapshot, call_s, prices=known)


async def _price(gateway: GatewayClient, account: str, symbol: str) -> Decimal | None:
    """A snapshot has prices only where a decision may turn on them; P&L wants each."""
    try:
        return (await gateway.instrument(account, symbol)).last_price
    except GuardianError:
        return None


def _guarded(tx: Tx, seen: Mapping[str, _Seen], installation: str) -> dict[str, dict[str, Guarded]]:
    """Each account's states by symbol: the live ones, and the last ones of what else is shown."""
    found: dict[str, dict[str, Guarded]] = {}
    for account, view in seen.items():
        live = live_states(tx, account, installation)
        shown = {p.symbol for p in view.snapshot.positions} if view.snapshot else set()
        others = latest_states(tx, account, sorted(shown - live.keys()), installation)
        found[account] = others | live
    return found


def _account_lines(
    account: str,
    spec: AccountSpec,
    seen: _Seen,
    guarded: Mapping[str, Guarded],
    stored: _Stored,
    now: datetime,
) -> list[PositionLine]:
    if seen.snapshot is None:
        kept = [state for (name, _), state in stored.live.items() if name == account]
        return [_from_row(state, now) for state in kept]
    positions = {position.symbol for position in seen.snapshot.positions}
    live = {symbol for symbol, found in guarded.items() if found.plan.status.is_live}
    lines = []
    for symbol in sorted(positions | live):
        lane = lane_of(seen.snapshot, symbol, seen.call_s)
        found = guarded.get(symbol)
        decision = decide(found.plan if found else None, lane, spec.domain_policy(), now)
        state = stored.live.get((account, symbol))
        last = seen.prices.get(symbol)
        lines.append(_line(account, lane, decision, found, state, last, now))
    return lines


def _line(
    account: str,
    lane: LaneSnapshot,
    decision: Decision,
    guarded: Guarded | None,
    state: StateLine | None,
    last: Decimal | None,
    now: datetime,
) -> PositionLine:
    """What the venue reports comes first; the row adds what only we know."""
    plan = guarded.plan if guarded and guarded.plan.status.is_live else None
    position = lane.position
    side = position.side if position else plan.side if plan else None
    entry = position.entry_price if position else None
    entry = entry if entry is not None else plan.entry_price if plan else None
    quantity = position.quantity if position else Decimal(0)
    since = (state.opened_at or state.created_at) if state else None
    return PositionLine(
        account=account,
        symbol=lane.symbol,
        side=side.value if side else None,
        status=plan.status.value if plan else "none",
        quantity=quantity,
        entry_price=entry,
        stop_loss=plan.stop_loss if plan else None,
        take_profit=plan.take_profit if plan else None,
        take_profit_watched=Role.TAKE_PROFIT in decision.watched,
        target_quantity=plan.target_quantity if plan else None,
        last_price=last,
        coverage=decision.coverage.value,
        reason="; ".join(reason.message for reason in decision.reasons),
        repairs=state.repairs if state else 0,
        naked_seconds=_seconds(plan.naked_since if plan else None, now),
        age_seconds=_seconds(since, now),
        unrealized_pnl=_unrealized(side, quantity, entry, last),
        realized_pnl=state.realized_pnl if state else None,
        state_id=plan.state_id if plan else None,
        trace_id=guarded.trace_id if guarded and plan else None,
    )


def _from_row(state: StateLine, now: datetime) -> PositionLine:
    missing = [
        told
        for told, level, order in (
            ("stop-loss missing", state.stop_loss, state.stop_loss_order_id),
            ("take-profit missing or watched", state.take_profit, state.take_profit_order_id),
        )
        if level is not None and order is None
    ]
    last = " and ".join(missing) or "every desired leg working"
    return _plain_line(state, now, Coverage.UNKNOWN.value, f"when last seen: {last}")


def _over(state: StateLine, now: datetime) -> PositionLine:
    reason = state.close_reason + (", P&L incomplete" if state.pnl_incomplete else "")
    return _plain_line(state, now, Coverage.FLAT.value, reason)


def _plain_line(state: StateLine, now: datetime, coverage: str, reason: str) -> PositionLine:
    return PositionLine(
        account=state.account,
        symbol=state.symbol,
        side=state.side,
        status=state.status,
        quantity=state.quantity,
        entry_price=state.entry_price,
        stop_loss=state.stop_loss,
        take_profit=state.take_profit,
        take_profit_watched=False,
        target_quantity=state.target_quantity,
        last_price=None,
        coverage=coverage,
        reason=reason,
        repairs=state.repairs,
        naked_seconds=_seconds(state.naked_since, now),
        age_seconds=_seconds(state.opened_at or state.created_at, state.closed_at or now),
        unrealized_pnl=None,
        realized_pnl=state.realized_pnl,
        state_id=state.id,
        trace_id=state.trace_id,
    )


def _unrealized(
    side: PositionSide | None, quantity: Decimal, entry: Decimal | None, last: Decimal | None
) -> Decimal | None:
    if side is None or entry is None or last is None:
        return None
    return EXACT.multiply(side.sign * quantity, EXACT.subtract(last, entry))


def _seconds(since: datetime | None, now: datetime) -> float | None:
    return None if since is None else (now - since).total_seconds()
