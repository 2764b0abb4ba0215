"""One claimed webhook with all that its handling needs."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from loguru import logger
from sqlalchemy import update

from guardian_core.accounts import AccountSpec
from guardian_core.domain.crossing import fresh
from guardian_core.domain.decision import Coverage
from guardian_core.domain.errors import Unavailable
from guardian_core.domain.money import plain
from guardian_core.domain.plan import Policy
from guardian_core.domain.snapshot import Position
from guardian_core.guarding import Guarding, Step
from guardian_core.logs import Point, log_point
from guardian_core.ports import Clock, Database, GatewayClient, Ids, Mirror, Tx
from guardian_core.storage import claims, journal
from guardian_core.storage.claims import Claim, WebhookRow
from guardian_core.storage.desires import Guarded, latest_states
from guardian_core.storage.schema import Webhook

T = TypeVar("T")

COMPONENT = "engine"
SETTLE_GAP_S = 0.5


@dataclass(frozen=True, slots=True)
class Tools:
    """The engine's outside, chosen at bootstrap."""

    database: Database
    gateway: GatewayClient
    guarding: Guarding
    mirror: Mirror
    clock: Clock
    ids: Ids
    installation: str


@dataclass(frozen=True, slots=True)
class Job:
    """A claim being worked. Every write it makes checks first that the claim still holds."""

    tools: Tools
    claim: Claim
    spec: AccountSpec
    now: datetime
    """The database's clock when the job began."""

    @property
    def webhook(self) -> WebhookRow:
        return self.claim.webhook

    @property
    def account(self) -> str:
        return self.claim.account_name

    @property
    def symbol(self) -> str:
        return self.claim.symbol

    @property
    def policy(self) -> Policy:
        return self.spec.domain_policy()

    @property
    def age_s(self) -> float:
        """Since the alert was received."""
        return (self.now - self.webhook.received_at).total_seconds()

    async def look(self) -> "Sight":
        """Gathers, repairs what a pass finds wrong, and returns what stands at its end."""
        steps = await self._pass()
        live, latest = await self.states()
        return Sight(steps[-1], live, latest)

    async def states(self) -> tuple[Guarded | None, Guarded | None]:
        """The lane's pending or open state, and its newest of any status."""

        def read(tx: Tx) -> Guarded | None:
            found = latest_states(tx, self.account, [self.symbol], self.tools.installation)
            return found.get(self.symbol)

        latest = await self.tools.database.run(read)
        return (latest if latest and latest.plan.status.is_live else None), latest

    async def settle(
        self, until: Callable[[Step], bool] | None = None, tries: int = 3
    ) -> tuple[Step, ...]:
        """Passes until the lane is as wished, or something was refused; what is left then is
        the guardian's. `until` unset: until the position is covered."""
        is_settled = until or _is_covered
        done: tuple[Step, ...] = ()
        for attempt in range(tries):
            if attempt:
                await asyncio.sleep(SETTLE_GAP_S)
            try:
                done = await self._pass()
            except Unavailable as error:
                logger.bind(trace_id=self.webhook.trace_id).warning("pass failed: {}", error)
                continue
            if is_settled(done[-1]) or done[-1].failed:
                break
        return done

    async def _pass(self) -> tuple[Step, ...]:
        report = await self.tools.guarding.run_pass(
            self.account, self.policy, self.symbol, self.webhook.trace_id
        )
        return report.lanes[self.symbol].steps

    async def commit(self, write: Callable[[Tx], T]) -> T:
        """Runs a write under the claim. Raises Conflict when another engine took the lane."""

        def fenced(tx: Tx) -> T:
            claims.check(tx, self.claim)
            return write(tx)

        return await self.tools.database.run(fenced)

    def mark(self, tx: Tx, **columns: object) -> None:
        """Sets columns of the webhook's own row."""
        tx.execute(update(Webhook).where(Webhook.id == self.webhook.id).values(**columns))

    def note(self, tx: Tx, point: Point, detail: str, guarded: Guarded | None = None) -> None:
        journal.record(
            tx,
            COMPONENT,
            point.value,
            detail,
            trace_id=self.webhook.trace_id,
            webhook_id=self.webhook.id,
            webhook_state_id=guarded.plan.state_id if guarded else None,
            account=self.account,
            symbol=self.symbol,
        )

    def say(self, point: Point, message: str, level: str = "INFO") -> None:
        log_point(
            point,
            message,
            trace_id=self.webhook.trace_id,
            level=level,
            account=self.account,
            symbol=self.symbol,
        )


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look found. `live`: the lane's pending or open state; `latest`: its newest."""

    step: Step
    live: Guarded | None
    latest: Guarded | None

    @property
    def position(self) -> Position | None:
        return self.step.lane.position

    @property
    def is_unknown(self) -> bool:
        return self.step.decision.coverage is Coverage.UNKNOWN

    @property
    def is_unguarded(self) -> bool:
        """A position that no live state of ours explains, and that is more than dust."""
        if self.position is None or self.step.decision.coverage is Coverage.DUST:
            return False
        return self.live is None or self.position.side is not self.live.plan.side

    @property
    def price(self) -> Decimal | None:
        """The venue's price, if recent enough to act on."""
        price = fresh(self.step.lane.price)
        return price.last if price else None

    @property
    def told(self) -> str:
        coverage = self.step.decision.coverage.value
        if self.position is None:
            return f"no position ({coverage})"
        side, quantity = self.position.side.value, plain(self.position.quantity)
        return f"{side} {quantity} open ({coverage})"

    @property
    def why(self) -> str:
        return "; ".join(reason.message for reason in self.step.decision.reasons)


def _is_covered(step: Step) -> bool:
    return step.decision.coverage in (Coverage.PROTECTED, Coverage.UNGUARDED, Coverage.DUST)


def failures(steps: tuple[Step, ...]) -> str:
    """What the last step could not do, in words; empty when it did everything."""
    if not steps:
        return "the gateway did not answer"
    last = steps[-1]
    if last.error:
        return last.error
    texts = []
    for outcome in last.failed:
        role = outcome.role.value if outcome.role else "order"
        why = outcome.reason.value if outcome.reason else outcome.outcome.value
        texts.append(f"{role} {why} {outcome.message}".strip())
    return "; ".join(texts)
