"""The position guardian: while it leads, a pass over every account, again and again.

Only the holder of the lease `guardian` passes. A standby is warm: it passes at once when the
lease falls to it. Two leaders, were there ever two, do no harm: the gateway's fence refuses the
second sender of anything.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from decimal import Decimal
from typing import Any, Protocol

from loguru import logger

from guardian_core.domain.decision import Coverage
from guardian_core.domain.errors import GuardianError, Unavailable
from guardian_core.domain.plan import Policy
from guardian_core.guarding import Guarding, LaneReport, PassReport, Step
from guardian_core.logs import Point, log_point
from guardian_core.metrics import GuardingMetrics
from guardian_core.ports import Bus, Clock, Database, GatewayClient
from guardian_core.protocol import CheckReport
from guardian_core.scheduler import Scheduler
from guardian_core.storage.accounts_store import list_accounts
from guardian_core.storage.leases import LeaseKeeper
from guardian_operator.account_checks import AccountChecks
from guardian_operator.news import hear
from guardian_operator.order_monitor import monitor_account

PASS_MAX_S = 8.0
"""A pass that hangs longer is given up, so that the next one starts from fresh sight."""

PASS_AGE_MAX_S = 120.0
"""A leader none of whose passes succeeded for so long should be restarted. A venue that is away
also fails passes, so this is far above the promise."""


class Beside(Protocol):
    """What is done beside the guarding while this process leads: `run` is cancelled when the lease
    is lost, and nothing that becomes of it touches the guarding."""

    async def run(self, wake: Callable[[str], None]) -> None: ...

    def passed(self, report: PassReport) -> None: ...

    def failed(self, account: str, why: str) -> None: ...

    def checked(self, account: str, report: CheckReport) -> None: ...


class NothingBeside:
    """On one machine there is nothing but the guarding."""

    async def run(self, wake: Callable[[str], None]) -> None:
        await asyncio.Event().wait()

    def passed(self, report: PassReport) -> None:
        return None

    def failed(self, account: str, why: str) -> None:
        return None

    def checked(self, account: str, report: CheckReport) -> None:
        return None


class Guardian:
    """Leads when it holds the lease. Await `run()` in a task of its own."""

    def __init__(
        self,
        database: Database,
        guarding: Guarding,
        clock: Clock,
        keeper: LeaseKeeper,
        metrics: GuardingMetrics,
        gateway: GatewayClient,
        beside: Beside | None = None,
        news: Bus | None = None,
    ) -> None:
        self._database = database
        self._guarding = guarding
        self._clock = clock
        self._keeper = keeper
        self._metrics = metrics
        self._beside = beside or NothingBeside()
        self._news = news
        self._checks = AccountChecks(database, gateway, clock, self._checked)
        self._policies: dict[str, Policy] = {}
        self._told: dict[tuple[str, str], Coverage] = {}
        self.scheduler = Scheduler(self._pass, self._intervals, clock)

    @property
    def leads(self) -> bool:
        return self._keeper.is_held

    def health(self) -> str:
        """What is wrong with this guardian; empty when nothing is. A standby is well."""
        age_s = self.scheduler.age_s() if self.leads else 0.0
        return f"no pass for {age_s:.0f} s" if age_s > PASS_AGE_MAX_S else ""

    async def run(self) -> None:
        """Guards whenever the lease is held, until cancelled. Raises what ends the guarding: a
        leader that holds its lease and does not guard must not live on."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keeper.run())
            tasks.create_task(self._while_leading(lambda: self._beside.run(self.scheduler.wake)))
            tasks.create_task(self._while_leading(self._checks.run))
            if self._news is not None:
                tasks.create_task(hear(self._news, self.scheduler.nudge))
            while True:
                epoch = await self._keeper.wait_held()
                passing = tasks.create_task(self.scheduler.run())
                try:
                    await self._keeper.wait_lost(epoch)
                finally:
                    passing.cancel()
                await asyncio.wait((passing,))

    async def _while_leading(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """In a task of its own: what ends slowly must not keep a new term of guarding waiting."""
        while True:
            epoch = await self._keeper.wait_held()
            working = asyncio.create_task(work())
            try:
                await self._keeper.wait_lost(epoch)
            finally:
                working.cancel()
                (ended,) = await asyncio.gather(working, return_exceptions=True)
            if isinstance(ended, Exception):
                logger.opt(exception=ended).error("what is done beside the guarding has failed")

    async def resign(self) -> None:
        """Frees the lease for the standby. After `run` ended."""
        await self._keeper.release()

    async def _intervals(self) -> Mapping[str, float]:
        accounts = await self._database.run(list_accounts)
        self._policies = {a.name: a.spec.domain_policy() for a in accounts}
        return {a.name: a.spec.guard_interval_seconds for a in accounts}

    async def _pass(self, account: str) -> float | None:
        """One pass; returns in how many seconds the next is wished for."""
        if not self._keeper.is_held:
            return None
        started_s = self._clock.monotonic()
        try:
            async with asyncio.timeout(PASS_MAX_S):
                report = await self._guarding.run_pass(account, self._policies[account])
                await monitor_account(self._database, account)
        except TimeoutError:
            error = Unavailable(f"the pass took longer than {PASS_MAX_S:.0f} s")
            self._failed(account, error)
            raise error from None
        except GuardianError as error:
            self._failed(account, error)
            raise
        self._measure(report, self._clock.monotonic() - started_s)
        self._told = {
            key: coverage
            for key, coverage in self._told.items()
            if key[0] != account or key[1] in report.lanes
        }
        for lane in report.lanes.values():
            self._tell(account, lane)
        self._told_beside(lambda: self._beside.passed(report))
        return report.requeue_after_s

    def _failed(self, account: str, error: GuardianError) -> None:
        self._metrics.passes.labels(account, "failed").inc()
        self._told_beside(lambda: self._beside.failed(account, str(error)))

    def _checked(self, account: str, report: CheckReport) -> None:
        self._told_beside(lambda: self._beside.checked(account, report))

    def _told_beside(self, tell: Callable[[], None]) -> None:
        try:
            tell()
        except Exception:
            logger.exception("what is done beside the guarding does not listen")

    def _measure(self, report: PassReport, spent_s: float) -> None:
        account = report.account
        for name, symbol in self._told:
            if name == account and symbol not in report.lanes:
                # Over since the last pass: nothing tells of it any more.
                self._metrics.position_unprotected_seconds.labels(account, symbol).set(0)
        self._metrics.passes.labels(account, "ok").inc()
        self._metrics.pass_seconds.labels(account).observe(spent_s)
        for symbol, lane in report.lanes.items():
            naked_s = self._naked_s(lane.last)
            self._metrics.position_unprotected_seconds.labels(account, symbol).set(naked_s)
            for step in lane.steps:
                for role in step.repaired:
                    self._metrics.repairs.labels(account, symbol, role.value, "repaired").inc()
                for outcome in step.failed:
                    leg = outcome.role.value if outcome.role else ""
                    self._metrics.repairs.labels(account, symbol, leg, "failed").inc()

    def _naked_s(self, step: Step) -> float:
        if not step.decision.missing or step.guarded is None:
            return 0.0
        since = step.guarded.plan.naked_since
        return max(0.0, (self._clock.now() - since).total_seconds()) if since else 0.0

    def _tell(self, account: str, lane: LaneReport) -> None:
        """T7.1 at debug, and at info when what the pass found is not what it found before."""
        changed = self._told.get((account, lane.symbol)) is not lane.coverage
        self._told[account, lane.symbol] = lane.coverage
        guarded = lane.last.guarded
        reasons = "; ".join(reason.message for reason in lane.last.decision.reasons)
        live: Decimal = lane.last.lane.live_quantity
        log_point(
            Point.PASS_VALIDATED,
            f"{lane.symbol} {lane.coverage.value}" + (f" ({reasons})" if reasons else ""),
            trace_id=guarded.trace_id if guarded else None,
            level="INFO" if changed else "DEBUG",
            account=account,
            symbol=lane.symbol,
            quantity=live,
        )
