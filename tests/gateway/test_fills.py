"""Executions: booked once, to whom they belong, with what they cost; and the rows that follow."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from guardian_core.domain.decision import Reduce
from guardian_core.domain.errors import Unavailable
from guardian_core.domain.money import Instrument, MarketKind
from guardian_core.domain.orders import OrderSide
from guardian_gateway.fills import fees
from guardian_gateway.venues.port import VenueFill
from tests.gateway.world import ACCOUNT, SYMBOL, World, entry, exit_body, on_virtual_time, stop_loss
from tests.support import paper
from tests.support.clock import START

D = Decimal


@on_virtual_time
async def test_an_order_that_filled_has_its_fill_booked_with_the_next_snapshot() -> None:
    world = await World.virtual()
    state_id = await world.state(status="pending")
    outcome = await world.enter(state_id)
    await world.gateway.snapshot(ACCOUNT)
    (fill,) = await world.fills()
    trade = await world.trade(outcome.client_order_id or "")
    assert (fill.trade_id, fill.webhook_state_id) == (trade.id, state_id)
    assert (fill.quantity, fill.price, fill.side) == (D("0.01"), D(43_000), "buy")
    assert (fill.fee_quote, fill.fee_base) == (fill.fee, D(0))
    assert fill.fee == D("0.01") * 43_000 * D("0.0005")


@on_virtual_time
async def test_a_fill_is_booked_once_however_often_it_is_seen() -> None:
    world = await World.virtual()
    await world.guarded()
    for price in ("43100", "41900", "41800"):
        await world.gateway.snapshot(ACCOUNT)
        world.set_price(price)
    for _ in range(3):
        await asyncio.sleep(1)
        await world.gateway.snapshot(ACCOUNT)
    fills = await world.fills()
    assert [(f.side, f.quantity) for f in fills] == [("buy", D("0.01")), ("sell", D("0.01"))]


@on_virtual_time
async def test_a_position_that_came_and_went_between_two_snapshots_has_its_fills_booked() -> None:
    world = await World.virtual()
    state_id = await world.state(status="pending")
    await world.gateway.snapshot(ACCOUNT)
    await world.enter(state_id)
    await world.revise(state_id, status="open")
    await world.submit(state_id, Reduce(exit_body(state_id)))
    await world.gateway.snapshot(ACCOUNT)
    assert [fill.side for fill in await world.fills()] == ["buy", "sell"]


@on_virtual_time
async def test_at_rest_the_venue_is_not_asked_for_fills() -> None:
    world = await World.virtual()
    await world.guarded()
    await world.gateway.snapshot(ACCOUNT)
    del world.venue.asked[:]
    await world.gateway.snapshot(ACCOUNT)
    assert "fills" not in world.venue.asked


@on_virtual_time
async def test_a_new_process_asks_once_for_what_it_may_have_missed() -> None:
    world = await World.virtual()
    await world.guarded()
    await world.gateway.snapshot(ACCOUNT)
    await world.start_gateway()
    await world.gateway.snapshot(ACCOUNT)
    assert world.venue.asked.count("fills") == 1


@on_virtual_time
async def test_a_position_that_someone_else_moved_has_its_fill_booked_to_the_state() -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    await world.gateway.snapshot(ACCOUNT)
    await asyncio.sleep(1)
    await world.venue.inner.create(
        paper.body("by-hand", "sell", "market", "0.004", reduce_only=True)
    )
    await world.gateway.snapshot(ACCOUNT)
    fill = (await world.fills())[-1]
    assert (fill.trade_id, fill.webhook_state_id) == (None, state_id)


@on_virtual_time
async def test_on_spot_what_no_order_of_ours_bought_belongs_to_no_state() -> None:
    world = await World.virtual(market=MarketKind.SPOT)
    await world.guarded_spot()
    await world.gateway.snapshot(ACCOUNT)
    await asyncio.sleep(1)
    await world.venue.inner.create(paper.body("by-hand", "buy", "market", "0.5"))
    await world.gateway.snapshot(ACCOUNT)
    fill = (await world.fills())[-1]
    assert (fill.quantity, fill.webhook_state_id) == (D("0.5"), None)


@on_virtual_time
async def test_an_order_that_filled_in_parts_shows_all_of_them_in_its_row() -> None:
    world = await World.virtual()
    state_id = await world.state(status="pending")
    waiting = entry(await world.webhook(), quantity="0.02", price="42500")
    await world.submit(state_id, waiting)
    trade_id = waiting.body.client_order_id
    venue_id = (await world.trade(trade_id)).exchange_order_id or ""
    parts = [_fill("1", venue_id, "0.005", "42500"), _fill("2", venue_id, "0.015", "42400")]

    async def listed(symbol: str, since: object) -> list[VenueFill]:
        return parts[: world.venue.asked.count("fills")]

    world.venue.inner.fills = listed  # type: ignore[method-assign,assignment]
    await world.gateway.snapshot(ACCOUNT)
    trade = await world.trade(trade_id)
    assert (trade.status, trade.filled_quantity) == ("open", D("0.005"))
    assert trade.average_price == D(42_500)
    world.exchange.cancel_by_hand(trade_id, world.clock.now())
    await world.gateway.snapshot(ACCOUNT)
    trade = await world.trade(trade_id)
    assert (trade.status, trade.filled_quantity) == ("closed", D("0.02"))
    assert trade.average_price == D(42_425)


@on_virtual_time
async def test_fills_that_lag_behind_their_order_are_asked_for_until_they_are_there() -> None:
    world = await World.virtual()
    await world.guarded()
    for _ in range(2):
        real = world.venue.inner.fills

        async def none(symbol: str, since: object) -> list[VenueFill]:
            return []

        world.venue.inner.fills = none  # type: ignore[method-assign,assignment]
        await world.gateway.snapshot(ACCOUNT)
        world.venue.inner.fills = real  # type: ignore[method-assign]
    assert await world.fills() == []
    await world.gateway.snapshot(ACCOUNT)
    assert len(await world.fills()) == 1
    del world.venue.asked[:]
    await world.gateway.snapshot(ACCOUNT)
    assert "fills" not in world.venue.asked


@on_virtual_time
async def test_on_derivatives_fills_that_cannot_be_read_do_not_stop_guarding() -> None:
    world = await World.virtual()
    await world.guarded()
    world.venue.stage("fills", before=Unavailable("502"))
    snapshot = await world.gateway.snapshot(ACCOUNT)
    assert snapshot.positions_section.ok
    assert any("fills" in warning for warning in snapshot.warnings)
    await world.gateway.snapshot(ACCOUNT)
    assert len(await world.fills()) == 1, "asked again by the next one"


@on_virtual_time
async def test_on_spot_positions_fail_with_the_fills_that_they_are_made_of() -> None:
    world = await World.virtual(market=MarketKind.SPOT)
    await world.guarded_spot()
    world.venue.stage("fills", before=Unavailable("502"))
    snapshot = await world.gateway.snapshot(ACCOUNT)
    assert not snapshot.positions_section.ok
    assert snapshot.positions == ()
    assert (await world.gateway.snapshot(ACCOUNT)).positions_section.ok


@on_virtual_time
async def test_an_execution_is_proof_that_its_order_arrived() -> None:
    world = await World.virtual()
    state_id = await world.guarded()
    body = stop_loss(state_id)
    row = await world.trade(body.client_order_id)
    await world.change_trade(body.client_order_id, status="rejected", reject_reason="not_sent")

    async def listed(symbol: str, since: object) -> list[VenueFill]:
        return [_fill("9", row.exchange_order_id or "", "0.01", "41990", OrderSide.SELL)]

    world.venue.inner.fills = listed  # type: ignore[method-assign,assignment]
    world.exchange.forget(row.exchange_order_id or "", world.clock.now())
    await world.gateway.snapshot(ACCOUNT)
    row = await world.trade(body.client_order_id)
    assert (row.status, row.reject_reason, row.filled_quantity) == ("closed", None, D("0.01"))


def _fill(
    fill_id: str, order_id: str, quantity: str, price: str, side: OrderSide = OrderSide.BUY
) -> VenueFill:
    return VenueFill(
        venue_fill_id=fill_id,
        symbol=SYMBOL,
        venue_order_id=order_id,
        side=side,
        price=D(price),
        quantity=D(quantity),
        fee=D(0),
        fee_currency="USDT",
        at=START + timedelta(seconds=int(fill_id)),
    )


@pytest.mark.parametrize(
    ("kind", "fee", "currency", "quote", "base"),
    [
        (MarketKind.LINEAR, "0.2", "USDT", D("0.2"), D(0)),
        (MarketKind.LINEAR, "-0.2", "USDT", D("-0.2"), D(0)),
        (MarketKind.SPOT, "0.000005", "BTC", D("0.215"), D("0.000005")),
        (MarketKind.LINEAR, "0.000005", "BTC", D("0.215"), D(0)),
        (MarketKind.SPOT, "0.0003", "BNB", None, D(0)),
        (MarketKind.SPOT, "0", "", D(0), D(0)),
    ],
    ids=["quote", "rebate", "coins", "coins of a derivative", "a third currency", "none"],
)
def test_what_a_fee_is_worth_and_what_it_took(
    kind: MarketKind, fee: str, currency: str, quote: Decimal | None, base: Decimal
) -> None:
    instrument = Instrument(SYMBOL, "BTC", "USDT", kind, D("0.1"), D("0.001"), D("0.001"), D(5))
    fill = VenueFill("1", SYMBOL, "2", OrderSide.BUY, D(43_000), D("0.01"), D(fee), currency, START)
    assert fees(instrument, fill) == (quote, base)
