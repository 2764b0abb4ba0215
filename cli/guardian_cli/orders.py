"""`guardian orders`: what works on the venue now, as the venue itself reports it."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from guardian_cli import rows
from guardian_cli.place import Place
from guardian_cli.rows import Filter, TradeLine
from guardian_core.domain.errors import GuardianError, Unavailable
from guardian_core.domain.snapshot import WorkingOrder
from guardian_core.storage.accounts_store import list_accounts


@dataclass(frozen=True, slots=True)
class OrderLine:
    """`order_id`: the venue's. `state`: working, in flight, or what only our row says of it."""

    account: str
    symbol: str
    order_id: str | None
    client_order_id: str | None
    ours: bool
    role: str | None
    side: str
    type: str
    quantity: Decimal
    remaining: Decimal
    price: Decimal | None
    trigger_price: Decimal | None
    reduce_only: bool | None
    state: str
    revision: int | None
    state_id: UUID | None
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class Orders:
    """`notes`: what kept the answer from being complete."""

    orders: tuple[OrderLine, ...]
    notes: tuple[str, ...] = ()


async def read_orders(place: Place, wanted: Filter) -> Orders:
    """Asks the gateway; an account that it cannot tell of is shown as our rows have it."""
    async with place.reading() as database:
        accounts = [row.name for row in await database.run(list_accounts)]
        stored = await database.run(lambda tx: rows.trades(tx, wanted, unfinished=True))
    lines: list[OrderLine] = []
    notes: dict[str, None] = {}
    for account in accounts:
        if wanted.account not in (None, account):
            continue
        try:
            lines += await _on_venue(place, account, wanted.symbol)
        except GuardianError as error:
            told = str(error) if isinstance(error, Unavailable) else f"{account}: {error}"
            notes[told] = None
            lines += [_from_row(trade) for trade in stored if trade.account == account]
    return Orders(tuple(lines), tuple(notes))


async def _on_venue(place: Place, account: str, symbol: str | None) -> list[OrderLine]:
    async with place.gateway() as gateway:
        snapshot = await gateway.snapshot(account)
    if not snapshot.orders_section.ok:
        raise Unavailable(f"{account}: {snapshot.orders_section.error}")
    return [
        _from_venue(account, order)
        for order in snapshot.orders
        if symbol in (None, order.ref.symbol)
    ]


def _from_venue(account: str, order: WorkingOrder) -> OrderLine:
    return OrderLine(
        account=account,
        symbol=order.ref.symbol,
        order_id=order.ref.venue_order_id,
        client_order_id=order.ref.client_order_id,
        ours=order.ours,
        role=order.role.value if order.role else None,
        side=order.side.value,
        type=order.type.value,
        quantity=order.quantity,
        remaining=order.remaining,
        price=order.price,
        trigger_price=order.trigger_price,
        reduce_only=order.reduce_only,
        state="in flight" if order.in_flight else "working",
        revision=order.revision,
        state_id=order.state_id,
        created_at=order.created_at,
    )


def _from_row(trade: TradeLine) -> OrderLine:
    return OrderLine(
        account=trade.account,
        symbol=trade.symbol,
        order_id=trade.exchange_order_id,
        client_order_id=trade.client_order_id,
        ours=True,
        role=trade.role,
        side=trade.side,
        type=trade.type,
        quantity=trade.quantity,
        remaining=trade.quantity - trade.filled_quantity,
        price=trade.price,
        trigger_price=trade.trigger_price,
        reduce_only=None,
        state=f"{trade.status} when last seen",
        revision=trade.revision,
        state_id=trade.webhook_state_id,
        created_at=trade.at,
    )
