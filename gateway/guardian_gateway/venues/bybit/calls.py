"""Lists that come in pages, each asked for to its end."""

from collections.abc import Callable
from typing import TypeVar

from guardian_core.domain.errors import Unavailable
from guardian_gateway.venues.bybit import words
from guardian_gateway.venues.exchange.client import Client
from guardian_gateway.venues.exchange.reading import Row

T = TypeVar("T")

MOST_PAGES = 200


async def every(
    client: Client,
    call: str,
    params: dict[str, str],
    parse: Callable[[Row], T],
    *,
    signed: bool = True,
) -> list[T]:
    """All pages, in the venue's order. A short page is no end: only a missing cursor is, or an
    empty page. Raises Unavailable."""
    found: list[T] = []
    cursor = ""
    for _ in range(MOST_PAGES):
        asked = params | ({"cursor": cursor} if cursor else {})
        page = await client.read(call, asked, lambda a: words.page(a, parse), signed=signed)
        found += page.found
        if not page.found or not page.cursor:
            return found
        cursor = page.cursor
    raise Unavailable(f"{call}: more than {MOST_PAGES} pages")
