"""What each allowed order on OKX spot is as a request. Triggers go by the last price there."""

from typing import Any

from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import plain
from guardian_core.domain.orders import OrderBody, OrderSide, OrderType
from guardian_gateway.venues.exchange.markets import Listing
from guardian_gateway.venues.okx.pairs import pair_name
from guardian_gateway.venues.okx.words import BASIS_NAMES, KINDS

SHAPES = frozenset(
    {
        (OrderType.MARKET, False),
        (OrderType.LIMIT, False),
        (OrderType.STOP_LOSS, False),
        (OrderType.TAKE_PROFIT, False),
    }
)
"""(type, reduce-only) of every order that is ever sent: nothing is reduce-only on spot."""


def plain_request(body: OrderBody, listing: Listing) -> dict[str, Any]:
    """Sized in base, which is not OKX's way for a market buy; and refused rather than shrunk where
    there is too little money."""
    params: dict[str, Any] = _common(body, listing) | {
        "ordType": body.type.value,
        "clOrdId": body.client_order_id,
    }
    if body.type is OrderType.LIMIT:
        assert body.price is not None
        return params | {"px": plain(body.price)}
    return params | {"tgtCcy": "base_ccy", "banAmend": True}


def algo_request(body: OrderBody, listing: Listing) -> dict[str, Any]:
    """A lone leg. Raises CallerError for a buy, which OKX would size in quote."""
    if body.side is not OrderSide.SELL:
        raise CallerError("side", "okx is not sent a conditional buy", "see docs/venues.md")
    return _common(body, listing) | {
        "ordType": "conditional",
        "algoClOrdId": body.client_order_id,
        **_level(body),
    }


def pair_request(stop_loss: OrderBody, take_profit: OrderBody, listing: Listing) -> dict[str, Any]:
    return _common(stop_loss, listing) | {
        "ordType": "oco",
        "algoClOrdId": pair_name(stop_loss.client_order_id, take_profit.client_order_id),
        **_level(stop_loss),
        **_level(take_profit),
    }


def _common(body: OrderBody, listing: Listing) -> dict[str, str]:
    return {
        "instId": listing.name,
        "tdMode": "cash",
        "side": body.side.value,
        "sz": plain(body.quantity),
    }


def _level(body: OrderBody) -> dict[str, str]:
    assert body.trigger_price is not None
    leg = KINDS[body.type]
    return {
        f"{leg}TriggerPx": plain(body.trigger_price),
        f"{leg}TriggerPxType": BASIS_NAMES[body.trigger_basis],
        f"{leg}OrdPx": "-1",
    }
