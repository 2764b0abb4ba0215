"""What a Bybit key may do, and whether its account is of the kind that is traded here."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from guardian_core.domain.money import MarketKind
from guardian_gateway.venues.bybit import words
from guardian_gateway.venues.exchange.checks import Finding, found_out, key_findings
from guardian_gateway.venues.exchange.client import Client
from guardian_gateway.venues.exchange.reading import Row, text

_TRADES = {
    MarketKind.LINEAR: (("ContractTrade", "Order"), ("Derivatives", "DerivativesTrade")),
    MarketKind.SPOT: (("Spot", "SpotTrade"),),
}
"""Any of these rights lets a key trade on that market."""


async def account_findings(client: Client, market: MarketKind) -> Sequence[Finding]:
    """Raises nothing: an account that cannot be asked is a finding about its keys."""

    async def ask() -> Sequence[Finding]:
        key = await client.read("privateGetV5UserQueryApi", {}, words.result)
        return _findings(key, market, is_live=client.is_live)

    return await found_out("keys", ask())


def _findings(key: Row, market: MarketKind, *, is_live: bool) -> list[Finding]:
    permissions = words.part(key, "permissions")
    allowed = any(words.permitted(permissions, *right) for right in _TRADES[market])
    may_trade = allowed and text(key, "readOnly") == "0"
    found = key_findings(may_trade, _may_withdraw(permissions), is_live=is_live)
    if text(key, "uta") != "1":
        told = "not a unified trading account: upgrade it at the exchange"
        found[0] = replace(found[0], ok=False, found=told)
    return found


def _may_withdraw(permissions: Any) -> bool:
    # Left out is not the same as no.
    wallet = permissions.get("Wallet")
    return not isinstance(wallet, list) or "Withdraw" in wallet
