"""Puts an engine together from its adapters; the only place that names them."""

from prometheus_client import CollectorRegistry

from guardian_core.guarding import Guarding
from guardian_core.metrics import EngineMetrics
from guardian_core.ports import Bus, Clock, Database, GatewayClient, Ids, Mirror
from guardian_core.protocol import Source
from guardian_engine.claimer import Claimer
from guardian_engine.job import Tools


def build_engine(
    *,
    database: Database,
    gateway: GatewayClient,
    bus: Bus,
    mirror: Mirror,
    clock: Clock,
    ids: Ids,
    installation: str,
    registry: CollectorRegistry,
) -> Claimer:
    """An engine ready to `run()`."""
    guarding = Guarding(
        database,
        gateway,
        clock,
        installation=installation,
        source=Source.WEBHOOK,
        mirror=mirror,
    )
    tools = Tools(database, gateway, guarding, mirror, clock, ids, installation)
    return Claimer(tools, bus, f"engine-{ids.uuid()}", EngineMetrics(registry))
