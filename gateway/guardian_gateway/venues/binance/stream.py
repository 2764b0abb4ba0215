"""Binance's user data streams.

USD-M: a listen key, made by an unsigned request and kept alive by another every 20 minutes; whoever
connects with it is subscribed. It tells of plain orders (ORDER_TRADE_UPDATE), conditional ones
(ALGO_UPDATE) and the account. Spot: a signed subscription on the WebSocket API, whose events come
wrapped (developers.binance.com, "User Data Streams").
"""

from typing import Any

from guardian_core.domain.errors import Unavailable
from guardian_gateway.venues.exchange.reading import row
from guardian_gateway.venues.exchange.stream import Heard, StreamWiring

_ENDS = ("listenKeyExpired", "eventStreamTerminated")


async def _open_usdm(stream: Any) -> None:
    await stream.authenticate()
    url = stream.get_private_ws_url("linear", stream.options["linear"]["listenKey"])
    await stream.connect(url, "linear")


async def _keep_usdm(stream: Any) -> None:
    """ccxt 4.5.90 itself renews a key once: it then looks for the connection as if it were a dict,
    and forgets the next time. Asked to log in again, it renews one that is older."""
    await stream.authenticate()
    url = stream.get_private_ws_url("linear", stream.options["linear"]["listenKey"])
    if url != stream.address:
        raise Unavailable("the order stream: its listen key is another one by now")


async def _open_spot(stream: Any) -> None:
    await stream.authenticate({"type": "spot"})


def _hear(frame: object) -> Heard:
    source = row(frame)
    event = row(source.get("event") or source.get("data") or source)
    kind = event.get("e")
    if kind is None:
        return Heard.OTHER
    return Heard.OVER if kind in _ENDS else Heard.MOVED


USDM_STREAM = StreamWiring(_open_usdm, _hear, _keep_usdm)
SPOT_STREAM = StreamWiring(_open_spot, _hear)
