"""kopf: it watches, and ticks. What it sees is handed over to our own loop, where all work is done.

Handlers never touch kopf's patch and return None: a timer whose patch meets one 422 would be dead
until a restart. kopf has a thread and a loop of its own, since it cancels whatever runs in its loop
when it ends. When it ends by itself (an API server that is away for long) it is begun again.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, Protocol

import kopf
from kubernetes import client
from loguru import logger
from prometheus_client import Gauge

from guardian_core.cluster.objects import KOPF_FINALIZER
from guardian_core.cluster.resources import ACCOUNTS, GROUP, POSITIONS, VERSION

Body = dict[str, Any]

TICK_S: Final = 10.0
FIRST_PAUSE_S: Final = 1.0
LAST_PAUSE_S: Final = 10.0
_STOP_WITHIN_S: Final = 5.0
_WELL_AFTER_S: Final = 30.0
_CLOSING_S: Final = 0.3


class Sink(Protocol):
    """Who is told, in the main loop."""

    def saw(self, plural: str, body: Body, *, gone: bool) -> None: ...

    def tick(self, name: str) -> None: ...


class Watch:
    """Await `run()` in a task of its own. `configure`: how to reach the API server, asked anew at
    each login, so that a rotated token counts."""

    def __init__(
        self,
        namespace: str,
        sink: Sink,
        configure: Callable[[], client.Configuration],
        watching: Gauge,
    ) -> None:
        self._namespace = namespace
        self._sink = sink
        self._configure = configure
        self._watching = watching

    async def run(self) -> None:
        """Until cancelled; begins again, ever later, when kopf ends."""
        pause_s = FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        while True:
            began_s = loop.time()
            await self._once(loop)
            if loop.time() - began_s > _WELL_AFTER_S:
                pause_s = FIRST_PAUSE_S
            logger.warning("the watch on custom resources has ended, again in {} s", pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LAST_PAUSE_S)

    async def _once(self, loop: asyncio.AbstractEventLoop) -> None:
        stop: Future[None] = Future()
        ended = asyncio.Event()
        registry = build_registry(
            lambda *call: loop.call_soon_threadsafe(self._hand_over, *call), self._configure
        )

        def in_thread() -> None:
            try:
                with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
                    runner.run(_operate(registry, self._namespace, stop))
            except Exception as error:
                logger.warning("kopf: {}: {}", type(error).__name__, error)
            finally:
                loop.call_soon_threadsafe(ended.set)

        thread = threading.Thread(target=in_thread, name="kopf", daemon=True)
        thread.start()
        try:
            await ended.wait()
        finally:
            self._watching.set(0)
            if not stop.done():
                stop.set_result(None)
            if not ended.is_set():
                try:
                    async with asyncio.timeout(_STOP_WITHIN_S):
                        await ended.wait()
                except TimeoutError:
                    logger.warning("kopf does not end; it is left behind")

    def _hand_over(self, kind: str, plural: str, body: Body) -> None:
        self._watching.set(1)
        if kind == "TICK":
            self._sink.tick(body["metadata"]["name"])
        else:
            self._sink.saw(plural, body, gone=kind == "DELETED")


def build_registry(
    hand_over: Callable[[str, str, Body], object], configure: Callable[[], client.Configuration]
) -> kopf.OperatorRegistry:
    """All of kopf's handlers. `hand_over` is called in kopf's thread."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def login(**_: Any) -> kopf.ConnectionInfo:
        return connection(configure())

    def on_events(plural: str) -> None:
        @kopf.on.event(GROUP, VERSION, plural, registry=registry, id=f"saw-{plural}")
        async def saw(event: kopf.RawEvent, **_: Any) -> None:
            hand_over(event["type"] or "LISTED", plural, dict(event["object"]))

    on_events(POSITIONS)
    on_events(ACCOUNTS)

    @kopf.timer(GROUP, VERSION, POSITIONS, registry=registry, interval=TICK_S, id="tick")
    async def tick(name: str, **_: Any) -> None:
        hand_over("TICK", POSITIONS, {"metadata": {"name": name}})

    return registry


def connection(found: client.Configuration) -> kopf.ConnectionInfo:
    """The same way to the API server, in kopf's words."""
    header: str = found.get_api_key_with_prefix("BearerToken") or ""
    scheme, _, token = header.rpartition(" ")
    return kopf.ConnectionInfo(
        server=found.host,
        ca_path=found.ssl_ca_cert,
        insecure=not found.verify_ssl,
        username=found.username or None,
        password=found.password or None,
        scheme=scheme or None,
        token=token or None,
        certificate_path=found.cert_file,
        private_key_path=found.key_file,
    )


async def _operate(registry: kopf.OperatorRegistry, namespace: str, stop: Future[None]) -> None:
    logging.getLogger("kopf").setLevel(logging.WARNING)
    # It warns that it does not handle signals here, which is as it should be.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
    try:
        await kopf.operator(
            registry=registry,
            settings=_settings(),
            namespaces=[namespace],
            standalone=True,
            stop_flag=stop,
        )
    finally:
        # TLS connections that kopf has closed need the loop for a moment longer.
        await asyncio.sleep(_CLOSING_S)


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.process.ultimate_exiting_timeout = None
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.posting.loggers = False
    settings.peering.standalone = True
    settings.persistence.finalizer = KOPF_FINALIZER
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP)
    settings.watching.connect_timeout = 5
    settings.watching.server_timeout = 300
    settings.networking.connect_timeout = 5
    settings.networking.request_timeout = 30
    settings.networking.error_backoffs = (1, 1, 2, 3, 5)
    settings.execution.max_workers = 2
    return settings
