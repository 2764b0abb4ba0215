"""`guardian explain`: the exact orders an alert would cause. Nothing is sent, nothing written."""

from typing import TYPE_CHECKING, Annotated

import typer

from guardian_cli.options import HomeOption, JsonOption, wait_for

if TYPE_CHECKING:
    from guardian_cli.explanation import Explanation
    from guardian_cli.rehearsal import Sent


def register(app: typer.Typer) -> None:
    app.command()(explain)


def explain(
    alert: Annotated[
        str,
        typer.Argument(metavar="JSON", help="The alert; @FILE reads a file, - reads stdin."),
    ],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the exact orders an alert would cause now; nothing is sent, nothing written."""
    from loguru import logger

    from guardian_cli.explanation import explain_alert
    from guardian_cli.output import console, print_json
    from guardian_cli.place import find_place
    from guardian_cli.send import read_raw

    logger.remove()  # what the engine logs meanwhile did not happen
    found = wait_for(explain_alert(find_place(home), read_raw(alert).encode()))
    if as_json:
        print_json(found)
        return
    for one in found:
        console().print(_text(one))


def _text(found: "Explanation") -> str:
    from guardian_cli.output import shown

    at = "" if found.price is None else f" at {shown(found.price)}"
    lines = [f"{found.action} {found.symbol} on {found.account}{at}"]
    lines += [f"  {number}. {_order(sent)}" for number, sent in enumerate(found.orders, start=1)]
    if not found.orders:
        lines.append("  no order")
    return "\n".join([*lines, f"  {found.status}: {shown(found.message)}", "  (nothing was sent)"])


def _order(sent: "Sent") -> str:
    from guardian_cli.output import shown

    if sent.operation == "cancel":
        what = f"{sent.role or 'order'} {sent.order_id}"
        level = "" if sent.level is None else f" at {shown(sent.level)}"
        return f"cancel {what}{level} ({sent.reason})"
    at = "at market" if sent.level is None else f"at {shown(sent.level)}"
    only = ", reduce-only" if sent.reduce_only else ""
    verb = f"amend {sent.order_id} to" if sent.operation == "amend" else "create"
    return f"{verb} {sent.role}: {sent.side} {shown(sent.quantity)} {at}{only}"
