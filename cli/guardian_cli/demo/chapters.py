"""The scenarios, in the order of the day. Each begins with what the one before it left."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from guardian_cli.demo.candles import Candle
from guardian_cli.demo.market import Acknowledged
from guardian_cli.demo.stage import PATIENCE_S, ChapterFailed, Levels, Stage
from guardian_core.domain.alerts import WebhookStatus
from guardian_core.domain.orders import OrderSide, OrderType, Role
from guardian_core.protocol import FaultKind
from guardian_core.storage.schema import Trade

QUIET_S = 4.0
"""More than one interval of the guardian."""
KILLS_MAX = 3
"""A kill must land within a few milliseconds; it is tried so often."""
AHEAD_BARS = 90


@dataclass(frozen=True, slots=True)
class Chapter:
    """Begins at bar `start`; the day waits for it before bar `end`."""

    title: str
    start: int
    end: int
    play: Callable[[Stage], Awaitable[None]]


async def normal(stage: Stage) -> None:
    levels = stage.levels("3", "-10")
    sent = await stage.alert("SellMarket", levels)
    await stage.finished(sent, WebhookStatus.PROCESSED, "the position is open")
    await stage.wait(
        "both legs work on the venue, for 100 %",
        lambda: stage.guarded(levels),
        trace_id=sent.trace_id,
    )
    before = {order.ref.venue_order_id for order in (await stage.venue()).orders}
    levels = stage.levels("2.5", "-9")
    moved = await stage.alert("MAJ", levels)
    row = await stage.books.alert(moved.trace_id)
    stage.expect(
        row is not None, "its row was committed before the answer", trace_id=moved.trace_id
    )
    await stage.finished(moved, WebhookStatus.PROCESSED, "the levels are moved")
    venue = await stage.venue()
    stage.expect(
        venue.guards(levels.stop_loss, levels.take_profit)
        and not before & {order.ref.venue_order_id for order in venue.orders},
        "the old legs are gone, the new ones work for 100 %",
        trace_id=moved.trace_id,
    )
    state = await stage.state()
    ids = {order.type: order.ref.venue_order_id for order in venue.orders}
    stage.expect(
        (state.stop_loss, state.take_profit) == (levels.stop_loss, levels.take_profit)
        and state.stop_loss_order_id == ids.get(OrderType.STOP_LOSS)
        and state.take_profit_order_id == ids.get(OrderType.TAKE_PROFIT),
        "our row has the new prices and order ids",
        trace_id=moved.trace_id,
    )
    written = await stage.books.writes()
    await asyncio.sleep(QUIET_S)
    quiet = await stage.books.writes() == written
    stage.expect(quiet, "the next passes find all well and write nothing")


async def refused(stage: Stage) -> None:
    levels = stage.levels("2.6", "-9.5")
    await stage.fault(FaultKind.REFUSE_CREATE, Role.STOP_LOSS)
    sent = await stage.alert("MAJ", levels)
    harmed_s = stage.clock.monotonic()
    await stage.finished(sent, WebhookStatus.ERROR, "the engine says so, and rolls nothing back")
    state = await stage.state()
    stage.expect(
        (state.stop_loss, state.take_profit) == (levels.stop_loss, levels.take_profit),
        "the new levels stay committed",
        trace_id=sent.trace_id,
    )
    await stage.repaired(levels, harmed_s, sent.trace_id)
    await _row_follows(stage, sent.trace_id)


async def forgotten(stage: Stage) -> None:
    state, levels = await _desired(stage)
    harmed_s = stage.clock.monotonic()
    await stage.forget_stop()
    await stage.repaired(levels, harmed_s, state)
    await _row_follows(stage, state)


async def cancelled_by_hand(stage: Stage) -> None:
    trace_id, levels = await _desired(stage)
    [take_profit] = (await stage.venue()).legs(OrderType.TAKE_PROFIT)
    harmed_s = stage.clock.monotonic()
    await stage.cancel_by_hand(take_profit.ref.venue_order_id)
    await stage.repaired(levels, harmed_s, trace_id)
    await _row_follows(stage, trace_id)


async def killed_after_commit(stage: Stage) -> None:
    """Again and again, until the kill fell between the commit and the venue's answer."""
    for attempt in range(1, KILLS_MAX + 1):
        levels = stage.levels(f"4.{attempt}", f"-8.{attempt}")
        revision = (await stage.state()).revision + 1

        async def committed(revision: int = revision) -> bool:
            return (await stage.state()).revision == revision

        trace_id = await _killed_when(stage, committed, stage.alert("MAJ", levels))
        stops = (await stage.venue()).legs(OrderType.STOP_LOSS)
        between = all(order.trigger_price != levels.stop_loss for order in stops)
        where = "before the venue had the new stop" if between else "just after the venue had it"
        stage.told(f"kill -9 after the commit of revision {revision}, {where}", trace_id)
        await _restarted(stage, levels, trace_id)
        if between:
            break


async def killed_after_fill(stage: Stage) -> None:
    await _close(stage)
    levels = stage.levels("-3", "5")

    async def filled() -> bool:
        return (await stage.venue()).position is not None

    trace_id = await _killed_when(stage, filled, stage.alert("BuyMarket", levels))
    legs = len((await stage.venue()).orders)
    stage.told(f"kill -9 after the entry's fill, {legs or 'no'} leg works", trace_id)
    await _restarted(stage, levels, trace_id)
    venue, entries = await stage.venue(), await _entries(stage)
    stage.expect(
        len(entries) == 1
        and venue.position is not None
        and entries[0].filled_quantity == venue.position.quantity,
        "one alert, one entry: nothing was bought twice",
        trace_id=trace_id,
    )


async def lost_answer(stage: Stage) -> None:
    await _close(stage)
    levels = stage.levels("-3", "5")
    await stage.fault(FaultKind.LOSE_ANSWER, Role.ENTRY)
    since = stage.now()
    sent = await stage.alert("BuyMarket", levels)

    async def filled() -> bool:
        return bool(await stage.books.fills(since, OrderSide.BUY))

    await stage.wait("the venue has filled it, and nobody here knows", filled)
    await stage.repaired(levels, stage.clock.monotonic(), sent.trace_id)
    await stage.finished(sent, WebhookStatus.PROCESSED, "looked up by its id, not sent again")
    orders = {fill.venue_order_id for fill in await stage.books.fills(since, OrderSide.BUY)}
    stage.expect(
        len(orders) == 1, f"the venue has {len(orders)} entry order", trace_id=sent.trace_id
    )


async def reached(stage: Stage) -> None:
    """One leg is set where the market is about to go."""
    levels = soon_reached(stage.price, stage.market.ahead(AHEAD_BARS))
    sent = await stage.alert("MAJ", levels)
    await stage.wait("the new legs work", lambda: stage.guarded(levels), trace_id=sent.trace_id)
    stage.market.open_gate(stage.market.position + AHEAD_BARS)
    await stage.wait(
        "the market reached a leg: position closed, its sibling cancelled, result booked",
        stage.flat,
        trace_id=sent.trace_id,
    )


CHAPTERS: Sequence[Chapter] = (
    Chapter("An alert opens a position, MAJ moves its legs", 25, 190, normal),
    Chapter("The venue refuses the new stop", 200, 330, refused),
    Chapter("The venue forgets a working stop", 340, 470, forgotten),
    Chapter("The take-profit is cancelled by hand", 480, 610, cancelled_by_hand),
    Chapter("kill -9 between commit and create", 620, 820, killed_after_commit),
    Chapter("kill -9 after the entry's fill", 830, 1010, killed_after_fill),
    Chapter("The answer to an entry is lost", 1020, 1190, lost_answer),
    Chapter("The market reaches a leg", 1200, 1440, reached),
)


async def _desired(stage: Stage) -> tuple[str, Levels]:
    """The live desire, and the trace under which it will be repaired."""
    state = await stage.state()
    if state.stop_loss is None or state.take_profit is None:
        stage.expect(False, "the position should have both levels")
        raise ChapterFailed
    return state.trace_id, Levels(state.stop_loss, state.take_profit)


async def _row_follows(stage: Stage, trace_id: str) -> None:
    """Expects our row to name the orders that work now."""

    async def follows() -> bool:
        state, venue = await stage.books.live(), await stage.venue()
        ids = {order.type: order.ref.venue_order_id for order in venue.orders}
        return (
            state is not None
            and state.stop_loss_order_id == ids.get(OrderType.STOP_LOSS)
            and state.take_profit_order_id == ids.get(OrderType.TAKE_PROFIT)
        )

    await stage.wait("our row has the new order's id", follows, trace_id=trace_id)


async def _killed_when(
    stage: Stage, condition: Callable[[], Awaitable[bool]], sending: Awaitable[Acknowledged]
) -> str:
    """Sends an alert, kills the product as soon as the condition holds; the alert's trace."""
    sent = asyncio.ensure_future(sending)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if await condition():
                    break
                await asyncio.sleep(0)
    except TimeoutError:
        sent.cancel()
        stage.expect(False, "there was nothing to kill in the middle of")
        raise ChapterFailed from None
    await stage.child.kill()
    # The answer goes out at the commit, long before anything is traded.
    return (await sent).trace_id


async def _restarted(stage: Stage, levels: Levels, trace_id: str) -> None:
    """Starts the product again, and expects everything in order within the promise."""
    ready_s = await stage.child.start()
    up_s = stage.clock.monotonic()
    stage.told(f"started again, ready in {ready_s:.1f} s")
    await stage.repaired(levels, up_s, trace_id)
    alert = await stage.books.alert(trace_id)
    stage.expect(alert is not None, "the acknowledged alert is not lost", trace_id=trace_id)


async def _close(stage: Stage) -> None:
    sent = await stage.alert("Close")
    await stage.wait(
        "the position is closed, its legs are gone, its result is booked",
        stage.flat,
        trace_id=sent.trace_id,
    )


async def _entries(stage: Stage) -> list[Trade]:
    state = await stage.state()
    return [
        trade
        for trade in await stage.books.trades()
        if trade.webhook_state_id == state.id and trade.role == Role.ENTRY.value
    ]


def soon_reached(price: Decimal, ahead: Sequence[Candle]) -> Levels:
    """For a long: the leg on the side where the market goes further is set half-way there."""
    lowest = min(candle.low for candle in ahead[10:])
    highest = max(candle.high for candle in ahead[10:])
    far = price * Decimal("0.05")
    if price - lowest > highest - price:
        return Levels(_tick((price + lowest) / 2), _tick(price + far))
    return Levels(_tick(price - far), _tick((price + highest) / 2))


def _tick(price: Decimal) -> Decimal:
    return price.quantize(Decimal("0.1"))
