"""Webhook tokens: the secret is shown once and stored only as its hash."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from guardian_core.domain.errors import CallerError
from guardian_core.ports import Ids, Tx
from guardian_core.storage.schema import Account, Token
from guardian_core.storage.upsert import insert_if_absent

NAME_MAX = 100
SECRET_MIN = 16
"""Characters of a secret that somebody else made up; ours are longer."""
_NAME_DIGITS = 6


@dataclass(frozen=True, slots=True)
class TokenRow:
    """`accounts` names those it may command; empty means all."""

    id: UUID
    name: str
    sha256: str
    accounts: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None

    @property
    def is_live(self) -> bool:
        return self.revoked_at is None


def token_sha256(secret: str) -> str:
    """What is stored of a secret. Plain SHA-256 is enough: the secret is 128 random bits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def create_token(tx: Tx, ids: Ids, name: str, accounts: Sequence[str] = ()) -> tuple[str, TokenRow]:
    """Returns the secret, which cannot be had again, and its row.

    Raises CallerError for an unknown account, and a name that a live token has.
    """
    if not name.strip() or len(name) > NAME_MAX or not name.isprintable():
        raise CallerError("name", "is not a name", f"use 1 to {NAME_MAX} printable characters")
    if _live(tx, name) is not None:
        raise CallerError("name", f"{name!r} already names a token", "revoke it, or choose another")
    for account in accounts:
        if tx.get(Account, account) is None:
            raise CallerError("accounts", f"{account!r} is not an account", "add it first")
    secret = ids.token()
    row = Token(
        id=ids.uuid(),
        name=name,
        sha256=token_sha256(secret),
        accounts=sorted(set(accounts)),
        created_at=tx.now(),
    )
    tx.add(row)
    tx.flush()
    return secret, _view(row)


def import_token(tx: Tx, ids: Ids, secret: str, prefix: str) -> tuple[TokenRow, bool]:
    """Makes a secret that exists elsewhere a token for all accounts; returns whether it is new.

    Its name is the prefix and the first digits of its hash, so another secret makes another token
    and the one before stays live until it is revoked. A revoked one stays revoked. Raises
    CallerError for a secret that is too short.
    """
    if len(secret) < SECRET_MIN:
        raise CallerError("secret", "is too short", f"use {SECRET_MIN} characters or more")
    sha256 = token_sha256(secret)
    # Two may import at once; the hash is unique, so only one of them makes the row.
    new = {
        "id": ids.uuid(),
        "name": f"{prefix}-{sha256[:_NAME_DIGITS]}",
        "sha256": sha256,
        "accounts": [],
        "created_at": tx.now(),
        "revoked_at": None,
    }
    is_new = insert_if_absent(tx, Token, new)
    row = tx.execute(select(Token).where(Token.sha256 == sha256)).scalars().one()
    return _view(row), is_new


def revoke_token(tx: Tx, name: str) -> TokenRow:
    """Raises CallerError when no live token has that name."""
    row = _live(tx, name)
    if row is None:
        raise CallerError("name", f"no live token is named {name!r}", "see `guardian token list`")
    row.revoked_at = tx.now()
    tx.flush()
    return _view(row)


def list_tokens(tx: Tx) -> list[TokenRow]:
    """All tokens, revoked ones too, oldest first."""
    query = select(Token).order_by(Token.created_at, Token.name)
    return [_view(row) for row in tx.execute(query).scalars()]


def _live(tx: Tx, name: str) -> Token | None:
    query = select(Token).where(Token.name == name, Token.revoked_at.is_(None))
    return tx.execute(query.with_for_update()).scalars().first()


def _view(row: Token) -> TokenRow:
    accounts = tuple(row.accounts)
    return TokenRow(row.id, row.name, row.sha256, accounts, row.created_at, row.revoked_at)
