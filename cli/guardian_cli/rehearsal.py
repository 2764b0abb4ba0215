"""A gateway that sends nothing: what is submitted to it changes a copy of what the venue reported.

For `guardian explain`: the real engine works against it, so what it would do is what it does here.
Every order is accepted, and a market order fills at the last price.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import assert_never

from sqlalchemy import update

from guardian_core.domain.decision import Amend, Cancel, Reduce, Submit
from guardian_core.domain.money import EXACT, ZERO
from guardian_core.domain.orders import (
    OrderBody,
    OrderRef,
    OrderSide,
    OrderStatus,
    OrderType,
    PositionSide,
    Role,
)
from guardian_core.domain.snapshot import AccountSnapshot, Position, Price, WorkingOrder
from guardian_core.ports import Database, Ids, Tx
from guardian_core.protocol import (
    BalanceReport,
    Bar,
    CheckReport,
    DecisionRequest,
    DecisionResult,
    Enter,
    FillReport,
    InstrumentReport,
    OrderOutcome,
    OutcomeKind,
    PaperCommand,
    PaperReport,
)
from guardian_core.storage.schema import Fill, Trade


@dataclass(frozen=True, slots=True)
class Sent:
    """One order as it would be sent. `level`: its trigger, else its limit; None at market."""

    operation: str
    role: str | None
    side: str | None
    type: str | None
    quantity: Decimal | None
    level: Decimal | None
    reduce_only: bool | None
    order_id: str | None
    reason: str = ""

    @classmethod
    def of(cls, operation: str, body: OrderBody, order_id: str | None = None) -> "Sent":
        return cls(
            operation=operation,
            role=body.role.value,
            side=body.side.value,
            type=body.type.value,
            quantity=body.quantity,
            level=body.trigger_price if body.trigger_price is not None else body.price,
            reduce_only=body.reduce_only,
            order_id=order_id,
        )


class RehearsalGateway:
    """`GatewayClient` over copies. `database` is the rehearsal's own; `sent` is what came of it.

    `base_fee_percent`: of what is bought, kept back in the coins themselves (spot).
    """

    def __init__(
        self,
        database: Database,
        ids: Ids,
        snapshot: AccountSnapshot,
        balances: BalanceReport,
        report: InstrumentReport,
        *,
        base_fee_percent: Decimal = ZERO,
    ) -> None:
        self._database = database
        self._ids = ids
        self._snapshot = snapshot
        self._balances = balances
        self._report = report
        self._base_fee_percent = base_fee_percent
        self._count = 0
        self.sent: list[Sent] = []

    async def snapshot(self, account: str, symbol: str | None = None) -> AccountSnapshot:
        return self._snapshot

    async def balances(self, account: str) -> BalanceReport:
        return self._balances

    async def check(self, account: str) -> CheckReport:
        return CheckReport(lines=())

    async def instrument(self, account: str, symbol: str) -> InstrumentReport:
        return self._report

    async def fills(self, account: str, symbol: str, since: datetime | None = None) -> FillReport:
        return FillReport(fills=())

    async def close(self) -> None:
        return None

    async def paper(self, account: str, command: PaperCommand) -> PaperReport:
        """Only the alert's own bar comes this way: its close is the price."""
        if isinstance(command, Bar):
            self._set_price(command.symbol, command.close)
        return PaperReport(message="")

    async def submit(self, account: str, symbol: str, request: DecisionRequest) -> DecisionResult:
        outcomes: list[OrderOutcome] = []
        for index, action in enumerate(request.actions):
            match action:
                case Enter(body=body):
                    outcomes.append(await self._place(account, request, index, body))
                case Submit(bodies=bodies, replaces=replaced):
                    pair_id = f"pair-{index}" if len(bodies) > 1 else None
                    for body in bodies:
                        outcomes.append(await self._place(account, request, index, body, pair_id))
                    outcomes += [await self._cancel(index, ref, "replaced") for ref in replaced]
                case Amend(order=ref, body=body):
                    outcomes.append(self._amend(index, ref, body))
                case Cancel(order=ref, reason=reason):
                    outcomes.append(await self._cancel(index, ref, reason))
                case Reduce(body=body, frees=freed):
                    outcomes += [await self._cancel(index, ref, "frees its coins") for ref in freed]
                    outcomes.append(await self._place(account, request, index, body))
                case _:
                    assert_never(action)
        return DecisionResult(outcomes=tuple(outcomes))

    async def _place(
        self,
        account: str,
        request: DecisionRequest,
        index: int,
        body: OrderBody,
        pair_id: str | None = None,
    ) -> OrderOutcome:
        self.sent.append(Sent.of("create", body))
        self._count += 1
        order_id = f"new-{self._count}"
        price = self._fill_price(body)
        if price is None:
            self._add_order(request, body, order_id, pair_id)
        else:
            self._move_position(body, price)
        if not body.role.is_leg:
            await self._database.run(
                lambda tx: self._book(tx, account, request, body, order_id, price)
            )
        return OrderOutcome(
            action=index,
            operation="create",
            outcome=OutcomeKind.ACCEPTED,
            role=body.role,
            client_order_id=body.client_order_id,
            venue_order_id=order_id,
            status=OrderStatus.OPEN if price is None else OrderStatus.CLOSED,
            filled_quantity=ZERO if price is None else body.quantity,
            average_price=price,
        )

    def _fill_price(self, body: OrderBody) -> Decimal | None:
        """What it fills at, at once; None where it waits."""
        last = self._last(body.symbol)
        if body.type is OrderType.MARKET:
            return last
        if body.type is not OrderType.LIMIT or last is None or body.price is None:
            return None
        better = last <= body.price if body.side is OrderSide.BUY else last >= body.price
        return last if better else None

    def _add_order(
        self, request: DecisionRequest, body: OrderBody, order_id: str, pair_id: str | None
    ) -> None:
        order = WorkingOrder(
            ref=OrderRef(order_id, body.symbol, body.type.is_conditional, body.client_order_id),
            side=body.side,
            type=body.type,
            quantity=body.quantity,
            remaining=body.quantity,
            trigger_price=body.trigger_price,
            price=body.price,
            reduce_only=body.reduce_only,
            trigger_basis=body.trigger_basis if body.type.is_conditional else None,
            pair_id=pair_id,
            ours=True,
            role=body.role,
            state_id=request.state_id,
            revision=body.revision,
            attempt=body.attempt,
        )
        self._snapshot = replace(self._snapshot, orders=(*self._snapshot.orders, order))

    def _move_position(self, body: OrderBody, price: Decimal) -> None:
        """Signed arithmetic: a sell of more than is long leaves a short."""
        old = next((p for p in self._snapshot.positions if p.symbol == body.symbol), None)
        signed = old.side.sign * old.quantity if old else ZERO
        signed += body.side.sign * body.quantity - self._base_fee(body)
        others = tuple(p for p in self._snapshot.positions if p.symbol != body.symbol)
        if signed != 0:
            side = PositionSide.LONG if signed > 0 else PositionSide.SHORT
            entry = old.entry_price if old and body.role is not Role.ENTRY else price
            whole = self._report.instrument.floor_quantity(abs(signed))
            others = (*others, Position(body.symbol, side, whole, entry))
        self._snapshot = replace(self._snapshot, positions=others)

    def _amend(self, index: int, ref: OrderRef, body: OrderBody) -> OrderOutcome:
        self.sent.append(Sent.of("amend", body, ref.venue_order_id))
        amended = tuple(
            replace(
                order,
                trigger_price=body.trigger_price,
                quantity=body.quantity,
                remaining=body.quantity,
                revision=body.revision,
            )
            if order.ref.venue_order_id == ref.venue_order_id
            else order
            for order in self._snapshot.orders
        )
        self._snapshot = replace(self._snapshot, orders=amended)
        return _done(index, "amend", ref, body.role)

    async def _cancel(self, index: int, ref: OrderRef, reason: str) -> OrderOutcome:
        gone = next(
            (o for o in self._snapshot.orders if o.ref.venue_order_id == ref.venue_order_id), None
        )
        role = gone.role if gone else None
        self.sent.append(
            Sent(
                operation="cancel",
                role=role.value if role else None,
                side=gone.side.value if gone else None,
                type=gone.type.value if gone else None,
                quantity=gone.remaining if gone else None,
                level=(gone.trigger_price or gone.price) if gone else None,
                reduce_only=None,
                order_id=ref.venue_order_id,
                reason=reason,
            )
        )
        self._snapshot = replace(
            self._snapshot, orders=tuple(o for o in self._snapshot.orders if o is not gone)
        )
        await self._database.run(lambda tx: _mark_cancelled(tx, ref.venue_order_id))
        return _done(index, "cancel", ref, role)

    def _book(
        self,
        tx: Tx,
        account: str,
        request: DecisionRequest,
        body: OrderBody,
        order_id: str,
        price: Decimal | None,
    ) -> None:
        """The rows that the gateway would write of an entry or exit: the engine reads them."""
        trade = Trade(
            id=self._ids.uuid(),
            client_order_id=body.client_order_id,
            webhook_state_id=request.state_id,
            account_name=account,
            symbol=body.symbol,
            source=request.source.value,
            role=body.role.value,
            type=body.type.value,
            side=body.side.value,
            status=(OrderStatus.OPEN if price is None else OrderStatus.CLOSED).value,
            quantity=body.quantity,
            price=body.price,
            reduce_only=body.reduce_only,
            exchange_order_id=order_id,
            filled_quantity=ZERO if price is None else body.quantity,
            average_price=price,
            revision=body.revision,
            attempt=body.attempt,
            trace_id=request.trace_id,
            created_at=tx.now(),
            updated_at=tx.now(),
        )
        tx.add(trade)
        tx.flush()
        if price is not None:
            tx.add(
                Fill(
                    id=self._ids.uuid(),
                    account_name=account,
                    symbol=body.symbol,
                    venue_fill_id=order_id,
                    venue_order_id=order_id,
                    trade_id=trade.id,
                    webhook_state_id=request.state_id,
                    side=body.side.value,
                    price=price,
                    quantity=body.quantity,
                    fee=ZERO,
                    fee_currency="",
                    fee_base=self._base_fee(body),
                    at=tx.now(),
                )
            )

    def _base_fee(self, body: OrderBody) -> Decimal:
        """The coins that a buy pays as its fee."""
        if body.side is OrderSide.SELL:
            return ZERO
        return EXACT.divide(EXACT.multiply(body.quantity, self._base_fee_percent), Decimal(100))

    def _last(self, symbol: str) -> Decimal | None:
        price = next((p for p in self._snapshot.prices if p.symbol == symbol), None)
        return price.last if price is not None else self._report.last_price

    def _set_price(self, symbol: str, last: Decimal) -> None:
        others = tuple(p for p in self._snapshot.prices if p.symbol != symbol)
        self._snapshot = replace(self._snapshot, prices=(*others, Price(symbol, last)))
        self._report = self._report.model_copy(update={"last_price": last, "price_age_ms": 0})


def _mark_cancelled(tx: Tx, venue_order_id: str) -> None:
    """As the gateway does with the row of an order of ours."""
    tx.execute(
        update(Trade)
        .where(Trade.exchange_order_id == venue_order_id)
        .values(status=OrderStatus.CANCELLED.value, updated_at=tx.now())
    )


def _done(index: int, operation: str, ref: OrderRef, role: Role | None) -> OrderOutcome:
    return OrderOutcome.model_validate(
        {
            "action": index,
            "operation": operation,
            "outcome": OutcomeKind.ACCEPTED,
            "role": role,
            "client_order_id": ref.client_order_id,
            "venue_order_id": ref.venue_order_id,
        }
    )
