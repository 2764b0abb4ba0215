"""How OKX is asked for orders of one kind of instrument: one by its id, or lists by pages."""

from collections.abc import AsyncIterator, Callable, Mapping
from decimal import Decimal
from typing import TypeVar

from guardian_core.domain.errors import OrderGone, Unavailable
from guardian_gateway.venues.exchange.client import Client
from guardian_gateway.venues.exchange.errors import Strange
from guardian_gateway.venues.exchange.markets import Markets
from guardian_gateway.venues.exchange.reading import Row, text
from guardian_gateway.venues.okx import words
from guardian_gateway.venues.okx.codes import data
from guardian_gateway.venues.port import VenueOrder

T = TypeVar("T")

PAGE = 100
"""Rows in one answer, at most."""

PENDING, PENDING_ALGOS = "privateGetTradeOrdersPending", "privateGetTradeOrdersAlgoPending"
ENDED_ALGOS = "privateGetTradeOrdersAlgoHistory"


class Questions:
    """Of one account. `kind`: OKX's word for the kind of instrument."""

    def __init__(self, client: Client, markets: Markets, kind: str) -> None:
        self.client = client
        self.markets = markets
        self.kind = kind

    def unit(self, name: str) -> words.Unit:
        """An instrument that no listing shows keeps OKX's name, and its own quantities."""
        listing = self.markets.known(name)
        if listing is None:
            return words.Unit(name, Decimal(1))
        return words.Unit(listing.instrument.symbol, listing.instrument.contract_size)

    async def name_of(self, symbol: str) -> str:
        """Raises CallerError, Unavailable."""
        return (await self.markets.listing(symbol)).name

    async def plain(self, name: str, **which: str) -> VenueOrder | None:
        """A plain order; None where OKX does not know it. `name`: the instrument's there."""
        row = await self.plain_row(name, **which)
        return self.parsed(words.plain_order, row) if row is not None else None

    async def plain_row(self, name: str, **which: str) -> Row | None:
        return await self._one("privateGetTradeOrder", {"instId": name, **which})

    async def algo(self, **which: str) -> words.Algo | None:
        """A conditional order, waiting or ended; None where OKX does not know it."""
        row = await self._one("privateGetTradeOrderAlgo", which)
        return self.parsed(words.algo, row) if row is not None else None

    async def pages(self, call: str, params: Mapping[str, str], cursor: str) -> AsyncIterator[Row]:
        """Every row, newest first. `cursor`: the field that the next page is asked for by."""
        more: dict[str, str] = {}
        while True:
            asked = {"instType": self.kind, **params, "limit": str(PAGE), **more}
            page = await self.client.read(call, asked, data)
            for row in page:
                yield row
            if len(page) < PAGE:
                return
            more = {"after": self.parsed(lambda row, _: text(row, cursor), page[-1])}

    async def every(self, call: str, params: Mapping[str, str], cursor: str) -> list[Row]:
        return [row async for row in self.pages(call, params, cursor)]

    def parsed(self, parse: Callable[[Row, words.Units], T], row: Row) -> T:
        """Raises Unavailable for what is not as promised."""
        try:
            return parse(row, self.unit)
        except Strange as error:
            raise Unavailable(f"OKX answered: {error}") from None

    async def _one(self, call: str, params: Mapping[str, str]) -> Row | None:
        try:
            found = await self.client.read(call, params, data)
        except OrderGone:
            return None
        return found[0] if found else None
