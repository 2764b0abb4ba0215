"""Settling a state from its ledger, for any ledger."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from guardian_core.domain.decide import decide
from guardian_core.domain.decision import Close, Decision
from guardian_core.domain.orders import OrderSide, PositionSide
from guardian_core.domain.plan import StateStatus
from guardian_core.settlement import LEAVES_DUST, Settlement, settle
from guardian_core.storage.ledgers import (
    Ledger,
    LedgerFill,
    LedgerFunding,
    LedgerState,
    LedgerTrade,
)
from tests.domain import builders

START = datetime(2025, 6, 1, tzinfo=UTC)
TRADES = tuple(UUID(int=n) for n in range(1, 5))


def decimals(low: int, high: int, places: int) -> st.SearchStrategy[Decimal]:
    return st.integers(low, high).map(lambda n: Decimal(n).scaleb(-places))


@st.composite
def fills(draw: st.DrawFn) -> LedgerFill:
    price, fee = draw(decimals(1, 10**7, 2)), draw(decimals(0, 10**4, 6))
    unknown = draw(st.integers(0, 9)) == 0
    return LedgerFill(
        trade_id=draw(st.sampled_from([None, *TRADES])),
        side=draw(st.sampled_from(OrderSide)),
        quantity=draw(decimals(1, 10**6, 4)),
        price=price,
        fee=fee,
        fee_quote=None if unknown else fee,
        fee_base=Decimal(0),
        at=START + timedelta(seconds=draw(st.integers(0, 1000))),
    )


@st.composite
def ledgers(draw: st.DrawFn) -> Ledger:
    status = draw(st.sampled_from(StateStatus))
    state = LedgerState(
        id=UUID(int=99),
        symbol="BTCUSDT",
        side=draw(st.sampled_from(PositionSide)),
        status=status,
        source=draw(st.sampled_from(["webhook", "adopted"])),
        quantity=draw(decimals(0, 10**6, 4)),
        entry_price=draw(st.none() | decimals(1, 10**7, 2)),
        trace_id="0" * 32,
        created_at=START,
        closed_at=None if status.is_live else START + timedelta(seconds=500),
        close_reason=draw(st.sampled_from(["", "Flat", "Dust", "FlatUnexplained"])),
        realized_pnl=None,
        pnl_incomplete=draw(st.booleans()),
    )
    payments = st.builds(LedgerFunding, decimals(-(10**6), 10**6, 6), st.just(START))
    return Ledger(
        state=state,
        fills=tuple(sorted(draw(st.lists(fills(), max_size=8)), key=lambda fill: fill.at)),
        funding=tuple(draw(st.lists(payments, max_size=3))),
        trades=tuple(LedgerTrade(one, Decimal(0), None, None) for one in TRADES),
    )


def stored(ledger: Ledger, result: Settlement) -> Ledger:
    """The ledger as the next pass reads it, once this result is written."""
    by_id = {trade.trade_id: trade for trade in result.trades}
    return replace(
        ledger,
        state=replace(ledger.state, realized_pnl=result.realized, pnl_incomplete=result.incomplete),
        trades=tuple(
            replace(t, pnl_average=by_id[t.id].average, pnl_fifo=by_id[t.id].fifo)
            if t.id in by_id
            else t
            for t in ledger.trades
        ),
    )


@given(ledgers())
def test_a_result_that_is_stored_changes_nothing_more(ledger):
    after = stored(ledger, settle(ledger))
    again = settle(after)
    assert not again.changes_state(after)
    assert again.new_trades(after) == ()


@given(ledgers())
def test_the_parts_of_trades_and_funding_add_up_to_the_result(ledger):
    owned = replace(
        ledger,
        state=replace(ledger.state, source="webhook"),
        fills=tuple(replace(fill, trade_id=fill.trade_id or TRADES[0]) for fill in ledger.fills),
    )
    result = settle(owned)
    parts = sum((Fraction(trade.average) for trade in result.trades), Fraction(0))
    funding = sum((Fraction(payment.amount) for payment in owned.funding), Fraction(0))
    assert parts + funding == Fraction(result.realized or 0)


@given(ledgers())
def test_an_unknown_fee_or_an_adopted_start_is_never_passed_off_as_complete(ledger):
    result = settle(ledger)
    unknown = any(fill.fee_quote is None and fill.fee != 0 for fill in ledger.fills)
    if ledger.fills and (unknown or ledger.state.source == "adopted"):
        assert result.incomplete


@given(ledgers())
def test_only_a_live_state_without_money_moved_has_no_result(ledger):
    nothing = not ledger.fills and not ledger.funding
    assert (settle(ledger).realized is None) is (nothing and ledger.state.status.is_live)


def closing(decision: Decision) -> str:
    return next(change.reason for change in decision.changes if isinstance(change, Close))


def test_the_closings_that_explain_a_rest_are_those_that_decide_gives() -> None:
    flat = builders.lane(**builders.FLAT)
    empty = builders.plan(net_filled=Decimal(0))
    assert closing(decide(empty, flat, builders.POLICY, builders.NOW)) in LEAVES_DUST
    tiny = builders.lane(position=builders.position("0.0004"), orders=())
    held = builders.plan(net_filled=Decimal("0.0004"))
    assert closing(decide(held, tiny, builders.POLICY, builders.NOW)) in LEAVES_DUST
    long_seen = builders.plan(flat_seen_at=builders.NOW - builders.seconds(60))
    assert closing(decide(long_seen, flat, builders.POLICY, builders.NOW)) not in LEAVES_DUST
