"""The event log of one run: everything that happened, in order, and the hash of it.

Same seed, same hash: a run can be repeated from its seed alone, in any process.
"""

import hashlib
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from loguru import logger

from tests.simulation.loop import OWNER, VirtualTimeLoop
from tests.simulation.mortal import Process

if TYPE_CHECKING:
    from loguru import Message

LAST = 60


class EventLog:
    """Lines of virtual time, process, kind and text. `echo` sees each of them at once."""

    def __init__(self, loop: VirtualTimeLoop, echo: Callable[[str], None] | None = None) -> None:
        self._loop = loop
        self._echo = echo
        self._hash = hashlib.sha256()
        self._last: deque[str] = deque(maxlen=LAST)
        self.count = 0
        self.internal_errors: list[str] = []
        """What the product itself logged as an unexpected exception."""

    def note(self, kind: str, text: str) -> None:
        owner = OWNER.get()
        who = owner.name if isinstance(owner, Process) else "-"
        line = f"{self._loop.time():10.4f} {who:<10} {kind:<9} {text}"
        self.count += 1
        self._hash.update(line.encode())
        self._hash.update(b"\n")
        self._last.append(line)
        if self._echo is not None:
            self._echo(line)

    @property
    def last(self) -> list[str]:
        return list(self._last)

    def digest(self) -> str:
        return self._hash.hexdigest()[:32]

    def listen(self) -> Callable[[], None]:
        """Takes the product's own log lines in; returns what ends that."""
        handler = logger.add(self._sink, level="DEBUG", format="{message}", catch=False)
        return lambda: logger.remove(handler)

    def _sink(self, message: "Message") -> None:
        record = message.record
        level = record["level"].name
        self.note(level.lower(), str(record["message"]))
        exception = record["exception"]
        if exception is not None:
            text = f"{type(exception.value).__name__}: {exception.value}"
            self.note("exception", text)
            self.internal_errors.append(f"{record['message']}: {text}")
