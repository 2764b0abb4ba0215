"""The engine as a process of its own: `guardian-engine`."""

from guardian_core.gateway_client import HttpGatewayClient
from guardian_core.health import health_app
from guardian_core.service import Parts, run_service
from guardian_core.web import WebServer
from guardian_engine.build import build_engine
from guardian_engine.mirror import open_mirror


async def serve(parts: Parts) -> None:
    """Works alerts, and answers for its health, until cancelled."""
    gateway = HttpGatewayClient.of(parts.settings, parts.database, parts.clock)
    mirror, mirroring = open_mirror(parts)
    engine = build_engine(
        database=parts.database,
        gateway=gateway,
        bus=parts.bus,
        mirror=mirror,
        clock=parts.clock,
        ids=parts.ids,
        installation=parts.settings.installation,
        registry=parts.registry,
    )
    app = health_app(parts.registry, alive=engine.health, ready=engine.health)
    async with WebServer(app, parts.settings.engine_host, parts.settings.engine_port):
        try:
            async with mirroring:
                await engine.run()
        finally:
            await gateway.close()


def main() -> None:
    run_service("guardian-engine", serve)


if __name__ == "__main__":
    main()
