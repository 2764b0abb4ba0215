"""Bitget USDT futures' words: what each allowed order is as a request, and what its answers say.

Plain orders and protective ones (plans of the kind `profit_loss`) are two services. A plan that
triggers leaves its list for the history, which names the plain order that it became, its child.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from guardian_core.accounts import MarginMode
from guardian_core.domain.errors import ConfigurationError, OrderGone
from guardian_core.domain.money import EXACT, Instrument, MarketKind, plain
from guardian_core.domain.orders import (
    OrderBody,
    OrderRef,
    OrderSide,
    OrderStatus,
    OrderType,
    PositionSide,
)
from guardian_core.domain.snapshot import Position
from guardian_gateway.venues.bitget.codes import TABLE
from guardian_gateway.venues.bitget.shared import (
    BASES,
    TRIGGERS,
    data,
    fee_of,
    is_yes,
    side_of,
    status_of,
    type_of,
)
from guardian_gateway.venues.exchange.errors import Answer, Refusal, Strange
from guardian_gateway.venues.exchange.orders import short
from guardian_gateway.venues.exchange.reading import (
    Row,
    moment,
    number,
    number_above_zero,
    row,
    rows,
    text,
    text_or_none,
)
from guardian_gateway.venues.port import Balance, VenueFill, VenueOrder

PRODUCT = {"productType": "USDT-FUTURES"}
COIN = {"marginCoin": "USDT"}
PLANS = {"planType": "profit_loss"}

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

_PLAN_TYPES = {OrderType.STOP_LOSS: "loss_plan", OrderType.TAKE_PROFIT: "profit_plan"}
_KINDS = {
    "loss_plan": OrderType.STOP_LOSS,
    "pos_loss": OrderType.STOP_LOSS,
    "moving_plan": OrderType.STOP_LOSS,
    "profit_plan": OrderType.TAKE_PROFIT,
    "pos_profit": OrderType.TAKE_PROFIT,
}
_PLAN_STATUSES = {
    "live": OrderStatus.OPEN,
    "not_trigger": OrderStatus.OPEN,
    "executed": OrderStatus.CLOSED,
    "fail_execute": OrderStatus.REJECTED,
    "fail_trigger": OrderStatus.REJECTED,
    "cancelled": OrderStatus.CANCELLED,
    "canceled": OrderStatus.CANCELLED,
}
_MARGIN_MODES = {"crossed": MarginMode.CROSS, "isolated": MarginMode.ISOLATED}
_MARGIN_NAMES = {mode: name for name, mode in _MARGIN_MODES.items()}


def plain_request(body: OrderBody, mode: MarginMode) -> dict[str, str]:
    params = {
        "symbol": body.symbol,
        **PRODUCT,
        **COIN,
        "marginMode": _MARGIN_NAMES[mode],
        "side": body.side.value,
        "orderType": body.type.value,
        "size": plain(body.quantity),
        "clientOid": body.client_order_id,
        "reduceOnly": "YES" if body.reduce_only else "NO",
    }
    if body.type is OrderType.LIMIT:
        assert body.price is not None
        params |= {"price": plain(body.price), "force": "gtc"}
    return params


def plan_request(body: OrderBody) -> dict[str, str]:
    """`holdSide` names the position that is closed, in one-way mode by the side that opened it."""
    assert body.trigger_price is not None
    closes = PositionSide.LONG if body.side is OrderSide.SELL else PositionSide.SHORT
    return {
        "symbol": body.symbol,
        **PRODUCT,
        **COIN,
        "planType": _PLAN_TYPES[body.type],
        "triggerPrice": plain(body.trigger_price),
        "triggerType": TRIGGERS[body.trigger_basis],
        "executePrice": "0",
        "holdSide": closes.entry_side.value,
        "size": plain(body.quantity),
        "clientOid": body.client_order_id,
    }


def cancel_plan_request(order: OrderRef, kind: OrderType, which: Mapping[str, str]) -> Row:
    return {
        "symbol": order.symbol,
        **PRODUCT,
        **COIN,
        "planType": _PLAN_TYPES[kind],
        "orderIdList": [dict(which)],
    }


def cancelled_plan(answer: Any, which: Mapping[str, str]) -> None:
    """Raises OrderGone, or Refusal, for a plan that is told as not cancelled."""
    source = row(data(answer))
    ((field, wanted),) = which.items()
    for failed in rows(source.get("failureList") or []):
        if failed.get(field) in (wanted, None, ""):
            message = str(failed.get("errorMsg", ""))
            code = str(failed.get("errorCode", ""))
            if code in TABLE.gone or "exist" in message.lower():
                raise OrderGone(f"cancel-plan-order: {message}")
            raise Refusal(Answer(200, code, message))
    if not any(done.get(field) == wanted for done in rows(source.get("successList") or [])):
        raise Strange("the answer to a cancel does not name its order")


def one_order(answer: Any) -> VenueOrder:
    """The plain order that a question named."""
    return plain_order(row(data(answer)))


def plain_order(source: Row) -> VenueOrder:
    filled = number(source, "baseVolume")
    return VenueOrder(
        ref=OrderRef(
            venue_order_id=text(source, "orderId"),
            symbol=text(source, "symbol").upper(),
            conditional=False,
            client_order_id=text_or_none(source, "clientOid"),
        ),
        side=side_of(source),
        type=type_of(source),
        status=status_of(source),
        quantity=number(source, "size"),
        filled_quantity=filled,
        average_price=number_above_zero(source, "priceAvg") if filled > 0 else None,
        price=number_above_zero(source, "price"),
        reduce_only=is_yes(source, "reduceOnly"),
        created_at=moment(source, "cTime"),
    )


def plan_order(source: Row) -> VenueOrder:
    """As the lists of plans show it: a triggered one without what its child filled, and with the
    side that Bitget writes, which is not to be relied on (see `closing`)."""
    kind = _KINDS.get(text(source, "planType"))
    status = _PLAN_STATUSES.get(text(source, "planStatus"))
    if kind is None or status is None:
        raise Strange(f"plan {source['planType']} with status {source['planStatus']}")
    symbol = text(source, "symbol").upper()
    child = text_or_none(source, "executeOrderId")
    size = number_above_zero(source, "size")
    return VenueOrder(
        ref=OrderRef(
            venue_order_id=text(source, "orderId"),
            symbol=symbol,
            conditional=True,
            client_order_id=text_or_none(source, "clientOid"),
        ),
        side=side_of(source),
        type=kind,
        status=status,
        quantity=size or Decimal(0),
        filled_quantity=Decimal(0),
        price=number_above_zero(source, "executePrice"),
        trigger_price=number_above_zero(source, "triggerPrice"),
        trigger_basis=BASES.get(str(source.get("triggerType"))),
        reduce_only=True,
        whole_position=text(source, "planType").startswith("pos_"),
        child_id=child if child not in (None, "0") else None,
        created_at=moment(source, "cTime"),
    )


def closing(plan: VenueOrder, positions: Iterable[Position]) -> VenueOrder:
    """The plan with the side that closes what is open. In one-way mode plans of this kind close
    the position; whether `side` names their own side or the position's is documented nowhere."""
    for held in positions:
        if held.symbol == plan.ref.symbol:
            return replace(plan, side=held.side.exit_side)
    return plan


def with_child(parent: VenueOrder, child: VenueOrder) -> VenueOrder:
    """A triggered plan: open until its child is done, with the child's fills as its own."""
    return replace(
        parent,
        side=child.side,
        status=child.status,
        filled_quantity=child.filled_quantity,
        average_price=child.average_price,
    )


@dataclass(frozen=True, slots=True)
class Backing:
    """How an account holds a symbol's positions. The leverages are those of its margin mode: one
    when crossed, one for each side when isolated."""

    one_way: bool
    margin_mode: MarginMode
    leverages: frozenset[Decimal]

    def __str__(self) -> str:
        shown = "/".join(plain(each) for each in sorted(self.leverages))
        return f"{shown}x {self.margin_mode.value}"


def backing(answer: Any) -> Backing:
    source = row(data(answer))
    mode = _MARGIN_MODES.get(text(source, "marginMode"))
    if mode is None:
        raise Strange(f"margin mode {source['marginMode']}")
    fields = ["crossedMarginLeverage"]
    if mode is MarginMode.ISOLATED:
        fields = ["isolatedLongLever", "isolatedShortLever"]
    leverages = frozenset(number(source, field) for field in fields)
    return Backing(text(source, "posMode") == "one_way_mode", mode, leverages)


def margin_request(symbol: str, mode: MarginMode) -> dict[str, str]:
    return {"symbol": symbol, **PRODUCT, **COIN, "marginMode": _MARGIN_NAMES[mode]}


def leverage_request(symbol: str, leverage: Decimal) -> dict[str, str]:
    return {"symbol": symbol, **PRODUCT, **COIN, "leverage": plain(leverage)}


def is_linear(source: Row) -> bool:
    """A perpetual contract in USDT, under the name that it has here."""
    name = f"{source.get('baseCoin')}{source.get('quoteCoin')}"
    coins = source.get("supportMarginCoins")
    backed = isinstance(coins, list) and "USDT" in coins and source.get("quoteCoin") == "USDT"
    return source.get("symbolType") == "perpetual" and backed and source.get("symbol") == name


def instrument(source: Row) -> Instrument:
    """Sizes are in coins; a price ends in a multiple of `priceEndStep` of its last place."""
    places = int(text(source, "pricePlace"))
    if not 0 <= places <= 18:
        raise Strange(f"{places} decimal places")
    tick = EXACT.multiply(number(source, "priceEndStep"), Decimal(1).scaleb(-places))
    return Instrument(
        symbol=text(source, "symbol"),
        base=text(source, "baseCoin"),
        quote=text(source, "quoteCoin"),
        kind=MarketKind.LINEAR,
        tick=short(tick),
        step=short(number(source, "sizeMultiplier")),
        min_quantity=short(number(source, "minTradeNum")),
        min_notional=short(number(source, "minTradeUSDT")),
    )


def position(source: Row) -> Position | None:
    """None where nothing is open. Raises ConfigurationError for a hedge-mode position."""
    if text(source, "posMode") != "one_way_mode":
        raise hedge_mode()
    quantity = number(source, "total")
    if quantity == 0:
        return None
    sides = {"long": PositionSide.LONG, "short": PositionSide.SHORT}
    side = sides.get(text(source, "holdSide"))
    if side is None or quantity < 0:
        raise Strange(f"a position of {plain(quantity)} on the side {source['holdSide']}")
    return Position(
        symbol=text(source, "symbol").upper(),
        side=side,
        quantity=quantity,
        entry_price=number_above_zero(source, "openPriceAvg"),
    )


def hedge_mode() -> ConfigurationError:
    return ConfigurationError(
        "the account is in hedge mode, which cannot be guarded: close its positions and orders and"
        " switch to one-way mode (Futures, Preferences, Position Mode)"
    )


def balance(source: Row, mode: MarginMode) -> Balance:
    """Free is what an order may use: the least of what Bitget says there is."""
    total = number(source, "accountEquity")
    usable = "crossedMaxAvailable" if mode is MarginMode.CROSS else "isolatedMaxAvailable"
    free = min(number(source, "available"), number(source, usable), total)
    return Balance(text(source, "marginCoin"), max(free, Decimal(0)), total)


def fill(source: Row) -> VenueFill:
    fee, coin = fee_of(rows(source.get("feeDetail") or []), "USDT")
    return VenueFill(
        venue_fill_id=text(source, "tradeId"),
        symbol=text(source, "symbol").upper(),
        venue_order_id=text(source, "orderId"),
        side=side_of(source),
        price=number(source, "price"),
        quantity=number(source, "baseVolume"),
        fee=fee,
        fee_currency=coin,
        at=moment(source, "cTime"),
    )
