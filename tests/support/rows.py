"""Rows for tests: the least that the tables let in, and what a test cares about on top."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from guardian_core.accounts import AccountSpec
from guardian_core.domain.alerts import WebhookStatus
from guardian_core.ports import Ids, Tx
from guardian_core.storage.accounts_store import AccountRow, put_account
from guardian_core.storage.lanes import lane_for
from guardian_core.storage.schema import Webhook, WebhookState

ACCOUNT = "main"
SYMBOL = "BTCUSDT"


def account(tx: Tx, name: str = ACCOUNT, **spec: Any) -> AccountRow:
    """An account on paper that answers to alerts for its own name."""
    return put_account(tx, name, AccountSpec(**({"account_id": name} | spec)))


def lane(tx: Tx, symbol: str = SYMBOL, account_name: str = ACCOUNT) -> int:
    """The lane's id; makes its account too where it is missing."""
    account(tx, account_name)
    return lane_for(tx, account_name, symbol)


def webhook(tx: Tx, ids: Ids, lane_id: int | None, **columns: Any) -> UUID:
    """A received MAJ."""
    row = webhook_row(tx, ids, lane_id, **columns)
    tx.add(row)
    tx.flush()
    return row.id


def webhook_row(tx: Tx, ids: Ids, lane_id: int | None, **columns: Any) -> Webhook:
    """A received MAJ, not added yet."""
    key = ids.uuid()
    values: dict[str, Any] = {
        "id": key,
        "trace_id": ids.trace_id(),
        "received_at": tx.now(),
        "dedup_key": str(key),
        "lane_id": lane_id,
        "account_name": ACCOUNT,
        "action": "MAJ",
        "symbol": SYMBOL,
        "raw_payload": "{}",
        "status": WebhookStatus.RECEIVED.value,
    }
    return Webhook(**(values | columns))


def state(tx: Tx, ids: Ids, lane_id: int, **columns: Any) -> UUID:
    """An open long of 0.01 under a stop-loss and a take-profit."""
    key = ids.uuid()
    now: datetime = tx.now()
    values: dict[str, Any] = {
        "id": key,
        "lane_id": lane_id,
        "side": "long",
        "quantity": Decimal("0.01"),
        "status": "open",
        "current_sl": Decimal(42_000),
        "current_tp": Decimal(45_000),
        "revision": 1,
        "revised_at": now,
        "source": "webhook",
        "trace_id": ids.trace_id(),
        "created_at": now,
        "opened_at": now,
    }
    tx.add(WebhookState(**(values | columns)))
    tx.flush()
    return key


def call(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[[Tx], Any]:
    """`database.run(call(fn, ...))` for `database.run(lambda tx: fn(tx, ...))`."""
    return lambda tx: fn(tx, *args, **kwargs)
