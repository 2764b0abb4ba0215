"""Private channels as OKX and Bitget have them: a login, a list of channels, and a ping as text.

Frames carry `event` where they answer us, and `arg` with the channel's name where they tell.
"""

from collections.abc import Callable, Collection

from guardian_gateway.venues.exchange.reading import row
from guardian_gateway.venues.exchange.stream import Heard


def hearing(channels: Collection[str]) -> Callable[[object], Heard]:
    """What a frame is where these were subscribed to."""

    def hear(frame: object) -> Heard:
        if frame == "pong":
            return Heard.OTHER
        source = row(frame)
        if "event" in source:
            return Heard.SUBSCRIBED if source["event"] == "subscribe" else Heard.OTHER
        return Heard.MOVED if row(source.get("arg")).get("channel") in channels else Heard.OTHER

    return hear
