"""What the receiver counts and measures."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from guardian_core.metrics import QUICK_SECONDS

OUTCOMES = (
    *("received", "duplicate", "refused", "forbidden", "unauthorised", "unavailable", "failed"),
    *("not_read", "foreign"),
)


class ReceiverMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        webhooks = Counter(
            "guardian_webhooks",
            f"Requests to /webhook by outcome ({', '.join(OUTCOMES)})",
            ("outcome",),
            registry=registry,
        )
        # Made once: looking a label up costs more than counting.
        self.webhooks = {outcome: webhooks.labels(outcome) for outcome in OUTCOMES}
        self.unauthorised = Counter(
            "guardian_webhooks_unauthorised",
            "Requests to /webhook with a wrong token, or none",
            registry=registry,
        )
        sources = Counter(
            "guardian_webhook_sources",
            "Requests to /webhook by where they came from (tradingview, other), where checked",
            ("source",),
            registry=registry,
        )
        self.sources = {source: sources.labels(source) for source in ("tradingview", "other")}
        self.ack_seconds = Histogram(
            "guardian_webhook_ack_seconds",
            "From a whole request to its answer, of alerts that were stored",
            buckets=QUICK_SECONDS,
            registry=registry,
        )
        self.batch_size = Histogram(
            "guardian_commit_batch_size",
            "Alerts stored by one commit",
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
            registry=registry,
        )
        self.publish_failures = Counter(
            "guardian_publish_failures",
            "Wake-ups that could not be published; the engine's poll makes up for them",
            registry=registry,
        )
        self._queue_depth = Gauge(
            "guardian_webhook_queue_depth",
            "Alerts that wait for the database",
            registry=registry,
        )

    def watch_queue(self, depth: Callable[[], int]) -> None:
        self._queue_depth.set_function(depth)
