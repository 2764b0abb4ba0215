"""The operator as a process of its own: `guardian-operator`."""

from typing import TYPE_CHECKING

from guardian_core.gateway_client import HttpGatewayClient
from guardian_core.health import health_app
from guardian_core.ports import GatewayClient, NoMirror
from guardian_core.service import Parts, run_service
from guardian_core.web import WebServer
from guardian_operator.build import build_guardian

if TYPE_CHECKING:
    from guardian_operator.custom_resources import CustomResources


async def serve(parts: Parts) -> None:
    """Guards while it leads, and answers for its health, until cancelled."""
    gateway = HttpGatewayClient.of(parts.settings, parts.database, parts.clock)
    resources = open_resources(parts, gateway)
    guardian = build_guardian(
        database=parts.database,
        gateway=gateway,
        mirror=NoMirror(),
        clock=parts.clock,
        ids=parts.ids,
        installation=parts.settings.installation,
        registry=parts.registry,
        beside=resources,
        news=parts.news,
    )
    app = health_app(parts.registry, alive=guardian.health, ready=lambda: "")
    async with WebServer(app, parts.settings.operator_host, parts.settings.operator_port):
        try:
            await guardian.run()
        finally:
            await guardian.resign()
            if resources is not None:
                await resources.close()
            await gateway.close()


def open_resources(parts: Parts, gateway: GatewayClient) -> "CustomResources | None":
    """The work on custom resources, where the settings name a namespace. Raises
    ConfigurationError when nothing says how to reach the cluster."""
    namespace = parts.settings.cluster_namespace
    if namespace is None:
        return None
    # Costs a second to import, which whoever runs without a cluster is spared.
    from guardian_operator.custom_resources import CustomResources  # noqa: PLC0415

    return CustomResources(
        namespace=namespace,
        database=parts.database,
        gateway=gateway,
        clock=parts.clock,
        ids=parts.ids,
        registry=parts.registry,
    )


def main() -> None:
    run_service("guardian-operator", serve)


if __name__ == "__main__":
    main()
