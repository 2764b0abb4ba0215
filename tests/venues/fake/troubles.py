"""What can become of a request: whether it takes effect, and what is heard of it."""

from dataclasses import dataclass
from typing import Any

from tests.venues.fake.server import BREAKS_OFF, HANGS, HTML, RESETS
from tests.venues.families.under_test import OwnWords

JSON = {"Content-Type": "application/json"}
PAGE = {"Content-Type": "text/html"}


@dataclass(frozen=True)
class Trouble:
    """`surely_not`: what is heard says that it was not done."""

    executes: bool
    answer: Any
    surely_not: bool = False


ANYWHERE = {
    "hangs, not done": Trouble(False, HANGS),
    "hangs, done": Trouble(True, HANGS),
    "reset before": Trouble(False, RESETS),
    "reset after": Trouble(True, RESETS),
    "answer breaks off": Trouble(True, BREAKS_OFF),
    "empty 200": Trouble(True, (200, "", JSON)),
    "HTML 200": Trouble(True, (200, HTML, PAGE)),
    "half a JSON 200": Trouble(True, (200, '{"orderId": 1, "cli', JSON)),
    "a JSON list 200": Trouble(True, (200, "[]", JSON)),
    "another JSON 200": Trouble(True, (200, '{"ok": true}', JSON)),
    "502, not done": Trouble(False, (502, HTML, PAGE)),
    "502, done": Trouble(True, (502, HTML, PAGE)),
    "504, done": Trouble(True, (504, HTML, PAGE)),
    "maintenance": Trouble(False, (503, HTML, PAGE)),
    "403 of a firewall": Trouble(False, (403, HTML, PAGE)),
    "429": Trouble(False, (429, HTML, {**PAGE, "Retry-After": "2"}), surely_not=True),
    "418": Trouble(False, (418, HTML, {**PAGE, "Retry-After": "3"}), surely_not=True),
}


def troubles(words: OwnWords) -> dict[str, Trouble]:
    """Those of any connection, and those in a venue's own words."""
    return ANYWHERE | {
        "unknown to itself, not done": Trouble(False, (*words.unknown, JSON)),
        "unknown to itself, done": Trouble(True, (*words.unknown, JSON)),
        "timeout of its own, done": Trouble(True, (*words.timed_out, JSON)),
        "overloaded": Trouble(False, (*words.busy, JSON), surely_not=True),
        "clock is off": Trouble(False, (*words.clock_off, JSON), surely_not=True),
    }
