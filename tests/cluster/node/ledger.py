"""How a position was covered over time, by the paper venue's own orders.

Read with plain SQL from the venue's rows: it shares nothing with the code that is judged by it.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from sqlalchemy import Connection, select

from guardian_core.storage.schema import PaperRecord

STOP_LOSS, TAKE_PROFIT = "stop_loss", "take_profit"


@dataclass(frozen=True, slots=True)
class Order:
    """A protective order. `until`: when it stopped working; None: it works."""

    id: str
    role: str
    quantity: Decimal
    level: Decimal
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Ledger:
    """One symbol of one account. `position` is signed, in base units."""

    position: Decimal
    protective: tuple[Order, ...]

    @classmethod
    def read(cls, connection: Connection, account: str, symbol: str) -> "Ledger":
        """One consistent look."""
        query = select(PaperRecord.kind, PaperRecord.body)
        rows = connection.execute(query.where(PaperRecord.account_name == account)).all()
        position, orders = Decimal(0), []
        for kind, body in rows:
            if body.get("symbol") != symbol:
                continue
            if kind == "position":
                position = Decimal(body["quantity"])
            elif kind in ("working_order", "finished_order") and body["role"] in (
                STOP_LOSS,
                TAKE_PROFIT,
            ):
                orders.append(_order(body))
        return cls(position, tuple(sorted(orders, key=lambda order: int(order.id))))

    def working(self, role: str) -> list[Order]:
        """The orders of a role that work now."""
        return [order for order in self.protective if order.role == role and order.until is None]

    def levels(self) -> dict[str, list[Decimal]]:
        """Of the orders that work now, by role."""
        return {role: [o.level for o in self.working(role)] for role in (STOP_LOSS, TAKE_PROFIT)}

    def naked_s(self, role: str, since: datetime, until: datetime) -> float:
        """For how long, in between, no order of the role covered all of the position, which must
        have been the same throughout."""
        size = abs(self.position)
        of_role = (order for order in self.protective if order.role == role)
        covering = [order for order in of_role if order.quantity >= size]
        moments = {since, until}
        moments |= {at for o in covering for at in (o.since, o.until) if at and since < at < until}
        naked = 0.0
        for begin, end in pairwise(sorted(moments)):
            is_covered = any(o.since <= begin and (not o.until or o.until >= end) for o in covering)
            naked += 0.0 if is_covered else (end - begin).total_seconds()
        return naked


def _order(body: dict[str, str]) -> Order:
    works = body["status"] == "open"
    return Order(
        id=body["order_id"],
        role=body["role"],
        quantity=Decimal(body["quantity"]),
        level=Decimal(body["trigger_price"]),
        since=datetime.fromisoformat(body["created_at"]),
        until=None if works else datetime.fromisoformat(body["updated_at"]),
    )
