"""Accounts as rows: written by the cli or from a custom resource, read by everybody."""

import re
from dataclasses import dataclass
from datetime import datetime

from loguru import logger
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from guardian_core.accounts import AccountSpec
from guardian_core.domain.errors import CallerError
from guardian_core.ports import Tx
from guardian_core.storage.schema import Account
from guardian_core.storage.upsert import insert_if_absent

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""As Kubernetes has it, and safe as the name of a folder."""


@dataclass(frozen=True, slots=True)
class AccountRow:
    """`generation` grows by one whenever the spec changes."""

    name: str
    spec: AccountSpec
    generation: int
    namespace: str = ""
    uid: str | None = None
    created_at: datetime | None = None


def put_account(
    tx: Tx, name: str, spec: AccountSpec, *, namespace: str = "", uid: str | None = None
) -> AccountRow:
    """Adds the account, or replaces its spec. Writes nothing where nothing changes.

    Raises CallerError for a bad name, and when another account answers to the same alerts.
    """
    if not _NAME.fullmatch(name):
        raise CallerError(
            "name", f"{name!r} cannot name an account", "use 1 to 63 of a-z, 0-9 and - inside"
        )
    stored = spec.model_dump(mode="json", by_alias=True)
    fresh = _columns(spec) | {"spec": stored, "namespace": namespace, "uid": uid}
    row = _locked(tx, name)
    if row is None:
        values = fresh | {"name": name, "generation": 1, "created_at": tx.now()}
        insert_if_absent(tx, Account, values)
        row = _locked(tx, name)
        if row is None:
            raise _ambiguous_alerts(spec)
    generation = row.generation + (row.spec != stored)
    try:
        with tx.begin_nested():
            for column, value in (fresh | {"generation": generation}).items():
                if getattr(row, column) != value:
                    setattr(row, column, value)
    except IntegrityError:
        raise _ambiguous_alerts(spec) from None
    return _view(row)


def get_account(tx: Tx, name: str) -> AccountRow | None:
    row = tx.get(Account, name)
    return None if row is None else _view(row)


def list_accounts(tx: Tx) -> list[AccountRow]:
    """All accounts, by name. One whose spec this version cannot read is left out, and logged: it
    must not hide the others from whoever guards them."""
    found = []
    for row in tx.execute(select(Account).order_by(Account.name)).scalars():
        try:
            found.append(_view(row))
        except ValidationError as error:
            logger.error("account {} is not usable: {}", row.name, error)
    return found


def _columns(spec: AccountSpec) -> dict[str, object]:
    """What queries and unique constraints need outside the JSON."""
    return {
        "user_id": spec.user_id,
        "account_id": spec.account_id,
        "venue": spec.venue,
        "environment": spec.environment.value,
    }


def _locked(tx: Tx, name: str) -> Account | None:
    query = select(Account).where(Account.name == name).with_for_update(key_share=True)
    return tx.execute(query.execution_options(populate_existing=True)).scalar_one_or_none()


def _ambiguous_alerts(spec: AccountSpec) -> CallerError:
    user = f" of user {spec.user_id!r}" if spec.user_id else ""
    return CallerError(
        "accountId",
        f"{spec.account_id!r}{user} already names another account",
        "an alert's UserExchangeID must mean one account: choose another",
    )


def _view(row: Account) -> AccountRow:
    spec = AccountSpec.model_validate(row.spec)
    return AccountRow(row.name, spec, row.generation, row.namespace, row.uid, row.created_at)
