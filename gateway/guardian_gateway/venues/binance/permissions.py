"""What a Binance key may do, which only the real exchange tells."""

from collections.abc import Sequence
from typing import Any

from guardian_gateway.venues.exchange.checks import Finding, found_out, withdrawal_finding
from guardian_gateway.venues.exchange.client import Client
from guardian_gateway.venues.exchange.reading import flag, row


async def permission_findings(client: Client) -> Sequence[Finding]:
    """Nothing for play money: its worlds do not tell, and there is nothing to withdraw."""
    if not client.is_live:
        return []
    return await found_out("withdrawal", _withdrawal(client))


async def _withdrawal(client: Client) -> Sequence[Finding]:
    may_withdraw = await client.read("sapiGetAccountApiRestrictions", {}, _may_withdraw)
    return [withdrawal_finding(may_withdraw)]


def _may_withdraw(answer: Any) -> bool:
    source = row(answer)
    # Left out is not the same as no.
    return "enableWithdrawals" not in source or flag(source, "enableWithdrawals")
