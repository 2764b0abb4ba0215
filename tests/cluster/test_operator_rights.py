"""Engine and operator with the rights that the chart gives them, and no more."""

import json

import yaml
from kubernetes import client

from guardian_core.ports import Database
from tests.cluster.cluster_house import configuration_of, open_cluster_house
from tests.support.chart import NAME, of_kind, render
from tests.support.kube import KubeServer
from tests.support.wait import eventually_async


def grant(server: KubeServer, namespace: str) -> None:
    documents = render(namespace=namespace)
    kinds = ("ServiceAccount", "Role", "RoleBinding")
    rights = [each for kind in kinds for each in of_kind(documents, kind).values()]
    server.kubectl("apply", "-n", namespace, "-f", "-", stdin=yaml.safe_dump_all(rights))


def configuration_for(server: KubeServer, namespace: str, service: str) -> client.Configuration:
    found = configuration_of(server)
    found.refresh_api_key_hook = None  # It would read the administrator's token again.
    token = server.token_for(namespace, f"{NAME}-{service}")
    found.api_key["BearerToken"] = f"Bearer {token}"
    return found


async def test_the_charts_rights_are_enough(
    real_time_database: Database, kube_server: KubeServer, kube_namespace: str
):
    grant(kube_server, kube_namespace)
    ways = {
        service: configuration_for(kube_server, kube_namespace, service)
        for service in ("engine", "operator")
    }
    opened = open_cluster_house(
        real_time_database,
        kube_server,
        kube_namespace,
        configuration=ways["operator"],
        engine_configuration=ways["engine"],
    )
    async with opened as cluster:
        name = (await cluster.opened())["metadata"]["name"]
        await cluster.house.did("MAJ", prix_sl="42500")
        await cluster.shows(stopLoss="42500")
        await cluster.patch(name, {"stopLoss": "42400"})
        await cluster.shows(stopLoss="42400")
        await cluster.told("EditMerged")
        await cluster.patch(name, {"deletionPolicy": "Release"})
        watching = await eventually_async(
            lambda: cluster.registry.get_sample_value("guardian_cluster_watching"),
            within_s=15,
            what="the watch runs",
        )
        assert watching == 1
        finalizers = (await cluster.only())["metadata"]["finalizers"]
        assert sorted(finalizers) == ["guardian.trading/kopf", "guardian.trading/position"]
        await cluster.kubectl("delete", "tpos", name, "--timeout=20s")
        events = json.loads(await cluster.kubectl("get", "events", "-o", "json"))
        assert "Released" in {each["reason"] for each in events["items"]}
