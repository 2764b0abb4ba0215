"""From a claimed webhook to a verdict: which action runs, and what its errors mean."""

from loguru import logger
from sqlalchemy import select

from guardian_core.domain.alerts import AlertAction, WebhookStatus
from guardian_core.domain.errors import (
    Ambiguous,
    CallerError,
    ConfigurationError,
    Conflict,
    GuardianError,
    Rejected,
    Unavailable,
)
from guardian_core.ports import Tx
from guardian_core.protocol import Bar
from guardian_core.storage.accounts_store import AccountRow, get_account
from guardian_core.storage.claims import Claim, WebhookRow
from guardian_core.storage.schema import Webhook
from guardian_engine.entry import enter
from guardian_engine.exits import close
from guardian_engine.job import Job, Tools
from guardian_engine.update_sl_tp import update_sl_tp
from guardian_engine.verdict import Later, Verdict, failed, processed

RETRY_S = 0.5

_ONCE_PER_BAR = frozenset(AlertAction) - {AlertAction.PING, AlertAction.MAJ}


async def dispatch(tools: Tools, claim: Claim) -> Verdict:
    """Tries one webhook. Never raises for what the alert, the venue or a peer did; a Conflict
    over the claim itself passes through."""
    account, twin, now = await tools.database.run(
        lambda tx: (get_account(tx, claim.account_name), _twin(tx, claim), tx.now())
    )
    if account is None:
        return failed(f"account {claim.account_name} does not exist any more")
    job = Job(tools, claim, account.spec, now)
    try:
        return await _act(job, account, twin)
    except CallerError as error:
        return failed(str(error))
    except (Rejected, ConfigurationError) as error:
        return failed(str(error))
    except Conflict as conflict:
        if conflict.code == "claim_lost":
            raise
        return Later(RETRY_S, str(conflict))
    except (Unavailable, Ambiguous) as error:
        return Later(RETRY_S, str(error))


async def _act(job: Job, account: AccountRow, twin: str | None) -> Verdict:
    await feed_paper(job, account)
    action = AlertAction(job.webhook.action or "")
    if action is AlertAction.PING:
        return processed("")
    if twin is not None and job.webhook.revision is None:
        return processed(f"this bar's alert was already executed (trace {twin})")
    if action is AlertAction.MAJ:
        return await update_sl_tp(job)
    if action is AlertAction.CLOSE:
        return await close(job)
    return await enter(job)


async def feed_paper(job: Job, account: AccountRow) -> None:
    """The bar of an alert is the paper venue's market.

    Raises Unavailable for an entry whose body is not made yet: without its price it could only
    be refused, and the bar may arrive on the next try.
    """
    if account.spec.venue != "paper":
        return
    bar = bar_of(job.webhook, job.symbol)
    if bar is None:
        return
    try:
        await job.tools.gateway.paper(account.name, bar)
    except GuardianError as error:
        action = AlertAction(job.webhook.action or "")
        enters = (action.is_buy or action.is_sell) and job.webhook.order_body is None
        if enters and isinstance(error, Unavailable | Ambiguous):
            raise
        # Everything else does not need the bar.
        logger.bind(trace_id=job.webhook.trace_id).warning("paper venue has no bar: {}", error)


def bar_of(webhook: WebhookRow, symbol: str) -> Bar | None:
    """The alert's candle; Prix stands in for a close that it does not carry."""
    close_price = webhook.bar_close if webhook.bar_close is not None else webhook.prix
    if close_price is None or close_price <= 0:
        return None
    if webhook.bar_close is None and AlertAction(webhook.action or "").is_limit:
        return None  # a limit's Prix is a wish, not a price
    return Bar(
        symbol=symbol,
        time=webhook.bar_time if webhook.bar_close is not None else None,
        open=webhook.bar_open,
        high=webhook.bar_high,
        low=webhook.bar_low,
        close=close_price,
    )


def _twin(tx: Tx, claim: Claim) -> str | None:
    """The trace of an alert of the same bar that was already carried out: an entry or exit
    executes once per (lane, indicator, action, bar)."""
    webhook = claim.webhook
    if webhook.bar_time is None or AlertAction(webhook.action or "") not in _ONCE_PER_BAR:
        return None
    return tx.execute(
        select(Webhook.trace_id)
        .where(
            Webhook.lane_id == claim.lane_id,
            Webhook.indicateur_name == webhook.indicateur_name,
            Webhook.action == webhook.action,
            Webhook.bar_time == webhook.bar_time,
            Webhook.status == WebhookStatus.PROCESSED.value,
            Webhook.id != webhook.id,
        )
        .limit(1)
    ).scalar_one_or_none()
