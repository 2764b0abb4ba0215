"""A receiver on SQLite and on PostgreSQL. Time stands still until a test moves it."""

from collections.abc import AsyncIterator

import pytest

from guardian_core.ports import Database
from tests.support.clock import FakeClock
from tests.support.receiver import Service, serving


@pytest.fixture
async def service(database: Database, clock: FakeClock) -> AsyncIterator[Service]:
    async with serving(database, clock) as made:
        yield made
