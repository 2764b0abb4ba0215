"""Kraken futures' private feeds: open orders, conditional ones among them, and fills.

Each subscription carries the answer to a challenge of the connection
(docs.kraken.com/api/docs/futures-api/websocket/open_orders).
"""

from typing import Any

from guardian_gateway.venues.exchange.reading import row
from guardian_gateway.venues.exchange.stream import Heard, StreamWiring

_FEEDS = ("open_orders", "fills")
_EVENTS = {"subscribed": Heard.SUBSCRIBED, "error": Heard.REFUSED}


async def _open(stream: Any) -> None:
    await stream.authenticate()
    for feed in _FEEDS:
        wanted = {
            "event": "subscribe",
            "feed": feed,
            "api_key": stream.apiKey,
            "original_challenge": stream.options["challenge"],
            "signed_challenge": stream.options["signedChallenge"],
        }
        await stream.subscribe(stream.urls["api"]["ws"], wanted)


def _hear(frame: object) -> Heard:
    source = row(frame)
    if "event" in source:
        return _EVENTS.get(source["event"], Heard.OTHER)
    # With a subscription comes how things stand, as `…_snapshot`.
    return Heard.MOVED if source.get("feed") in _FEEDS else Heard.NOTHING


FUTURES_STREAM = StreamWiring(_open, _hear)
