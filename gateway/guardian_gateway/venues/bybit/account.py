"""What a Bybit key may do, and whether its account is of the kind that is traded here."""

from collections.abc import Sequence
from typing import Any

from guardian_core.domain.money import MarketKind
from guardian_gateway.venues.bybit import words
from guardian_gateway.venues.exchange.checks import (
    Finding,
    found_out,
    trading_finding,
    withdrawal_finding,
)
from guardian_gateway.venues.exchange.client import Client
from guardian_gateway.venues.exchange.reading import Row, text

_TRADES = {
    MarketKind.LINEAR: (("ContractTrade", "Order"), ("Derivatives", "DerivativesTrade")),
    MarketKind.SPOT: (("Spot", "SpotTrade"),),
}
"""Any of these rights lets a key trade on that market."""


async def key_findings(client: Client, market: MarketKind) -> Sequence[Finding]:
    """Trading, and withdrawal where there is anything to withdraw. Raises Unavailable."""
    key = await client.read("privateGetV5UserQueryApi", {}, words.result)
    return _findings(key, market, client.is_live)


async def account_findings(client: Client, market: MarketKind) -> Sequence[Finding]:
    """Raises nothing: an account that cannot be asked is a finding about its keys."""
    held: list[Finding] = []

    async def ask() -> Finding:
        trading, *others = await key_findings(client, market)
        held.extend(others)
        return trading

    return [await found_out("keys", ask()), *held]


def _findings(key: Row, market: MarketKind, is_live: bool) -> list[Finding]:
    permissions = words.part(key, "permissions")
    allowed = any(words.permitted(permissions, *right) for right in _TRADES[market])
    trading = trading_finding(allowed and text(key, "readOnly") == "0")
    if text(key, "uta") != "1":
        found = "not a unified trading account: upgrade it at the exchange"
        trading = Finding("trading", False, found)
    if not is_live:
        return [trading]
    return [trading, withdrawal_finding(_may_withdraw(permissions))]


def _may_withdraw(permissions: Any) -> bool:
    # Left out is not the same as no.
    wallet = permissions.get("Wallet")
    return not isinstance(wallet, list) or "Withdraw" in wallet
