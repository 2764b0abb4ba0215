"""What OKX trades, as our instruments: spot pairs and linear perpetual swaps."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import EXACT, Instrument, MarketKind
from guardian_gateway.venues.exchange.client import Client
from guardian_gateway.venues.exchange.errors import Strange
from guardian_gateway.venues.exchange.markets import Listing, by_symbol
from guardian_gateway.venues.exchange.orders import short
from guardian_gateway.venues.exchange.reading import Row, number, text
from guardian_gateway.venues.okx.codes import data

STABLE = ("USDT", "USDC")
"""What a swap of ours is quoted and settled in."""


async def read_listings(client: Client, kind: str) -> dict[str, Listing]:
    """Every one of a kind, halted ones too, since positions stay."""
    make = {"SPOT": _spot, "SWAP": _swap}[kind]

    def parse(answer: Any) -> dict[str, Listing]:
        return by_symbol([one for row in data(answer) for one in _listing(row, make)])

    return await client.read("publicGetPublicInstruments", {"instType": kind}, parse, signed=False)


def _listing(source: Row, make: Callable[[Row], Instrument | None]) -> list[Listing]:
    """None where it cannot be read, or is none of ours: not all the others with it."""
    try:
        made = make(source)
        return [Listing(made, text(source, "instId"))] if made is not None else []
    except (Strange, CallerError):
        return []


def _spot(source: Row) -> Instrument:
    base, quote = text(source, "baseCcy"), text(source, "quoteCcy")
    return _instrument(source, base, quote, MarketKind.SPOT, Decimal(1))


def _swap(source: Row) -> Instrument | None:
    """A contract of so many coins (`ctVal`), settled in what it is quoted in."""
    base, _, quote = text(source, "instFamily").partition("-")
    linear = source.get("ctType") == "linear" and source.get("ctValCcy") == base
    if not linear or quote not in STABLE or source.get("settleCcy") != quote:
        return None
    size = EXACT.multiply(number(source, "ctVal"), number(source, "ctMult"))
    return _instrument(source, base, quote, MarketKind.LINEAR, short(size))


def _instrument(source: Row, base: str, quote: str, kind: MarketKind, size: Decimal) -> Instrument:
    """OKX has no least value of an order, only a least quantity."""
    return Instrument(
        symbol=base + quote,
        base=base,
        quote=quote,
        kind=kind,
        tick=short(number(source, "tickSz")),
        step=short(EXACT.multiply(number(source, "lotSz"), size)),
        min_quantity=short(EXACT.multiply(number(source, "minSz"), size)),
        min_notional=Decimal(0),
        contract_size=size,
    )
