"""Who may command what: live tokens and accounts, kept in memory and read anew each second.

A token or account that is not known is looked for in the database before anybody is refused, at
most once per MISS_INTERVAL_S, so that neither a fresh token fails nor a guesser loads the database.
"""

import asyncio
import hmac
from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from loguru import logger

from guardian_core.domain.errors import CallerError, Unavailable
from guardian_core.domain.plan import Direction
from guardian_core.ports import Clock, Database, Tx
from guardian_core.storage.accounts_store import AccountRow, list_accounts
from guardian_core.storage.lanes import normalise_symbol
from guardian_core.storage.tokens import list_tokens, token_sha256
from guardian_receiver.alert import Alert, check_entry_levels

REFRESH_S = 1.0
MISS_INTERVAL_S = 0.2
NAMES_SHOWN_MAX = 10


class Forbidden(CallerError):
    """The token is good, and may not command this account."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A live token. `accounts`: the names that it may command; empty means all."""

    sha256: str
    accounts: frozenset[str]

    def may_command(self, account: str) -> bool:
        return not self.accounts or account in self.accounts


class Target(NamedTuple):
    """One account that an alert is for, and its lane's symbol."""

    account: str
    account_id: str
    symbol: str


@dataclass(frozen=True, slots=True)
class _Known:
    """What one read of the database gave. `read_at`: when it began, on the monotonic clock."""

    number: int
    read_at: float
    callers: dict[str, Caller]
    accounts: dict[str, list[AccountRow]]
    """By UserExchangeID: users may share one."""
    targets: dict[tuple[object, ...], tuple[Target, ...]] = field(default_factory=dict)
    """Of alerts whose levels need no look, by all that their targets depend on."""

    def every_account(self) -> list[AccountRow]:
        return [account for same_id in self.accounts.values() for account in same_id]


class Directory:
    """`run` keeps it fresh; without, it reads at each miss."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._known: _Known | None = None
        self._reading = asyncio.Lock()
        self._reads_begun = 0

    async def caller(self, secret: str) -> Caller | None:
        """The live token with this secret. Raises Unavailable when that cannot be known."""
        sha256 = token_sha256(secret)
        found = self._find_caller(sha256)
        if found is None:
            await self._read_after_now()
            found = self._find_caller(sha256)
        return found

    async def targets(self, alert: Alert, caller: Caller) -> tuple[Target, ...]:
        """The alert's accounts, each with its lane's symbol.

        Raises CallerError for an unknown account or a wrong symbol, Forbidden for an account
        that the caller may not command.
        """
        if self._known is not None:
            try:
                return self._targets(alert, caller)
            except CallerError:
                pass
        await self._read_after_now()
        return self._targets(alert, caller)

    async def run(self) -> None:
        """Reads each REFRESH_S; while the database is away, what was known stays known."""
        while True:
            try:
                await self._read_after_now()
            except Unavailable:
                pass
            except Exception:
                logger.exception("tokens and accounts could not be read")
            await asyncio.sleep(REFRESH_S)

    def _find_caller(self, sha256: str) -> Caller | None:
        # A dictionary may tell by its timing how far two hashes agree, which says nothing about
        # the secret behind them; the decision itself is made in constant time.
        found = self._known.callers.get(sha256) if self._known is not None else None
        return found if found is not None and hmac.compare_digest(found.sha256, sha256) else None

    async def _read_after_now(self) -> None:
        """Returns when a read that began after this call is done; many callers share one."""
        begun_before = self._reads_begun
        async with self._reading:
            known = self._known
            if known is not None and known.number > begun_before:
                return
            if known is not None:
                due_s = known.read_at + MISS_INTERVAL_S - self._clock.monotonic()
                await asyncio.sleep(max(0.0, due_s))
            self._reads_begun += 1
            number, read_at = self._reads_begun, self._clock.monotonic()
            callers, accounts = await self._database.run(_read)
            self._known = _Known(number, read_at, callers, accounts)

    def _targets(self, alert: Alert, caller: Caller) -> tuple[Target, ...]:
        known = self._known
        assert known is not None
        has_levels = alert.stop_loss is not None and alert.take_profit is not None
        if has_levels and (alert.action.is_buy or alert.action.is_sell):
            return self._look_up(alert, caller)
        key = (caller.sha256, alert.account_ids, alert.user_id, alert.symbol)
        targets = known.targets.get(key)
        if targets is None:
            targets = known.targets[key] = self._look_up(alert, caller)
        return targets

    def _look_up(self, alert: Alert, caller: Caller) -> tuple[Target, ...]:
        accounts = (
            [self._account(one_id, alert, caller) for one_id in alert.account_ids]
            if alert.account_ids
            else [self._only_account(alert, caller)]
        )
        for account in accounts:
            if alert.action.is_buy or (alert.action.is_sell and not _long_only(account)):
                check_entry_levels(alert)
        return tuple([_target(alert, account) for account in accounts])

    def _account(self, account_id: str, alert: Alert, caller: Caller) -> AccountRow:
        assert self._known is not None
        found = _of_user(self._known.accounts.get(account_id, []), alert.user_id)
        if not found:
            whose = f" of user {alert.user_id!r}" if alert.user_id else ""
            raise CallerError(
                "UserExchangeID",
                f"{account_id!r}{whose} is no account here",
                f"send one of: {self._names(caller)}",
            )
        allowed = [account for account in found if caller.may_command(account.name)]
        if not allowed:
            raise Forbidden(
                "UserExchangeID",
                f"the token may not command {account_id!r}",
                f"use its own token, or send one of: {self._names(caller)}",
            )
        if len(allowed) > 1:
            raise CallerError("UserID", "is missing", f"several users have a {account_id!r}")
        return allowed[0]

    def _only_account(self, alert: Alert, caller: Caller) -> AccountRow:
        assert self._known is not None
        every = self._known.every_account()
        allowed = [account for account in every if caller.may_command(account.name)]
        allowed = _of_user(allowed, alert.user_id)
        if len(allowed) != 1:
            raise CallerError("UserExchangeID", "is missing", f"send one of: {self._names(caller)}")
        return allowed[0]

    def _names(self, caller: Caller) -> str:
        """The UserExchangeIDs that this caller may use; of others it hears nothing."""
        assert self._known is not None
        ids = sorted(
            account.spec.account_id
            for account in self._known.every_account()
            if caller.may_command(account.name)
        )
        shown = ", ".join(ids[:NAMES_SHOWN_MAX]) or "none yet, add an account first"
        return shown + (" …" if len(ids) > NAMES_SHOWN_MAX else "")


def _read(tx: Tx) -> tuple[dict[str, Caller], dict[str, list[AccountRow]]]:
    callers = {
        token.sha256: Caller(token.sha256, frozenset(token.accounts))
        for token in list_tokens(tx)
        if token.is_live
    }
    accounts: defaultdict[str, list[AccountRow]] = defaultdict(list)
    for account in list_accounts(tx):
        accounts[account.spec.account_id].append(account)
    return callers, dict(accounts)


def _of_user(accounts: list[AccountRow], user_id: str | None) -> list[AccountRow]:
    """Those of the user; failing them, those of nobody in particular."""
    if user_id is None:
        return accounts
    own = [account for account in accounts if account.spec.user_id == user_id]
    return own or [account for account in accounts if not account.spec.user_id]


def _target(alert: Alert, account: AccountRow) -> Target:
    symbol = normalise_symbol(alert.symbol, account.spec.symbol_map)
    return Target(account.name, account.spec.account_id, symbol)


def _long_only(account: AccountRow) -> bool:
    """There a sell can only be an exit, and an exit's levels have no meaning."""
    return account.spec.domain_policy().direction is Direction.LONG_ONLY
