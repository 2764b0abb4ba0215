"""Bybit's private stream: one topic for the orders of all markets, conditional ones among them
(bybit-exchange.github.io/docs/v5/websocket/private/order)."""

from typing import Any

from guardian_gateway.venues.exchange.reading import row
from guardian_gateway.venues.exchange.stream import Heard, StreamWiring

_TOPIC = "order"


async def _open(stream: Any) -> None:
    url = stream.implode_hostname(stream.urls["api"]["ws"]["private"]["contract"])
    await stream.authenticate(url)
    await stream.subscribe(url, {"op": "subscribe", "args": [_TOPIC]})


def _hear(frame: object) -> Heard:
    source = row(frame)
    if str(source.get("topic", "")).partition(".")[0] == _TOPIC:
        return Heard.MOVED
    taken = source.get("op") == "subscribe" and source.get("success") is True
    return Heard.SUBSCRIBED if taken else Heard.OTHER


STREAM = StreamWiring(_open, _hear)
