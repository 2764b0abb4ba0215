"""What was noted lately, by name; the oldest is forgotten."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")

KEPT = 1_000


class Recent(Generic[T]):
    def __init__(self) -> None:
        self._noted: OrderedDict[str, T] = OrderedDict()

    def note(self, name: str, what: T) -> None:
        self._noted[name] = what
        self._noted.move_to_end(name)
        while len(self._noted) > KEPT:
            self._noted.popitem(last=False)

    def __contains__(self, name: str) -> bool:
        return name in self._noted

    def get(self, name: str) -> T | None:
        return self._noted.get(name)

    def items(self) -> Iterable[tuple[str, T]]:
        return self._noted.items()
