"""The gateway as a process of its own: `guardian-gateway`; and how to put one together."""

import asyncio
import socket
from contextlib import suppress

from prometheus_client import CollectorRegistry

from guardian_core.domain.errors import ConfigurationError
from guardian_core.ports import Bus, Clock, Database, Ids
from guardian_core.service import Parts, run_service
from guardian_core.settings import Settings
from guardian_core.web import WebServer
from guardian_gateway.api import build_app
from guardian_gateway.desk import VenueMaker
from guardian_gateway.holder import Holder
from guardian_gateway.service import Gateway
from guardian_gateway.venues.exchange.keys import key_folder
from guardian_gateway.venues.factory import venue_maker


def build_gateway(  # noqa: PLR0913 - all of them are named
    *,
    database: Database,
    clock: Clock,
    ids: Ids,
    installation: str,
    registry: CollectorRegistry,
    url: str = "",
    take_over: bool = False,
    make_venue: VenueMaker | None = None,
    news: Bus | None = None,
) -> Gateway:
    """A gateway that serves once its lease is held: run `gateway.holder.run()` beside it, or call
    `gateway.holder.look()`; at the end `close()` it, then `holder.release()`.

    `url`: where other processes reach it. `take_over`: any earlier holder is known to be dead.
    `make_venue`: without it there is the paper venue alone. `news`: where to tell which account
    has moved; without it no order stream is listened to.
    """
    holder = Holder(database, clock, identity=f"gateway-{ids.uuid()}", url=url, take_over=take_over)
    return Gateway(
        database,
        clock,
        installation=installation,
        make_venue=make_venue or venue_maker(database, clock),
        holder=holder,
        registry=registry,
        news=news,
    )


async def serve(parts: Parts) -> None:
    """Serves, and holds the lease while it can, until cancelled."""
    settings = parts.settings
    token = settings.gateway_token.get_secret_value() if settings.gateway_token else ""
    if not token:
        raise ConfigurationError(
            "GUARDIAN_GATEWAY_TOKEN is not set: choose a long random text, "
            "and give the same to engine and operator"
        )
    gateway = build_gateway(
        database=parts.database,
        clock=parts.clock,
        ids=parts.ids,
        installation=settings.installation,
        registry=parts.registry,
        url=_url(settings),
        make_venue=venue_maker(parts.database, parts.clock, keys=key_folder(settings)),
        news=parts.news,
    )
    app = build_app(gateway, token, parts.registry)
    web = WebServer(app, settings.gateway_host, settings.gateway_port)
    await web.start()
    holding = asyncio.create_task(gateway.holder.run())
    try:
        await web.wait_closed()
    finally:
        await web.stop()
        await gateway.close()
        holding.cancel()
        with suppress(asyncio.CancelledError):
            await holding
        await gateway.holder.release()


def _url(settings: Settings) -> str:
    """Where other processes reach this one: its lease's row will say it."""
    if settings.gateway_advertise_url is not None:
        return settings.gateway_advertise_url
    if settings.gateway_port == 0:
        raise ConfigurationError(
            "GUARDIAN_GATEWAY_PORT is 0, so nobody can know where this gateway answers: "
            "choose a port, or set GUARDIAN_GATEWAY_ADVERTISE_URL"
        )
    host = settings.gateway_host
    everywhere = host in ("0.0.0.0", "::", "")  # noqa: S104 - compared, not bound
    return f"http://{_own_address() if everywhere else host}:{settings.gateway_port}"


def _own_address() -> str:
    """This machine's address as its name resolves; in a cluster the pod's own."""
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"


def main() -> None:
    run_service("guardian-gateway", serve)


if __name__ == "__main__":
    main()
