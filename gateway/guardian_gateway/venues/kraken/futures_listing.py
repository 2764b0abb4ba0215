"""What Kraken futures list, and what an account holds there: instruments, positions, money.

Numbers are contracts: a linear perpetual's contract is one coin, times `contractSize`. Names of
instruments come in capitals or not.
"""

from decimal import Decimal
from typing import Any

from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import EXACT, ZERO, Instrument, MarketKind
from guardian_core.domain.orders import PositionSide
from guardian_core.domain.snapshot import Position
from guardian_gateway.venues.exchange.errors import Strange
from guardian_gateway.venues.exchange.markets import Listing, Markets, by_symbol
from guardian_gateway.venues.exchange.orders import short
from guardian_gateway.venues.exchange.reading import (
    Row,
    number,
    number_above_zero,
    row,
    rows,
    text,
    text_or_none,
)
from guardian_gateway.venues.kraken.shared import common_name
from guardian_gateway.venues.port import Balance

_LINEAR = "flexible_futures"
"""The type of multi-collateral contracts: linear, settled in their quote currency."""


def listings(answer: Any) -> dict[str, Listing]:
    """Halted ones too, since positions stay. One that cannot be read is left out, not all the
    others with it."""
    found: list[Listing] = []
    for source in rows(row(answer).get("instruments")):
        if not is_linear(source):
            continue
        try:
            found.append(listing_of(source))
        except (Strange, CallerError):
            continue
    return by_symbol(found)


def is_linear(source: Row) -> bool:
    """A perpetual contract that is settled in its quote currency."""
    return source.get("type") == _LINEAR and not source.get("lastTradingTime")


def listing_of(source: Row) -> Listing:
    name = text(source, "symbol").upper()
    base, quote = _pair_of(source, name)
    contract_size = short(number(source, "contractSize"))
    digits = number(source, "contractValueTradePrecision")
    step = short(EXACT.multiply(contract_size, Decimal(1).scaleb(-int(digits))))
    one = Instrument(
        symbol=base + quote,
        base=base,
        quote=quote,
        kind=MarketKind.LINEAR,
        tick=short(number(source, "tickSize")),
        step=step,
        min_quantity=step,
        min_notional=ZERO,
        contract_size=contract_size,
    )
    return Listing(one, name)


def _pair_of(source: Row, name: str) -> tuple[str, str]:
    """Of `PF_XBTUSD`; newer listings tell base and quote by themselves."""
    if text_or_none(source, "base") and text_or_none(source, "quote"):
        return common_name(text(source, "base")), common_name(text(source, "quote"))
    _, _, pair = name.partition("_")
    if len(pair) < 4 or not pair.endswith("USD"):
        raise Strange(f"no base and quote in {name}")
    return common_name(pair[:-3]), "USD"


def place_of(name: str, markets: Markets) -> tuple[str, Decimal]:
    """Our symbol and the contract's size; the venue's own name for what is not traded here."""
    listing = markets.known(name.upper())
    if listing is None:
        return name.upper(), Decimal(1)
    return listing.instrument.symbol, listing.instrument.contract_size


def position(source: Row, markets: Markets) -> Position | None:
    symbol, contract_size = place_of(text(source, "symbol"), markets)
    quantity = EXACT.multiply(number(source, "size"), contract_size)
    if quantity == 0:
        return None
    side = text(source, "side")
    if side not in ("long", "short") or quantity < 0:
        raise Strange(f"position side {side}, size {source['size']}")
    return Position(symbol, PositionSide(side), quantity, number_above_zero(source, "price"))


def balances(answer: Any) -> list[Balance]:
    """Of the multi-collateral wallet. USD is what all of it is worth as margin, since every
    contract is backed by the whole; other currencies are shown as they are held."""
    flex = row(row(row(answer).get("accounts")).get("flex"))
    worth = number(flex, "marginEquity")
    found = [Balance("USD", min(number(flex, "availableMargin"), worth), worth)]
    for currency, source in row(flex.get("currencies")).items():
        held = number(row(source), "quantity")
        if common_name(currency) != "USD" and held != 0:
            free = min(number(row(source), "available"), held)
            found.append(Balance(common_name(currency), free, held))
    return found
