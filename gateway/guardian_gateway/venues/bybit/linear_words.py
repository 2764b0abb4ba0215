"""Bybit linear's words: what each allowed order is as a request, contracts, positions."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from guardian_core.accounts import MarginMode
from guardian_core.domain.errors import ConfigurationError
from guardian_core.domain.money import Instrument, MarketKind, plain
from guardian_core.domain.orders import OrderBody, OrderSide, OrderType, PositionSide
from guardian_core.domain.snapshot import Position
from guardian_gateway.venues.bybit import words
from guardian_gateway.venues.exchange.errors import Strange
from guardian_gateway.venues.exchange.markets import Listing, Markets
from guardian_gateway.venues.exchange.orders import short
from guardian_gateway.venues.exchange.reading import (
    Row,
    flag,
    number,
    number_above_zero,
    rows,
    text,
)

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

COINS = ("USDT", "USDC")
"""What contracts are settled in; lists are asked for by it."""

_RISES, _FALLS = 1, 2
_MARGIN_MODES = {"REGULAR_MARGIN": MarginMode.CROSS, "ISOLATED_MARGIN": MarginMode.ISOLATED}


def order_request(body: OrderBody, name: str) -> words.Request:
    """`positionIdx` 0 is one-way mode: in hedge mode Bybit refuses it."""
    request: words.Request = {
        "category": "linear",
        "symbol": name,
        "side": words.SIDES[body.side],
        "orderType": "Limit" if body.type is OrderType.LIMIT else "Market",
        "qty": plain(body.quantity),
        "timeInForce": "GTC" if body.type is OrderType.LIMIT else "IOC",
        "positionIdx": 0,
        "reduceOnly": body.reduce_only,
        "orderLinkId": body.client_order_id,
    }
    if body.type is OrderType.LIMIT:
        assert body.price is not None
        request["price"] = plain(body.price)
    if body.type.is_conditional:
        request |= _trigger(body)
    return request


def _trigger(body: OrderBody) -> words.Request:
    """`closeOnTrigger`: should margin be short when it fires, Bybit cancels other orders of the
    contract rather than this one."""
    assert body.trigger_price is not None
    falls = (body.type is OrderType.STOP_LOSS) is (body.side is OrderSide.SELL)
    return {
        "triggerPrice": plain(body.trigger_price),
        "triggerDirection": _FALLS if falls else _RISES,
        "triggerBy": words.BASES[body.trigger_basis],
        "closeOnTrigger": True,
    }


def listing(source: Row) -> Listing | None:
    """None for what is dated, or not on the open market yet. A USDC contract is called `BTCPERP`;
    here it is BTCUSDC."""
    perpetual = source.get("contractType") == "LinearPerpetual"
    if not perpetual or flag(source, "isPreListing"):
        return None
    base, quote = text(source, "baseCoin"), text(source, "quoteCoin")
    if text(source, "settleCoin") != quote or quote not in COINS:
        return None
    lots = words.part(source, "lotSizeFilter")
    notional = number_above_zero(lots, "minNotionalValue") or Decimal(0)
    one = Instrument(
        symbol=base + quote,
        base=base,
        quote=quote,
        kind=MarketKind.LINEAR,
        tick=short(number(words.part(source, "priceFilter"), "tickSize")),
        step=short(number(lots, "qtyStep")),
        min_quantity=short(number(lots, "minOrderQty")),
        min_notional=short(notional),
    )
    return Listing(one, text(source, "symbol"))


def position(source: Row, markets: Markets) -> Position | None:
    """None where nothing is open. Raises ConfigurationError for a hedge-mode position."""
    size = number(source, "size")
    if size == 0:
        return None
    check_one_way(source)
    side = words.side_of(source)
    return Position(
        symbol=words.symbol_of(source, markets),
        side=PositionSide.LONG if side is OrderSide.BUY else PositionSide.SHORT,
        quantity=size,
        entry_price=number_above_zero(source, "avgPrice"),
    )


def check_one_way(source: Row) -> None:
    if text(source, "positionIdx") != "0":
        raise hedge_mode()


def hedge_mode() -> ConfigurationError:
    return ConfigurationError(
        "the account is in hedge mode, which cannot be guarded: close its positions and switch to"
        " one-way mode (Derivatives, trading settings, Position Mode)"
    )


@dataclass(frozen=True, slots=True)
class SymbolConfig:
    """How a symbol stands. `leverage` is None where portfolio margin leaves it out."""

    leverage: Decimal | None
    one_way: bool


def symbol_config(answer: Any) -> SymbolConfig:
    """Of a question for the positions of one symbol, which is answered with or without any."""
    found = rows(words.result(answer).get("list"))
    if not found:
        raise Strange("no symbol in the answer")
    modes = {text(source, "positionIdx") for source in found}
    return SymbolConfig(number_above_zero(found[0], "leverage"), modes == {"0"})


def margin_mode(answer: Any) -> MarginMode | None:
    """None for portfolio margin."""
    source = words.result(answer)
    mode = text(source, "marginMode")
    if mode not in (*_MARGIN_MODES, "PORTFOLIO_MARGIN"):
        raise Strange(f"margin mode {mode}")
    return _MARGIN_MODES.get(mode)


def leverage_request(name: str, leverage: Decimal) -> words.Request:
    """In one-way mode both sides have the same."""
    both = plain(leverage)
    return {"category": "linear", "symbol": name, "buyLeverage": both, "sellLeverage": both}
