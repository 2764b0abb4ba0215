"""Claims lanes and works their webhooks, as many lanes at once as allowed, each in order."""

import asyncio
import contextlib
from datetime import timedelta
from uuid import UUID

from loguru import logger

from guardian_core.domain.errors import Conflict, GuardianError, Unavailable
from guardian_core.logs import Point, log_point
from guardian_core.metrics import EngineMetrics
from guardian_core.ports import Bus, Tx
from guardian_core.storage import claims, journal
from guardian_core.storage.claims import Claim
from guardian_engine.dispatch import dispatch
from guardian_engine.job import COMPONENT, Tools
from guardian_engine.verdict import Done, Later, Verdict, failed

POLL_S = 1.0
"""How late an alert is seen when its wake-up was lost."""
RENEW_EVERY_S = 5.0
LANES_AT_ONCE = 64
FINISH_TRIES_S = 10.0
LOOK_AGE_MAX_S = 60.0
GIVE_UP_AFTER_S = 600.0
"""Since this engine's first try, not since the alert: one that waited for an engine is tried."""


class Claimer:
    """Works webhooks until cancelled. `holder` is unique to this process."""

    def __init__(self, tools: Tools, bus: Bus, holder: str, metrics: EngineMetrics) -> None:
        self._tools = tools
        self._metrics = metrics
        self._bus = bus
        self._holder = holder
        self._looked_at_s = tools.clock.monotonic()
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(LANES_AT_ONCE)
        self._at_work: set[asyncio.Task[None]] = set()
        self._first_tried_s: dict[UUID, float] = {}

    def health(self) -> str:
        """What is wrong with this engine; empty when nothing is."""
        age_s = self._tools.clock.monotonic() - self._looked_at_s
        return f"no claim was tried for {age_s:.0f} s" if age_s > LOOK_AGE_MAX_S else ""

    async def run(self) -> None:
        self._looked_at_s = self._tools.clock.monotonic()
        listener = asyncio.create_task(self._listen())
        try:
            while True:
                self._wake.clear()
                while await self._start_next():
                    pass
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_S):
                        await self._wake.wait()
        finally:
            # What is at work keeps its claim until that expires, and is then replayed.
            for task in (listener, *self._at_work):
                task.cancel()
            await asyncio.gather(listener, *self._at_work, return_exceptions=True)

    async def _listen(self) -> None:
        async for _ in self._bus.subscribe():
            self._wake.set()

    async def _start_next(self) -> bool:
        """Whether a webhook was claimed and is now at work."""
        await self._slots.acquire()
        self._looked_at_s = self._tools.clock.monotonic()
        claim = None
        try:
            claim = await self._tools.database.run(lambda tx: claims.claim_next(tx, self._holder))
        except Unavailable as error:
            logger.warning("no claim: {}", error)
        finally:
            if claim is None:
                self._slots.release()
        if claim is None:
            return False
        task = asyncio.create_task(self._work(claim))
        self._at_work.add(task)
        task.add_done_callback(self._finished)
        return True

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._at_work.discard(task)
        self._slots.release()
        self._wake.set()

    async def _work(self, claim: Claim) -> None:
        renewing = asyncio.create_task(self._renew(claim))
        try:
            verdict = self._with_patience(claim, await self._try(claim))
            await self._settle(claim, verdict)
        except (GuardianError, TimeoutError) as error:
            # The claim is lost, or will be: whoever takes the lane next starts from the rows.
            logger.bind(trace_id=claim.webhook.trace_id).warning("webhook left: {}", error)
        except Exception:
            logger.bind(trace_id=claim.webhook.trace_id).exception("webhook left unexpectedly")
        finally:
            renewing.cancel()

    async def _try(self, claim: Claim) -> Verdict:
        try:
            return await dispatch(self._tools, claim)
        except Unavailable as error:
            return Later(POLL_S, str(error))
        except GuardianError:
            raise
        except Exception as error:
            # A mistake of ours on one alert must not take the engine down with it.
            logger.bind(trace_id=claim.webhook.trace_id).exception("webhook failed unexpectedly")
            return failed(f"internal error: {type(error).__name__}")

    def _with_patience(self, claim: Claim, verdict: Verdict) -> Verdict:
        """Whatever an alert waits for, the others of its lane do not wait behind it for ever.
        What it has committed is carried out all the same, by the guardian."""
        if isinstance(verdict, Later):
            now_s = self._tools.clock.monotonic()
            waited_s = now_s - self._first_tried_s.setdefault(claim.webhook_id, now_s)
            if waited_s <= GIVE_UP_AFTER_S:
                return verdict
            verdict = failed(f"given up after {waited_s:.0f} s: {verdict.message}")
        self._first_tried_s.pop(claim.webhook_id, None)
        return verdict

    async def _settle(self, claim: Claim, verdict: Verdict) -> None:
        """Writes the verdict, for as long as the claim holds."""
        async with asyncio.timeout(FINISH_TRIES_S):
            while True:
                try:
                    await self._tools.database.run(lambda tx: _write(tx, claim, verdict))
                    break
                except Unavailable:
                    await asyncio.sleep(0.2)
        webhook = claim.webhook
        match verdict:
            case Done(status, message):
                self._metrics.webhooks_finished.labels(webhook.action, status.value).inc()
                spent = self._tools.clock.now() - webhook.received_at
                self._metrics.webhook_seconds.observe(spent.total_seconds())
                log_point(
                    Point.WEBHOOK_FINISHED,
                    f"{webhook.action} {status.value}" + (f": {message}" if message else ""),
                    trace_id=webhook.trace_id,
                    level="INFO" if status.value == "processed" else "ERROR",
                    account=claim.account_name,
                    symbol=claim.symbol,
                )
            case Later(delay_s, message):
                logger.bind(trace_id=webhook.trace_id).debug("again in {} s: {}", delay_s, message)
                asyncio.get_running_loop().call_later(delay_s, self._wake.set)

    async def _renew(self, claim: Claim) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            try:
                await self._tools.database.run(lambda tx: claims.renew(tx, claim))
            except Conflict:
                return
            except Unavailable as error:
                logger.warning("claim not renewed: {}", error)


def _write(tx: Tx, claim: Claim, verdict: Verdict) -> None:
    match verdict:
        case Done(status, message):
            claims.finish(tx, claim, status, message)
            journal.record(
                tx,
                COMPONENT,
                Point.WEBHOOK_FINISHED.value,
                f"{status.value}: {message}" if message else status.value,
                trace_id=claim.webhook.trace_id,
                webhook_id=claim.webhook_id,
                account=claim.account_name,
                symbol=claim.symbol,
            )
        case Later(delay_s, message):
            claims.put_back(tx, claim, tx.now() + timedelta(seconds=delay_s), message)
