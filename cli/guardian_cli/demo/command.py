"""The command itself: `guardian demo`."""

from typing import Annotated

import typer

from guardian_cli.options import JsonOption, wait_for


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the demo's data folder, to look at it afterwards.")
    ] = False,
    pace: Annotated[
        float, typer.Option(min=1, max=1000, help="Bars a second, if the machine can.")
    ] = 25.0,
    as_json: JsonOption = False,
) -> None:
    """Play a real day of candles, and everything that may go wrong with its stops, on paper.

    Needs no network and touches nothing of yours. Status 0 only if every expectation held.
    """
    from loguru import logger

    from guardian_cli.demo.run import play
    from guardian_cli.demo.show import result_view, verdict
    from guardian_cli.output import console, print_json

    logger.remove()
    played = wait_for(play(quiet=as_json, keep=keep, bars_per_s=pace))
    if as_json:
        print_json(
            {
                "held": played.held,
                "timeline": played.timeline.entries,
                "day": played.day,
                "home": str(played.home) if keep else None,
            }
        )
    else:
        if played.day is not None:
            result_view(played.day)(console())
        console().print(verdict(played.timeline))
        if keep:
            typer.echo(f"its data: guardian status --closed 9 --home {played.home}")
    raise typer.Exit(0 if played.held else 1)
