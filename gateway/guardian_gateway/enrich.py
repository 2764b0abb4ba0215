"""Working orders as `decide` reads them: the venue's listing joined with our rows. Pure."""

from collections.abc import Iterable

from guardian_core.domain.orders import OrderSide, OrderType, Role, belongs_to
from guardian_core.domain.snapshot import WorkingOrder
from guardian_gateway.rows import TradeRow
from guardian_gateway.venues.port import VenueOrder


class RowIndex:
    """Our rows by every id that a venue may show for them."""

    def __init__(self, rows: Iterable[TradeRow]) -> None:
        self._by_id: dict[str, TradeRow] = {}
        self._by_client_id: dict[str, TradeRow] = {}
        for row in rows:
            self._by_client_id[row.client_order_id] = row
            for venue_id in (row.exchange_order_id, row.child_order_id):
                if venue_id:
                    self._by_id[venue_id] = row

    def row_of(self, order: VenueOrder) -> TradeRow | None:
        """By client id first: a venue may count its orders anew for each symbol or kind."""
        row = (
            self._by_client_id.get(order.ref.client_order_id or "")
            or self._by_id.get(order.ref.venue_order_id)
            or self._by_id.get(order.parent_id or "")
        )
        if row is None or (row.symbol, row.side) != (order.ref.symbol, order.side):
            return None
        return row


def ids_of(order: VenueOrder) -> tuple[str, ...]:
    """All ids by which a row may know this order."""
    ids = (order.ref.client_order_id, order.ref.venue_order_id, order.parent_id)
    return tuple(text for text in ids if text)


def listed(
    order: VenueOrder, row: TradeRow | None, installation: str, *, in_flight: bool = False
) -> WorkingOrder:
    """An order that the venue shows. Ours is what a row says, then the prefix of its id."""
    ours = row is not None or belongs_to(installation, order.ref.client_order_id)
    return WorkingOrder(
        ref=order.ref,
        side=order.side,
        type=order.type,
        quantity=order.quantity,
        remaining=order.remaining,
        trigger_price=order.trigger_price,
        price=order.price,
        reduce_only=order.reduce_only,
        whole_position=order.whole_position,
        trigger_basis=order.trigger_basis,
        pair_id=order.pair_id,
        ours=ours,
        in_flight=in_flight,
        role=row.role if row else (_role_by_look(order) if ours else None),
        state_id=row.state_id if row else None,
        revision=row.revision if row else None,
        attempt=row.attempt if row else None,
        created_at=order.created_at or (row.created_at if row else None),
    )


def in_flight(row: TradeRow) -> WorkingOrder:
    """An order of ours that the venue does not show, and that must not be called missing yet."""
    return WorkingOrder(
        ref=row.ref(),
        side=row.side,
        type=row.type,
        quantity=row.quantity,
        remaining=row.quantity - row.filled_quantity,
        trigger_price=row.trigger_price,
        price=row.price,
        reduce_only=row.reduce_only,
        pair_id=row.pair_id,
        ours=True,
        in_flight=True,
        role=row.role,
        state_id=row.state_id,
        revision=row.revision,
        attempt=row.attempt,
        created_at=row.created_at,
    )


def _role_by_look(order: VenueOrder) -> Role:
    """The role of an order with our prefix and no row: its row was lost with a database."""
    match order.type:
        case OrderType.STOP_LOSS:
            return Role.STOP_LOSS
        case OrderType.TAKE_PROFIT:
            return Role.TAKE_PROFIT
        case OrderType.LIMIT if order.pair_id is not None:
            return Role.TAKE_PROFIT
        case OrderType.MARKET | OrderType.LIMIT:
            spot_exit = order.pair_id is not None and order.side is OrderSide.SELL
            return Role.EXIT if order.reduce_only or spot_exit else Role.ENTRY
