"""`guardian demo`: played for real, once; and its judgement, which must be able to say no."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from guardian_cli.demo import run as demo_run
from guardian_cli.demo.books import Venue
from guardian_cli.demo.candles import Candle, load_day
from guardian_cli.demo.chapters import AHEAD_BARS, CHAPTERS, Chapter, soon_reached
from guardian_cli.demo.market import Market
from guardian_cli.demo.stage import Stage
from guardian_core.clock import SystemClock
from guardian_core.domain.orders import OrderRef, OrderSide, OrderStatus, OrderType, PositionSide
from guardian_core.domain.snapshot import Position
from guardian_core.web import WebServer
from guardian_gateway.venues.port import VenueOrder
from tests.cli.conftest import Guardian
from tests.support.up import command, environment
from tests.support.wait import eventually

pytestmark = pytest.mark.xdist_group("cli-demo")


@pytest.mark.timeout(600)
async def test_the_whole_day_holds_every_expectation() -> None:
    """Faster than a user sees it, if the machine can."""
    process = await asyncio.create_subprocess_exec(
        *command("demo", "--json", "--pace", "100"),
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    played = json.loads(out)
    failed = [entry for entry in played["timeline"] if entry["held"] is False]
    assert (process.returncode, failed, err) == (0, [], b"")
    assert played["held"] is True
    assert {entry["chapter"] for entry in played["timeline"]} >= {c.title for c in CHAPTERS}
    repairs = [e["repaired_seconds"] for e in played["timeline"] if e["repaired_seconds"]]
    assert len(repairs) >= 6
    assert max(repairs) <= 10
    assert all(len(e["trace_id"]) == 32 for e in played["timeline"] if e["repaired_seconds"])
    day = played["day"]
    assert day["total_pnl"] == day["venue_change"]
    assert len(day["positions"]) == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_demo_that_is_stopped_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    playing = subprocess.Popen(
        command("demo", "--json"),
        env=environment(TMPDIR=str(tmp_path)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        [run_info] = eventually(lambda: list(tmp_path.glob("*/run.json")), within_s=60)
        child = json.loads(run_info.read_text())["pid"]
        playing.send_signal(number)
        _, err = playing.communicate(timeout=60)
    finally:
        playing.kill()
    assert (playing.returncode, err) == (130, b"")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


async def _expects_too_much(stage: Stage) -> None:
    stage.expect(False, "pigs fly")


async def _breaks(stage: Stage) -> None:
    await stage.cancel_by_hand("424242")


@pytest.mark.parametrize(
    ("chapter", "told"),
    [(_expects_too_much, "pigs fly"), (_breaks, "this stopped the chapter")],
    ids=["an expectation that does not hold", "a chapter that breaks"],
)
def test_a_day_that_went_wrong_is_status_1(
    offline: Guardian, monkeypatch: pytest.MonkeyPatch, chapter: Any, told: str
) -> None:
    monkeypatch.setattr(demo_run, "CHAPTERS", [Chapter("Trouble", 2, 5, chapter)])
    monkeypatch.setattr(demo_run, "load_day", lambda: load_day()[:10])
    played = offline.bare("demo", "--json", status=1).json
    assert played["held"] is False
    [failed] = [entry for entry in played["timeline"] if entry["held"] is False]
    assert told in failed["text"]
    assert "expectations did not hold" in offline.bare("demo", status=1).out


def test_the_day_is_whole() -> None:
    day = load_day()
    assert len(day) == 24 * 60
    assert all((b.time - a.time).total_seconds() == 60 for a, b in pairwise(day))
    assert all(c.low <= min(c.open, c.close) <= max(c.open, c.close) <= c.high for c in day)


def test_the_chapters_follow_one_another_through_the_day() -> None:
    marks = [bar for chapter in CHAPTERS for bar in (chapter.start, chapter.end)]
    assert marks == sorted(marks)
    assert marks[-1] <= len(load_day())


def test_the_last_position_is_closed_by_the_market_wherever_its_chapter_begins() -> None:
    day = load_day()
    start = CHAPTERS[-1].start
    for bar in range(start, start + 60):
        price, ahead = day[bar - 1].close, day[bar : bar + AHEAD_BARS]
        levels = soon_reached(price, ahead)
        assert levels.stop_loss < price < levels.take_profit
        assert any(c.low <= levels.stop_loss or c.high >= levels.take_profit for c in ahead)


STOP, TAKE = Decimal(41_000), Decimal(45_000)
SIZE = Decimal("0.5")


def order(type_: OrderType, trigger: Decimal) -> VenueOrder:
    return VenueOrder(
        ref=OrderRef("1", "BTCUSDT", conditional=True),
        side=OrderSide.SELL,
        type=type_,
        status=OrderStatus.OPEN,
        quantity=SIZE,
        filled_quantity=Decimal(0),
        trigger_price=trigger,
        reduce_only=True,
    )


LONG = Position("BTCUSDT", PositionSide.LONG, SIZE)
STOP_LOSS = order(OrderType.STOP_LOSS, STOP)
TAKE_PROFIT = order(OrderType.TAKE_PROFIT, TAKE)


@pytest.mark.parametrize(
    ("position", "orders", "guarded"),
    [
        pytest.param(LONG, (STOP_LOSS, TAKE_PROFIT), True, id="both legs, right"),
        pytest.param(None, (STOP_LOSS, TAKE_PROFIT), False, id="no position"),
        pytest.param(LONG, (STOP_LOSS,), False, id="no take-profit"),
        pytest.param(LONG, (TAKE_PROFIT,), False, id="no stop-loss"),
        pytest.param(LONG, (STOP_LOSS, STOP_LOSS, TAKE_PROFIT), False, id="two stop-losses"),
        pytest.param(
            LONG,
            (replace(STOP_LOSS, trigger_price=STOP + 1), TAKE_PROFIT),
            False,
            id="another level",
        ),
        pytest.param(
            LONG, (replace(STOP_LOSS, quantity=SIZE / 2), TAKE_PROFIT), False, id="half the size"
        ),
        pytest.param(
            LONG, (replace(STOP_LOSS, side=OrderSide.BUY), TAKE_PROFIT), False, id="wrong side"
        ),
        pytest.param(
            LONG, (replace(STOP_LOSS, reduce_only=False), TAKE_PROFIT), False, id="may open"
        ),
    ],
)
def test_a_position_counts_as_guarded_only_with_exactly_its_two_legs(
    position: Position | None, orders: tuple[VenueOrder, ...], guarded: bool
) -> None:
    assert Venue(position, orders).guards(STOP, TAKE) is guarded


class Moody:
    """A receiver that takes an alert only every third time; keeps what it took."""

    def __init__(self) -> None:
        self.calls = 0
        self.taken: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls += 1
        body = json.loads((await receive())["body"])
        status = 200 if self.calls % 3 == 0 else 503
        if status == 200:
            self.taken.append(body)
        answer = json.dumps({"status": "received", "trace_id": f"{len(self.taken):032x}"})
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": answer.encode()})


class NothingWaits:
    async def waiting_alerts(self) -> int:
        return 0


async def test_bars_go_out_in_order_each_until_it_is_taken_and_actions_ride_on_them() -> None:
    moody, day = Moody(), load_day()[:5]
    async with WebServer(moody, "127.0.0.1", 0) as web:
        market = market_of(day, web.url)
        sending = asyncio.create_task(market.run())
        await market.reach(2)
        sent = await market.act(Action="MAJ", PrixSL="1")
        market.open_gate(len(day))
        await sending
    assert [alert["Action"] for alert in moody.taken] == ["PING", "PING", "MAJ", "PING", "PING"]
    assert [Decimal(alert["Close"]) for alert in moody.taken] == [candle.close for candle in day]
    times = [alert["BarTime"] for alert in moody.taken]
    assert times == sorted(set(times))
    assert moody.taken[2]["PrixSL"] == "1"
    assert (sent.trace_id, sent.candle) == (f"{3:032x}", 2)
    assert moody.calls == 15


async def test_no_bar_passes_a_closed_gate() -> None:
    moody, day = Moody(), load_day()[:5]
    async with WebServer(moody, "127.0.0.1", 0) as web:
        market = market_of(day, web.url)
        sending = asyncio.create_task(market.run())
        await market.reach(2)
        await asyncio.sleep(0.3)
        assert market.position == 2
        sending.cancel()


def market_of(day: Sequence[Candle], url: str) -> Market:
    return Market(
        day,
        NothingWaits(),  # type: ignore[arg-type]
        SystemClock(),
        url=url,
        account_id="paper",
        token="secret",
        bars_per_s=200,
        on_move=lambda *_: None,
    )
