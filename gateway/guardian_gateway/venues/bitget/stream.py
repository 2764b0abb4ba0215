"""Bitget's private channels, over one connection: `orders`, and `orders-algo` for plans, those of
take-profit and stop-loss among them (www.bitget.com/api-doc, "Websocket", "Plan Order Channel")."""

from typing import Any

from guardian_gateway.venues.exchange.channels import hearing
from guardian_gateway.venues.exchange.stream import StreamWiring

_CHANNELS = ("orders", "orders-algo")


def stream_of(kind: str) -> StreamWiring:
    """`kind`: the venue's word for the instruments, all of which are listened to."""

    async def open_(stream: Any) -> None:
        # In demo trading ccxt keeps addresses of their own beside the others.
        demo = stream.options.get("sandboxMode")
        url = stream.urls["api"]["demo" if demo else "ws"]["private"]
        await stream.authenticate({"url": url})
        args = [{"instType": kind, "channel": each, "instId": "default"} for each in _CHANNELS]
        await stream.subscribe(url, {"op": "subscribe", "args": args}, len(args))

    return StreamWiring(open_, hearing(_CHANNELS))
