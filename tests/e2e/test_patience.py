"""How long an engine tries one alert, and from when that counts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from guardian_core.domain.errors import Unavailable
from guardian_core.ports import Database
from guardian_engine import claimer
from tests.e2e.house import open_house
from tests.support.wait import eventually_async

LONG_AGO = timedelta(hours=1)


async def test_an_exit_that_waited_long_for_an_engine_is_not_given_up_at_its_first_try(
    inline_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(inline_database, start=False) as house:
        snapshot, failures = house.client.snapshot, iter(range(2))

        async def flaky(*asked: Any) -> Any:
            if next(failures, None) is not None:
                raise Unavailable("the gateway is starting")
            return await snapshot(*asked)

        monkeypatch.setattr(house.client, "snapshot", flaky)
        webhook_id = await house.alert("Close", received_at=datetime.now(UTC) - LONG_AGO)
        house.start("engine")
        webhook = await house.done(webhook_id)
        assert (webhook.status, webhook.message) == ("processed", "nothing is open")


async def test_an_alert_that_waits_for_ever_is_given_up(
    inline_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(inline_database, start=False) as house:

        async def away(*_asked: Any) -> Any:
            raise Unavailable("the gateway is away")

        monkeypatch.setattr(house.client, "snapshot", away)
        monkeypatch.setattr(claimer, "GIVE_UP_AFTER_S", 1.0)
        house.start("engine")
        webhook = await house.did("Close")
        assert webhook.status == "error"
        assert "given up" in webhook.message

        async def free() -> bool:
            return (await house.did("PING")).status == "processed"

        await eventually_async(free, within_s=5, what="the lane goes on")
