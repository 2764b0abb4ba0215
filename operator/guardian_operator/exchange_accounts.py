"""ExchangeAccounts become rows of the account table, which is all that anybody else reads.

An account whose object is deleted keeps its row, so that its positions are guarded on, and is
paused: no new entries. The object applied again takes it up as before.
"""

from collections.abc import Callable, Mapping
from typing import Any

from loguru import logger
from pydantic import ValidationError

from guardian_core.accounts import SPOT_VENUES, AccountSpec
from guardian_core.cluster.resources import ACCOUNTS
from guardian_core.domain.decision import Coverage
from guardian_core.domain.errors import CallerError
from guardian_core.domain.orders import TriggerBasis
from guardian_core.guarding import PassReport
from guardian_core.ports import Clock, Database, Tx
from guardian_core.protocol import CheckReport
from guardian_core.storage import journal
from guardian_core.storage.accounts_store import list_accounts, put_account
from guardian_core.storage.mirrors import shown_states
from guardian_operator.shelf import Shelf
from guardian_operator.status import Said, account_status, no, unknown, yes
from guardian_operator.status_writer import StatusWriter
from guardian_operator.tools import COMPONENT

Body = dict[str, Any]

_OPEN = frozenset({Coverage.PROTECTED, Coverage.PARTIAL, Coverage.NAKED})


class ExchangeAccounts:
    """`report_of`: the account's latest pass, None where it is old. `checks`: what the latest
    look at each account found."""

    def __init__(
        self,
        database: Database,
        namespace: str,
        shelf: Shelf,
        writer: StatusWriter,
        clock: Clock,
        report_of: Callable[[str], PassReport | None],
        checks: Mapping[str, CheckReport],
    ) -> None:
        self._database = database
        self._namespace = namespace
        self._shelf = shelf
        self._writer = writer
        self._clock = clock
        self._report_of = report_of
        self._checks = checks
        self._taken: dict[str, tuple[str, int]] = {}
        self._refused: dict[str, str] = {}
        self._failures: dict[str, str] = {}

    async def take(self, name: str) -> None:
        """Makes the object's spec the account's row, once for each of its generations."""
        body = self._shelf[name]
        if body is None:
            self._taken.pop(name, None)
            return
        metadata = body["metadata"]
        version = (metadata["uid"], metadata.get("generation", 0))
        if self._taken.get(name) != version:
            try:
                spec = AccountSpec.model_validate(body.get("spec") or {})
                await self._database.run(lambda tx: self._put(tx, name, spec, metadata["uid"]))
                self._refused.pop(name, None)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"])
                self._refused[name] = f"spec.{where}: {first['msg']}"
            except CallerError as error:
                self._refused[name] = str(error)
            self._taken[name] = version
        self.look(name)

    def _put(self, tx: Tx, name: str, spec: AccountSpec, uid: str) -> None:
        before = next((row for row in list_accounts(tx) if row.name == name), None)
        moves = before is not None and _place(before.spec) != _place(spec)
        # The schema forbids it to an object, but not to a later one of the same name.
        if before is not None and moves and any(s.is_live for s in shown_states(tx, name)):
            was = " ".join(_place(before.spec))
            problem = f"positions are open on what {name} was before ({was})"
            raise CallerError("venue", problem, "close them first, or choose another name")
        # The gateway would refuse the whole account, positions and all.
        if spec.venue in SPOT_VENUES and spec.policy.trigger_basis is not TriggerBasis.LAST:
            raise CallerError("policy.triggerBasis", f"{spec.venue} has no mark price", "last")
        put_account(tx, name, spec, namespace=self._namespace, uid=uid)

    def passed(self, account: str) -> None:
        self._failures.pop(account, None)
        self.look(account)

    def failed(self, account: str, why: str) -> None:
        self._failures[account] = why
        self.look(account)

    def look(self, name: str) -> None:
        """Shows how the account stands."""
        body = self._shelf[name]
        if body is None:
            return
        report = self._report_of(name)
        reachable = self._reachable(name, report)
        new = account_status(
            self._ready(name, reachable),
            reachable,
            _checked(self._checks.get(name)),
            None if report is None else _counts(report),
            body["metadata"].get("generation", 0),
            body.get("status") or {},
            self._clock.now(),
        )
        self._writer.show(ACCOUNTS, name, new)

    async def pause_withdrawn(self) -> None:
        """After a listing: accounts of this namespace whose objects are gone. An object whose row
        somebody else has written since is taken again."""
        gone, uids = await self._database.run(self._withdrawn)
        for name in gone:
            logger.bind(account=name).warning("its ExchangeAccount is gone: paused, guarded on")
        for name, (uid, _) in list(self._taken.items()):
            if uids.get(name) != uid:
                del self._taken[name]

    def _withdrawn(self, tx: Tx) -> tuple[list[str], dict[str, str | None]]:
        """Names of those paused now, and the uids in all rows."""
        accounts = list_accounts(tx)
        gone = [
            account
            for account in accounts
            if account.namespace == self._namespace
            and account.uid is not None
            and self._shelf[account.name] is None
        ]
        for account in gone:
            spec = account.spec.model_copy(update={"paused": True})
            put_account(tx, account.name, spec, namespace=self._namespace, uid=None)
            text = "its ExchangeAccount is gone: no new entries, its positions are guarded on"
            journal.record(tx, COMPONENT, "account_withdrawn", text, account=account.name)
        names = [account.name for account in gone]
        uids = {account.name: account.uid for account in accounts}
        return names, uids | dict.fromkeys(names)

    def _ready(self, name: str, reachable: Said) -> Said:
        if name in self._refused:
            return no("Invalid", self._refused[name])
        if name not in self._taken:
            return unknown("NotTaken", "not read yet")
        return yes("Guarded") if reachable.holds else reachable

    def _reachable(self, name: str, report: PassReport | None) -> Said:
        if report is not None:
            failures = [f for lane in report.lanes.values() for f in lane.last.lane.failures]
            return no("VenueUnavailable", failures[0]) if failures else yes("PassSucceeded")
        if name in self._failures:
            return no("PassFailed", self._failures[name])
        return unknown("NoPass", "no recent pass")


def _checked(report: CheckReport | None) -> Said:
    """The first word of what is wrong, as a reason; all of it as the message."""
    if report is None:
        return unknown("NotChecked", "not looked over yet; an account on paper never is")
    problems = report.problems()
    if not problems:
        return yes("CheckPassed")
    first = problems[0]
    reason = "".join(word.capitalize() for word in first.what.split()) or "Account"
    found = "; ".join(f"{line.what}: {line.found}" for line in problems)
    return no(f"{reason}Wrong" if first.asked else f"{reason}NotKnown", found)


def _place(spec: AccountSpec) -> tuple[str, str, str]:
    """Where its positions are."""
    return spec.venue, spec.environment.value, spec.market().value


def _counts(report: PassReport) -> tuple[int, int]:
    lanes = [lane for lane in report.lanes.values() if lane.coverage in _OPEN]
    return len(lanes), sum(bool(lane.last.decision.missing) for lane in lanes)
