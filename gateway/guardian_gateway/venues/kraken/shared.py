"""What Kraken's two markets have in common: names of coins, times, and levels that are passed."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from guardian_core.domain.errors import GuardianError, Rejected, RejectReason
from guardian_core.domain.orders import OrderBody, OrderSide, OrderType
from guardian_core.domain.snapshot import Price
from guardian_gateway.venues.exchange.errors import Strange
from guardian_gateway.venues.exchange.reading import Row, text

PRICE_WITHIN_S = 0.5
"""Of the 3 s that a write may take in all."""

_COMMON_NAMES = {"XBT": "BTC", "XDG": "DOGE"}


def common_name(asset: str) -> str:
    """What everybody else calls a coin that Kraken names its own way."""
    return _COMMON_NAMES.get(asset.upper(), asset.upper())


def iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def iso_moment(source: Row, field: str) -> datetime:
    try:
        found = datetime.fromisoformat(text(source, field))
    except ValueError:
        raise Strange(f"the answer has no time as {field}") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def is_passed(body: OrderBody, price: Price) -> bool:
    """Whether the price stands at or behind a conditional order's level."""
    assert body.trigger_price is not None
    falling = (body.type is OrderType.STOP_LOSS) is (body.side is OrderSide.SELL)
    now = price.of(body.trigger_basis)
    return now <= body.trigger_price if falling else now >= body.trigger_price


async def check_not_passed(body: OrderBody, ask: Callable[[str], Awaitable[Price]]) -> None:
    """Kraken names no refusal for a conditional order whose level is passed, so it may fire it at
    once; here that is a refusal, as elsewhere, and the account's policy decides. Raises Rejected.
    A price that cannot be asked for, or does not come at once, holds no protection back."""
    try:
        async with asyncio.timeout(PRICE_WITHIN_S):
            price = await ask(body.symbol)
    except (GuardianError, TimeoutError):
        return
    if is_passed(body, price):
        told = f"the price, {price.of(body.trigger_basis)}, has passed {body.trigger_price}"
        raise Rejected(RejectReason.CROSSED, told)
