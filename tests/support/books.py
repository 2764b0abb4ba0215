"""Builds states, orders and fills as the engine and the gateway would have left them."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Update, select, update

from guardian_core.accounts import AccountSpec, PaperSpec
from guardian_core.domain.money import MarketKind
from guardian_core.domain.orders import OrderSide, PositionSide, Role
from guardian_core.ports import Clock, Database, Tx
from guardian_core.storage.accounts_store import put_account
from guardian_core.storage.lanes import lane_for
from guardian_core.storage.schema import Fill, FundingPayment, Journal, Trade, WebhookState
from tests.support.ids import SeededIds

ACCOUNT = "main"
SYMBOL = "BTCUSDT"
TRACE = "ab" * 16
D = Decimal


@dataclass(frozen=True)
class Order:
    """An order row that stands in the database."""

    id: UUID
    state_id: UUID | None
    side: OrderSide
    venue_id: str | None


class Books:
    """Writes rows through a real database; every id is its own, every time is the clock's."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self._clock = clock
        self._ids = SeededIds()
        self._count = 0

    async def account(self, market: MarketKind = MarketKind.LINEAR, name: str = ACCOUNT) -> None:
        spec = AccountSpec(account_id=name, paper=PaperSpec(market=market))
        await self.database.run(lambda tx: put_account(tx, name, spec))

    async def state(
        self,
        side: PositionSide = PositionSide.LONG,
        *,
        status: str = "open",
        quantity: str = "1",
        symbol: str = SYMBOL,
        account: str = ACCOUNT,
        **columns: object,
    ) -> UUID:
        state_id = self._ids.uuid()

        def store(tx: Tx) -> None:
            values: dict[str, object] = {
                "id": state_id,
                "lane_id": lane_for(tx, account, symbol),
                "side": side.value,
                "quantity": D(quantity),
                "status": status,
                "revision": 1,
                "revised_at": self.now,
                "source": "webhook",
                "trace_id": TRACE,
                "created_at": self.now,
            }
            tx.add(WebhookState(**(values | columns)))

        await self.database.run(store)
        return state_id

    async def close(self, state_id: UUID, reason: str = "Flat", incomplete: bool = False) -> None:
        await self.change(
            state_id,
            status="closed",
            closed_at=self.now,
            close_reason=reason,
            pnl_incomplete=incomplete,
        )

    async def change(self, state_id: UUID, **columns: object) -> None:
        change = update(WebhookState).where(WebhookState.id == state_id).values(**columns)
        await self.database.run(lambda tx: _execute(tx, change))

    async def change_trade(self, trade_id: UUID, **columns: object) -> None:
        change = update(Trade).where(Trade.id == trade_id).values(**columns)
        await self.database.run(lambda tx: _execute(tx, change))

    async def order(
        self,
        state_id: UUID | None,
        side: OrderSide,
        role: Role = Role.ENTRY,
        *,
        symbol: str = SYMBOL,
        status: str = "closed",
        venue_id: str | None = None,
        quantity: str = "1",
        **columns: object,
    ) -> Order:
        row_id, number = self._ids.uuid(), self._next()
        venue_id = venue_id if venue_id is not None else f"v{number}"
        values: dict[str, object] = {
            "id": row_id,
            "client_order_id": f"guardn{number:022d}",
            "webhook_state_id": state_id,
            "account_name": ACCOUNT,
            "symbol": symbol,
            "source": "webhook",
            "role": role.value,
            "type": "market",
            "side": side.value,
            "status": status,
            "quantity": D(quantity),
            "exchange_order_id": venue_id or None,
            "revision": 1,
            "attempt": 1,
            "trace_id": TRACE,
            "created_at": self.now,
            "updated_at": self.now,
        }
        await self.database.run(lambda tx: tx.add(Trade(**(values | columns))))
        return Order(row_id, state_id, side, venue_id or None)

    async def fill(
        self,
        order: Order | None,
        quantity: str,
        price: str,
        *,
        side: OrderSide | None = None,
        venue_order_id: str | None = None,
        symbol: str = SYMBOL,
        fee: str = "0",
        fee_quote: str | None = "0",
        fee_base: str = "0",
        fee_currency: str = "USDT",
        at: datetime | None = None,
    ) -> UUID:
        """Of an order of ours where one is given; else loose, by `side` and `venue_order_id`."""
        row_id, number = self._ids.uuid(), self._next()
        fill_side = side or (order.side if order else None)
        assert fill_side is not None
        values = {
            "id": row_id,
            "account_name": ACCOUNT,
            "symbol": symbol,
            "venue_fill_id": f"f{number}",
            "venue_order_id": venue_order_id or (order.venue_id if order else None) or "by-hand",
            "trade_id": order.id if order else None,
            "webhook_state_id": order.state_id if order else None,
            "side": fill_side.value,
            "price": D(price),
            "quantity": D(quantity),
            "fee": D(fee),
            "fee_currency": fee_currency,
            "fee_quote": None if fee_quote is None else D(fee_quote),
            "fee_base": D(fee_base),
            "at": at or self.now,
        }
        await self.database.run(lambda tx: tx.add(Fill(**values)))
        return row_id

    async def funding(
        self, amount: str, state_id: UUID | None = None, symbol: str = SYMBOL
    ) -> None:
        values = {
            "id": self._ids.uuid(),
            "account_name": ACCOUNT,
            "symbol": symbol,
            "venue_payment_id": f"p{self._next()}",
            "webhook_state_id": state_id,
            "amount": D(amount),
            "at": self.now,
        }
        await self.database.run(lambda tx: tx.add(FundingPayment(**values)))

    @property
    def now(self) -> datetime:
        return self._clock.now()

    async def state_row(self, state_id: UUID) -> WebhookState:
        return await self.database.run(lambda tx: tx.get_one(WebhookState, state_id))

    async def trade_row(self, trade_id: UUID) -> Trade | None:
        return await self.database.run(lambda tx: tx.get(Trade, trade_id))

    async def fill_row(self, fill_id: UUID) -> Fill:
        return await self.database.run(lambda tx: tx.get_one(Fill, fill_id))

    async def journal(self, point: str | None = None) -> list[Journal]:
        def read(tx: Tx) -> list[Journal]:
            return list(tx.scalars(select(Journal).order_by(Journal.id)))

        rows = await self.database.run(read)
        return [row for row in rows if point is None or row.point == point]

    def _next(self) -> int:
        self._count += 1
        return self._count


def _execute(tx: Tx, change: Update) -> None:
    tx.execute(change)
