"""What becomes of one request's body: authenticated, parsed, stored, answered.

Every answer but 401 and 413 is about a stored row. 503 is the only answer that makes TradingView
send again, so it is given exactly when the row may not be stored.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import NamedTuple

from loguru import logger

from guardian_core.domain.errors import CallerError, Unavailable
from guardian_core.logs import Point, log_points
from guardian_core.ports import Clock, Ids
from guardian_receiver import rows
from guardian_receiver.alert import parse_alert
from guardian_receiver.body import Pairs, blank_secrets, decode_text, read_object, storable
from guardian_receiver.committer import Committer, NotStorable, QueueFull, Waiting
from guardian_receiver.directory import Caller, Directory, Forbidden
from guardian_receiver.duplicates import dedup_key, refused_key
from guardian_receiver.fields import token_of
from guardian_receiver.insert import NewWebhook, Stored
from guardian_receiver.metrics import ReceiverMetrics

ACKNOWLEDGE_WITHIN_S = 2.5
"""TradingView hangs up after 3 s; by then it must have heard 503 to send again."""
RETRY_AFTER_S = 5


class Answer(NamedTuple):
    status: int
    body: bytes
    outcome: str
    """The metric's word for it."""
    headers: tuple[tuple[bytes, bytes], ...] = ()


class _Body(NamedTuple):
    """`problem`: why there are no pairs to read."""

    text: str
    pairs: Pairs
    problem: CallerError | None = None


class Reception:
    def __init__(
        self,
        directory: Directory,
        committer: Committer,
        clock: Clock,
        ids: Ids,
        metrics: ReceiverMetrics,
    ) -> None:
        self._directory = directory
        self._committer = committer
        self._clock = clock
        self._ids = ids
        self._metrics = metrics

    async def accept(self, raw: bytes, presented: str | None) -> Answer:
        """`presented`: the token in the URL or header; failing one, the body's counts."""
        arrived_at = self._clock.monotonic()
        body = _read(raw)
        secret = presented or token_of(body.pairs) or ""
        try:
            caller = await self._directory.caller(secret) if secret else None
            if caller is None:
                return self._unauthorised(bool(secret))
            answer = await self._store(raw, body, secret, caller)
        except (Unavailable, QueueFull, TimeoutError) as error:
            logger.warning("an alert was answered 503: {}", error)
            return _UNAVAILABLE
        self._metrics.ack_seconds.observe(self._clock.monotonic() - arrived_at)
        return answer

    async def _store(self, raw: bytes, body: _Body, secret: str, caller: Caller) -> Answer:
        trace_id = self._ids.trace_id()
        payload = blank_secrets(body.text, secret)
        try:
            if body.problem is not None:
                raise body.problem
            # What was blanked stays so in each column: no field brings the secret in.
            pairs = body.pairs if payload == body.text else read_object(payload)[0]
            news = await self._new_webhooks(raw, pairs, caller, trace_id, payload)
        except CallerError as error:
            # Whatever the body made us say, the secret is not repeated.
            told = CallerError(
                error.field, error.problem.replace(secret, "***"), error.fix.replace(secret, "***")
            )
            dedup = refused_key(caller.sha256, raw, self._clock.now())
            refused = rows.refused(
                told, id_=self._ids.uuid(), trace_id=trace_id, dedup=dedup, payload=payload
            )
            return await self._refuse(refused, told, isinstance(error, Forbidden))
        return self._received(await self._commit(news))

    async def _new_webhooks(
        self, raw: bytes, pairs: Pairs, caller: Caller, trace_id: str, payload: str
    ) -> list[NewWebhook]:
        """Raises CallerError; then none of the alert's accounts gets a row."""
        alert = parse_alert(pairs)
        now = self._clock.now()
        return [
            rows.accepted(
                alert,
                target,
                id_=self._ids.uuid(),
                trace_id=trace_id,
                dedup=dedup_key(alert, caller.sha256, target.account, raw, now),
                payload=payload,
            )
            for target in await self._directory.targets(alert, caller)
        ]

    async def _commit(self, news: Sequence[NewWebhook]) -> list[Stored]:
        """Raises TimeoutError when the database takes longer than a sender waits."""
        waiting = self._committer.submit(news)
        timer = asyncio.get_running_loop().call_later(ACKNOWLEDGE_WITHIN_S, _give_up, waiting)
        try:
            return [await each.done for each in waiting]
        finally:
            timer.cancel()

    def _received(self, stored: Sequence[Stored]) -> Answer:
        """A duplicate answers with the trace id of the first, under which its story is told."""
        new = [each for each in stored if not each.is_duplicate]
        status = "received" if new else "duplicate"
        trace_id = (new or stored)[0].trace_id
        return Answer(
            200, b'{"status":"%b","trace_id":"%b"}' % (status.encode(), trace_id.encode()), status
        )

    async def _refuse(self, refused: NewWebhook, error: CallerError, forbidden: bool) -> Answer:
        [stored] = await self._commit([refused])
        told = {"field": error.field, "problem": error.problem, "fix": error.fix}
        body = json.dumps({"error": told, "trace_id": stored.trace_id}).encode()
        return Answer(403, body, "forbidden") if forbidden else Answer(400, body, "refused")

    def _unauthorised(self, some: bool) -> Answer:
        self._metrics.unauthorised.inc()
        logger.warning("a request with {} token was refused", "a wrong" if some else "no")
        return _WRONG_TOKEN if some else _NO_TOKEN


def log_stored(outcomes: Sequence[tuple[Waiting, Stored]]) -> None:
    """Points T6.1 and T6.2 of a committed batch."""
    received = [
        {"trace_id": waiting.new.row["trace_id"], "alert": waiting.new.summary}
        for waiting, _ in outcomes
    ]
    log_points(Point.RECEIVED, received)
    log_points(
        Point.STORED,
        [
            {"trace_id": waiting.new.row["trace_id"], "duplicate_of": stored.trace_id}
            if stored.is_duplicate
            else {"trace_id": stored.trace_id}
            for waiting, stored in outcomes
        ],
    )


def failure(error: BaseException) -> Answer:
    """For an error that nothing above foresaw; sent again, the alert may fare better."""
    kind = "not storable" if isinstance(error, NotStorable) else "an internal error"
    return Answer(500, _error("body", kind, "see the receiver's log"), "failed")


def _give_up(waiting: Sequence[Waiting]) -> None:
    for each in waiting:
        each.fail(TimeoutError("no commit in time"))


def _read(raw: bytes) -> _Body:
    try:
        pairs, text = read_object(decode_text(raw))
    except CallerError as error:
        return _Body(storable(raw), Pairs(), error)
    return _Body(text, pairs)


def _error(field: str, problem: str, fix: str) -> bytes:
    return json.dumps({"error": {"field": field, "problem": problem, "fix": fix}}).encode()


_WHERE = "in the path /webhook/TOKEN, ?token=, the header X-Webhook-Token, or the field Token"
_NO_TOKEN = Answer(401, _error("token", "is missing", f"send it {_WHERE}"), "unauthorised")
_WRONG_TOKEN = Answer(
    401, _error("token", "is not known", "`guardian token create` makes one"), "unauthorised"
)
_UNAVAILABLE = Answer(
    503,
    _error("service", "the alert could not be stored now", "send it again"),
    "unavailable",
    ((b"retry-after", str(RETRY_AFTER_S).encode()),),
)
