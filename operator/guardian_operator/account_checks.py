"""Has every exchange account looked over at the start and daily, sooner while something is wrong.

What is found is logged and written into the journal when it changes, and shown beside the guarding
(an ExchangeAccount's condition Checked). It stops nothing here: the gateway itself refuses entries
of an account that it does not trust.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from loguru import logger

from guardian_core.domain.errors import GuardianError
from guardian_core.ports import Clock, Database, GatewayClient
from guardian_core.protocol import CheckReport
from guardian_core.storage import journal
from guardian_core.storage.accounts_store import AccountRow, list_accounts

EVERY_S = 24 * 3600.0
AGAIN_AFTER_S = 600.0
"""While something is wrong, or could not be asked."""
LOOK_EVERY_S = 5.0
COMPONENT = "operator"


@dataclass(frozen=True, slots=True)
class _Checked:
    generation: int
    due_s: float
    text: str


class AccountChecks:
    """`told`: hears of each report."""

    def __init__(
        self,
        database: Database,
        gateway: GatewayClient,
        clock: Clock,
        told: Callable[[str, CheckReport], None],
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._clock = clock
        self._told = told
        self._checked: dict[str, _Checked] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.check_due()
            except GuardianError as error:
                logger.warning("accounts are not checked now: {}", error)
            except Exception:
                # A mistake of ours here must not end the checks.
                logger.exception("accounts are not checked now")
            await asyncio.sleep(LOOK_EVERY_S)

    async def check_due(self) -> None:
        """Raises Unavailable when the database does not answer."""
        rows = await self._database.run(list_accounts)
        for row in rows:
            if row.spec.venue != "paper" and self._is_due(row):
                await self._check(row)

    def _is_due(self, row: AccountRow) -> bool:
        last = self._checked.get(row.name)
        moved = last is None or last.generation != row.generation
        return moved or (last is not None and self._clock.monotonic() >= last.due_s)

    async def _check(self, row: AccountRow) -> None:
        try:
            report = await self._gateway.check(row.name)
        except GuardianError as error:
            self._note(row, AGAIN_AFTER_S, f"not checked: {error}")
            return
        problems = report.problems()
        text = "; ".join(f"{line.what}: {line.found}" for line in problems)
        before = self._note(row, AGAIN_AFTER_S if problems else EVERY_S, text)
        self._told(row.name, report)
        if before != text:
            await self._write(row.name, text or "all is well")

    def _note(self, row: AccountRow, again_s: float, text: str) -> str | None:
        """Remembers it, and tells it where it is news; what was said before."""
        last = self._checked.get(row.name)
        before = last.text if last is not None else None
        due_s = self._clock.monotonic() + again_s
        self._checked[row.name] = _Checked(row.generation, due_s, text)
        if text and text != before:
            logger.bind(account=row.name).warning("account check of {}: {}", row.name, text)
        elif before and not text:
            logger.bind(account=row.name).info("account check of {}: all is well", row.name)
        return before

    async def _write(self, account: str, text: str) -> None:
        await self._database.run(
            lambda tx: journal.record(tx, COMPONENT, "account_checked", text, account=account)
        )
