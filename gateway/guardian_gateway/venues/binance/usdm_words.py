"""Binance USD-M's words: what each allowed order is as a request, and what its answers say.

Plain orders and conditional ones are two services with two number spaces (`orderId`, `algoId`).
A conditional order that triggers becomes a plain one, its child, named by `actualOrderId`.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from guardian_core.accounts import MarginMode
from guardian_core.domain.errors import ConfigurationError
from guardian_core.domain.money import Instrument, MarketKind, plain
from guardian_core.domain.orders import (
    OrderBody,
    OrderRef,
    OrderStatus,
    OrderType,
    PositionSide,
    TriggerBasis,
)
from guardian_core.domain.snapshot import Position
from guardian_gateway.venues.binance.shared import (
    filters_of,
    instrument_of,
    side_of,
    status_of,
    type_of,
)
from guardian_gateway.venues.exchange.errors import Strange
from guardian_gateway.venues.exchange.reading import (
    Row,
    flag,
    moment,
    number,
    number_above_zero,
    row,
    rows,
    text,
    text_or_none,
)
from guardian_gateway.venues.port import Balance, VenueFill, VenueOrder

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

_CONDITIONAL = {OrderType.STOP_LOSS: "STOP_MARKET", OrderType.TAKE_PROFIT: "TAKE_PROFIT_MARKET"}
_WORKING_TYPES = {TriggerBasis.LAST: "CONTRACT_PRICE", TriggerBasis.MARK: "MARK_PRICE"}
_MARGIN_MODES = {"CROSSED": MarginMode.CROSS, "ISOLATED": MarginMode.ISOLATED}
_ALGO_STATUSES = {
    "NEW": OrderStatus.OPEN,
    "TRIGGERING": OrderStatus.OPEN,
    "TRIGGERED": OrderStatus.OPEN,
    "CANCELED": OrderStatus.CANCELLED,
    "EXPIRED": OrderStatus.CANCELLED,
    "REJECTED": OrderStatus.REJECTED,
}
"""`FINISHED` is what its child is."""


def plain_request(body: OrderBody) -> dict[str, str]:
    params = {
        "symbol": body.symbol,
        "side": body.side.value.upper(),
        "type": body.type.value.upper(),
        "quantity": plain(body.quantity),
        "newClientOrderId": body.client_order_id,
        "newOrderRespType": "RESULT",
        "reduceOnly": "true" if body.reduce_only else "false",
    }
    if body.type is OrderType.LIMIT:
        assert body.price is not None
        params |= {"price": plain(body.price), "timeInForce": "GTC"}
    return params


def algo_request(body: OrderBody) -> dict[str, str]:
    assert body.trigger_price is not None
    return {
        "algoType": "CONDITIONAL",
        "symbol": body.symbol,
        "side": body.side.value.upper(),
        "type": _CONDITIONAL[body.type],
        "quantity": plain(body.quantity),
        "triggerPrice": plain(body.trigger_price),
        "workingType": _WORKING_TYPES[body.trigger_basis],
        "reduceOnly": "true",
        "priceProtect": "FALSE",
        "clientAlgoId": body.client_order_id,
    }


def plain_order(answer: Any) -> VenueOrder:
    source = row(answer)
    filled = number(source, "executedQty")
    return VenueOrder(
        ref=OrderRef(
            venue_order_id=text(source, "orderId"),
            symbol=text(source, "symbol"),
            conditional=False,
            client_order_id=text_or_none(source, "clientOrderId"),
        ),
        side=side_of(source),
        type=type_of(source, "type"),
        status=status_of(source),
        quantity=number(source, "origQty"),
        filled_quantity=filled,
        average_price=number_above_zero(source, "avgPrice") if filled > 0 else None,
        price=number_above_zero(source, "price"),
        trigger_price=number_above_zero(source, "stopPrice"),
        reduce_only=flag(source, "reduceOnly"),
        whole_position=flag(source, "closePosition"),
        created_at=moment(source, "time" if "time" in source else "updateTime"),
    )


def algo_order(answer: Any) -> VenueOrder:
    """As the conditional service shows it: a triggered one without what its child filled."""
    source = row(answer)
    status = text(source, "algoStatus")
    if status not in _ALGO_STATUSES and status != "FINISHED":
        raise Strange(f"algo status {status}")
    child = text_or_none(source, "actualOrderId")
    return VenueOrder(
        ref=OrderRef(
            venue_order_id=text(source, "algoId"),
            symbol=text(source, "symbol"),
            conditional=True,
            client_order_id=text_or_none(source, "clientAlgoId"),
        ),
        side=side_of(source),
        type=type_of(source, "orderType"),
        status=_ALGO_STATUSES.get(status, OrderStatus.CLOSED),
        quantity=number(source, "quantity"),
        filled_quantity=Decimal(0),
        price=number_above_zero(source, "price"),
        trigger_price=number_above_zero(source, "triggerPrice"),
        trigger_basis=_basis(source),
        reduce_only=flag(source, "reduceOnly"),
        whole_position=flag(source, "closePosition"),
        child_id=child if child not in (None, "0") else None,
        created_at=moment(source, "createTime"),
    )


def with_child(parent: VenueOrder, child: VenueOrder) -> VenueOrder:
    """A triggered order: open until its child is done, with the child's fills as its own."""
    return replace(
        parent,
        status=child.status,
        filled_quantity=child.filled_quantity,
        average_price=child.average_price,
    )


def _basis(source: Row) -> TriggerBasis | None:
    known = {name: basis for basis, name in _WORKING_TYPES.items()}
    return known.get(str(source.get("workingType")))


@dataclass(frozen=True, slots=True)
class SymbolConfig:
    """How a symbol is backed."""

    leverage: Decimal
    margin_mode: MarginMode

    def __str__(self) -> str:
        return f"{plain(self.leverage)}x {self.margin_mode.value}"


def symbol_config(answer: Any) -> SymbolConfig:
    for source in rows(answer)[:1]:
        mode = _MARGIN_MODES.get(text(source, "marginType"))
        if mode is None:
            raise Strange(f"margin type {source['marginType']}")
        return SymbolConfig(number(source, "leverage"), mode)
    raise Strange("no symbol in the answer")


def margin_request(symbol: str, mode: MarginMode) -> dict[str, str]:
    names = {known: name for name, known in _MARGIN_MODES.items()}
    return {"symbol": symbol, "marginType": names[mode]}


def is_linear(source: Row) -> bool:
    """A perpetual contract that is settled in its quote currency."""
    perpetual = source.get("contractType") == "PERPETUAL"
    return perpetual and source.get("quoteAsset") == source.get("marginAsset")


def instrument(source: Row) -> Instrument:
    notional = filters_of(source).get("MIN_NOTIONAL")
    minimum = number(notional, "notional") if notional is not None else Decimal(0)
    return instrument_of(source, MarketKind.LINEAR, minimum)


def position(source: Row) -> Position | None:
    """None where nothing is open. Raises ConfigurationError for a hedge-mode position."""
    if source.get("positionSide", "BOTH") != "BOTH":
        raise hedge_mode()
    amount = number(source, "positionAmt")
    if amount == 0:
        return None
    return Position(
        symbol=text(source, "symbol"),
        side=PositionSide.LONG if amount > 0 else PositionSide.SHORT,
        quantity=abs(amount),
        entry_price=number_above_zero(source, "entryPrice"),
    )


def hedge_mode() -> ConfigurationError:
    return ConfigurationError(
        "the account is in hedge mode, which cannot be guarded: close its positions and switch to"
        " one-way mode (Futures, Preferences, Position Mode)"
    )


def balance(source: Row) -> Balance:
    total = number(source, "balance")
    return Balance(text(source, "asset"), min(number(source, "availableBalance"), total), total)


def fill(source: Row, client_order_id: str | None = None) -> VenueFill:
    return VenueFill(
        venue_fill_id=text(source, "id"),
        symbol=text(source, "symbol"),
        venue_order_id=text(source, "orderId"),
        side=side_of(source),
        price=number(source, "price"),
        quantity=number(source, "qty"),
        fee=number(source, "commission"),
        fee_currency=text(source, "commissionAsset"),
        at=moment(source, "time"),
        client_order_id=client_order_id,
    )
