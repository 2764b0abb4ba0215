"""OKX's words, the same for spot and swaps: what its answers say of orders, fills and money.

A conditional order ("algo") has its own number and id. Once it triggers it is no longer among the
pending ones, and `ordIdList` names the plain order that it became. One with both a stop-loss and
a take-profit (`oco`) is shown as two orders here, each with the number and what it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from guardian_core.domain.money import EXACT, ZERO
from guardian_core.domain.orders import (
    OrderBody,
    OrderRef,
    OrderSide,
    OrderStatus,
    OrderType,
    TriggerBasis,
)
from guardian_gateway.venues.exchange.errors import Strange
from guardian_gateway.venues.exchange.orders import average_price
from guardian_gateway.venues.exchange.reading import (
    Row,
    flag,
    moment,
    number,
    number_above_zero,
    text,
    text_or_none,
)
from guardian_gateway.venues.okx.pairs import names_of
from guardian_gateway.venues.port import VenueFill, VenueOrder


@dataclass(frozen=True, slots=True)
class Unit:
    """What a name of OKX stands for: our symbol, and the base units of one of its quantities."""

    symbol: str
    size: Decimal

    def quantity(self, source: Row, field: str) -> Decimal:
        return EXACT.multiply(number(source, field), self.size)


Units = Callable[[str], Unit]

_PLAIN_STATUSES = {
    "live": OrderStatus.OPEN,
    "partially_filled": OrderStatus.OPEN,
    "filled": OrderStatus.CLOSED,
    "canceled": OrderStatus.CANCELLED,
    "mmp_canceled": OrderStatus.CANCELLED,
}
_PLAIN_TYPES = {"market": OrderType.MARKET, "optimal_limit_ioc": OrderType.MARKET}
_ALGO_STATUSES = {
    "live": OrderStatus.OPEN,
    "pause": OrderStatus.OPEN,
    "canceled": OrderStatus.CANCELLED,
    "order_failed": OrderStatus.CANCELLED,
}
_TRIGGERED = frozenset({"effective", "partially_effective", "partially_failed"})
_BASES = {"last": TriggerBasis.LAST, "mark": TriggerBasis.MARK}
BASIS_NAMES = {basis: name for name, basis in _BASES.items()}

STOP, PROFIT = "sl", "tp"
KINDS = {OrderType.STOP_LOSS: STOP, OrderType.TAKE_PROFIT: PROFIT}
TYPES = {name: kind for kind, name in KINDS.items()}


def side_of(source: Row) -> OrderSide:
    try:
        return OrderSide(text(source, "side"))
    except ValueError:
        raise Strange(f"side {source.get('side')}") from None


def plain_order(source: Row, units: Units) -> VenueOrder:
    unit = units(text(source, "instId"))
    state = text(source, "state")
    if state not in _PLAIN_STATUSES:
        raise Strange(f"order state {state}")
    filled = unit.quantity(source, "accFillSz")
    # Somebody else's market order may be sized in quote; what of it was filled is in base.
    in_quote = source.get("tgtCcy") == "quote_ccy"
    return VenueOrder(
        ref=OrderRef(
            venue_order_id=text(source, "ordId"),
            symbol=unit.symbol,
            conditional=False,
            client_order_id=text_or_none(source, "clOrdId"),
        ),
        side=side_of(source),
        type=_PLAIN_TYPES.get(text(source, "ordType"), OrderType.LIMIT),
        status=_PLAIN_STATUSES[state],
        quantity=filled if in_quote else unit.quantity(source, "sz"),
        filled_quantity=filled,
        average_price=number_above_zero(source, "avgPx") if filled > 0 else None,
        price=number_above_zero(source, "px"),
        reduce_only=flag(source, "reduceOnly"),
        created_at=moment(source, "cTime"),
    )


@dataclass(frozen=True, slots=True)
class Algo:
    """A conditional order as its service shows it. `legs`: one, or the two of a pair;
    `acted`: which of them has triggered; `children`: what it became, by number; `hidden`: it has
    triggered, and does not tell what it became."""

    number: str
    instrument: str
    legs: tuple[VenueOrder, ...]
    acted: str | None = None
    children: tuple[str, ...] = ()
    hidden: bool = False

    def leg(self, symbol: str, client_order_id: str) -> VenueOrder | None:
        wanted = (symbol, client_order_id)
        legs = (o for o in self.legs if (o.ref.symbol, o.ref.client_order_id) == wanted)
        return next(legs, None)

    def with_children(self, children: Sequence[VenueOrder]) -> "Algo":
        """Triggered: open until what it became is done, with its fills as its own."""
        legs = [_acting(leg, children) if leg.child_id else leg for leg in self.legs]
        return replace(self, legs=tuple(legs))


def _acting(leg: VenueOrder, children: Sequence[VenueOrder]) -> VenueOrder:
    statuses = {child.status for child in children}
    status = OrderStatus.OPEN if OrderStatus.OPEN in statuses else OrderStatus.CANCELLED
    filled = sum((child.filled_quantity for child in children), ZERO)
    value = sum(
        (EXACT.multiply(c.filled_quantity, c.average_price or ZERO) for c in children), ZERO
    )
    return replace(
        leg,
        status=OrderStatus.CLOSED if statuses == {OrderStatus.CLOSED} else status,
        filled_quantity=filled,
        average_price=average_price(value, filled),
    )


def algo(source: Row, units: Units) -> Algo:
    kind, name = text(source, "ordType"), text_or_none(source, "algoClOrdId")
    number_, state = text(source, "algoId"), text(source, "state")
    if state not in _ALGO_STATUSES and state not in _TRIGGERED:
        raise Strange(f"algo state {state}")
    levels = _levels(source, kind)
    triggered, children = state in _TRIGGERED, _children(source)
    acted = source.get("actualSide") or (next(iter(levels)) if len(levels) == 1 else None)
    if not triggered or acted not in levels or not children:
        acted = None
    two = kind == "oco"
    ours = (names_of(name) or (None, None)) if two else (name, name)
    names = dict(zip((STOP, PROFIT), ours, strict=True))
    instrument = text(source, "instId")
    legs = [
        replace(
            _leg(source, units(instrument), kind=leg, level=level, name=names[leg]),
            status=_leg_status(state, leg, acted),
            child_id=children[-1] if leg == acted else None,
        )
        for leg, level in levels.items()
    ]
    if two:
        legs = [_of_pair(leg, number_) for leg in legs]
    return Algo(number_, instrument, tuple(legs), acted, children, triggered and acted is None)


def _leg_status(state: str, leg: str, acted: str | None) -> OrderStatus:
    """When one leg of a pair acts, the other is cancelled."""
    if state in _ALGO_STATUSES:
        return _ALGO_STATUSES[state]
    return OrderStatus.OPEN if leg == acted else OrderStatus.CANCELLED


def _of_pair(leg: VenueOrder, number_: str) -> VenueOrder:
    return replace(
        leg, ref=replace(leg.ref, venue_order_id=leg_number(number_, leg.type)), pair_id=number_
    )


def leg_number(number_: str, type_: OrderType) -> str:
    """What a leg of a pair is called here: the pair has one number there."""
    return number_ + KINDS[type_]


_Level = tuple[Decimal | None, str]
"""A trigger, and the price that it goes by."""


def _levels(source: Row, kind: str) -> dict[str, _Level]:
    """What of stop-loss and take-profit the order holds: of a pair, either may have been taken
    away. Of a single one OKX carries out the stop-loss alone."""
    match kind:
        case "trigger":
            found = {STOP: (number_above_zero(source, "triggerPx"), "triggerPxType")}
        case "move_order_stop":
            found = {STOP: (number_above_zero(source, "moveTriggerPx"), "")}
        case _:
            found = {
                one: (number_above_zero(source, f"{one}TriggerPx"), f"{one}TriggerPxType")
                for one in (STOP, PROFIT)
                if number_above_zero(source, f"{one}TriggerPx")
                or (one == PROFIT and number_above_zero(source, "tpOrdPx"))
            }
            if kind != "oco" and len(found) > 1:
                del found[PROFIT]
    return found


def _leg(source: Row, unit: Unit, *, kind: str, level: _Level, name: str | None) -> VenueOrder:
    trigger, basis = level
    # Somebody else's may be sized by the whole position, or in quote.
    sized = source.get("sz") not in (None, "") and source.get("tgtCcy") != "quote_ccy"
    return VenueOrder(
        ref=OrderRef(text(source, "algoId"), unit.symbol, True, name),
        side=side_of(source),
        type=TYPES[kind],
        status=OrderStatus.OPEN,
        quantity=unit.quantity(source, "sz") if sized else ZERO,
        filled_quantity=ZERO,
        # Above 0 for a limit order; -1 stands for the market price.
        price=number_above_zero(source, f"{kind}OrdPx"),
        trigger_price=trigger,
        trigger_basis=_BASES.get(str(source.get(basis))),
        reduce_only=flag(source, "reduceOnly"),
        whole_position=source.get("closeFraction") not in (None, ""),
        created_at=moment(source, "cTime"),
    )


def _children(source: Row) -> tuple[str, ...]:
    listed = source.get("ordIdList")
    if isinstance(listed, list) and listed:
        return tuple(str(one) for one in listed if one not in ("", "0"))
    latest = text_or_none(source, "ordId")
    return (latest,) if latest not in (None, "0") else ()


def algo_number(ref: OrderRef) -> str:
    """The number of the conditional order that a leg is, or is a part of."""
    return ref.venue_order_id.removesuffix(STOP).removesuffix(PROFIT)


def accepted(body: OrderBody, venue_order_id: str, pair: str | None = None) -> VenueOrder:
    """An order that OKX has taken, as far as its answer tells."""
    conditional = body.type.is_conditional
    return VenueOrder(
        ref=OrderRef(venue_order_id, body.symbol, conditional, body.client_order_id),
        side=body.side,
        type=body.type,
        status=OrderStatus.OPEN,
        quantity=body.quantity,
        filled_quantity=ZERO,
        price=body.price if body.type is OrderType.LIMIT else None,
        trigger_price=body.trigger_price,
        trigger_basis=body.trigger_basis if conditional else None,
        reduce_only=body.reduce_only,
        pair_id=pair,
    )


def fill(source: Row, units: Units) -> VenueFill:
    """The bill's number is the fill's own; a trade's is shared by its two sides."""
    unit = units(text(source, "instId"))
    return VenueFill(
        venue_fill_id=text(source, "billId"),
        symbol=unit.symbol,
        venue_order_id=text(source, "ordId"),
        side=side_of(source),
        price=number(source, "fillPx"),
        quantity=unit.quantity(source, "fillSz"),
        # What was paid is below 0 there.
        fee=-number(source, "fee"),
        fee_currency=text(source, "feeCcy"),
        at=moment(source, "ts"),
    )
