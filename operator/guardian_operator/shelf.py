"""The objects as they were seen last, whoever saw them: the watch, a listing, an answer to a write.

Only for deciding whether something is to be done; what is done starts from a fresh look.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Body = dict[str, Any]


class Shelf:
    """The newest body of each object of one kind, by name."""

    def __init__(self) -> None:
        self._bodies: dict[str, Body] = {}

    def __getitem__(self, name: str) -> Body | None:
        return self._bodies.get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._bodies))

    def put(self, body: Body) -> bool:
        """Whether it is news: what comes late, or again, is passed over."""
        name = body["metadata"]["name"]
        known = self._bodies.get(name)
        if known is not None and not _is_newer(body, known):
            return False
        self._bodies[name] = body
        return True

    def drop(self, body: Body) -> None:
        """That very object is gone; a later one of its name is not."""
        name, uid = body["metadata"]["name"], body["metadata"]["uid"]
        known = self._bodies.get(name)
        if known is not None and known["metadata"]["uid"] == uid:
            del self._bodies[name]

    def forget(self, name: str) -> None:
        self._bodies.pop(name, None)

    def uids(self) -> dict[str, str]:
        return {name: body["metadata"]["uid"] for name, body in self._bodies.items()}

    def replace(self, bodies: Iterable[Body], known: Mapping[str, str]) -> set[str]:
        """Takes over a listing; returns the names of which it tells something new. `known`: the
        uids before it was asked for. What came since then, it cannot tell to be gone."""
        listed = {body["metadata"]["name"]: body for body in bodies}
        now = self.uids()
        gone = {n for n, uid in known.items() if n not in listed and now.get(n) == uid}
        for name in gone:
            del self._bodies[name]
        return gone | {name for name, body in listed.items() if self.put(body)}


def _is_newer(body: Body, known: Body) -> bool:
    new, old = body["metadata"], known["metadata"]
    if new["resourceVersion"] == old["resourceVersion"]:
        return False
    if new["uid"] != old["uid"]:
        return bool(new.get("creationTimestamp", "") >= old.get("creationTimestamp", ""))
    try:
        return int(new["resourceVersion"]) > int(old["resourceVersion"])
    except ValueError:  # They are numbers, though nobody promised it for ever.
        return True
