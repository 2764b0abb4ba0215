"""The chart's own test, run as its pod runs it, against a receiver over HTTP."""

import asyncio
import os
import sys

import pytest

from guardian_core.ports import Database
from guardian_core.settings import Settings, SourceCheck
from guardian_receiver.sources import SourceRules
from tests.support.chart import CHART
from tests.support.clock import FakeClock
from tests.support.receiver import Service, serving


async def ping(service: Service, token: str, account: str) -> tuple[int, str]:
    """Its exit status, and what it printed."""
    environment = {"URL": f"{service.server.url}/webhook", "TOKEN": token, "ACCOUNT": account}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(CHART / "files" / "ping.py")),
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed.decode()


@pytest.mark.parametrize(
    ("account", "status", "word"),
    [
        pytest.param("main", 0, "received", id="committed"),
        pytest.param("nobody", 1, "400", id="another account"),
        pytest.param("", 0, "400", id="no account at all"),
    ],
)
async def test_it_passes_where_an_alert_would(
    database: Database, clock: FakeClock, account: str, status: int, word: str
) -> None:
    async with serving(database, clock) as service:
        ended, printed = await ping(service, service.tokens["for-all"], account)
        assert (ended, word in printed) == (status, True), printed


async def test_it_fails_with_a_token_that_was_not_imported(
    database: Database, clock: FakeClock
) -> None:
    async with serving(database, clock) as service:
        ended, printed = await ping(service, "not the Secret's", "main")
        assert ended == 1
        assert printed.startswith("401")


async def test_it_is_no_tradingview_and_that_is_right(database: Database, clock: FakeClock) -> None:
    rules = SourceRules.of(Settings(receiver_source_check=SourceCheck.ENFORCE))
    async with serving(database, clock, source_rules=rules) as service:
        ended, printed = await ping(service, service.tokens["for-all"], "main")
        assert ended == 0
        assert "is not TradingView" in printed
