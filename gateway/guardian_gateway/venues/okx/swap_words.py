"""What each allowed order on a swap is as a request, and what OKX says of positions."""

from decimal import Decimal
from typing import Any

from guardian_core.accounts import MarginMode
from guardian_core.domain.errors import CallerError, ConfigurationError
from guardian_core.domain.money import EXACT, plain
from guardian_core.domain.orders import OrderBody, OrderType, PositionSide
from guardian_core.domain.snapshot import Position
from guardian_gateway.venues.exchange.errors import Strange
from guardian_gateway.venues.exchange.markets import Listing
from guardian_gateway.venues.exchange.reading import Row, number, number_above_zero, text
from guardian_gateway.venues.okx.codes import data
from guardian_gateway.venues.okx.words import BASIS_NAMES, KINDS, Units

SHAPES = frozenset(
    {
        (OrderType.MARKET, False),
        (OrderType.LIMIT, False),
        (OrderType.MARKET, True),
        (OrderType.STOP_LOSS, True),
        (OrderType.TAKE_PROFIT, True),
    }
)
"""(type, reduce-only) of every order that is ever sent."""

MARGIN_NAMES = {MarginMode.CROSS: "cross", MarginMode.ISOLATED: "isolated"}
_MARGIN_MODES = {name: mode for mode, name in MARGIN_NAMES.items()}


def plain_request(body: OrderBody, listing: Listing, mode: MarginMode) -> dict[str, Any]:
    params = _common(body, listing, mode) | {
        "ordType": body.type.value,
        "clOrdId": body.client_order_id,
    }
    if body.type is OrderType.LIMIT:
        assert body.price is not None
        params["px"] = plain(body.price)
    return params


def algo_request(body: OrderBody, listing: Listing, mode: MarginMode) -> dict[str, Any]:
    assert body.trigger_price is not None
    leg = KINDS[body.type]
    return _common(body, listing, mode) | {
        "ordType": "conditional",
        "algoClOrdId": body.client_order_id,
        f"{leg}TriggerPx": plain(body.trigger_price),
        f"{leg}TriggerPxType": BASIS_NAMES[body.trigger_basis],
        f"{leg}OrdPx": "-1",
    }


def _common(body: OrderBody, listing: Listing, mode: MarginMode) -> dict[str, Any]:
    return {
        "instId": listing.name,
        "tdMode": MARGIN_NAMES[mode],
        "posSide": "net",
        "side": body.side.value,
        "sz": plain(_contracts(body.quantity, listing.instrument.contract_size)),
        "reduceOnly": body.reduce_only,
    }


def _contracts(quantity: Decimal, size: Decimal) -> Decimal:
    """Raises CallerError for what no number of contracts makes."""
    contracts = EXACT.divide(quantity, size)
    if EXACT.multiply(contracts, size) != quantity:
        raise CallerError(
            "quantity", f"{plain(quantity)} is not so many contracts of {plain(size)}"
        )
    return contracts


def positions(answer: Any, units: Units) -> "list[tuple[Position, MarginMode]]":
    """Each with its margin mode. Raises ConfigurationError for what cannot be told apart."""
    found = [one for source in data(answer) if (one := _position(source, units)) is not None]
    symbols = [position.symbol for position, _ in found]
    for symbol in symbols:
        if symbols.count(symbol) > 1:
            raise ConfigurationError(
                f"the account holds {symbol} in cross and in isolated margin at once, which"
                " cannot be guarded: close one of the two positions"
            )
    return found


def _position(source: Row, units: Units) -> tuple[Position, MarginMode] | None:
    unit, mode = units(text(source, "instId")), _MARGIN_MODES.get(text(source, "mgnMode"))
    if mode is None:
        raise Strange(f"margin mode {source['mgnMode']}")
    if text(source, "posSide") != "net":
        raise ConfigurationError(
            f"{unit.symbol} is held in long/short mode, which cannot be guarded: close it and"
            " switch to one-way mode (Trade, Settings, Position mode, Buy/Sell)"
        )
    amount = unit.quantity(source, "pos")
    if amount == 0:
        return None
    side = PositionSide.LONG if amount > 0 else PositionSide.SHORT
    return Position(unit.symbol, side, abs(amount), number_above_zero(source, "avgPx")), mode


def leverage(answer: Any, mode: MarginMode) -> Decimal:
    """Raises Strange where it is not told for this mode."""
    for source in data(answer):
        if source.get("mgnMode") == MARGIN_NAMES[mode] and source.get("posSide") == "net":
            return number(source, "lever")
    raise Strange(f"no leverage for {MARGIN_NAMES[mode]} margin")
