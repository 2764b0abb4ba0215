"""Plans and lanes for tests of `decide`: a protected long of 0.1 BTC unless told otherwise."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from guardian_core.domain.money import Instrument, MarketKind
from guardian_core.domain.orders import (
    OrderRef,
    OrderSide,
    OrderStatus,
    OrderType,
    PositionSide,
    Role,
    leg_order_id,
)
from guardian_core.domain.plan import PastOrder, Plan, Policy, StateStatus
from guardian_core.domain.snapshot import (
    Capabilities,
    LaneSnapshot,
    LegsMode,
    Position,
    Price,
    WorkingOrder,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
STATE = UUID(int=1)
SYMBOL = "BTCUSDT"
INSTALLATION = "testin"
DERIVATIVES = Capabilities(LegsMode.INDEPENDENT, False, True, True)
AMENDING = Capabilities(LegsMode.INDEPENDENT, True, True, True)
CANCEL_FIRST = Capabilities(LegsMode.INDEPENDENT, False, False, True)
SPOT = Capabilities(LegsMode.PAIR, False, False, False)
STOP_ONLY = Capabilities(LegsMode.STOP_ONLY, False, False, False)
POLICY = Policy()


def dec(text: str | int) -> Decimal:
    return Decimal(text)


INSTRUMENT = Instrument(
    SYMBOL, "BTC", "USDT", MarketKind.LINEAR, dec("0.1"), dec("0.001"), dec("0.001"), dec(5)
)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def plan(**changes: Any) -> Plan:
    base = Plan(
        state_id=STATE,
        symbol=SYMBOL,
        side=PositionSide.LONG,
        status=StateStatus.OPEN,
        revision=3,
        revised_at=NOW - seconds(60),
        stop_loss=dec(42000),
        take_profit=dec(45000),
        net_filled=dec("0.1"),
        entry_sent=True,
        quantity=dec("0.1"),
        entry_price=dec(43000),
        stop_loss_order_id="sl-1",
        take_profit_order_id="tp-1",
        orders=(past(Role.STOP_LOSS), past(Role.TAKE_PROFIT)),
        installation=INSTALLATION,
    )
    if changes.get("side") is PositionSide.SHORT:
        base = replace(base, stop_loss=dec(45000), take_profit=dec(42000), net_filled=dec("-0.1"))
    return replace(base, **changes)


def past(role: Role, attempt: int = 1, status: str = "open", **changes: Any) -> PastOrder:
    base = PastOrder(role, attempt, OrderStatus(status), dec("0.1"), dec(0), NOW - seconds(60))
    return replace(base, **changes)


def leg(role: Role, *, side: PositionSide = PositionSide.LONG, **changes: Any) -> WorkingOrder:
    stop = role is Role.STOP_LOSS
    low, high = dec(42000), dec(45000)
    trigger = low if stop is (side is PositionSide.LONG) else high
    revision, attempt = changes.get("revision", 3), changes.get("attempt", 1)
    name = "sl" if stop else "tp"
    base = WorkingOrder(
        ref=OrderRef(
            f"{name}-{attempt}",
            SYMBOL,
            True,
            leg_order_id(INSTALLATION, STATE, role, revision, attempt),
        ),
        side=side.exit_side,
        type=OrderType.STOP_LOSS if stop else OrderType.TAKE_PROFIT,
        quantity=dec("0.1"),
        remaining=dec("0.1"),
        trigger_price=trigger,
        reduce_only=True,
        ours=True,
        role=role,
        state_id=STATE,
        revision=revision,
        attempt=attempt,
        created_at=NOW - seconds(60),
    )
    return replace(base, **changes)


def entry(order_id: str = "en-1", **changes: Any) -> WorkingOrder:
    base = WorkingOrder(
        ref=OrderRef(order_id, SYMBOL, False, "testinentry"),
        side=OrderSide.BUY,
        type=OrderType.LIMIT,
        quantity=dec("0.1"),
        remaining=dec("0.1"),
        price=dec(41000),
        ours=True,
        role=Role.ENTRY,
        state_id=STATE,
        revision=1,
        attempt=1,
        created_at=NOW - seconds(60),
    )
    return replace(base, **changes)


def foreign(**changes: Any) -> WorkingOrder:
    base = WorkingOrder(
        ref=OrderRef("alien-1", SYMBOL, True, "somebodyelse"),
        side=OrderSide.SELL,
        type=OrderType.STOP_LOSS,
        quantity=dec("0.1"),
        remaining=dec("0.1"),
        trigger_price=dec(41000),
        reduce_only=True,
    )
    return replace(base, **changes)


def position(quantity: str = "0.1", side: PositionSide = PositionSide.LONG) -> Position:
    return Position(SYMBOL, side, dec(quantity), dec(43000))


def price(last: str | int = 43500, age_ms: int = 100) -> Price:
    return Price(SYMBOL, dec(last), age_ms)


def lane(**changes: Any) -> LaneSnapshot:
    base = LaneSnapshot(
        symbol=SYMBOL,
        capabilities=DERIVATIVES,
        age_s=0.1,
        position=position(),
        orders=(leg(Role.STOP_LOSS), leg(Role.TAKE_PROFIT)),
        price=price(),
        instrument=INSTRUMENT,
    )
    return replace(base, **changes)


FLAT: dict[str, Any] = {"position": None, "orders": ()}
