"""Prometheus metrics that more than one service shares, and how a service shows its own.

Convention: each class takes the process's one `CollectorRegistry` and is made once per process,
so that `guardian up` shows all of them on one page and a test sees only its own. Names follow
Prometheus: `guardian_`, the noun, the unit; `_total` for counters. Labels are bounded: account,
symbol, outcome, never an id.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

QUICK_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


def render(registry: CollectorRegistry) -> tuple[bytes, str]:
    """The body and content type that `GET /metrics` answers."""
    return generate_latest(registry), CONTENT_TYPE_LATEST


class GuardingMetrics:
    """What guarding passes find and repair (engine and operator)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.position_unprotected_seconds = Gauge(
            "guardian_position_unprotected_seconds",
            "For how long a desired leg of an open position has not been working; 0 when all do",
            ("account", "symbol"),
            registry=registry,
        )
        self.repairs = Counter(
            "guardian_repairs",
            "Missing legs created anew, by leg and outcome (repaired, failed)",
            ("account", "symbol", "leg", "outcome"),
            registry=registry,
        )
        self.pass_seconds = Histogram(
            "guardian_pass_seconds",
            "One gather, decide, submit over one account",
            ("account",),
            buckets=QUICK_SECONDS,
            registry=registry,
        )
        self.passes = Counter(
            "guardian_passes",
            "Passes by outcome (ok, failed)",
            ("account", "outcome"),
            registry=registry,
        )


class EngineMetrics:
    """What becomes of stored alerts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.webhooks_finished = Counter(
            "guardian_webhooks_finished",
            "Webhooks the engine finished, by action and status (processed, error)",
            ("action", "status"),
            registry=registry,
        )
        self.webhook_seconds = Histogram(
            "guardian_webhook_seconds",
            "From an alert's receipt to its last step in the engine",
            buckets=(*QUICK_SECONDS, 30, 60),
            registry=registry,
        )


class GatewayMetrics:
    """What is sent to venues."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.orders = Counter(
            "guardian_orders",
            "Creates, amends and cancels sent, by outcome (accepted, rejected, ambiguous, skipped)",
            ("account", "operation", "outcome"),
            registry=registry,
        )
        self.venue_call_seconds = Histogram(
            "guardian_venue_call_seconds",
            "One call to a venue",
            ("account", "call"),
            buckets=QUICK_SECONDS,
            registry=registry,
        )
        self.stream_connected = Gauge(
            "guardian_stream_connected",
            "Whether the account's order stream stands (1) or is away (0)",
            ("account",),
            registry=registry,
        )
        self.stream_events = Counter(
            "guardian_stream_events",
            "Events of the account's order stream",
            ("account",),
            registry=registry,
        )
        self.snapshot_age_seconds = Gauge(
            "guardian_snapshot_age_seconds",
            "Age of the oldest part of an account's latest snapshot",
            ("account",),
            registry=registry,
        )
