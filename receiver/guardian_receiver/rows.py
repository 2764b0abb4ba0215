"""From an alert to the row that is stored of it."""

from uuid import UUID

from guardian_core.domain.alerts import WebhookStatus
from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import plain
from guardian_receiver.alert import Alert
from guardian_receiver.directory import Target
from guardian_receiver.duplicates import DedupKey
from guardian_receiver.insert import NewWebhook, Row

REFUSED_DETAIL_MAX = 500


def accepted(
    alert: Alert, target: Target, *, id_: UUID, trace_id: str, dedup: DedupKey, payload: str
) -> NewWebhook:
    """The row of a good alert for one account. `payload`: as received, its secrets blanked."""
    bar = alert.bar
    row: Row = {
        "id": id_,
        "trace_id": trace_id,
        "dedup_key": dedup.key,
        "account_name": target.account,
        "action": str(alert.action),
        "user_id": alert.user_id,
        "account_id": target.account_id,
        "symbol": target.symbol,
        "exchange": alert.exchange,
        "interval": alert.interval,
        "bar_time": bar.time,
        "bar_open": bar.open,
        "bar_high": bar.high,
        "bar_low": bar.low,
        "bar_close": bar.close,
        "prix": alert.price,
        "prix_sl": alert.stop_loss,
        "prix_tp": alert.take_profit,
        "pour_cent": alert.percent,
        "indicateur_name": alert.indicator,
        "raw_payload": payload,
        "status": _RECEIVED,
        "message": "",
    }
    return NewWebhook(row, dedup, (target.account, target.symbol), summary(alert, target))


def refused(
    error: CallerError, *, id_: UUID, trace_id: str, dedup: DedupKey, payload: str
) -> NewWebhook:
    """The row of a body that is not carried out: what came, and what is wrong with it."""
    message = str(error)[:REFUSED_DETAIL_MAX]
    row: Row = dict.fromkeys(_NOTHING) | {
        "id": id_,
        "trace_id": trace_id,
        "dedup_key": dedup.key,
        "indicateur_name": "",
        "raw_payload": payload,
        "status": WebhookStatus.ERROR.value,
        "message": message,
    }
    return NewWebhook(row, dedup, None, f"refused: {message}")


def summary(alert: Alert, target: Target) -> str:
    """`BuyLimit BTCUSDT 50 % at 42000, stop-loss 41000, take-profit 45000 on main`."""
    words = [alert.action, target.symbol]
    if alert.action.trades:
        words.append(f"{plain(alert.percent)} %")
    if alert.price is not None and alert.action.is_limit:
        words.append(f"at {plain(alert.price)}")
    if alert.stop_loss is not None:
        words.append(f"stop-loss {alert.stop_loss}")
    if alert.take_profit is not None:
        words.append(f"take-profit {alert.take_profit}")
    return f"{' '.join(words)} on {target.account}"


_RECEIVED = WebhookStatus.RECEIVED.value
_NOTHING = (
    *("account_name", "action", "user_id", "account_id", "symbol", "exchange", "interval"),
    *("bar_time", "bar_open", "bar_high", "bar_low", "bar_close", "prix", "prix_sl", "prix_tp"),
    "pour_cent",
)
