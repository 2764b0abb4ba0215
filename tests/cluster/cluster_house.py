"""The house of the end-to-end tests on a real API server: its engine mirrors, its guardian looks
after custom resources. Hands to use them with as a user does, through kubectl.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from kubernetes import client, config
from prometheus_client import CollectorRegistry

from guardian_core.clock import SystemClock
from guardian_core.cluster.api import ClusterApi
from guardian_core.cluster.mirroring import ClusterMirror
from guardian_core.ids import SystemIds
from guardian_core.ports import Database, NoMirror, Tx
from guardian_core.storage import mirrors
from guardian_core.storage.mirrors import ShownState
from guardian_core.storage.schema import Journal
from guardian_engine.build import build_engine
from guardian_operator.build import build_guardian
from guardian_operator.custom_resources import CustomResources
from tests.e2e.house import ACCOUNT, INSTALLATION, SYMBOL, House, open_house
from tests.support.kube import KubectlFailed, KubeServer
from tests.support.wait import eventually_async

LEVELS = {"prix_sl": "42000", "prix_tp": "45000"}

Body = dict[str, Any]


def configuration_of(server: KubeServer) -> client.Configuration:
    """The administrator's way to the server."""
    found = client.Configuration()
    config.load_kube_config(config_file=str(server.kubeconfig), client_configuration=found)
    found.retries = False
    return found


@dataclass
class ClusterHouse:
    """A running product in a namespace of its own."""

    house: House
    server: KubeServer
    namespace: str
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def passes(self) -> int:
        """How many passes over the account have succeeded since the guardian was started."""
        labels = {"account": ACCOUNT, "outcome": "ok"}
        return int(self.registry.get_sample_value("guardian_passes_total", labels) or 0)

    async def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        command = ("-n", self.namespace, *arguments)
        return await asyncio.to_thread(self.server.kubectl, *command, stdin=stdin)

    async def all_of(self, kind: str = "tpos") -> list[Body]:
        found = json.loads(await self.kubectl("get", kind, "-o", "json"))
        items: list[Body] = found["items"]
        return items

    async def only(self, within_s: float = 10.0) -> Body:
        """The one TradingPosition there is."""

        async def one() -> Body | None:
            found = await self.all_of()
            assert len(found) < 2, [each["metadata"]["name"] for each in found]
            return found[0] if found else None

        return await eventually_async(one, within_s=within_s, what="a TradingPosition")

    async def get(self, name: str, kind: str = "tpos") -> Body | None:
        try:
            body: Body = json.loads(await self.kubectl("get", kind, name, "-o", "json"))
        except KubectlFailed as error:
            if "NotFound" not in str(error):
                raise
            return None
        return body

    async def patch(self, name: str, spec: Body) -> None:
        patch = json.dumps({"spec": spec})
        await self.kubectl("patch", "tpos", name, "--type=merge", "-p", patch)

    async def condition(self, name: str, kind: str, status: str, within_s: float = 15.0) -> Body:
        """The condition, once it has that status."""

        async def holds() -> Body | None:
            body = await self.get(name)
            found = condition_of(body or {}, kind)
            assert found.get("status") == status, (body or {}).get("status")
            return found

        return await eventually_async(holds, within_s=within_s, what=f"{kind}={status}")

    async def shows(self, within_s: float = 15.0, **spec: str | None) -> Body:
        """The one object, once it and the database say these levels."""

        async def both() -> Body | None:
            body = await self.only()
            state = await self.state()
            for name, level in spec.items():
                assert body["spec"].get(name) == level, body["spec"]
                wished = {
                    "stopLoss": state.levels.stop_loss,
                    "takeProfit": state.levels.take_profit,
                }
                assert wished[name] == (None if level is None else Decimal(level)), state
            return body

        return await eventually_async(both, within_s=within_s, what=f"both say {spec}")

    async def reasons(self) -> list[str]:
        """Of all Events so far, as they came."""
        events = json.loads(await self.kubectl("get", "events", "-o", "json"))["items"]
        return [each["reason"] for each in events]

    async def told(self, reason: str, within_s: float = 10.0) -> Body:
        """The Event of this reason, once it is there."""

        async def one() -> Body | None:
            events = json.loads(await self.kubectl("get", "events", "-o", "json"))["items"]
            found: list[Body] = [each for each in events if each["reason"] == reason]
            assert found, [each["reason"] for each in events]
            return found[0]

        return await eventually_async(one, within_s=within_s, what=f"an Event {reason}")

    async def state(self) -> ShownState:
        def newest(tx: Tx) -> ShownState:
            return mirrors.shown_states(tx)[-1]

        return await self.house.run(newest)

    async def journal(self, point: str) -> list[str]:
        def read(tx: Tx) -> list[str]:
            return [row.detail for row in tx.query(Journal).filter(Journal.point == point)]

        return await self.house.run(read)

    async def opened(self) -> Body:
        """A long under both levels, its object shown as protected."""
        await self.house.did("BuyMarket", **LEVELS)
        body = await self.only()
        await self.condition(body["metadata"]["name"], "Protected", "True")
        return await self.only()


def condition_of(body: Body, kind: str) -> Body:
    conditions: list[Body] = (body.get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == kind), {})


@asynccontextmanager
async def open_cluster_house(
    database: Database,
    server: KubeServer,
    namespace: str,
    *,
    start: bool = True,
    configuration: client.Configuration | None = None,
    engine_configuration: client.Configuration | None = None,
    **spec: Any,
) -> AsyncIterator[ClusterHouse]:
    """`configuration`: how the services reach the API server; unset, as the administrator. The
    engine may have one of its own."""
    async with open_house(database, start=False, **spec) as house:
        cluster = ClusterHouse(house, server, namespace)
        clock, ids = SystemClock(), SystemIds()

        def configure() -> client.Configuration:
            return configuration or configuration_of(server)

        async def engine() -> None:
            way = engine_configuration or configure()
            mirror = ClusterMirror(database, ClusterApi(namespace, way), clock)
            mirroring = asyncio.create_task(mirror.run())
            claimer = build_engine(
                database=database,
                gateway=house.client,
                bus=house.bus,
                mirror=mirror,
                clock=clock,
                ids=ids,
                installation=INSTALLATION,
                registry=CollectorRegistry(),
            )
            try:
                await claimer.run()
            finally:
                mirroring.cancel()
                await asyncio.gather(mirroring, return_exceptions=True)

        async def guardian() -> None:
            # Metrics are a process's; started again, it is another one.
            cluster.registry = CollectorRegistry()
            resources = CustomResources(
                namespace=namespace,
                database=database,
                gateway=house.client,
                clock=clock,
                ids=ids,
                registry=cluster.registry,
                configure=configure,
            )
            leader = build_guardian(
                database=database,
                gateway=house.client,
                mirror=NoMirror(),
                clock=clock,
                ids=ids,
                installation=INSTALLATION,
                registry=cluster.registry,
                take_over=True,
                beside=resources,
            )
            try:
                await leader.run()
            finally:
                await resources.close()

        house.starters |= {"engine": engine, "guardian": guardian}
        if start:
            house.start("engine")
            house.start("guardian")
        yield cluster


__all__ = ["ACCOUNT", "LEVELS", "SYMBOL", "ClusterHouse", "condition_of", "open_cluster_house"]
