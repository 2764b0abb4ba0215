"""What a home needs before it can be used, and what its owner is told when it is."""

from collections.abc import Sequence
from dataclasses import dataclass

from guardian_core.accounts import AccountSpec, Environment
from guardian_core.ports import Ids, Tx
from guardian_core.storage import claims
from guardian_core.storage.accounts_store import AccountRow, list_accounts, put_account
from guardian_core.storage.tokens import create_token, list_tokens

DEFAULT_ACCOUNT = "paper"
FIRST_TOKEN = "tradingview"


@dataclass(frozen=True, slots=True)
class Prepared:
    """`secret`: of the token that was just made, and cannot be had again."""

    accounts: tuple[AccountRow, ...]
    secret: str | None


def prepare(tx: Tx, ids: Ids, *, alone: bool) -> Prepared:
    """Makes a paper account and a token where there never was one.

    `alone`: no other process can be at work on this database, so that no claim is alive.
    """
    if alone:
        claims.forget_claims(tx)
    if not list_accounts(tx):
        put_account(tx, DEFAULT_ACCOUNT, AccountSpec(account_id=DEFAULT_ACCOUNT))
    secret = None
    if not list_tokens(tx):
        secret, _ = create_token(tx, ids, FIRST_TOKEN)
    return Prepared(tuple(list_accounts(tx)), secret)


def greeting(
    home: str, receiver_url: str, prepared: Prepared, ready_s: float, command: str = "guardian"
) -> str:
    """Printed once `guardian up` serves. `command`: how its reader can call it."""
    real = [row for row in prepared.accounts if row.spec.environment is not Environment.PAPER]
    lines = [
        "",
        f"Position Guardian is up ({ready_s:.1f} s). {_money(real)}",
        "",
        f"  data folder  {home}",
        f"  webhook      {receiver_url}/webhook",
        f"  accounts     {', '.join(row.name for row in prepared.accounts)}",
        "",
    ]
    if prepared.secret is not None:
        lines += [
            "Paste this as the message of a TradingView alert. The token in it is shown only now:",
            "",
            pasted_alert(prepared.accounts[0].spec.account_id, prepared.secret),
            "",
            "TradingView calls public addresses on ports 80 and 443 only, so put a proxy or a"
            " tunnel before it.",
        ]
    else:
        lines.append(
            "The token of the first start is not kept. Another: guardian token create NAME"
        )
    lines += [
        "",
        f"  try it       {command} demo",
        f"  send one     {command} webhook send --action BuyMarket --symbol BTCUSDT"
        " --close 42000 --sl 41000 --tp 45000",
        f"  see it       {command} status --watch",
        "",
    ]
    return "\n".join(lines)


def pasted_alert(account_id: str, secret: str) -> str:
    """TradingView fills in what stands in braces; a plot named SL or TP gives the levels."""
    fields = {
        "Action": '"{{strategy.order.action}}"',
        "Symbol": '"{{ticker}}"',
        "Exchange": '"{{exchange}}"',
        "Interval": '"{{interval}}"',
        "Open": "{{open}}",
        "High": "{{high}}",
        "Low": "{{low}}",
        "Close": "{{close}}",
        "BarTime": '"{{time}}"',
        "PrixSL": '{{plot("SL")}}',
        "PrixTP": '{{plot("TP")}}',
        "PourCent": "100",
        "UserExchangeID": f'"{account_id}"',
        "Token": f'"{secret}"',
    }
    return "{" + ",\n ".join(f'"{name}": {value}' for name, value in fields.items()) + "}"


def _money(real: Sequence[AccountRow]) -> str:
    if not real:
        return "This is paper money: nothing reaches an exchange."
    named = ", ".join(f"{row.name} ({row.spec.environment.value})" for row in real)
    return f"These accounts trade on an exchange: {named}."
