"""`guardian token`: webhook secrets, shown once and stored as hashes; and the cli's own one."""

from typing import TYPE_CHECKING, Annotated

import typer

from guardian_cli.options import HomeOption, JsonOption, wait_for

if TYPE_CHECKING:
    from guardian_cli.place import Place
    from guardian_core.ports import Ids, Tx

CLI_TOKEN_NAME = "cli"

token = typer.Typer(help="Make, list and revoke webhook tokens.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(token, name="token")


@token.command()
def create(
    name: Annotated[str, typer.Argument(help="What the token is for.")],
    account: Annotated[
        list[str] | None,
        typer.Option(
            "--account",
            "-a",
            metavar="NAME",
            help="An account it may command; again for more. Without: all.",
            show_default=False,
        ),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token and print it: it cannot be shown again."""
    from guardian_cli.output import print_json
    from guardian_cli.place import find_place
    from guardian_core.storage.tokens import create_token

    place = find_place(home)
    secret, row = wait_for(place.write(lambda tx: create_token(tx, place.ids, name, account or ())))
    if as_json:
        print_json({"name": row.name, "token": secret, "accounts": row.accounts})
        return
    typer.echo(secret)


@token.command("import")
def import_(
    variable: Annotated[
        str,
        typer.Option(
            "--from-env", metavar="VARIABLE", help="The environment variable that holds the secret."
        ),
    ],
    prefix: Annotated[
        str, typer.Option(help="First part of its name; the rest tells secrets apart.")
    ] = "imported",
    home: HomeOption = None,
) -> None:
    """Make a token of a secret that is kept elsewhere. Again with the same one changes nothing."""
    import os

    from guardian_cli.place import find_place
    from guardian_core.domain.errors import ConfigurationError
    from guardian_core.storage.tokens import import_token

    place = find_place(home)
    secret = os.environ.get(variable, "").strip()
    if not secret:
        raise ConfigurationError(f"{variable} is not set: it must hold the secret")
    row, is_new = wait_for(place.write(lambda tx: import_token(tx, place.ids, secret, prefix)))
    state = "is revoked, and stays so" if not row.is_live else "is new" if is_new else "is known"
    typer.echo(f"{row.name} {state}")


@token.command("list")
def list_(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show the tokens, revoked ones too; never their secrets."""
    from guardian_cli.output import console, print_json, shown, table
    from guardian_cli.place import find_place
    from guardian_core.storage.tokens import list_tokens

    rows = wait_for(find_place(home).read(list_tokens))
    if as_json:
        names = ("id", "name", "accounts", "created_at", "revoked_at")
        print_json([{name: getattr(row, name) for name in names} for row in rows])
        return
    view = table("NAME", "ACCOUNTS", "CREATED", "REVOKED")
    for row in rows:
        accounts = ", ".join(row.accounts) or "all"
        view.add_row(*map(shown, (row.name, accounts, row.created_at, row.revoked_at)))
    console().print(view if rows else "no token yet: guardian token create NAME")


@token.command()
def revoke(
    name: Annotated[str, typer.Argument(help="The name of a live token.")],
    home: HomeOption = None,
) -> None:
    """End a token: alerts with it are refused within a second or two."""
    from guardian_cli.place import find_place
    from guardian_core.storage.tokens import revoke_token

    row = wait_for(find_place(home).write(lambda tx: revoke_token(tx, name)))
    typer.echo(f"{row.name} is revoked")


async def cli_token(place: "Place") -> str:
    """The token that this machine's own commands send with, made at its first use.

    The file and the row belong together: where one of them is missing, both are made anew.
    """
    from guardian_core.storage.tokens import list_tokens, token_sha256

    kept = place.home.read_cli_token()
    if kept is not None:
        rows = await place.read(list_tokens)
        if any(row.is_live and row.sha256 == token_sha256(kept) for row in rows):
            return kept
    secret = await place.write(lambda tx: _renew_cli_token(tx, place.ids))
    place.home.keep_cli_token(secret)
    return secret


def _renew_cli_token(tx: "Tx", ids: "Ids") -> str:
    from guardian_core.storage.tokens import create_token, list_tokens, revoke_token

    if any(row.is_live and row.name == CLI_TOKEN_NAME for row in list_tokens(tx)):
        revoke_token(tx, CLI_TOKEN_NAME)
    secret, _ = create_token(tx, ids, CLI_TOKEN_NAME)
    return secret
