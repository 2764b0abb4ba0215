"""A product on a real API server, in real time."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from guardian_core.clock import SystemClock
from guardian_core.ports import Database
from guardian_core.storage import migrations
from guardian_core.storage.database import open_database
from tests.cluster.cluster_house import ClusterHouse, open_cluster_house
from tests.support.kube import KubeServer


@pytest.fixture
async def real_time_database(
    request: pytest.FixtureRequest, sqlite_template: Path, tmp_path: Path
) -> AsyncIterator[Database]:
    """With the present schema: SQLite, or by parametrizing it `postgres`."""
    if getattr(request, "param", "sqlite") == "postgres":
        url: str = request.getfixturevalue("postgres_url")
        migrations.upgrade(url)
    else:
        path = tmp_path / "guardian.db"
        path.write_bytes(sqlite_template.read_bytes())
        url = f"sqlite:///{path}"
    opened = open_database(url, clock=SystemClock())
    yield opened
    await opened.close()


@pytest.fixture
async def cluster(
    real_time_database: Database, kube_server: KubeServer, kube_namespace: str
) -> AsyncIterator[ClusterHouse]:
    """A flat one: engine and guardian run."""
    async with open_cluster_house(real_time_database, kube_server, kube_namespace) as opened:
        yield opened
