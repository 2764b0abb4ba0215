"""`guardian paper`: be the market, the hand on the exchange's page, and the exchange's bad day."""

from typing import TYPE_CHECKING, Annotated

import typer

from guardian_cli.options import HomeOption, JsonOption, choose, wait_for

if TYPE_CHECKING:
    from guardian_cli.place import Place
    from guardian_core.protocol import PaperCommand, PaperReport

paper = typer.Typer(
    help="Move the paper venue's market, act by hand on it, make it fail.", no_args_is_help=True
)

PaperAccountOption = Annotated[
    str | None,
    typer.Option(
        "--account",
        "-a",
        metavar="NAME",
        help="The paper account; needed where there are several.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    app.add_typer(paper, name="paper")


@paper.command()
def price(
    symbol: Annotated[str, typer.Argument(help="Such as BTCUSDT.")],
    price: Annotated[str, typer.Argument(metavar="P", help="The new last price.")],
    account: PaperAccountOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set a symbol's price: what it reaches triggers and fills."""
    from guardian_core.domain.errors import CallerError
    from guardian_core.domain.money import parse_decimal
    from guardian_core.protocol import SetPrice
    from guardian_core.storage.lanes import normalise_symbol

    value = parse_decimal(price, "P")
    if value <= 0:
        raise CallerError("P", f"{price} is not above 0", "give a price")
    _command(home, account, SetPrice(symbol=normalise_symbol(symbol, {}), price=value), as_json)


@paper.command()
def cancel(
    order: Annotated[
        str, typer.Argument(help="The venue's id of the order; see `guardian orders`.")
    ],
    account: PaperAccountOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel an order as if by hand on the exchange: nobody here is told."""
    from guardian_core.protocol import CancelByHand

    _command(home, account, CancelByHand(order_id=order), as_json)


@paper.command()
def fault(
    kind: Annotated[
        str,
        typer.Argument(metavar="KIND", help="refuse-create, lose-answer, forget-stop or down."),
    ],
    count: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="For so many calls (default 1).", show_default=False),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="For so long instead, at most 3600.", show_default=False)
    ] = None,
    role: Annotated[
        str | None,
        typer.Option(
            help="Only for entry, exit, stop_loss or take_profit orders.", show_default=False
        ),
    ] = None,
    account: PaperAccountOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the paper venue fail as real ones do."""
    from guardian_core.domain.errors import CallerError
    from guardian_core.domain.orders import Role
    from guardian_core.protocol import FaultKind, InjectFault

    if count is not None and seconds is not None:
        raise CallerError("--seconds", "a fault has a count or seconds", "leave one of them out")
    if seconds is not None and not 0 < seconds <= 3600:
        raise CallerError("--seconds", f"{seconds} is out of range", "above 0, at most 3600")
    command = InjectFault(
        fault=choose(FaultKind, kind, "KIND"),
        role=None if role is None else choose(Role, role, "--role"),
        count=count,
        seconds=seconds,
    )
    _command(home, account, command, as_json)


def _command(home: object, account: str | None, command: "PaperCommand", as_json: bool) -> None:
    from pathlib import Path

    from guardian_cli.output import print_json
    from guardian_cli.place import find_place

    place = find_place(home if isinstance(home, Path) else None)
    report = wait_for(_send(place, account, command))
    if as_json:
        print_json({"changed": report.changed, "message": report.message})
        return
    typer.echo(report.message)


async def _send(place: "Place", account: str | None, command: "PaperCommand") -> "PaperReport":
    name = account or await _only_paper_account(place)
    async with place.gateway() as gateway:
        return await gateway.paper(name, command)


async def _only_paper_account(place: "Place") -> str:
    from guardian_core.domain.errors import CallerError
    from guardian_core.storage.accounts_store import list_accounts

    names = [row.name for row in await place.read(list_accounts) if row.spec.venue == "paper"]
    if len(names) != 1:
        there = f"there are {len(names)} paper accounts: {', '.join(names)}" if names else "none"
        raise CallerError("--account", there, "name one; see `guardian accounts list`")
    return names[0]
