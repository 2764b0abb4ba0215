"""What Kraken spot lists, and the coins that an account holds there.

A pair goes by its short name (`XBTUSD`) in requests and orders, and in trades by an older one too
(`XXBTZUSD`); coins likewise (`XXBT`). We say `BTCUSD`.
"""

from decimal import Decimal
from typing import Any

from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import ZERO, Instrument, MarketKind
from guardian_gateway.venues.exchange.errors import Strange
from guardian_gateway.venues.exchange.markets import Listing, Markets, by_symbol
from guardian_gateway.venues.exchange.orders import short
from guardian_gateway.venues.exchange.reading import Row, number, number_above_zero, row, text
from guardian_gateway.venues.kraken.shared import common_name
from guardian_gateway.venues.port import Balance

_OLD_ASSETS = frozenset(
    {"XETC", "XETH", "XLTC", "XMLN", "XREP", "XXBT", "XXDG", "XXLM", "XXMR", "XXRP", "XZEC"}
    | {"ZAUD", "ZCAD", "ZEUR", "ZGBP", "ZJPY", "ZUSD"}
)
_EARNING = ".F"
"""After the name of coins that earn by themselves, and are used for trades as they are."""


def result(answer: Any) -> Row:
    """What came, where no error did. Raises Strange."""
    source = row(answer)
    if source.get("error") != []:
        raise Strange("the answer tells neither of an error nor of none")
    return row(source.get("result"))


def listings(answer: Any) -> dict[str, Listing]:
    """Halted pairs too, since coins stay. One that cannot be read is left out, not all the others
    with it."""
    found: list[Listing] = []
    for source in result(answer).values():
        try:
            found.append(_listing(row(source)))
        except (Strange, CallerError):
            continue
    return by_symbol(found)


def _listing(source: Row) -> Listing:
    name = text(source, "altname")
    base, slash, quote = text(source, "wsname").partition("/")
    if not slash or name != base + quote:
        # Dark pools and others that are not traded in the book.
        raise Strange(f"no base and quote of {name}")
    tick = number_above_zero(source, "tick_size")
    lot = Decimal(1).scaleb(-int(number(source, "lot_decimals")))
    one = Instrument(
        symbol=common_name(base) + common_name(quote),
        base=common_name(base),
        quote=common_name(quote),
        kind=MarketKind.SPOT,
        tick=short(tick or Decimal(1).scaleb(-int(number(source, "pair_decimals")))),
        step=short(lot),
        min_quantity=short(number(source, "ordermin")),
        min_notional=short(number_above_zero(source, "costmin") or ZERO),
    )
    return Listing(one, name)


def asset_of(name: str) -> str:
    plain_name = name.removesuffix(_EARNING)
    return common_name(plain_name[1:] if plain_name in _OLD_ASSETS else plain_name)


def balances(answer: Any) -> list[Balance]:
    """Coins that earn by themselves count with the others of their name."""
    free: dict[str, Decimal] = {}
    total: dict[str, Decimal] = {}
    for name, source in result(answer).items():
        asset = asset_of(name)
        held = number(row(source), "balance")
        locked = number_above_zero(row(source), "hold_trade") or ZERO
        free[asset] = free.get(asset, ZERO) + held - locked
        total[asset] = total.get(asset, ZERO) + held
    return [Balance(one, short(free[one]), short(total[one])) for one in total if total[one] > 0]


def listing_of(pair: str, markets: Markets) -> Listing | None:
    """By either of a pair's names."""
    found = markets.known(pair)
    if found is None and {pair[:4], pair[4:]} <= _OLD_ASSETS:
        found = markets.known(pair[1:4] + pair[5:])
    return found


def symbol_of(pair: str, markets: Markets) -> str:
    """Our symbol; the venue's own name for a pair that no listing shows."""
    found = listing_of(pair, markets)
    return found.instrument.symbol if found is not None else pair
