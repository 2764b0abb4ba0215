"""A pass over several lanes: what goes wrong on one is that one's alone, and is not hammered at."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, cast

import pytest
from sqlalchemy import select

from guardian_core import guarding as module
from guardian_core.domain.decision import Coverage, Decision
from guardian_core.domain.errors import CallerError, Conflict, RejectReason, Unavailable
from guardian_core.domain.money import Instrument, MarketKind
from guardian_core.domain.orders import OrderRef, OrderSide, OrderType, PositionSide, Role
from guardian_core.domain.plan import Plan, Policy
from guardian_core.domain.snapshot import (
    AccountSnapshot,
    Capabilities,
    LaneSnapshot,
    LegsMode,
    Position,
    Section,
    WorkingOrder,
)
from guardian_core.guarding import Guarding
from guardian_core.ports import Database, GatewayClient, NoMirror, Tx
from guardian_core.protocol import (
    DecisionRequest,
    DecisionResult,
    OrderOutcome,
    OutcomeKind,
    Source,
)
from guardian_core.storage.desires import Desire, revise
from guardian_core.storage.schema import Journal, Trade, WebhookState
from tests.support import rows
from tests.support.clock import FakeClock
from tests.support.ids import SeededIds

SYMBOLS = ("BTCUSDT", "ETHUSDT")
CAPABILITIES = Capabilities(LegsMode.INDEPENDENT, False, True, True)
Answer = Callable[[str, DecisionRequest], DecisionResult]


def accepted(_symbol: str, request: DecisionRequest) -> DecisionResult:
    outcomes = (
        OrderOutcome(
            action=index,
            operation="cancel" if action.kind == "cancel" else "create",
            outcome=OutcomeKind.ACCEPTED,
            role=Role.STOP_LOSS,
        )
        for index, action in enumerate(request.actions)
    )
    return DecisionResult(outcomes=tuple(outcomes))


def refused(_symbol: str, request: DecisionRequest) -> DecisionResult:
    done = accepted(_symbol, request).outcomes
    no = {"outcome": OutcomeKind.REJECTED, "reason": RejectReason.NOT_PERMITTED}
    return DecisionResult(outcomes=tuple(o.model_copy(update=no) for o in done))


@dataclass
class Gateway:
    """Shows the same venue at every look, and answers as it is told."""

    snapshot_now: AccountSnapshot
    answer: Answer = accepted
    asked: list[str] = field(default_factory=list)
    looks: int = 0

    async def snapshot(self, _account: str, _symbol: str | None = None) -> AccountSnapshot:
        self.looks += 1
        return self.snapshot_now

    async def submit(self, _account: str, symbol: str, request: DecisionRequest) -> DecisionResult:
        self.asked.append(symbol)
        return self.answer(symbol, request)


def instrument(symbol: str) -> Instrument:
    tick, step = Decimal("0.1"), Decimal("0.001")
    base = symbol.removesuffix("USDT")
    return Instrument(symbol, base, "USDT", MarketKind.LINEAR, tick, step, step, Decimal(5))


NAKED = AccountSnapshot(
    account=rows.ACCOUNT,
    venue="paper",
    capabilities=CAPABILITIES,
    positions_section=Section(True),
    orders_section=Section(True),
    positions=tuple(Position(s, PositionSide.LONG, Decimal("0.01")) for s in SYMBOLS),
    instruments=tuple(map(instrument, SYMBOLS)),
)
LEFTOVER = replace(
    NAKED,
    positions=(),
    orders=(
        WorkingOrder(
            OrderRef("old", SYMBOLS[0], True, "testinold"),
            OrderSide.SELL,
            OrderType.STOP_LOSS,
            Decimal("0.01"),
            Decimal("0.01"),
            ours=True,
            role=Role.STOP_LOSS,
        ),
    ),
)


async def guards(
    database: Database, gateway: Gateway, clock: FakeClock, **columns: Any
) -> Guarding:
    """Over two lanes with a state each."""

    def begin(tx: Tx) -> None:
        ids = SeededIds()
        for symbol in SYMBOLS:
            rows.state(tx, ids, rows.lane(tx, symbol), **columns)

    await database.run(begin)
    return Guarding(
        database,
        cast("GatewayClient", gateway),
        clock,
        installation="testin",
        source=Source.GUARDIAN,
        mirror=NoMirror(),
    )


@pytest.mark.parametrize(
    "error",
    [CallerError("body", "is wrong"), Unavailable("away"), ValueError("a mistake")],
    ids=lambda error: type(error).__name__,
)
async def test_a_lane_whose_submit_fails_does_not_stop_the_others(
    inline_database: Database, clock: FakeClock, error: Exception
) -> None:
    def answer(symbol: str, request: DecisionRequest) -> DecisionResult:
        if symbol == SYMBOLS[0]:
            raise error
        return accepted(symbol, request)

    gateway = Gateway(NAKED, answer)
    guarding = await guards(inline_database, gateway, clock)
    report = await guarding.run_pass(rows.ACCOUNT, Policy())
    assert report.lanes[SYMBOLS[0]].last.error
    assert not report.lanes[SYMBOLS[1]].last.error
    assert SYMBOLS[1] in gateway.asked


async def test_a_lane_that_our_rules_cannot_judge_does_not_stop_the_others(
    inline_database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules: Callable[..., Decision] = vars(module)["decide"]

    def fragile(plan: Plan | None, lane: LaneSnapshot, *more: Any) -> Decision:
        if lane.symbol == SYMBOLS[0]:
            raise CallerError("trigger_price", "is 0")
        return rules(plan, lane, *more)

    monkeypatch.setattr(module, "decide", fragile)
    gateway = Gateway(NAKED)
    guarding = await guards(inline_database, gateway, clock)
    report = await guarding.run_pass(rows.ACCOUNT, Policy())
    assert report.lanes[SYMBOLS[0]].coverage is Coverage.UNKNOWN
    assert set(gateway.asked) == {SYMBOLS[1]}


async def test_a_cancel_that_is_refused_is_not_hammered_at(
    inline_database: Database, clock: FakeClock
) -> None:
    gateway = Gateway(LEFTOVER, refused)
    flat_long_ago = clock.now()
    guarding = await guards(inline_database, gateway, clock, flat_seen_at=flat_long_ago)
    clock.advance(60)
    report = await guarding.run_pass(rows.ACCOUNT, Policy())
    assert gateway.asked == [SYMBOLS[0]]
    assert report.requeue_after_s == module.RETRY_S


async def test_a_desire_that_moves_on_meanwhile_is_looked_at_again_at_once(
    inline_database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is submitted on the old one."""
    gateway = Gateway(NAKED)
    guarding = await guards(inline_database, gateway, clock)
    write: Any = vars(module)["apply_changes"]
    moved: list[Any] = []

    def late(tx: Tx, guarded: Any, changes: Any) -> None:
        if not moved:
            moved.append(guarded)
            wish = Desire(Decimal(41_000), None)
            revise(tx, guarded.plan.state_id, 1, wish, trace_id=guarded.trace_id)
        write(tx, guarded, changes)

    monkeypatch.setattr(module, "apply_changes", late)
    report = await guarding.run_pass(rows.ACCOUNT, Policy(), SYMBOLS[0])
    first, second = report.lanes[SYMBOLS[0]].steps[:2]
    assert first.lost_race
    assert first.result is None
    assert second.result is not None


async def test_an_order_in_flight_is_not_asked_for_again_in_the_same_pass(
    inline_database: Database, clock: FakeClock
) -> None:
    def answer(_symbol: str, _request: DecisionRequest) -> DecisionResult:
        raise Conflict("resolving", "an order is still being looked up")

    gateway = Gateway(NAKED, answer)
    guarding = await guards(inline_database, gateway, clock)
    await guarding.run_pass(rows.ACCOUNT, Policy())
    assert gateway.looks == 1


async def test_a_leg_that_somebody_else_had_just_sent_is_no_repair(
    inline_database: Database, clock: FakeClock
) -> None:
    def answer(symbol: str, request: DecisionRequest) -> DecisionResult:
        done = accepted(symbol, request).outcomes
        return DecisionResult(outcomes=tuple(o.model_copy(update={"replayed": True}) for o in done))

    guarding = await guards(inline_database, Gateway(NAKED, answer), clock)
    report = await guarding.run_pass(rows.ACCOUNT, Policy())
    assert not any(step.repaired for lane in report.lanes.values() for step in lane.steps)
    repairs = await inline_database.run(lambda tx: list(tx.scalars(select(WebhookState.repairs))))
    assert repairs == [0, 0]


async def test_a_leg_that_was_refused_before_is_a_repair_though_an_old_one_stands(
    inline_database: Database, clock: FakeClock
) -> None:
    old = replace(LEFTOVER.orders[0], reduce_only=True, trigger_price=Decimal(41_000))
    gateway = Gateway(replace(NAKED, orders=(old,)))
    guarding = await guards(inline_database, gateway, clock, current_tp=None)
    await inline_database.run(add_refused_stops)
    clock.advance(60)
    report = await guarding.run_pass(rows.ACCOUNT, Policy())
    first = report.lanes[SYMBOLS[0]].steps[0]
    assert not first.decision.missing
    assert first.repaired == (Role.STOP_LOSS,)


def add_refused_stops(tx: Tx) -> None:
    """What a MAJ leaves whose new stop the venue did not take."""
    for state in tx.scalars(select(WebhookState)):
        tx.add(
            Trade(
                id=state.id,
                client_order_id=f"testin{state.id.hex[:22]}",
                webhook_state_id=state.id,
                account_name=rows.ACCOUNT,
                symbol=SYMBOLS[0],
                source=Source.WEBHOOK.value,
                role=Role.STOP_LOSS.value,
                type=OrderType.STOP_LOSS.value,
                side=OrderSide.SELL.value,
                status="rejected",
                quantity=state.quantity,
                revision=state.revision,
                attempt=1,
                trace_id="ab" * 16,
                created_at=tx.now(),
                updated_at=tx.now(),
            )
        )


async def test_a_refusal_that_goes_on_for_hours_does_not_fill_the_journal(
    inline_database: Database, clock: FakeClock
) -> None:
    gateway = Gateway(NAKED, refused)
    guarding = await guards(inline_database, gateway, clock)
    for _ in range(120):
        clock.advance(5)
        await guarding.run_pass(rows.ACCOUNT, Policy())
    failures = select(Journal.id).where(Journal.point == "T7.4")
    told = await inline_database.run(lambda tx: len(list(tx.scalars(failures))))
    assert 0 < told <= 3 * len(SYMBOLS)
