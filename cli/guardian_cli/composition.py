"""Everything in one process and one event loop: receiver, engine, gateway and guardian.

At the end engine and guardian stop where they are (what they had begun stands in the rows), the
receiver takes no more alerts and stores those it took, the gateway lets orders under way end, and
its lease is freed.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from guardian_core.ports import NoMirror
from guardian_core.service import Parts, until_stopped
from guardian_core.web import WebServer
from guardian_engine.build import build_engine
from guardian_engine.claimer import Claimer
from guardian_gateway.api import build_app
from guardian_gateway.in_process import InProcessGatewayClient
from guardian_gateway.main import build_gateway
from guardian_gateway.service import Gateway
from guardian_gateway.venues.exchange.keys import key_folder
from guardian_gateway.venues.factory import venue_maker
from guardian_operator.build import build_guardian
from guardian_operator.guardian import Guardian
from guardian_receiver.main import build as build_receiver
from guardian_receiver.sources import SourceRules


@dataclass(frozen=True, slots=True)
class Everything:
    """What serves by now, and what works once `work` is awaited."""

    receiver_url: str
    gateway_url: str
    _engine: Claimer
    _guardian: Guardian

    async def work(self) -> None:
        """Until a stop signal, or until a part ends; what ended it is raised."""
        await until_stopped(self._engine.run(), self._guardian.run())


@asynccontextmanager
async def everything(
    parts: Parts, *, installation: str, gateway_token: str, alone: bool
) -> AsyncIterator[Everything]:
    """Listens, and holds the gateway's lease, inside this.

    `alone`: no other process can be at work on this database, so its leases are taken over.
    Raises ConfigurationError when a port is taken.
    """
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(_gateway(parts, installation, alone=alone))
        app = build_app(gateway, gateway_token, parts.registry)
        settings = parts.settings
        gateway_web = WebServer(app, settings.gateway_host, settings.gateway_port)
        await stack.enter_async_context(gateway_web)
        client = InProcessGatewayClient(gateway)
        receiver = build_receiver(
            parts.database,
            parts.bus,
            parts.clock,
            parts.ids,
            parts.registry,
            queue_size=settings.receiver_queue_size,
            source_rules=SourceRules.of(settings),
        )
        await stack.enter_async_context(receiver.running())
        receiver_web = WebServer(receiver.app, settings.receiver_host, settings.receiver_port)
        await stack.enter_async_context(receiver_web)
        engine = build_engine(
            database=parts.database,
            gateway=client,
            bus=parts.bus,
            mirror=NoMirror(),
            clock=parts.clock,
            ids=parts.ids,
            installation=installation,
            registry=parts.registry,
        )
        guardian = build_guardian(
            database=parts.database,
            gateway=client,
            mirror=NoMirror(),
            clock=parts.clock,
            ids=parts.ids,
            installation=installation,
            registry=parts.registry,
            take_over=alone,
            news=parts.news,
        )
        yield Everything(receiver_web.url, gateway_web.url, engine, guardian)


@asynccontextmanager
async def _gateway(parts: Parts, installation: str, *, alone: bool) -> AsyncIterator[Gateway]:
    gateway = build_gateway(
        database=parts.database,
        clock=parts.clock,
        ids=parts.ids,
        installation=installation,
        registry=parts.registry,
        take_over=alone,
        make_venue=venue_maker(parts.database, parts.clock, keys=key_folder(parts.settings)),
        news=parts.news,
    )
    await gateway.holder.look()
    holding = asyncio.create_task(gateway.holder.run(), name="gateway:holder")
    try:
        yield gateway
    finally:
        await gateway.close()
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
        await gateway.holder.release()
