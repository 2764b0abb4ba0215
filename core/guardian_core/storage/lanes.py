"""Lanes: the one text for a symbol, and the row for (account, symbol)."""

import re
from collections.abc import Mapping

from sqlalchemy import select

from guardian_core.domain.errors import CallerError
from guardian_core.ports import Tx
from guardian_core.storage.schema import Lane
from guardian_core.storage.upsert import insert_if_absent

SYMBOL_MAX = 40

_ALLOWED = re.compile(r"[A-Z0-9][A-Z0-9_.-]*")
_CCXT = re.compile(
    r"(?P<base>[A-Z0-9]+)/(?P<quote>[A-Z0-9]+)(?::[A-Z0-9]+(?P<contract>-[A-Z0-9-]+)?)?"
)
_DASHED_PAIR = re.compile(r"([A-Z0-9]+)-([A-Z]+)")
_PERPETUAL = ".P"


def lane_for(tx: Tx, account_name: str, symbol: str) -> int:
    """The id of the lane, made if it is new. `symbol` is normalised already."""
    query = select(Lane.id).where(Lane.account_name == account_name, Lane.symbol == symbol)
    lane_id = tx.execute(query).scalar_one_or_none()
    if lane_id is None:
        insert_if_absent(tx, Lane, {"account_name": account_name, "symbol": symbol})
        lane_id = tx.execute(query).scalar_one()
    return lane_id


def symbols_of(tx: Tx, account_name: str) -> list[str]:
    """The symbols that an account has lanes for."""
    query = select(Lane.symbol).where(Lane.account_name == account_name).order_by(Lane.symbol)
    return list(tx.execute(query).scalars())


def normalise_symbol(text: str, symbol_map: Mapping[str, str]) -> str:
    """The lane's symbol for what an alert says: `BINANCE:BTCUSDT.P` is `BTCUSDT`.

    The map's keys count in any case: first the text as it came, else its normal form. What the
    map gives is brought to normal form too. Raises CallerError for what no symbol can be.
    """
    mapping = {key.strip().upper(): value for key, value in symbol_map.items()}
    mapped = mapping.get(text.strip().upper())
    if mapped is not None:
        return _plain(mapped)
    plain = _plain(text)
    return _plain(mapping[plain]) if plain in mapping else plain


def _plain(text: str) -> str:
    symbol = _without_venue(text.strip().upper())
    while (shorter := _shorten(symbol)) != symbol:
        symbol = shorter
    if not symbol:
        raise CallerError("Symbol", "is empty", "send the ticker, such as BTCUSDT")
    if len(symbol) > SYMBOL_MAX:
        raise CallerError("Symbol", f"is longer than {SYMBOL_MAX} characters", "send the ticker")
    # Upper case turns some foreign letters into plain ones.
    if not _ALLOWED.fullmatch(symbol) or not text.isascii():
        raise CallerError(
            "Symbol",
            f"{symbol!r} has characters that no symbol has",
            "use A-Z and 0-9, and inside also _ . and -",
        )
    return symbol


def _shorten(text: str) -> str:
    return _join(text).removesuffix(_PERPETUAL)


def _without_venue(text: str) -> str:
    """Drops `BINANCE:`. A colon behind a slash belongs to ccxt's form instead."""
    venue, colon, rest = text.partition(":")
    return rest if colon and "/" not in venue else text


def _join(text: str) -> str:
    """BTC/USDT, BTC-USDT and ccxt's BTC/USDT:USDT are BTCUSDT.

    A dated contract keeps its date (BTC/USDT:USDT-250627): it is another symbol.
    """
    if whole := _CCXT.fullmatch(text):
        return "".join(part for part in whole.group("base", "quote", "contract") if part)
    pair = _DASHED_PAIR.fullmatch(text)
    return f"{pair[1]}{pair[2]}" if pair else text
