"""Random ids: the only place that draws randomness."""

import os
import secrets
import uuid
from collections import deque

_ID_BYTES = 16
_DRAWN_AT_ONCE = 256

_drawn: deque[bytes] = deque()
"""Random bytes for ids to come. Popping is atomic, so no two threads get the same."""

# Parent and child must not go on with the same ones.
os.register_at_fork(after_in_child=_drawn.clear)


class SystemIds:
    """Ids and secrets from the operating system's random source.

    Ids are drawn many at a time, since a system call for each is dear; a secret never waits in
    memory for its use.
    """

    def uuid(self) -> uuid.UUID:
        return uuid.UUID(bytes=_draw(), version=4)

    def trace_id(self) -> str:
        return _draw().hex()

    def token(self) -> str:
        return secrets.token_urlsafe(24)


def _draw() -> bytes:
    try:
        return _drawn.pop()
    except IndexError:
        source = os.urandom(_ID_BYTES * _DRAWN_AT_ONCE)
        first, *rest = (
            source[start : start + _ID_BYTES] for start in range(0, len(source), _ID_BYTES)
        )
        _drawn.extend(rest)
        return first
