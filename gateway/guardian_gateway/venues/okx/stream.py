"""OKX's private channels: `orders` at one address, `orders-algo`, for what waits, at another.

Both want a login of their own. A notice that the connection will soon be closed comes with a code,
as errors do, and ends it (www.okx.com/docs-v5, "WebSocket", "Notification").
"""

from typing import Any

from guardian_gateway.venues.exchange.channels import hearing
from guardian_gateway.venues.exchange.stream import StreamWiring

_CHANNELS = {"orders": "private", "orders-algo": "business"}


def stream_of(kind: str) -> StreamWiring:
    """`kind`: the venue's word for the instruments."""

    async def open_(stream: Any) -> None:
        for channel, access in _CHANNELS.items():
            await stream.authenticate({"access": access})
            wanted = {"op": "subscribe", "args": [{"channel": channel, "instType": kind}]}
            await stream.subscribe(stream.get_url(channel, access), wanted)

    return StreamWiring(open_, hearing(_CHANNELS))
