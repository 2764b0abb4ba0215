"""The demo from its first line to its verdict."""

import asyncio
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from guardian_cli.demo.books import Books
from guardian_cli.demo.candles import Candle, load_day
from guardian_cli.demo.chapters import CHAPTERS, Chapter
from guardian_cli.demo.child import Child
from guardian_cli.demo.market import Market
from guardian_cli.demo.result import DayResult, settle_day
from guardian_cli.demo.show import Screen
from guardian_cli.demo.stage import ChapterFailed, Stage
from guardian_cli.demo.timeline import Timeline
from guardian_cli.first_run import DEFAULT_ACCOUNT
from guardian_cli.home import Home
from guardian_cli.output import console
from guardian_cli.place import Place
from guardian_cli.tokens import cli_token
from guardian_core.domain.errors import GuardianError
from guardian_core.settings import Settings
from guardian_core.storage.accounts_store import get_account
from guardian_core.storage.reading import open_for_reading


@dataclass(frozen=True, slots=True)
class Played:
    """`day`: None where the day did not come to its end."""

    timeline: Timeline
    day: DayResult | None
    home: Path

    @property
    def held(self) -> bool:
        return self.day is not None and not self.timeline.failures


class _OwnSettings(Settings):
    """Nothing from the environment: the demo never touches what its user has set up."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


async def play(*, quiet: bool, keep: bool, bars_per_s: float) -> Played:
    """Plays the whole day in a folder of its own; `keep` leaves that folder behind."""
    home = Home(Path(tempfile.mkdtemp(prefix="guardian-demo-")))
    place = Place(_OwnSettings(home=home.path), home)
    child = Child(home, place.clock)
    # A demo that is asked to end takes its child with it, as it does on Ctrl-C.
    own_task = asyncio.current_task()
    assert own_task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, own_task.cancel)
    try:
        return await _play(place, child, quiet=quiet, bars_per_s=bars_per_s)
    finally:
        await child.stop()
        if not keep:
            shutil.rmtree(home.path, ignore_errors=True)


async def _play(place: Place, child: Child, *, quiet: bool, bars_per_s: float) -> Played:
    candles = load_day()
    with Screen(console(), len(candles), quiet=quiet) as screen:
        ready_s = await child.start()
        screen.say(
            f"`guardian up` runs in {place.home.path} (ready in {ready_s:.1f} s). Paper money:"
            " BTCUSDT on 10 March 2023, a day in about a minute."
        )
        async with _stage(place, child, screen, candles, bars_per_s) as stage:
            day = await _day(stage, len(candles))
    return Played(stage.timeline, day, place.home.path)


@asynccontextmanager
async def _stage(
    place: Place, child: Child, screen: Screen, candles: Sequence[Candle], bars_per_s: float
) -> AsyncIterator[Stage]:
    """The child must be up. The day begins with the first chapter."""
    token = await cli_token(place)
    database = open_for_reading(place.settings.database_url, clock=place.clock)
    row = await database.run(lambda tx: get_account(tx, DEFAULT_ACCOUNT))
    assert row is not None, "`guardian up` makes it"
    books = Books(database, row.name, row.spec, place.clock)
    market = Market(
        candles,
        books,
        place.clock,
        url=place.receiver_url(),
        account_id=row.spec.account_id,
        token=token,
        bars_per_s=bars_per_s,
        on_move=screen.move,
    )
    timeline = Timeline(place.clock, lambda: market.candle.time.strftime("%H:%M"), screen.show)
    try:
        yield Stage(market, books, child, place, timeline, row.name)
    finally:
        await database.close()


async def _day(stage: Stage, bars: int) -> DayResult | None:
    """Plays the chapters while the market runs; None when the market could not go on."""
    money = await stage.books.money()
    sending = asyncio.create_task(stage.market.run())
    playing = asyncio.create_task(_chapters(stage, bars))
    try:
        await asyncio.wait((sending, playing), return_when=asyncio.FIRST_EXCEPTION)
        for task in (sending, playing):
            if task.done() and (error := task.exception()) is not None:
                if not isinstance(error, GuardianError):
                    raise error
                stage.expect(False, f"the day stopped: {error}")
                return None
    finally:
        sending.cancel()
        playing.cancel()
        await asyncio.gather(sending, playing, return_exceptions=True)
    stage.timeline.chapter = "The end of the day"
    return await settle_day(stage, money)


async def _chapters(stage: Stage, bars: int) -> None:
    for chapter in CHAPTERS:
        await stage.market.reach(chapter.start)
        stage.market.open_gate(chapter.end)
        stage.timeline.chapter = chapter.title
        await _play_one(stage, chapter)
    await stage.market.reach(bars)


async def _play_one(stage: Stage, chapter: Chapter) -> None:
    """A chapter that fails is told of; the next ones are played all the same."""
    try:
        await chapter.play(stage)
    except ChapterFailed:
        return
    except GuardianError as error:
        stage.expect(False, f"this stopped the chapter: {error}")
