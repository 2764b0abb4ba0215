"""No alert that blocks its lane for ever, and none that is given up while it could be tried."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from guardian_core.accounts import PaperSpec
from guardian_core.domain.errors import Conflict, RejectReason
from guardian_core.domain.money import MarketKind
from guardian_core.domain.orders import Role
from guardian_core.ports import Database, Tx
from guardian_core.protocol import DecisionRequest, DecisionResult, OrderOutcome, OutcomeKind
from guardian_core.storage.desires import Desire, revise
from tests.e2e.house import House, open_house
from tests.support.wait import eventually_async

LEVELS = {"prix_sl": "42000", "prix_tp": "45000"}
HALF, TENTH = Decimal(50), Decimal(10)
SPOT = PaperSpec(market=MarketKind.SPOT)
ADD = {"repeat_entry": "Add"}
IMPATIENT = {"max_entry_age_seconds": 2}

Submit = Callable[[str, str, DecisionRequest], Awaitable[DecisionResult]]


@dataclass
class Stubborn:
    """Stands before the gateway and answers requests of one kind itself, so many times."""

    submit: Submit
    kind: str
    answer: Callable[[DecisionRequest], DecisionResult]
    times: int = 1_000
    asked: list[DecisionRequest] = field(default_factory=list)

    async def __call__(self, account: str, symbol: str, request: DecisionRequest) -> DecisionResult:
        if self.times > 0 and any(action.kind == self.kind for action in request.actions):
            self.times -= 1
            self.asked.append(request)
            return self.answer(request)
        return await self.submit(account, symbol, request)


def refusing(reason: RejectReason) -> Callable[[DecisionRequest], DecisionResult]:
    """As when something fails before the order's row is written."""

    def answer(_request: DecisionRequest) -> DecisionResult:
        outcome = OrderOutcome(
            action=0, operation="create", outcome=OutcomeKind.REJECTED, reason=reason
        )
        return DecisionResult(outcomes=(outcome,))

    return answer


def conflicting(_request: DecisionRequest) -> DecisionResult:
    raise Conflict("working", "an entry works already")


def stand_before(house: House, monkeypatch: pytest.MonkeyPatch, **how: Any) -> Stubborn:
    stubborn = Stubborn(house.client.submit, **how)
    monkeypatch.setattr(house.client, "submit", stubborn)
    return stubborn


class TestEntries:
    async def test_one_that_surely_was_not_sent_is_sent_again(
        self, inline_database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with open_house(inline_database) as house:
            answer = refusing(RejectReason.NOT_SENT)
            stand_before(house, monkeypatch, kind="enter", answer=answer, times=2)
            webhook = await house.did("BuyMarket", pour_cent=HALF, **LEVELS)
            assert webhook.status == "processed", webhook.message
            await house.protected()

    @pytest.mark.parametrize(
        "answer", [conflicting, refusing(RejectReason.NOT_SENT)], ids=["conflict", "not sent"]
    )
    async def test_one_that_can_never_be_sent_expires_and_frees_its_lane(
        self,
        inline_database: Database,
        monkeypatch: pytest.MonkeyPatch,
        answer: Callable[[DecisionRequest], DecisionResult],
    ) -> None:
        async with open_house(inline_database, policy=IMPATIENT) as house:
            stubborn = stand_before(house, monkeypatch, kind="enter", answer=answer)
            webhook = await house.did("BuyMarket", pour_cent=HALF, **LEVELS)
            assert webhook.status == "error"
            assert "expired" in webhook.message
            stubborn.times = 0
            again = await house.did("BuyMarket", pour_cent=HALF, **LEVELS)
            assert again.status == "processed", again.message

    async def test_one_not_sent_yet_is_not_sent_once_its_position_is_to_be_closed(
        self, inline_database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with open_house(inline_database) as house:

            def refuse(_request: DecisionRequest) -> DecisionResult:
                asked.set()
                raise Conflict("working", "an entry works already")

            asked = asyncio.Event()
            stubborn = stand_before(house, monkeypatch, kind="enter", answer=refuse)
            webhook_id = await house.alert("BuyMarket", pour_cent=HALF, **LEVELS)
            async with asyncio.timeout(5):
                await asked.wait()
            state = await house.state()
            wish = Desire(state.current_sl, state.current_tp, Decimal(0))

            def close(tx: Tx) -> None:
                revise(tx, state.id, state.revision, wish, trace_id=state.trace_id)

            await house.run(close)
            stubborn.times = 0
            webhook = await house.done(webhook_id)
            assert (webhook.status, "to be closed" in webhook.message) == ("error", True)
            assert await house.trades() == []

            async def over() -> bool:
                return (await house.state()).status == "closed"

            await eventually_async(over, what="the state ends")

    async def test_one_refused_before_its_order_was_written_frees_its_lane_at_once(
        self, inline_database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with open_house(inline_database) as house:
            answer = refusing(RejectReason.NOT_PERMITTED)
            stand_before(house, monkeypatch, kind="enter", answer=answer, times=1)
            assert (await house.did("BuyMarket", pour_cent=HALF, **LEVELS)).status == "error"
            closed = await house.did("Close")
            assert (closed.status, closed.message) == ("processed", "nothing is open")

    async def test_an_opposite_one_is_no_exit_of_a_position_that_never_was(
        self, inline_database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with open_house(inline_database) as house:
            bar_time = datetime.now(UTC)
            answer = refusing(RejectReason.NOT_PERMITTED)
            stand_before(house, monkeypatch, kind="enter", answer=answer, times=1)
            assert (await house.did("BuyMarket", pour_cent=HALF, **LEVELS)).status == "error"
            levels = {"prix_sl": "45000", "prix_tp": "42000"}
            sold = await house.did("SellMarket", pour_cent=HALF, bar_time=bar_time, **levels)
            assert "entered" in sold.message
            assert await house.position() < 0

    async def test_an_addition_takes_the_place_of_one_that_still_waits(
        self, inline_database: Database
    ) -> None:
        async with open_house(inline_database, policy=ADD) as house:
            await house.did("BuyMarket", pour_cent=TENTH, **LEVELS)
            await house.protected()
            waiting = await house.did("BuyLimit", prix=Decimal(42_500), pour_cent=TENTH)
            assert waiting.status == "processed", waiting.message
            before = await house.position()
            added = await house.did("BuyMarket", pour_cent=TENTH)
            assert added.status == "processed", added.message
            assert await house.position() > before
            assert Role.ENTRY not in await house.legs()

    async def test_an_addition_behind_an_exit_that_is_refused_expires(
        self, inline_database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with open_house(inline_database, policy={**ADD, **IMPATIENT}) as house:
            await house.did("BuyMarket", pour_cent=TENTH, **LEVELS)
            await house.protected()
            answer = refusing(RejectReason.NOT_PERMITTED)
            stubborn = stand_before(house, monkeypatch, kind="reduce", answer=answer)
            assert (await house.did("Close")).status == "error"
            added = await house.did("BuyMarket", pour_cent=TENTH)
            assert "expired" in added.message
            stubborn.times = 0

            async def flat() -> bool:
                return await house.position() == 0

            await eventually_async(flat, within_s=8, what="the guardian has sold")


async def test_on_spot_a_part_below_the_minimum_notional_is_an_error_and_no_desire(
    inline_database: Database,
) -> None:
    async with open_house(inline_database, paper=SPOT) as house:
        await house.did("BuyMarket", pour_cent=HALF, **LEVELS)
        await house.protected()
        webhook = await house.did("SellMarket", pour_cent=Decimal("0.05"))
        assert webhook.status == "error"
        assert "PourCent" in webhook.message
        assert (await house.state()).target_quantity is None


async def test_a_maj_of_a_waiting_entry_is_checked_against_the_price_that_it_waits_for(
    inline_database: Database,
) -> None:
    async with open_house(inline_database) as house:
        await house.did("BuyLimit", prix=Decimal(42_500), pour_cent=HALF, **LEVELS)
        webhook = await house.did("MAJ", prix_sl="42700")
        assert webhook.status == "error"
        assert "PrixSL" in webhook.message
