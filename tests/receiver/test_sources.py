"""Where a request came from: believed only as far as the trusted proxies tell."""

from typing import Any

import pytest

from guardian_core.domain.errors import ConfigurationError
from guardian_core.ports import Database
from guardian_core.settings import TRADINGVIEW_ADDRESSES, Settings, SourceCheck
from guardian_receiver.sources import SourceRules, client_address, parse_sources
from tests.support.clock import FakeClock
from tests.support.receiver import Service, alert, serving

TRADINGVIEW = TRADINGVIEW_ADDRESSES.split(",")
STRANGER = "203.0.113.9"


def rules(check: SourceCheck, sources: str = TRADINGVIEW_ADDRESSES) -> SourceRules | None:
    """As the settings make them, behind one proxy."""
    settings = Settings(
        receiver_source_check=check, receiver_sources=sources, receiver_trusted_hops=1
    )
    return SourceRules.of(settings)


def scope(*forwarded: str, client: tuple[str, int] | None = ("10.0.0.7", 1)) -> dict[str, Any]:
    """A request's, with these X-Forwarded-For headers."""
    headers = [(b"host", b"x"), *((b"x-forwarded-for", each.encode()) for each in forwarded)]
    return {"headers": headers, "client": client}


ADDRESSES = {
    "nobody forwards": (0, scope(), "10.0.0.7"),
    "a header that nobody trusts": (0, scope(TRADINGVIEW[0]), "10.0.0.7"),
    "one proxy": (1, scope(STRANGER), STRANGER),
    "one proxy behind a forged entry": (1, scope(f"{TRADINGVIEW[0]}, {STRANGER}"), STRANGER),
    "two proxies": (2, scope(f"{STRANGER}, 10.0.0.1"), STRANGER),
    "two proxies, a header each": (2, scope(STRANGER, "10.0.0.1"), STRANGER),
    "fewer entries than proxies": (2, scope(TRADINGVIEW[0]), "10.0.0.7"),
    "no entry at all": (1, scope(), "10.0.0.7"),
    "an empty header": (1, scope(""), "10.0.0.7"),
    "with a port": (1, scope(f"{STRANGER}:4711"), STRANGER),
    "IPv6": (1, scope("2001:db8::1"), "2001:db8::1"),
    "IPv6 with a port": (1, scope("[2001:db8::1]:4711"), "2001:db8::1"),
    "a socket without address": (0, scope(client=None), ""),
}


@pytest.mark.parametrize(("hops", "request_", "address"), ADDRESSES.values(), ids=ADDRESSES.keys())
def test_the_client_is_who_the_nearest_trusted_proxy_saw(
    hops: int, request_: dict[str, Any], address: str
) -> None:
    assert client_address(request_, hops) == address


async def post(service: Service, forwarded: str) -> int:
    headers = {"X-Forwarded-For": forwarded}
    answer = await service.post(alert(note=forwarded), headers=headers)
    return answer.status_code


def count(service: Service, source: str) -> float:
    return service.metric("guardian_webhook_sources_total", source=source)


async def test_by_default_nobody_looks(database: Database, clock: FakeClock) -> None:
    async with serving(database, clock, source_rules=rules(SourceCheck.OFF)) as service:
        assert await post(service, STRANGER) == 200
        assert count(service, "other") == 0


async def test_report_counts_and_takes_every_alert(database: Database, clock: FakeClock) -> None:
    async with serving(database, clock, source_rules=rules(SourceCheck.REPORT)) as service:
        for address in (*TRADINGVIEW, STRANGER, STRANGER, "nonsense", f"::ffff:{TRADINGVIEW[0]}"):
            assert await post(service, address) == 200, address
        assert count(service, "tradingview") == len(TRADINGVIEW) + 1
        assert count(service, "other") == 3


async def test_enforce_refuses_strangers_and_stores_nothing(
    database: Database, clock: FakeClock
) -> None:
    async with serving(database, clock, source_rules=rules(SourceCheck.ENFORCE)) as service:
        assert await post(service, f"{TRADINGVIEW[0]}, {STRANGER}") == 403
        assert await service.rows() == []
        assert service.metric("guardian_webhooks_total", outcome="foreign") == 1
        assert await post(service, f"{STRANGER}, {TRADINGVIEW[0]}") == 200
        assert len(await service.rows()) == 1


async def test_one_s_own_senders_can_be_named(database: Database, clock: FakeClock) -> None:
    own = rules(SourceCheck.ENFORCE, "203.0.113.0/24, 127.0.0.1")
    async with serving(database, clock, source_rules=own) as service:
        assert await post(service, STRANGER) == 200
        assert await post(service, TRADINGVIEW[0]) == 403
        assert (await service.post(alert(note="direct"))).status_code == 200


async def test_many_strangers_do_not_fill_the_memory(database: Database, clock: FakeClock) -> None:
    async with serving(database, clock, source_rules=rules(SourceCheck.ENFORCE)) as service:
        sources = service.receiver.app._sources
        assert sources is not None
        for number in range(3_000):
            assert sources.refuses(scope(f"198.51.{number // 250}.{number % 250}"))
        assert len(sources._verdicts) <= 1_024


def test_a_source_that_is_no_address_stops_the_start() -> None:
    with pytest.raises(ConfigurationError, match="GUARDIAN_RECEIVER_SOURCES"):
        parse_sources("tradingview.com")
