"""Which adapter an account gets, and in which words the others are refused."""

import asyncio
import subprocess
import sys

import pytest

from guardian_core.accounts import SPOT_VENUES, AccountSpec, Environment
from guardian_core.domain.errors import ConfigurationError
from guardian_core.domain.money import MarketKind
from guardian_core.domain.snapshot import LegsMode
from guardian_core.settings import load_settings
from guardian_core.storage.inline import InlineDatabase
from guardian_gateway.venues.binance import BinanceSpot, BinanceUsdm
from guardian_gateway.venues.catalogue import EXCHANGES, REFUSED
from guardian_gateway.venues.exchange.keys import KeyFolder, Keys, key_folder
from guardian_gateway.venues.exchange.surroundings import Surroundings
from guardian_gateway.venues.factory import VENUES, make_exchange, venue_maker
from tests.support.clock import FakeClock
from tests.support.paper import body
from tests.venues import loop
from tests.venues.loop import on_jumping_time
from tests.venues.rigs import ADAPTERS, DERIVATIVES, rig


def spec(venue, environment=None, **fields):
    """In the first of the venue's worlds, unless one is named."""
    if environment is None:
        environment = EXCHANGES[venue].environments[0] if venue in EXCHANGES else "Demo"
    return AccountSpec.model_validate(
        {"accountId": "main", "venue": venue, "environment": environment} | fields
    )


def maker(tmp_path):
    clock = FakeClock()
    return venue_maker(InlineDatabase(clock=clock), clock, keys=KeyFolder(tmp_path))


@pytest.mark.parametrize("name", EXCHANGES)
def test_an_account_gets_its_venues_adapter(name, tmp_path):
    made = maker(tmp_path)("main", spec(name))
    assert made.name == name
    spot = EXCHANGES[name].market is MarketKind.SPOT
    assert spec(name).market() is EXCHANGES[name].market
    assert (name in SPOT_VENUES) is spot
    capabilities = made.capabilities()
    assert capabilities.reports_positions is not spot
    assert capabilities.create_then_cancel is not spot
    on_spot = LegsMode.PAIR if ADAPTERS[name].pair else LegsMode.STOP_ONLY
    assert capabilities.legs is (on_spot if spot else LegsMode.INDEPENDENT)


def test_every_spot_venue_of_the_accounts_is_in_the_catalogue():
    assert EXCHANGES.keys() >= SPOT_VENUES


@pytest.mark.parametrize("name", [*REFUSED, "gate", "nosuch", ""])
def test_other_venues_are_refused_naming_those_that_work(name, tmp_path):
    with pytest.raises(ConfigurationError) as error:
        maker(tmp_path)("main", spec(name))
    for venue in VENUES:
        assert venue in str(error.value)
    assert REFUSED.get(name, "not supported") in str(error.value)


@pytest.mark.parametrize(
    ("name", "environment"),
    [("binance", "Paper"), ("binanceusdm", "Paper"), ("binanceusdm", "Testnet")],
)
def test_a_world_that_a_venue_has_not_is_refused(name, environment, tmp_path):
    with pytest.raises(ConfigurationError, match="set environment to one of: Demo"):
        maker(tmp_path)("main", spec(name, environment))


@pytest.mark.parametrize("name", EXCHANGES)
def test_real_money_is_traded_at_the_venues_own_address(name, tmp_path):
    made = maker(tmp_path)("main", spec(name, "Live"))
    assert made._client.is_live
    asked = str(made._client._opened().urls["api"])
    assert "test" not in asked
    assert "demo" not in asked


def test_a_trigger_price_that_a_venue_has_not_is_refused(tmp_path):
    policy = {"triggerBasis": "mark"}
    maker(tmp_path)("main", spec("binanceusdm", policy=policy))
    with pytest.raises(ConfigurationError, match="triggerBasis to last"):
        maker(tmp_path)("main", spec("binance", policy=policy))


def test_each_world_has_addresses_of_its_own(tmp_path):
    seen = {}
    for name in ("binance", "binanceusdm"):
        for environment in EXCHANGES[name].practice:
            made = make_exchange("main", spec(name, environment), KeyFolder(tmp_path), FakeClock())
            assert isinstance(made, BinanceSpot | BinanceUsdm)
            urls = made._client._opened().urls["api"]
            call = "fapiPrivate" if name == "binanceusdm" else "private"
            seen[name, environment.value] = urls[call].split("://")[1]
    assert seen == {
        ("binance", "Demo"): "demo-api.binance.com/api/v3",
        ("binance", "Testnet"): "testnet.binance.vision/api/v3",
        ("binanceusdm", "Demo"): "demo-fapi.binance.com/fapi/v1",
    }


def test_paper_alone_does_not_load_ccxt():
    code = "import sys, guardian_gateway.main; sys.exit('ccxt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_keys_are_in_the_home_or_in_the_folder_of_the_setting(tmp_path):
    assert key_folder(load_settings(home=tmp_path)) == KeyFolder(tmp_path / "accounts")
    mounted = key_folder(load_settings(home=tmp_path, keys_folder=tmp_path / "keys"))
    assert mounted == KeyFolder(tmp_path / "keys", private=False)


# What an account is asked before it is trusted


async def findings(name, tmp_path, environment=Environment.LIVE, **how):
    wire = ADAPTERS[name].fake(clock=loop.clock(), **how)
    await wire.start()
    keys = KeyFolder(tmp_path).of("main")
    keys.store(Keys("the-key", type(wire).secret, wire.passphrase))
    venue = ADAPTERS[name].adapter(
        Surroundings(environment, keys, loop.clock(), elsewhere=wire.url)
    )
    try:
        return {one.what: one for one in await venue.check()}
    finally:
        await venue.close()
        await wire.stop()


each_exchange = pytest.mark.parametrize("name", EXCHANGES)


@each_exchange
@on_jumping_time
async def test_a_sound_account_passes_its_check(name, tmp_path):
    found = await findings(name, tmp_path)
    assert all(one.ok for one in found.values()), found
    expected = {"trading", "withdrawal", "clock"}
    has_modes = name in DERIVATIVES and not ADAPTERS[name].one_way_only
    assert found.keys() == expected | ({"position mode"} if has_modes else set())


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ({"can_withdraw": True}, "withdrawal"),
        ({"can_trade": False}, "trading"),
        ({"ahead_s": 30}, "clock"),
        ({"ahead_s": -30}, "clock"),
        ({"key": "another"}, "keys"),
        ({"secret": "another"}, "keys"),
    ],
)
@each_exchange
@on_jumping_time
async def test_what_is_wrong_with_an_account_is_found(name, how, what, tmp_path):
    found = await findings(name, tmp_path, **how)
    assert not found[what].ok


@on_jumping_time
async def test_hedge_mode_is_found(tmp_path):
    found = await findings("binanceusdm", tmp_path, hedge=True)
    assert not found["position mode"].ok
    assert found["trading"].ok


@pytest.mark.parametrize("name", [name for name, facts in EXCHANGES.items() if facts.practice])
@on_jumping_time
async def test_play_money_is_not_asked_about_withdrawals(name, tmp_path):
    found = await findings(name, tmp_path, environment=Environment.DEMO, can_withdraw=True)
    assert "withdrawal" not in found
    assert all(one.ok for one in found.values())


# What listing costs


@pytest.mark.parametrize("name", ["binance", "binanceusdm"])
@on_jumping_time
async def test_at_rest_the_orders_of_used_symbols_alone_are_listed(name, tmp_path):
    async with rig(name, tmp_path, loop.clock()) as made:
        await made.venue.create(body("rest", "buy", "limit", "0.1", "40000"))

        async def looked():
            before = len(made.wire.asked)
            orders = await made.venue.open_orders()
            asked = made.wire.asked[before:]
            return len(orders), {one.params.get("symbol") for one in asked}

        assert await looked() == (1, {None})
        assert await looked() == (1, {"BTCUSDT"})
        # Somebody else's, on a symbol of no interest yet.
        made.wire.set_price("2000", "ETHUSDT")
        by_hand = body("by-hand", "buy", "limit", "1", "1000", symbol="ETHUSDT")
        placed = made.exchange.create(by_hand, made.clock.now())
        made.wire.names[placed.ref.venue_order_id] = "by-hand"
        assert await looked() == (1, {"BTCUSDT"})
        await asyncio.sleep(30)
        assert await looked() == (2, {None})
        assert await looked() == (2, {"BTCUSDT", "ETHUSDT"})
