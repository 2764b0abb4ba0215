"""The Venue port over a paper exchange: capabilities, delays, prices, and faults on request."""

import asyncio
from decimal import Decimal

import pytest

from guardian_core.accounts import AccountSpec, PaperSpec
from guardian_core.domain.errors import (
    Ambiguous,
    CallerError,
    NotSent,
    OrderGone,
    Rejected,
    RejectReason,
    Unavailable,
)
from guardian_core.domain.money import MarketKind
from guardian_core.domain.orders import Role
from guardian_core.domain.snapshot import Capabilities, LegsMode
from guardian_core.protocol import CancelByHand, FaultKind, InjectFault, SetPrice
from guardian_gateway.venues.paper import MemoryStore, PaperTiming, PaperVenue
from guardian_gateway.venues.port import Venue
from tests.support.clock import FakeClock
from tests.support.paper import SYMBOL, bar, body


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
async def venue(clock):
    return await make_venue(clock)


PROMPT = PaperTiming()


async def make_venue(clock, timing=PROMPT, store=None, **paper):
    spec = AccountSpec(account_id="paper", paper=PaperSpec(**paper))
    made: Venue = PaperVenue("main", spec, store or MemoryStore(), clock, timing=timing)
    assert isinstance(made, PaperVenue)
    await made.paper_command(bar("1000"))
    return made


async def open_long(venue):
    await venue.create(body("in", "buy", "market", "1"))
    await venue.create(body("sl", "sell", "stop_loss", "1", "900", reduce_only=True))
    await venue.create(body("tp", "sell", "take_profit", "1", "1100", reduce_only=True))


def names(orders):
    return [order.ref.client_order_id for order in orders]


def fault(kind, **how):
    return InjectFault(fault=FaultKind(kind), **how)


async def test_derivatives_take_two_independent_legs(clock):
    venue = await make_venue(clock, amend=True)
    assert venue.capabilities() == Capabilities(
        LegsMode.INDEPENDENT, amend=True, create_then_cancel=True, reports_positions=True
    )


async def test_spot_takes_pairs_and_reports_no_positions(clock):
    venue = await make_venue(clock, market=MarketKind.SPOT)
    assert venue.capabilities() == Capabilities(
        LegsMode.PAIR, amend=False, create_then_cancel=False, reports_positions=False
    )
    await venue.create(body("in", "buy", "market", "1"))
    assert await venue.positions() == []


async def test_the_spec_gives_money_leverage_and_fees(clock):
    spec = AccountSpec(
        account_id="paper",
        leverage=Decimal(5),
        paper=PaperSpec(balance=Decimal(500), quote="USDC", taker_fee_percent=Decimal(1)),
    )
    venue = PaperVenue("main", spec, MemoryStore(), clock)
    await venue.paper_command(bar("100", symbol="ETHUSDC"))
    await venue.create(body("in", "buy", "market", "20", symbol="ETHUSDC"))
    (wallet,) = await venue.balances()
    assert (wallet.currency, wallet.total, wallet.free) == ("USDC", Decimal(480), Decimal(80))


async def test_an_accepted_order_is_found_before_it_is_listed(clock):
    venue = await make_venue(clock, PaperTiming(visibility_delay_s=2))
    assert venue.capabilities().visibility_delay_s == 2
    await venue.create(body("it", "buy", "limit", "1", "900"))
    assert await venue.open_orders() == []
    assert await venue.find(SYMBOL, "it") is not None
    clock.advance(1.999)
    assert await venue.open_orders() == []
    clock.advance(0.001)
    assert names(await venue.open_orders(SYMBOL)) == ["it"]


async def test_a_price_is_as_new_as_its_answer(venue, clock):
    clock.advance(3600)
    price = await venue.price(SYMBOL)
    assert (price.last, price.age_ms) == (1000, 0)


async def test_a_price_that_was_never_told_is_unavailable(venue):
    with pytest.raises(Unavailable, match="no price for ETHUSDT yet"):
        await venue.price("ETHUSDT")


async def test_an_unknown_symbol_is_the_callers_mistake(venue):
    for ask in (venue.instrument, venue.price):
        with pytest.raises(CallerError) as error:
            await ask("NOSUCH")
        assert error.value.field == "Symbol"
    with pytest.raises(CallerError):
        await venue.paper_command(SetPrice(symbol="NOSUCH", price=Decimal(1)))


async def test_bars_and_prices_move_the_market(venue):
    assert (await venue.paper_command(bar("1100", minute=1))).changed
    stale = await venue.paper_command(bar("1200", minute=1))
    assert not stale.changed
    assert "ignored" in stale.message
    await venue.paper_command(SetPrice(symbol=SYMBOL, price=Decimal(1300)))
    assert (await venue.price(SYMBOL)).last == 1300


async def test_an_order_is_cancelled_by_hand(venue):
    await open_long(venue)
    report = await venue.paper_command(CancelByHand(order_id="tp"))
    assert "take_profit sell 1 BTCUSDT at 1100" in report.message
    assert names(await venue.open_orders()) == ["sl"]
    with pytest.raises(CallerError):
        await venue.paper_command(CancelByHand(order_id="tp"))


async def test_a_venue_made_anew_over_the_same_store_goes_on(clock):
    store = MemoryStore()
    await open_long(await make_venue(clock, store=store))
    again = await make_venue(clock, store=store)
    assert names(await again.open_orders()) == ["sl", "tp"]


# Faults


async def test_a_refused_create_is_refused_once_and_leaves_no_order(venue):
    await venue.paper_command(fault("refuse-create"))
    with pytest.raises(Rejected, match="paper fault") as refusal:
        await venue.create(body("it", "buy", "market", "1"))
    assert refusal.value.reason is RejectReason.INVALID_ORDER
    assert await venue.find(SYMBOL, "it") is None
    await venue.create(body("it", "buy", "market", "1"))


async def test_a_refusal_for_a_role_lets_the_others_through(venue):
    await venue.create(body("in", "buy", "market", "1"))
    await venue.paper_command(fault("refuse-create", role=Role.STOP_LOSS, count=2))
    stop = body("sl", "sell", "stop_loss", "1", "900", reduce_only=True)
    for _ in range(2):
        with pytest.raises(Rejected):
            await venue.create(stop)
        await venue.create(body(f"tp{_}", "sell", "take_profit", "1", "1100", reduce_only=True))
    await venue.create(stop)


async def test_a_refusal_lasts_for_its_seconds(venue, clock):
    await venue.paper_command(fault("refuse-create", seconds=5))
    for _ in range(3):
        with pytest.raises(Rejected):
            await venue.create(body("it", "buy", "market", "1"))
        clock.advance(1.5)
    clock.advance(0.5)
    await venue.create(body("it", "buy", "market", "1"))


async def test_a_refusal_of_one_leg_refuses_the_pair(clock):
    venue = await make_venue(clock, market=MarketKind.SPOT)
    await venue.create(body("in", "buy", "market", "1"))
    await venue.paper_command(fault("refuse-create", role=Role.TAKE_PROFIT))
    pair = (
        body("sl", "sell", "stop_loss", "0.5", "900"),
        body("tp", "sell", "take_profit", "0.5", "1100"),
    )
    with pytest.raises(Rejected):
        await venue.create_pair(*pair)
    assert await venue.open_orders() == []
    await venue.create_pair(*pair)


async def test_cancels_pass_while_creates_are_refused(venue):
    await open_long(venue)
    await venue.paper_command(fault("refuse-create", count=5))
    for order in await venue.open_orders():
        await venue.cancel(order.ref)
    assert await venue.open_orders() == []


async def test_a_lost_answer_hides_an_order_that_works(venue):
    await venue.paper_command(fault("lose-answer"))
    with pytest.raises(Ambiguous):
        await venue.create(body("it", "buy", "limit", "1", "900"))
    assert names(await venue.open_orders()) == ["it"]
    assert await venue.find(SYMBOL, "it") is not None


async def test_the_answer_of_a_refusal_can_be_lost_too(venue):
    await venue.paper_command(fault("lose-answer"))
    with pytest.raises(Ambiguous):
        await venue.create(body("it", "buy", "market", "1000"))
    assert await venue.find(SYMBOL, "it") is None


async def test_the_newest_stop_is_forgotten_at_once_and_never_fires(venue):
    await open_long(venue)
    await venue.create(body("sl2", "sell", "stop_loss", "1", "950", reduce_only=True))
    report = await venue.paper_command(fault("forget-stop"))
    assert "stop_loss sell 1 BTCUSDT at 950" in report.message
    assert names(await venue.open_orders()) == ["sl", "tp"]
    assert await venue.find(SYMBOL, "sl2") is None
    await venue.paper_command(bar("920"))
    assert (await venue.positions())[0].quantity == 1


@pytest.mark.parametrize(
    ("how", "left"),
    [
        ({"count": 2}, ["tp"]),
        ({"count": 9}, ["tp"]),
        ({"role": Role.TAKE_PROFIT}, ["sl", "sl2"]),
    ],
)
async def test_as_many_legs_are_forgotten_as_asked(venue, how, left):
    await open_long(venue)
    await venue.create(body("sl2", "sell", "stop_loss", "1", "950", reduce_only=True))
    await venue.paper_command(fault("forget-stop", **how))
    assert names(await venue.open_orders()) == left


async def test_forgetting_when_no_stop_works_changes_nothing(venue):
    assert not (await venue.paper_command(fault("forget-stop"))).changed


async def test_a_venue_that_is_down_answers_nothing(venue, clock):
    await open_long(venue)
    (order, _) = await venue.open_orders()
    await venue.paper_command(fault("down", seconds=10))
    for read in (venue.balances, venue.positions, venue.open_orders):
        with pytest.raises(Unavailable):
            await read()
    for ask in (venue.instrument, venue.price, venue.fills):
        with pytest.raises(Unavailable):
            await ask(SYMBOL)
    with pytest.raises(Unavailable):
        await venue.find(SYMBOL, "sl")
    for write in (
        venue.create(body("new", "buy", "market", "1")),
        venue.cancel(order.ref),
        venue.amend(order.ref, body("new", "sell", "stop_loss", "1", "950")),
        venue.set_leverage(SYMBOL, Decimal(2)),
    ):
        with pytest.raises(NotSent):
            await write
    clock.advance(10)
    assert names(await venue.open_orders()) == ["sl", "tp"]


async def test_a_venue_that_is_down_still_moves(venue):
    await open_long(venue)
    await venue.paper_command(fault("down", count=1))
    await venue.paper_command(bar("850"))
    with pytest.raises(Unavailable):
        await venue.positions()
    assert await venue.positions() == []


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (fault("refuse-create", count=1, seconds=1), "seconds"),
        (fault("forget-stop", seconds=1), "seconds"),
        (fault("forget-stop", role=Role.ENTRY), "role"),
        (fault("down", role=Role.STOP_LOSS), "role"),
    ],
)
async def test_a_fault_that_means_nothing_is_refused(venue, wrong, field):
    with pytest.raises(CallerError) as error:
        await venue.paper_command(wrong)
    assert error.value.field == field


async def test_a_caller_that_gives_up_waiting_may_have_traded(clock):
    """As with a real venue: the request travels on."""
    venue = await make_venue(clock, PaperTiming(answer_s=3600))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await venue.create(body("it", "buy", "limit", "1", "900"))
    exchange = venue._books.exchange
    assert names(exchange.open_orders()) == ["it"]


async def test_a_request_that_never_arrived_did_nothing(clock):
    venue = await make_venue(clock, PaperTiming(request_s=3600))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await venue.create(body("it", "buy", "limit", "1", "900"))
    assert venue._books.exchange.open_orders() == []


async def test_cancelling_twice_says_gone(venue):
    await open_long(venue)
    (order, _) = await venue.open_orders()
    await venue.cancel(order.ref)
    with pytest.raises(OrderGone):
        await venue.cancel(order.ref)
