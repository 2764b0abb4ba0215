"""Puts the operator's guardian together from its adapters; the only place that names them."""

from prometheus_client import CollectorRegistry

from guardian_core.guarding import Guarding
from guardian_core.metrics import GuardingMetrics
from guardian_core.ports import Bus, Clock, Database, GatewayClient, Ids, Mirror
from guardian_core.protocol import Source
from guardian_core.storage.leases import LeaseKeeper
from guardian_operator.guardian import Beside, Guardian

LEASE = "guardian"


def build_guardian(  # noqa: PLR0913 - all of them are named
    *,
    database: Database,
    gateway: GatewayClient,
    mirror: Mirror,
    clock: Clock,
    ids: Ids,
    installation: str,
    registry: CollectorRegistry,
    take_over: bool = False,
    beside: Beside | None = None,
    news: Bus | None = None,
) -> Guardian:
    """A guardian ready to `run()`. `take_over`: no other can be alive (a locked home folder).
    `news`: tells which account has moved and is to be looked at now."""
    guarding = Guarding(
        database,
        gateway,
        clock,
        installation=installation,
        source=Source.GUARDIAN,
        mirror=mirror,
    )
    keeper = LeaseKeeper(
        database, clock, name=LEASE, holder=f"operator-{ids.uuid()}", take_over=take_over
    )
    metrics = GuardingMetrics(registry)
    return Guardian(database, guarding, clock, keeper, metrics, gateway, beside, news)
