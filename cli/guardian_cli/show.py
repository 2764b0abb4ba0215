"""The listings: `status`, `orders`, `trades`, `webhooks` and `trace`."""

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from guardian_cli.options import (
    AccountOption,
    HomeOption,
    JsonOption,
    LimitOption,
    SymbolOption,
    wait_for,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from guardian_cli.place import Place
    from guardian_cli.rows import Filter
    from guardian_cli.status import PositionLine, Status
    from guardian_cli.trace import Story

WATCH_EVERY_S = 1.0


def register(app: typer.Typer) -> None:
    for command in (status, orders, trades, webhooks, trace):
        app.command()(command)


def status(
    home: HomeOption = None,
    account: AccountOption = None,
    symbol: SymbolOption = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Keep showing it, once a second.")
    ] = False,
    closed: Annotated[
        int, typer.Option("--closed", min=0, max=1000, help="Also so many closed positions.")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Show every position, and how covered it is at this moment."""
    from guardian_cli.output import console, print_json
    from guardian_cli.place import find_place
    from guardian_cli.rows import Filter
    from guardian_cli.status import read_status

    if watch and as_json:
        raise typer.BadParameter("--watch and --json do not go together")
    place, wanted = find_place(home), Filter(account, symbol)
    if watch:
        with contextlib.suppress(KeyboardInterrupt):
            wait_for(_watch(place, wanted, closed))
        return
    found = wait_for(read_status(place, wanted, closed=closed))
    if as_json:
        print_json(found)
        return
    console().print(_status_view(found))


def orders(
    home: HomeOption = None,
    account: AccountOption = None,
    symbol: SymbolOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the orders that work on the venue now, ours and others'."""
    from guardian_cli.orders import read_orders
    from guardian_cli.output import console, print_json, shown, table
    from guardian_cli.place import find_place
    from guardian_cli.rows import Filter

    found = wait_for(read_orders(find_place(home), Filter(account, symbol)))
    if as_json:
        print_json(found)
        return
    view = table(
        *("ACCOUNT", "SYMBOL", "ORDER", "ROLE", "SIDE", "TYPE", "QTY", "PRICE", "TRIGGER", "STATE"),
        right=("QTY", "PRICE", "TRIGGER"),
    )
    for line in found.orders:
        cells = (line.account, line.symbol, line.order_id, line.role, line.side, line.type)
        numbers = (line.remaining, line.price, line.trigger_price)
        view.add_row(*map(shown, (*cells, *numbers, line.state)))
    console().print(view if found.orders else "no order works")
    _print_notes(found.notes)


def trades(
    home: HomeOption = None,
    account: AccountOption = None,
    symbol: SymbolOption = None,
    status: Annotated[
        str | None,
        typer.Option(help="pending, open, closed, cancelled or rejected.", show_default=False),
    ] = None,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """Show the orders that were sent, with fills and P&L, newest first."""
    from guardian_cli import rows
    from guardian_cli.options import choose
    from guardian_cli.output import console, print_json, shown, table, trace_text
    from guardian_cli.place import find_place
    from guardian_core.domain.orders import OrderStatus

    wanted_status = None if status is None else choose(OrderStatus, status, "--status").value
    wanted = rows.Filter(account, symbol, wanted_status, limit)
    found = wait_for(find_place(home).read(lambda tx: rows.trades(tx, wanted)))
    if as_json:
        print_json(found)
        return
    view = table(
        *("AT", "ACCOUNT", "SYMBOL", "SOURCE", "ROLE", "SIDE", "QTY", "LEVEL", "STATUS"),
        *("FILLED", "AVERAGE", "PNL", "TRACE", "ERROR"),
        right=("QTY", "LEVEL", "FILLED", "AVERAGE", "PNL"),
        wrap=("ERROR",),
    )
    for line in found:
        level = line.trigger_price if line.trigger_price is not None else line.price
        what = (line.at, line.account, line.symbol, line.source, line.role, line.side)
        result = (line.filled_quantity, line.average_price, line.pnl_average)
        cells = (*what, line.quantity, level, line.status, *result, trace_text(line.trace_id))
        view.add_row(*map(shown, (*cells, line.error or line.reject_reason)))
    console().print(view if found else "no order was sent yet")


def webhooks(
    home: HomeOption = None,
    account: AccountOption = None,
    symbol: SymbolOption = None,
    status: Annotated[
        str | None,
        typer.Option(help="received, processing, processed or error.", show_default=False),
    ] = None,
    ping: Annotated[bool, typer.Option("--ping", help="Also those that only carry a bar.")] = False,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """Show the alerts that came, and what became of them, newest first."""
    from guardian_cli import rows
    from guardian_cli.options import choose
    from guardian_cli.output import console, print_json, shown, table, trace_text
    from guardian_cli.place import find_place
    from guardian_core.domain.alerts import WebhookStatus

    wanted_status = None if status is None else choose(WebhookStatus, status, "--status").value
    wanted = rows.Filter(account, symbol, wanted_status, limit)
    found = wait_for(find_place(home).read(lambda tx: rows.webhooks(tx, wanted, pings=ping)))
    if as_json:
        print_json(found)
        return
    view = table(
        *("AT", "ACTION", "ACCOUNT", "SYMBOL", "SL", "TP", "STATUS", "TRACE", "MESSAGE"),
        right=("SL", "TP"),
        wrap=("MESSAGE",),
    )
    for line in found:
        what = (line.received_at, line.action, line.account, line.symbol)
        levels = (line.stop_loss, line.take_profit)
        cells = (*what, *levels, line.status, trace_text(line.trace_id), line.message)
        view.add_row(*map(shown, cells))
    console().print(view if found else "no alert came yet")


def trace(
    trace_id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="A trace id, six or more digits of it, or a webhook's id."
        ),
    ],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell the whole story of an alert, with the time between its steps."""
    from guardian_cli.output import console, print_json
    from guardian_cli.place import find_place
    from guardian_cli.trace import find_trace, read_story

    place = find_place(home)
    story = wait_for(place.read(lambda tx: read_story(tx, find_trace(tx, trace_id))))
    if as_json:
        print_json(story)
        return
    console().print(_story_view(story))


async def _watch(place: "Place", wanted: "Filter", closed: int) -> None:
    """Until Ctrl-C. The first look must succeed; a later one that fails is told, and repeated."""
    import asyncio

    from rich.live import Live

    from guardian_cli.output import console
    from guardian_cli.status import read_status
    from guardian_core.domain.errors import GuardianError

    found = await read_status(place, wanted, closed=closed)
    with Live(_status_view(found), console=console(), auto_refresh=False) as live:
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            try:
                found = await read_status(place, wanted, closed=closed)
            except GuardianError as error:
                found = replace(found, notes=(str(error),))
            live.update(_status_view(found), refresh=True)


_COVERAGE_STYLES = {
    "Protected": "green",
    "Flat": "dim",
    "Partial": "bold yellow",
    "Naked": "bold red",
    "Unguarded": "bold yellow",
    "Unknown": "yellow",
}


def _status_view(found: "Status") -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    from guardian_cli.output import clock_text

    parts: list[RenderableType] = []
    if found.positions:
        parts.append(_positions_view(found.positions))
    else:
        parts.append(Text("no position is open"))
    if found.closed:
        parts += [Text("\nclosed", style="bold"), _positions_view(found.closed, closed=True)]
    parts += [Text(note, style="yellow") for note in found.notes]
    parts.append(Text(f"{clock_text(found.at)} UTC", style="dim"))
    return Group(*parts)


def _positions_view(lines: "tuple[PositionLine, ...]", *, closed: bool = False) -> "RenderableType":
    from rich.text import Text

    from guardian_cli.output import duration_text, shown, table, trace_text

    view = table(
        *("ACCOUNT", "SYMBOL", "SIDE", "QTY", "ENTRY", "SL", "TP", "COVERAGE"),
        *("REPAIRS", "AGE", "PNL", "TRACE", "REASON"),
        right=("QTY", "ENTRY", "SL", "TP", "REPAIRS", "AGE", "PNL"),
        wrap=("REASON",),
    )
    for line in lines:
        numbers = (line.quantity, line.entry_price, line.stop_loss)
        watched = " Watched" if line.take_profit_watched else ""
        pnl = line.realized_pnl if closed else line.unrealized_pnl
        view.add_row(
            *map(shown, (line.account, line.symbol, line.side, *numbers)),
            shown(line.take_profit) + watched,
            Text(line.coverage, style=_COVERAGE_STYLES.get(line.coverage, "")),
            shown(line.repairs),
            duration_text(line.age_seconds),
            shown(pnl),
            trace_text(line.trace_id),
            shown(line.reason),
        )
    return view


def _story_view(story: "Story") -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    from guardian_cli.output import clock_text, shown, table

    head = [f"trace    {story.trace_id}"]
    if story.alert is not None:
        alert = story.alert
        named = (alert.action, alert.symbol, alert.account)
        what = " ".join(shown(part) for part in named if part)
        head += [
            f"alert    {what}, {clock_text(alert.received_at)} UTC",
            f"outcome  {alert.status}" + (f": {shown(alert.message)}" if alert.message else ""),
            f"body     {shown(story.raw_payload)}",
        ]
    view = table("TIME", "AFTER", "WHO", "POINT", "WHAT", right=("AFTER",), wrap=("WHAT",))
    for step in story.steps:
        after = "" if step.after_seconds is None else f"+{step.after_seconds:.3f} s"
        time = step.at.strftime("%H:%M:%S.%f")[:-3]
        view.add_row(time, after, step.component, step.point, shown(step.text))
    foot = f"{len(story.steps)} steps in {story.total_seconds:.3f} s"
    return Group(Text("\n".join(head) + "\n"), view, Text(foot, style="dim"))


def _print_notes(notes: "tuple[str, ...]") -> None:
    import sys

    for note in notes:
        sys.stderr.write(f"guardian: {note}\n")
