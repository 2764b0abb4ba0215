"""The bus: wake-ups from the receiver to the engine, and from the gateway to the guardian. It says
when; the database, or the exchange, says what."""

from guardian_core.messaging.in_process import InProcessBus
from guardian_core.ports import Bus

CHANNEL = "webhook_raw"
"""Alerts. A message holds webhook_id, trace_id and lane_id, all text."""

NEWS_CHANNEL = "account_moved"
"""Accounts on which something happened. A message holds the account's name as `account`."""


def open_bus(redis_url: str | None, channel: str = CHANNEL) -> Bus:
    """Redis where there is a URL, else this process. Connects at the first use."""
    if redis_url is None:
        return InProcessBus()
    # Redis' client takes a quarter of a receiver's start, and most installations have none.
    from guardian_core.messaging.redis_bus import RedisBus  # noqa: PLC0415

    return RedisBus(redis_url, channel)
