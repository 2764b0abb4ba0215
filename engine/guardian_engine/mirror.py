"""The engine's mirror, as the settings choose it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from guardian_core.ports import Mirror, NoMirror
from guardian_core.service import Parts

if TYPE_CHECKING:
    from guardian_core.cluster.mirroring import ClusterMirror


def open_mirror(parts: Parts) -> tuple[Mirror, AbstractAsyncContextManager[None]]:
    """The mirror, and the context within which it works. Raises ConfigurationError when a
    namespace is set and nothing says how to reach the cluster."""
    namespace = parts.settings.cluster_namespace
    if namespace is None:
        return NoMirror(), _working()
    # Costs a second to import, which whoever runs without a cluster is spared.
    from guardian_core.cluster.api import ClusterApi  # noqa: PLC0415
    from guardian_core.cluster.mirroring import ClusterMirror  # noqa: PLC0415

    mirror = ClusterMirror(parts.database, ClusterApi(namespace), parts.clock)
    return mirror, _working(mirror)


@asynccontextmanager
async def _working(mirror: "ClusterMirror | None" = None) -> AsyncIterator[None]:
    working = None if mirror is None else asyncio.create_task(mirror.run(), name="mirror")
    try:
        yield
    finally:
        if working is not None:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
