"""What an alert would do: parsed as the receiver does, carried out by the engine on a copy.

Reads the database and the gateway; writes to a database in memory and sends nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import inspect, select

from guardian_cli.place import Place
from guardian_cli.rehearsal import RehearsalGateway, Sent
from guardian_core.domain.alerts import WebhookStatus
from guardian_core.domain.money import ZERO, MarketKind
from guardian_core.domain.plan import StateStatus
from guardian_core.guarding import Guarding
from guardian_core.ports import Database, GatewayClient, NoMirror, Tx
from guardian_core.protocol import Source
from guardian_core.storage import claims
from guardian_core.storage.accounts_store import get_account
from guardian_core.storage.inline import InlineDatabase
from guardian_core.storage.schema import (
    Account,
    Base,
    Fill,
    Lane,
    Trade,
    Webhook,
    WebhookState,
)
from guardian_engine.dispatch import dispatch
from guardian_engine.job import Tools
from guardian_engine.verdict import Done, Later
from guardian_receiver import rows as webhook_rows
from guardian_receiver.alert import Alert, parse_alert
from guardian_receiver.body import decode_text, read_object
from guardian_receiver.directory import Caller, Directory, Target
from guardian_receiver.duplicates import dedup_key
from guardian_receiver.insert import NewWebhook, insert_batch

TRIES_MAX = 5
"""A venue that is asked again at once, as when a waiting entry is cancelled first."""
ANYBODY = Caller("", frozenset())
PAST_STATES_MAX = 1
HOLDER = "explain"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What one account would make of the alert. `status`: the webhook's, or `received` where it
    would wait. `orders`: what would be sent, in order."""

    account: str
    symbol: str
    action: str
    status: str
    message: str
    price: Decimal | None
    orders: tuple[Sent, ...]


async def explain_alert(place: Place, body: bytes) -> list[Explanation]:
    """One explanation for each account that the alert names.

    Raises CallerError for what the receiver would refuse, Unavailable when it cannot be known.
    """
    pairs, _ = read_object(decode_text(body))
    alert = parse_alert(pairs)
    async with place.reading() as database:
        targets = await Directory(database, place.clock).targets(alert, ANYBODY)
        async with place.gateway() as gateway:
            return [
                await _explain(place, database, gateway, alert, target, body) for target in targets
            ]


async def _explain(
    place: Place,
    database: Database,
    gateway: GatewayClient,
    alert: Alert,
    target: Target,
    body: bytes,
) -> Explanation:
    copy = InlineDatabase(clock=place.clock)
    try:
        await _fill(database, copy, target, alert.bar.time)
        rehearsal = RehearsalGateway(
            copy,
            place.ids,
            await gateway.snapshot(target.account, target.symbol),
            await gateway.balances(target.account),
            await gateway.instrument(target.account, target.symbol),
            base_fee_percent=await database.run(lambda tx: _base_fee_percent(tx, target)),
        )
        new = webhook_rows.accepted(
            alert,
            target,
            id_=place.ids.uuid(),
            trace_id=place.ids.trace_id(),
            dedup=dedup_key(alert, "", target.account, body, place.clock.now()),
            payload="",
        )
        verdict = await _carry_out(place, copy, rehearsal, new)
        report = await rehearsal.instrument(target.account, target.symbol)
    finally:
        await copy.close()
    status = verdict.status if isinstance(verdict, Done) else WebhookStatus.RECEIVED
    return Explanation(
        account=target.account,
        symbol=target.symbol,
        action=alert.action.value,
        status=status.value,
        message=verdict.message,
        price=report.last_price,
        orders=tuple(rehearsal.sent),
    )


async def _carry_out(
    place: Place, copy: InlineDatabase, gateway: RehearsalGateway, new: NewWebhook
) -> Done | Later:
    guarding = Guarding(
        copy,
        gateway,
        place.clock,
        installation=place.installation(),
        source=Source.WEBHOOK,
        mirror=NoMirror(),
    )
    tools = Tools(copy, gateway, guarding, NoMirror(), place.clock, place.ids, place.installation())
    await copy.run(lambda tx: insert_batch(tx, [new], None))
    verdict: Done | Later = Later(0.0, "")
    for _ in range(TRIES_MAX):
        claim = await copy.run(lambda tx: claims.claim_next(tx, HOLDER))
        assert claim is not None, "the copy holds one webhook to work"
        verdict = await dispatch(tools, claim)
        if isinstance(verdict, Done):
            break
        await copy.run(_put_back(claim, verdict.message))
    return verdict


def _base_fee_percent(tx: Tx, target: Target) -> Decimal:
    """Of a paper account on spot, where it is known before the fill; else 0."""
    row = get_account(tx, target.account)
    spot = row is not None and row.spec.venue == "paper" and row.spec.market() is MarketKind.SPOT
    return row.spec.paper.taker_fee_percent if row is not None and spot else ZERO


def _put_back(claim: claims.Claim, message: str) -> Callable[[Tx], None]:
    return lambda tx: claims.put_back(tx, claim, tx.now(), message)


async def _fill(
    database: Database, copy: InlineDatabase, target: Target, bar_time: datetime | None
) -> None:
    """Copies what the engine reads of one lane; of its alerts, only those of the same bar."""
    found = await database.run(lambda tx: _lane_rows(tx, target, bar_time))

    def write(tx: Tx) -> None:
        for row in found:
            tx.add(row)
            tx.flush()

    await copy.run(write)


def _lane_rows(tx: Tx, target: Target, bar_time: datetime | None) -> list[Base]:
    """Parents before children; the lane without anybody's claim on it."""
    account = tx.get_one(Account, target.account)
    lane = tx.scalars(
        select(Lane).where(Lane.account_name == target.account, Lane.symbol == target.symbol)
    ).one_or_none()
    if lane is None:
        return [_copy(account)]
    over = [WebhookStatus.PROCESSED.value, WebhookStatus.ERROR.value]
    alerts = tx.scalars(
        select(Webhook).where(
            Webhook.lane_id == lane.id, Webhook.status.in_(over), Webhook.bar_time == bar_time
        )
    ).all()
    states = _states(tx, lane)
    ids = [state.id for state in states]
    trades = tx.scalars(select(Trade).where(Trade.webhook_state_id.in_(ids))).all()
    fills = tx.scalars(select(Fill).where(Fill.webhook_state_id.in_(ids))).all()
    free_lane = _copy(lane, claim_holder=None, claim_until=None, not_before=None)
    children: Sequence[Base] = (*states, *alerts, *trades, *fills)
    return [_copy(account), free_lane, *(_copy(row) for row in children)]


def _states(tx: Tx, lane: Lane) -> list[WebhookState]:
    """The live one, and the newest that is over."""
    live = [status.value for status in StateStatus if status.is_live]
    of_lane = select(WebhookState).where(WebhookState.lane_id == lane.id)
    newest = of_lane.where(WebhookState.status.not_in(live)).order_by(
        WebhookState.created_at.desc()
    )
    return [
        *tx.scalars(of_lane.where(WebhookState.status.in_(live))),
        *tx.scalars(newest.limit(PAST_STATES_MAX)),
    ]


def _copy(row: Base, **changed: Any) -> Base:
    columns = [attribute.key for attribute in inspect(type(row)).column_attrs]
    return type(row)(**({name: getattr(row, name) for name in columns} | changed))
