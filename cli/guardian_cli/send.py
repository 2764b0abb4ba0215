"""`guardian webhook send`: posts an alert of TradingView's form to the running receiver."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from guardian_cli.options import HomeOption, JsonOption, optional_decimal, wait_for

if TYPE_CHECKING:
    from guardian_cli.place import Place
    from guardian_cli.rows import WebhookLine

ANSWER_WITHIN_S = 10.0
FINISHED_WITHIN_S = 30.0
POLL_S = 0.1

webhook = typer.Typer(help="Send alerts.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(webhook, name="webhook")


@webhook.command()
def send(  # noqa: PLR0913 - an alert has many fields
    raw: Annotated[
        str | None,
        typer.Argument(
            metavar="[JSON]",
            help="The alert as it is; @FILE reads a file, - reads stdin. Without: the options.",
            show_default=False,
        ),
    ] = None,
    *,
    action: Annotated[
        str | None,
        typer.Option(
            help="PING, BuyMarket, SellMarket, BuyLimit, SellLimit, MAJ or Close.",
            show_default=False,
        ),
    ] = None,
    symbol: Annotated[
        str | None, typer.Option("--symbol", "-s", help="Such as BTCUSDT.", show_default=False)
    ] = None,
    sl: Annotated[
        str | None, typer.Option(help="Stop-loss price, or REMOVE.", show_default=False)
    ] = None,
    tp: Annotated[
        str | None, typer.Option(help="Take-profit price, or REMOVE.", show_default=False)
    ] = None,
    price: Annotated[
        str | None, typer.Option(help="Limit price (Prix).", show_default=False)
    ] = None,
    close: Annotated[
        str | None,
        typer.Option(help="The bar's close: the paper venue's price.", show_default=False),
    ] = None,
    percent: Annotated[
        str | None, typer.Option(help="Of an entry or exit (PourCent).", show_default=False)
    ] = None,
    account: Annotated[
        str | None,
        typer.Option("--account", "-a", metavar="ID", help="UserExchangeID.", show_default=False),
    ] = None,
    indicator: Annotated[str, typer.Option(help="IndicateurName.")] = "guardian webhook send",
    bar_time: Annotated[
        str | None, typer.Option(help="BarTime, ISO 8601; default now.", show_default=False)
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            help="Webhook token. [GUARDIAN_WEBHOOK_TOKEN, else this machine's own]",
            show_default=False,
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            help="Another receiver, such as https://alerts.example.com.", show_default=False
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Until the engine is done with it; say what came of it.")
    ] = False,
    only_print: Annotated[
        bool, typer.Option("--print", help="Print the alert, without a token; send nothing.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Post an alert to the receiver."""
    from guardian_cli.place import find_place
    from guardian_core.domain.errors import CallerError

    fields = {
        "Action": action,
        "Symbol": symbol,
        "Close": _number(close, "--close"),
        "Prix": _number(price, "--price"),
        "PrixSL": sl,
        "PrixTP": tp,
        "PourCent": _number(percent, "--percent"),
        "UserExchangeID": account,
    }
    place = find_place(home)
    if raw is not None:
        if any(value is not None for value in fields.values()):
            raise CallerError("JSON", "goes without options for its fields", "give one or other")
        body = read_raw(raw)
    else:
        body = _compose(place, fields, indicator, bar_time)
    if only_print:
        typer.echo(body)
        return
    wait_for(_post(place, body, token, url, wait=wait, as_json=as_json))


def _number(text: str | None, option: str) -> str | None:
    from guardian_core.domain.money import plain

    number = optional_decimal(text, option)
    return None if number is None else plain(number)


def read_raw(raw: str) -> str:
    import sys
    from pathlib import Path

    from guardian_core.domain.errors import CallerError

    if raw == "-":
        return sys.stdin.read()
    if not raw.startswith("@"):
        return raw
    try:
        return Path(raw[1:]).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CallerError(
            "JSON", f"{raw[1:]} cannot be read: {error}", "name a text file"
        ) from None


def _compose(
    place: "Place", fields: dict[str, str | None], indicator: str, bar_time: str | None
) -> str:
    import json

    from guardian_cli.output import iso
    from guardian_core.domain.errors import CallerError

    for name in ("Action", "Symbol"):
        if fields[name] is None:
            raise CallerError(f"--{name.lower()}", "is missing", "give it, or the JSON itself")
    now = iso(place.clock.now())
    told: dict[str, str] = {name: value for name, value in fields.items() if value is not None}
    told |= {"BarTime": bar_time or now, "TimeNow": now, "IndicateurName": indicator}
    return json.dumps(told)


async def _post(
    place: "Place", body: str, token: str | None, url: str | None, *, wait: bool, as_json: bool
) -> None:
    import httpx

    from guardian_cli.output import print_json
    from guardian_core.domain.errors import Unavailable

    address = (url or place.receiver_url()).rstrip("/") + "/webhook"
    secret = token or await _own_token(place, url)
    headers = {"X-Webhook-Token": secret, "Content-Type": "application/json"}
    started_s = place.clock.monotonic()
    try:
        async with httpx.AsyncClient(timeout=ANSWER_WITHIN_S) as client:
            answer = await client.post(address, content=body.encode(), headers=headers)
    except httpx.HTTPError as error:
        why = str(error) or type(error).__name__
        raise Unavailable(f"the receiver at {address} did not answer: {why}") from error
    answered_ms = (place.clock.monotonic() - started_s) * 1000
    told = _read_answer(answer.status_code, answer.content)
    trace_id = told.get("trace_id")
    line = None
    if wait and answer.status_code == 200 and isinstance(trace_id, str):
        line = await _finished(place, trace_id)
    if as_json:
        print_json({"http_status": answer.status_code, "answer": told, "webhook": line})
    elif answer.status_code == 200:
        typer.echo(f"{told.get('status')} in {answered_ms:.0f} ms, trace {trace_id}")
        if line is not None:
            typer.echo(f"{line.status}: {line.message}" if line.message else line.status)
    if answer.status_code != 200:
        _refused(answer.status_code, told)
    if line is not None and line.status == "error":
        raise typer.Exit(1)


async def _own_token(place: "Place", url: str | None) -> str:
    from guardian_cli.tokens import cli_token
    from guardian_core.domain.errors import CallerError

    setting = place.settings.webhook_token
    if setting is not None:
        return setting.get_secret_value()
    if url is not None:
        raise CallerError("--token", "is missing", "another receiver needs a token of its own")
    return await cli_token(place)


def _read_answer(status: int, content: bytes) -> dict[str, Any]:
    import json

    from guardian_core.domain.errors import Unavailable

    try:
        told = json.loads(content)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise Unavailable(f"that is not a receiver of ours: it answered {status}, not in JSON")
    return told


def _refused(status: int, told: dict[str, Any]) -> None:
    """Raises what the receiver's answer means to whoever sent the alert."""
    from guardian_core.domain.errors import CallerError, Unavailable

    error = told.get("error")
    parts = error if isinstance(error, dict) else {}
    field, problem, fix = (str(parts.get(name, "")) for name in ("field", "problem", "fix"))
    if status >= 500:
        raise Unavailable(f"the receiver answered {status}: {problem or told}; {fix}".rstrip("; "))
    raise CallerError(field or "alert", problem or f"was answered {status}", fix)


async def _finished(place: "Place", trace_id: str) -> "WebhookLine":
    """The alert's row once the engine is done with it."""
    import asyncio

    from sqlalchemy import select

    from guardian_cli.rows import webhook_line
    from guardian_core.domain.alerts import WebhookStatus
    from guardian_core.domain.errors import Unavailable
    from guardian_core.ports import Tx
    from guardian_core.storage.schema import Webhook

    over = [WebhookStatus.PROCESSED.value, WebhookStatus.ERROR.value]

    def read(tx: Tx) -> "WebhookLine | None":
        wanted = select(Webhook).where(Webhook.trace_id == trace_id, Webhook.status.in_(over))
        row = tx.scalars(wanted).first()
        return None if row is None else webhook_line(row)

    async with place.reading() as database:
        try:
            async with asyncio.timeout(FINISHED_WITHIN_S):
                while True:
                    line = await database.run(read)
                    if line is not None:
                        return line
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise Unavailable(
                f"stored, but not finished within {FINISHED_WITHIN_S:.0f} s:"
                f" see `guardian trace {trace_id[:12]}`"
            ) from None
