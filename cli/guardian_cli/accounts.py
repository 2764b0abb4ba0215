"""`guardian accounts`: which sets of exchange keys are traded, and how."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from guardian_cli.options import HomeOption, JsonOption, wait_for

if TYPE_CHECKING:
    from guardian_cli.account_check import AccountCheck
    from guardian_cli.place import Place
    from guardian_core.accounts import AccountSpec
    from guardian_core.storage.accounts_store import AccountRow

accounts = typer.Typer(help="Add, list and check accounts.", no_args_is_help=True)

OPTIONS = {
    "--venue": "venue",
    "--environment": "environment",
    "--user-id": "userId",
    "--user-exchange-id": "accountId",
    "--leverage": "leverage",
    "--margin-mode": "marginMode",
    "--guard-interval": "guardIntervalSeconds",
    "--symbol-map": "symbolMap",
    "--paused": "paused",
    "--direction": "policy.direction",
    "--on-crossed-stop": "policy.onCrossedStop",
    "--repeat-entry": "policy.repeatEntry",
    "--max-entry-age": "policy.maxEntryAgeSeconds",
    "--max-unprotected": "policy.maxUnprotectedSeconds",
    "--max-crossed-percent": "policy.maxCrossedPercent",
    "--allow-remove": "policy.allowRemove",
    "--trigger-basis": "policy.triggerBasis",
    "--market": "paper.market",
    "--balance": "paper.balance",
    "--quote": "paper.quote",
    "--taker-fee-percent": "paper.takerFeePercent",
    "--maker-fee-percent": "paper.makerFeePercent",
    "--amend": "paper.amend",
}
"""Each option's place in the account's spec."""


def register(app: typer.Typer) -> None:
    from guardian_cli.account_limits import arm, disarm

    accounts.command()(arm)
    accounts.command()(disarm)
    app.add_typer(accounts, name="accounts")


def _option(help_text: str) -> Any:
    return typer.Option(help=help_text, show_default=False)


@accounts.command()
def add(  # noqa: PLR0913 - one option for each field of an account
    name: Annotated[str, typer.Argument(help="Its word everywhere inside: a-z, 0-9 and -.")],
    *,
    venue: Annotated[
        str | None, _option("Default paper; an exchange's API key and secret are asked for.")
    ] = None,
    environment: Annotated[str | None, _option("Paper, Demo, Testnet or Live.")] = None,
    user_id: Annotated[str | None, _option("The alert's UserID.")] = None,
    user_exchange_id: Annotated[
        str | None, _option("The alert's UserExchangeID; default the name.")
    ] = None,
    market: Annotated[str | None, _option("Paper: linear (default) or spot.")] = None,
    balance: Annotated[str | None, _option("Paper: what it starts with, default 10000.")] = None,
    quote: Annotated[str | None, _option("Paper: the balance's currency, default USDT.")] = None,
    taker_fee_percent: Annotated[str | None, _option("Paper: default 0.05.")] = None,
    maker_fee_percent: Annotated[str | None, _option("Paper: default 0.02.")] = None,
    amend: Annotated[
        bool | None,
        typer.Option("--amend", help="Paper: amends triggers in place.", show_default=False),
    ] = None,
    leverage: Annotated[str | None, _option("1 to 125; default 1.")] = None,
    margin_mode: Annotated[
        str | None, _option("Cross (default) or Isolated, where there is leverage.")
    ] = None,
    direction: Annotated[
        str | None, _option("LongOnly or Both; default what the market allows.")
    ] = None,
    on_crossed_stop: Annotated[
        str | None, _option("Close (default) or Alert, when the price has passed a stop.")
    ] = None,
    repeat_entry: Annotated[str | None, _option("Ignore (default) or Add.")] = None,
    max_entry_age: Annotated[
        str | None, _option("Seconds; an older entry is not sent. Default 60.")
    ] = None,
    max_unprotected: Annotated[
        str | None, _option("Seconds; a position naked for longer is closed. Default never.")
    ] = None,
    max_crossed_percent: Annotated[
        str | None, _option("A level further beyond the price is a mistake. Default 2.")
    ] = None,
    allow_remove: Annotated[
        bool | None,
        typer.Option("--allow-remove", help="Alerts may take a leg away.", show_default=False),
    ] = None,
    trigger_basis: Annotated[str | None, _option("last (default) or mark.")] = None,
    guard_interval: Annotated[
        str | None, _option("Seconds between two looks, at most 4. Default 3.")
    ] = None,
    symbol_map: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FROM=TO",
            help="Another word for a symbol; again for more.",
            show_default=False,
        ),
    ] = None,
    paused: Annotated[
        bool | None,
        typer.Option("--paused", help="No new entries; guarding goes on.", show_default=False),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Change the account of this name.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add an account; alerts with its UserExchangeID command it."""
    from guardian_cli.account_keys import keys_to_store, store_keys
    from guardian_cli.output import print_json
    from guardian_cli.place import find_place

    given: dict[str, Any] = dict(locals())
    values = {option: given[option[2:].replace("-", "_")] for option in OPTIONS}
    values["--user-exchange-id"] = values["--user-exchange-id"] or name
    values["--symbol-map"] = _symbol_map(symbol_map or [])
    spec = make_spec(values)
    place = find_place(home)
    wait_for(_check_new(place, name, spec, replace=replace))
    keys = keys_to_store(place, name, spec)
    row = wait_for(_put(place, name, spec, replace=replace))
    if keys is not None:
        store_keys(place, row.name, keys)
    if as_json:
        print_json(_as_json(row))
        return
    typer.echo(f"{row.name}: alerts with UserExchangeID {row.spec.account_id!r} command it now")


@accounts.command("list")
def list_(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show the accounts."""
    from guardian_cli.output import console, print_json, shown, table
    from guardian_cli.place import find_place
    from guardian_core.storage.accounts_store import list_accounts

    rows = wait_for(find_place(home).read(list_accounts))
    if as_json:
        print_json([_as_json(row) for row in rows])
        return
    view = table(
        *("NAME", "VENUE", "ENVIRONMENT", "MARKET", "USER", "USEREXCHANGEID", "DIRECTION"),
        *("LEVERAGE", "ON CROSSED STOP", "PAUSED"),
    )
    for row in rows:
        spec, policy = row.spec, row.spec.domain_policy()
        where = (row.name, spec.venue, spec.environment, spec.market(), spec.user_id)
        how = (policy.direction, spec.leverage, policy.on_crossed_stop)
        view.add_row(*map(shown, (*where, spec.account_id, *how)), "yes" if spec.paused else "no")
    console().print(view if rows else "no account yet: guardian accounts add NAME")


@accounts.command()
def keys(
    name: Annotated[str, typer.Argument(help="The account.")],
    home: HomeOption = None,
) -> None:
    """Ask for an account's exchange keys and store them; a running guardian takes them up."""
    from guardian_cli.account_keys import ask_for_keys, store_keys
    from guardian_cli.place import find_place
    from guardian_core.domain.errors import CallerError
    from guardian_core.storage.accounts_store import get_account

    place = find_place(home)
    row = wait_for(place.read(lambda tx: get_account(tx, name)))
    if row is None:
        raise CallerError("NAME", f"{name!r} is no account", "see `guardian accounts list`")
    if row.spec.venue == "paper":
        raise CallerError("NAME", f"{name} trades on paper", "there are no keys to store")
    store_keys(place, row.name, ask_for_keys(row.spec))
    typer.echo(f"{row.name}: keys stored; `guardian accounts check {row.name}` tries them")


@accounts.command()
def check(
    name: Annotated[
        str | None, typer.Argument(help="Only this account.", show_default=False)
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask each account's venue what works; status 1 when something does not."""
    from guardian_cli.account_check import check_accounts
    from guardian_cli.output import console, print_json
    from guardian_cli.place import find_place

    found = wait_for(check_accounts(find_place(home), name))
    if as_json:
        print_json(found)
    else:
        for one in found:
            console().print(_check_text(one))
    if not all(one.ok for one in found):
        raise typer.Exit(1)


def make_spec(values: dict[str, Any]) -> "AccountSpec":
    """The spec that the options' values make; None leaves a field at its default.

    Raises CallerError that names each wrong option.
    """
    from pydantic import ValidationError

    from guardian_core.accounts import AccountSpec
    from guardian_core.domain.errors import CallerError

    wanted: dict[str, Any] = {}
    for option, path in OPTIONS.items():
        value = values.get(option)
        if value is None:
            continue
        *groups, last = path.split(".")
        inner = wanted
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[last] = value
    try:
        return AccountSpec.model_validate(wanted)
    except ValidationError as error:
        by_path = {path: option for option, path in OPTIONS.items()}
        problems = [
            (by_path.get(_path(details["loc"]), _path(details["loc"])), details["msg"])
            for details in error.errors()
        ]
        field, problem = problems[0]
        more = "; ".join(f"{other}: {text}" for other, text in problems[1:])
        raise CallerError(field, problem, more) from None


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)


def _symbol_map(pairs: list[str]) -> dict[str, str] | None:
    from guardian_core.domain.errors import CallerError

    mapping: dict[str, str] = {}
    for pair in pairs:
        source, equals, target = pair.partition("=")
        if not (source and equals and target):
            raise CallerError("--symbol-map", f"{pair!r} is no mapping", "write FROM=TO")
        mapping[source] = target
    return mapping or None


async def _check_new(place: "Place", name: str, spec: "AccountSpec", *, replace: bool) -> None:
    """Before anybody is asked for keys. Raises CallerError or ConfigurationError."""
    from guardian_core.domain.errors import CallerError
    from guardian_core.storage.accounts_store import get_account
    from guardian_gateway.venues.factory import check_spec

    check_spec(name, spec)
    if not replace and await place.read(lambda tx: get_account(tx, name)) is not None:
        raise CallerError("NAME", f"{name!r} is an account already", "--replace changes it")


async def _put(place: "Place", name: str, spec: "AccountSpec", *, replace: bool) -> "AccountRow":
    from guardian_core.domain.errors import CallerError
    from guardian_core.ports import Tx
    from guardian_core.storage.accounts_store import get_account, put_account

    def write(tx: Tx) -> "AccountRow":
        before = get_account(tx, name)
        if before is None:
            return put_account(tx, name, spec)
        if not replace:
            raise CallerError("NAME", f"{name!r} is an account already", "--replace changes it")
        # Set by `arm` alone: what was armed for one world is not so for another.
        same = (before.spec.venue, before.spec.environment) == (spec.venue, spec.environment)
        limits = before.spec.limits if same else None
        return put_account(tx, name, spec.model_copy(update={"limits": limits}))

    return await place.write(write)


def _as_json(row: "AccountRow") -> dict[str, Any]:
    return {
        "name": row.name,
        "namespace": row.namespace,
        "generation": row.generation,
        "created_at": row.created_at,
        "spec": row.spec.model_dump(mode="json", by_alias=True),
    }


def _check_text(found: "AccountCheck") -> str:
    from guardian_core.domain.money import plain

    lines = [f"{found.account} ({found.venue})"]
    for line in found.lines:
        lines.append(f"  {'ok  ' if line.ok else 'FAIL'}  {line.what}: {line.found}")
    lines += [
        f"        {balance.currency}: {plain(balance.free)} free of {plain(balance.total)}"
        for balance in found.balances
    ]
    return "\n".join(lines)
