"""The operator as a process of its own: `guardian-operator`."""

from guardian_core.gateway_client import HttpGatewayClient
from guardian_core.health import health_app
from guardian_core.ports import NoMirror
from guardian_core.service import Parts, run_service
from guardian_core.web import WebServer
from guardian_operator.build import build_guardian


async def serve(parts: Parts) -> None:
    """Guards while it leads, and answers for its health, until cancelled."""
    gateway = HttpGatewayClient.of(parts.settings, parts.database, parts.clock)
    guardian = build_guardian(
        database=parts.database,
        gateway=gateway,
        mirror=NoMirror(),
        clock=parts.clock,
        ids=parts.ids,
        installation=parts.settings.installation,
        registry=parts.registry,
    )
    app = health_app(parts.registry, alive=guardian.health, ready=lambda: "")
    async with WebServer(app, parts.settings.operator_host, parts.settings.operator_port):
        try:
            await guardian.run()
        finally:
            await guardian.resign()
            await gateway.close()


def main() -> None:
    run_service("guardian-operator", serve)


if __name__ == "__main__":
    main()
