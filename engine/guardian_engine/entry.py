"""Entries: commit the position and its levels first, then send the order that opens it.

The body is sized once and kept in the webhook's row. A replay sends that same body under that
same id, so however often an engine dies here, one alert buys once.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import func, select

from guardian_core.accounts import AccountSpec
from guardian_core.domain.alerts import AlertAction
from guardian_core.domain.decision import Coverage
from guardian_core.domain.errors import CallerError, Conflict, NotSent, RejectReason
from guardian_core.domain.flatness import working_entries
from guardian_core.domain.money import MarketKind, plain
from guardian_core.domain.orders import OrderBody, OrderType, PositionSide, Role, entry_order_id
from guardian_core.domain.plan import Direction, RepeatEntry, StateStatus
from guardian_core.domain.sizing import entry_quantity
from guardian_core.logs import Point
from guardian_core.ports import Tx
from guardian_core.protocol import (
    BalanceReport,
    DecisionRequest,
    Enter,
    InstrumentReport,
    OrderOutcome,
    OutcomeKind,
    Source,
)
from guardian_core.storage.claims import WebhookRow
from guardian_core.storage.desires import Desire, Guarded, NewState, create_state, revise
from guardian_core.storage.mirrors import is_pinned
from guardian_core.storage.schema import Trade
from guardian_engine.exits import close_part
from guardian_engine.job import Job, Sight, failures
from guardian_engine.levels import Levels, check_against_price, entry_levels
from guardian_engine.verdict import Later, Verdict, failed, processed
from guardian_engine.waiting import cancel_waiting

SOON_S = 0.5
FEE_MARGIN_PERCENT = Decimal("0.2")
"""Kept back for fees and for the price moving between sizing and filling (Binance's highest
taker fee is 0.1 % on spot and 0.05 % on USD-M)."""

_BODY = TypeAdapter(OrderBody)


@dataclass(frozen=True, slots=True)
class EntryPlan:
    """What an entry alert would send: the order, and the levels its position gets."""

    side: PositionSide
    body: OrderBody
    levels: Levels


def side_of(action: AlertAction) -> PositionSide:
    return PositionSide.LONG if action.is_buy else PositionSide.SHORT


def plan_entry(
    webhook: WebhookRow,
    spec: AccountSpec,
    symbol: str,
    balances: BalanceReport,
    report: InstrumentReport,
    installation: str,
    revision: int = 1,
) -> EntryPlan:
    """Sizes and checks an entry. Raises CallerError that names the alert's field."""
    assert webhook.action is not None
    action = AlertAction(webhook.action)
    side, instrument = side_of(action), report.instrument
    levels = entry_levels(webhook)
    price = webhook.prix if action.is_limit else report.last_price
    if price is None:
        field = "Prix" if action.is_limit else "Symbol"
        raise CallerError(field, f"no price is known for {symbol}", "send Prix, or a bar's Close")
    limit = instrument.round_for_side(price, selling=not action.is_buy) if action.is_limit else None
    check_against_price(side, levels, limit or price, Decimal(0))
    _check_not_reached(side, levels, limit or price)
    quantity = entry_quantity(
        balances.free(instrument.quote),
        webhook.pour_cent if webhook.pour_cent is not None else Decimal(100),
        spec.leverage if instrument.kind is MarketKind.LINEAR else Decimal(1),
        limit or price,
        instrument,
        FEE_MARGIN_PERCENT,
    )
    body = OrderBody(
        client_order_id=entry_order_id(installation, webhook.id),
        role=Role.ENTRY,
        symbol=symbol,
        side=side.entry_side,
        type=OrderType.LIMIT if action.is_limit else OrderType.MARKET,
        quantity=quantity,
        revision=revision,
        attempt=1,
        price=limit,
    )
    return EntryPlan(side, body, levels)


async def enter(job: Job) -> Verdict:
    """Carries out BuyMarket, SellMarket, BuyLimit or SellLimit."""
    committed, state_id = job.webhook.order_body, job.webhook.webhook_state_id
    if committed is not None and state_id is not None:
        return await _send(job, _BODY.validate_python(committed), state_id)
    sight = await job.look()
    job.say(Point.POSITION_LOOKED_UP, sight.told)
    side = side_of(AlertAction(job.webhook.action or ""))
    live = sight.live
    verdict = _not_to_be_believed(job, sight)
    if verdict is not None:
        return verdict
    if live is not None and live.plan.status is StateStatus.OPEN and live.plan.side is not side:
        return await close_part(job, sight, live)
    verdict = _why_not(job, sight, side)
    if verdict is not None:
        return verdict
    if live is not None and (
        live.plan.status is StateStatus.PENDING or working_entries(sight.step.lane)
    ):
        # A newer entry takes the place of one that waits, or of the rest of a part-filled one.
        return await cancel_waiting(job, sight, live, "EntryReplaced")
    return await _open(job, live)


def _not_to_be_believed(job: Job, sight: Sight) -> Verdict | None:
    """Whether what was seen is too little, or too strange, to trade on."""
    if sight.is_unknown:
        return _while_young(job, sight.why)
    if sight.is_unguarded:
        return failed("a position is open that no alert of ours opened: adopt it first")
    return None


def _why_not(job: Job, sight: Sight, side: PositionSide) -> Verdict | None:
    """What forbids this entry, in the account, in the lane's past, or by its age."""
    live = sight.live
    is_open = live is not None and live.plan.status is StateStatus.OPEN
    if is_open and job.policy.repeat_entry is RepeatEntry.IGNORE:
        return processed(f"already {side}: repeat entries are ignored")
    if side is PositionSide.SHORT and job.policy.direction is Direction.LONG_ONLY:
        return processed("nothing to sell: this account only goes long")
    if job.spec.paused:
        return processed("the account is paused: no new entries")
    if live is None and _was_its_exit(sight.latest, side, job.webhook.bar_time):
        return processed("already closed: this was the exit of the position before")
    if live is not None and live.plan.target_quantity is not None:
        return _while_young(job, "an exit is under way")
    return _expired(job)


def _expired(job: Job, why: str = "") -> Verdict | None:
    limit_s = job.policy.max_entry_age_s
    if job.age_s <= limit_s:
        return None
    text = f"expired: {job.age_s:.0f} s old, the account allows {limit_s:.0f} s"
    return failed(f"{text} ({why})" if why else text)


def _while_young(job: Job, why: str) -> Verdict:
    """Entries are tried for as long as their account lets them be sent, and no longer: other
    alerts of the lane wait behind them."""
    return _expired(job, why) or Later(SOON_S, why)


def _was_its_exit(latest: Guarded | None, side: PositionSide, bar_time: datetime | None) -> bool:
    """Whether this opposite alert belongs to a position that its stop or target has closed."""
    if latest is None or bar_time is None or latest.plan.closed_at is None:
        return False
    # An entry that never filled left nothing that could be exited.
    was_open = latest.plan.entry_price is not None or latest.plan.last_exit_fill_at is not None
    return was_open and latest.plan.side is not side and bar_time <= latest.plan.closed_at


async def _open(job: Job, live: Guarded | None) -> Verdict:
    """Sizes, commits, sends. `live`: the open position that a repeat entry adds to."""
    gateway = job.tools.gateway
    balances = await gateway.balances(job.account)
    report = await gateway.instrument(job.account, job.symbol)
    plan = plan_entry(
        job.webhook,
        job.spec,
        job.symbol,
        balances,
        report,
        job.tools.installation,
        live.plan.revision if live else 1,
    )
    if live is None:
        await job.commit(lambda tx: _commit_new(tx, job, plan))
    else:
        await job.commit(lambda tx: _commit_addition(tx, job, plan, live))
    state_id = live.plan.state_id if live else job.webhook.id
    await job.tools.mirror.desire_changed(state_id)
    job.say(Point.STATE_UPDATED, f"{plan.side} {plain(plan.body.quantity)} {job.symbol} committed")
    return await _send(job, plan.body, state_id)


def _commit_new(tx: Tx, job: Job, plan: EntryPlan) -> None:
    """The position exists in our books before its order leaves: a crash after the fill leaves
    a row that the guardian already guards."""
    state_id = job.webhook.id
    # One alert opens one position, so the alert's id names it: a replay cannot make two.
    create_state(
        tx,
        NewState(
            id=state_id,
            lane_id=job.claim.lane_id,
            user_id=job.webhook.user_id or "",
            side=plan.side,
            quantity=Decimal(0),
            stop_loss=plan.levels.stop_loss,
            take_profit=plan.levels.take_profit,
            trace_id=job.webhook.trace_id,
            bar_time=job.webhook.bar_time,
        ),
    )
    body = _BODY.dump_python(plan.body, mode="json")
    job.mark(tx, order_body=body, webhook_state_id=state_id, revision=1)
    job.note(tx, Point.STATE_UPDATED, f"{plan.side} committed, entry {plan.body.client_order_id}")


def _commit_addition(tx: Tx, job: Job, plan: EntryPlan, live: Guarded) -> None:
    revision = live.plan.revision
    wished = Desire(
        plan.levels.stop_loss if plan.levels.stop_loss is not None else live.plan.stop_loss,
        plan.levels.take_profit if plan.levels.take_profit is not None else live.plan.take_profit,
    )
    if is_pinned(tx, live.plan.state_id):
        wished = Desire(live.plan.stop_loss, live.plan.take_profit)
    if wished != Desire.of(live.plan):
        revision = revise(
            tx,
            live.plan.state_id,
            revision,
            wished,
            trace_id=job.webhook.trace_id,
            bar_time=job.webhook.bar_time,
        )
    body = _BODY.dump_python(plan.body, mode="json")
    job.mark(tx, order_body=body, webhook_state_id=live.plan.state_id, revision=revision)
    job.note(tx, Point.STATE_UPDATED, f"adds {plain(plan.body.quantity)}", live)


async def _send(job: Job, body: OrderBody, state_id: UUID) -> Verdict:
    """Sends the committed body, as often as it takes; the gateway knows its id."""
    live, _ = await job.states()
    if live is None or live.plan.state_id != state_id:
        return await _over_before(job, body)
    if live.plan.target_quantity is not None and await _left(job, body) is None:
        return failed("not sent: its position is to be closed")
    request = DecisionRequest(
        state_id=live.plan.state_id,
        revision=live.plan.revision,
        source=Source.WEBHOOK,
        trace_id=job.webhook.trace_id,
        actions=(
            Enter(
                body=body,
                webhook_id=job.webhook.id,
                leverage=job.spec.leverage if job.spec.market() is MarketKind.LINEAR else None,
            ),
        ),
    )
    try:
        result = await job.tools.gateway.submit(job.account, job.symbol, request)
    except (Conflict, NotSent) as error:
        if await _left(job, body) is None:
            return _while_young(job, str(error))
        return Later(SOON_S, f"the entry has left: {error}")
    outcome = next(o for o in result.outcomes if o.operation == "create")
    if outcome.reason is RejectReason.NOT_SENT:
        return _while_young(job, f"not sent: {outcome.message}")
    if outcome.outcome is OutcomeKind.REJECTED:
        await job.settle(tries=1)
        why = outcome.reason.value if outcome.reason else "rejected"
        return failed(f"entry refused: {why} {outcome.message}".strip())
    if outcome.outcome is not OutcomeKind.ACCEPTED:
        return Later(SOON_S, f"entry's outcome is not known yet: {outcome.message}")
    return await _after_entry(job, body, outcome)


async def _after_entry(job: Job, body: OrderBody, outcome: OrderOutcome) -> Verdict:
    waits = body.type is OrderType.LIMIT and outcome.filled_quantity == 0
    steps = await job.settle(tries=1 if waits else 3)
    what = f"{body.side.value} {plain(body.quantity)} {job.symbol}"
    problem = failures(steps)
    if problem:
        return failed(f"entered ({what}), but {problem}; the guardian goes on")
    coverage = steps[-1].decision.coverage
    if coverage is Coverage.FLAT and waits:
        return processed(f"waiting: {what} at {plain(body.price or Decimal(0))}")
    return processed(f"entered: {what}, {coverage.value}")


def _check_not_reached(side: PositionSide, levels: Levels, price: Decimal) -> None:
    """An entry whose level is exactly at its price would be closed at once."""
    for field, level in (("PrixSL", levels.stop_loss), ("PrixTP", levels.take_profit)):
        if level == price:
            raise CallerError(field, f"{plain(level)} is the entry's own price", f"for a {side}")


async def _over_before(job: Job, body: OrderBody) -> Verdict:
    """A replay that comes when the position is already closed."""

    if await _left(job, body):
        return processed("entered; the position is closed by now")
    return failed("the entry was not filled, and its position is closed")


async def _left(job: Job, body: OrderBody) -> Decimal | None:
    """How much of the entry's order has filled; None where it surely has not left yet."""

    def read(tx: Tx) -> Decimal | None:
        query = select(Trade.filled_quantity).where(
            Trade.account_name == job.account,
            Trade.client_order_id == body.client_order_id,
            func.coalesce(Trade.reject_reason, "") != RejectReason.NOT_SENT.value,
        )
        return tx.scalars(query).one_or_none()

    return await job.tools.database.run(read)
