"""`guardian accounts arm` and `disarm`: the limits of an account's entries."""

from typing import TYPE_CHECKING, Annotated

import typer

from guardian_cli.options import HomeOption, wait_for

if TYPE_CHECKING:
    from guardian_cli.place import Place
    from guardian_core.storage.accounts_store import AccountRow


def arm(
    name: Annotated[str, typer.Argument(help="The account.")],
    *,
    max_order: Annotated[
        str,
        typer.Option(
            help="Largest value of one entry order, in quote currency.", show_default=False
        ),
    ],
    max_daily_loss: Annotated[
        str,
        typer.Option(
            help="No entry once so much was lost since midnight UTC, in quote currency.",
            show_default=False,
        ),
    ],
    home: HomeOption = None,
) -> None:
    """Set the limits of an account's entries: without them no entry trades real money."""
    from guardian_cli.place import find_place

    limits = {"maxOrder": max_order, "maxDailyLoss": max_daily_loss}
    row = wait_for(_limit(find_place(home), name, limits))
    money = "real money" if row.spec.environment == "Live" else row.spec.environment.value
    typer.echo(
        f"{row.name} ({row.spec.venue}, {money}): one entry is worth at most {max_order}, and"
        f" none is sent after a loss of {max_daily_loss} in a day"
    )


def disarm(
    name: Annotated[str, typer.Argument(help="The account.")],
    home: HomeOption = None,
) -> None:
    """Take an account's limits away: with real money, no more entries; guarding goes on."""
    from guardian_cli.place import find_place

    row = wait_for(_limit(find_place(home), name, None))
    real = row.spec.environment == "Live"
    typer.echo(f"{row.name}: " + ("sends no entries now" if real else "has no limits now"))


async def _limit(place: "Place", name: str, limits: dict[str, str] | None) -> "AccountRow":
    """The account under other limits. Raises CallerError."""
    from pydantic import ValidationError

    from guardian_core.accounts import LimitsSpec
    from guardian_core.domain.errors import CallerError
    from guardian_core.ports import Tx
    from guardian_core.storage.accounts_store import get_account, put_account

    options = {"maxOrder": "--max-order", "maxDailyLoss": "--max-daily-loss"}
    try:
        wanted = LimitsSpec.model_validate(limits) if limits is not None else None
    except ValidationError as error:
        first = error.errors()[0]
        raise CallerError(options.get(str(first["loc"][0]), "limits"), first["msg"]) from None

    def write(tx: Tx) -> "AccountRow":
        row = get_account(tx, name)
        if row is None:
            raise CallerError("NAME", f"{name!r} is no account", "see `guardian accounts list`")
        if row.uid is not None:
            raise CallerError("NAME", f"{name} is an ExchangeAccount", "set its spec.limits")
        return put_account(tx, name, row.spec.model_copy(update={"limits": wanted}))

    return await place.write(write)
