"""`guardian up` and `guardian db`."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from guardian_cli.options import HomeOption, wait_for

if TYPE_CHECKING:
    from guardian_cli.place import Place

T = TypeVar("T")
POLL_S = 0.5

db = typer.Typer(help="The database's schema.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.command()(up)
    app.add_typer(db, name="db")


def up(
    home: HomeOption = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            "-p",
            min=0,
            max=65535,
            help="The webhook's port; 0 takes a free one. [GUARDIAN_RECEIVER_PORT, else 8888]",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            help="The webhook's address. [GUARDIAN_RECEIVER_HOST, else 127.0.0.1]",
            show_default=False,
        ),
    ] = None,
    gateway_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="The port that other commands reach it on. [GUARDIAN_GATEWAY_PORT, else 8889]",
            show_default=False,
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log every step, not one line per event.")
    ] = False,
) -> None:
    """Run everything in one process, until Ctrl-C: receiver, engine, gateway and guardian."""
    from guardian_cli.home import Home
    from guardian_cli.place import Place
    from guardian_core.clock import SystemClock
    from guardian_core.settings import load_settings

    started_s = SystemClock().monotonic()
    chosen: dict[str, Any] = {
        "home": home,
        "receiver_port": port,
        "receiver_host": host,
        "gateway_port": gateway_port,
    }
    settings = load_settings(**{k: value for k, value in chosen.items() if value is not None})
    place = Place(settings, Home(settings.home))
    _log(place, verbose=verbose)
    place.home.create()
    if warning := place.home.warning():
        sys.stderr.write(f"guardian: {warning}\n")
    import uvloop

    uvloop.run(_up(place, started_s))


@db.command()
def upgrade(
    wait: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How long to wait for a server.")
    ] = 0,
    home: HomeOption = None,
) -> None:
    """Bring the database to this version's schema. `guardian up` does it by itself."""
    from guardian_cli.place import find_place
    from guardian_core.storage import migrations

    place = find_place(home)
    if place.keeps_database:
        place.home.create()
    revision = wait_for(_upgrade(place, migrations.upgrade, wait))
    typer.echo(f"the database is at revision {revision}")


async def _upgrade(place: "Place", upgrade: Callable[[str], str], wait_s: float) -> str:
    """Not under a running `guardian up`, whose version may be another one."""
    if not place.keeps_database:
        return await _answered(place, upgrade, wait_s)
    async with place.home.locked():
        return upgrade(place.settings.database_url)


@db.command("wait")
def wait_(
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How long to wait at most.")
    ] = 60,
    home: HomeOption = None,
) -> None:
    """Wait until the database answers and has this version's schema."""
    from guardian_cli.place import find_place
    from guardian_core.domain.errors import Unavailable
    from guardian_core.storage import migrations

    def look(url: str) -> None:
        if not migrations.is_current(url):
            raise Unavailable("the database has not this version's schema yet")

    wait_for(_answered(find_place(home), look, timeout))
    typer.echo("the database is ready")


async def _answered(place: "Place", ask: Callable[[str], T], wait_s: float) -> T:
    """What asking the database gives, once it does. Raises Unavailable when it took too long."""
    from asyncio import sleep

    from guardian_core.domain.errors import Unavailable

    until_s = place.clock.monotonic() + wait_s
    told = ""
    while True:
        try:
            return ask(place.settings.database_url)
        except Unavailable as error:
            if place.clock.monotonic() >= until_s:
                raise
            if str(error) != told:
                told = str(error)
                sys.stderr.write(f"waiting: {told}\n")
        await sleep(POLL_S)


def _log(place: "Place", *, verbose: bool) -> None:
    """Events on stdout, unless every line is wanted (then on stderr), or JSON is."""
    from loguru import logger

    from guardian_cli.events import EventLines
    from guardian_core.logs import LogFormat, setup_logging

    settings = place.settings
    setup_logging(settings.log_format, settings.log_level, "guardian-up")
    if settings.log_format is LogFormat.TEXT and not verbose:
        logger.remove()
        logger.add(EventLines(sys.stdout), level="INFO", format="", backtrace=False, diagnose=False)


async def _up(place: "Place", started_s: float) -> None:
    from guardian_cli.composition import everything
    from guardian_cli.first_run import greeting, prepare
    from guardian_cli.home import RunInfo
    from guardian_core.service import open_parts
    from guardian_core.storage import migrations

    home = place.home
    alone = place.keeps_database
    async with home.locked():
        home.unpublish()
        migrations.upgrade(place.settings.database_url)
        parts = open_parts(place.settings)
        try:
            prepared = await parts.database.run(lambda tx: prepare(tx, place.ids, alone=alone))
            token = place.settings.gateway_token
            async with everything(
                parts,
                installation=place.installation(),
                gateway_token=token.get_secret_value() if token else home.gateway_token(place.ids),
                alone=alone,
            ) as running:
                home.publish(RunInfo(os.getpid(), running.receiver_url, running.gateway_url))
                ready_s = place.clock.monotonic() - started_s
                where = (str(home.path), running.receiver_url)
                _say(greeting(*where, prepared, ready_s, _called()))
                try:
                    await running.work()
                finally:
                    home.unpublish()
        finally:
            await parts.close()
    _say("stopped")


def _called() -> str:
    """How the reader of the greeting can call the other commands."""
    own = Path(sys.argv[0])
    return str(own) if own.name == "guardian" and shutil.which("guardian") is None else "guardian"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
