"""Judges an installation under fire by its venue's books and the acknowledgements it gave.

lost       what was answered 200 has one row, which ends processed or error
twice      an alert buys once, an exit sells what it was asked to and no more
naked      an open position with a desire has its legs within the promise
leftover   when all is quiet, nothing of ours works but what guards a position or waits to open
books      then our rows and the venue's books agree
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import func, select

from guardian_core.storage.schema import Journal, Lane, Trade, Webhook, WebhookState
from tests.e2e.installation import INSTALLATION, Installation
from tests.e2e.stream import ENTRIES, Chart, Sent
from tests.e2e.venue_books import (
    ENTRY,
    EXIT,
    STOP_LOSS,
    TAKE_PROFIT,
    ZERO,
    BookedFill,
    VenueBooks,
)

LEAST_NOTIONAL = Decimal(5)
"""A rest below the venue's minimum is sold along."""


@dataclass(frozen=True, slots=True)
class LaneView:
    """One lane as venue and rows had it at one moment."""

    chart: Chart
    books: VenueBooks
    state: WebhookState | None
    dust: Decimal
    """Spot: coins of earlier positions that were too few to sell, at most."""

    @property
    def position(self) -> Decimal:
        """Signed; 0 for a rest that cannot be sold."""
        found = self.books.position(self.chart.symbol)
        return found if abs(found) > self.dust else ZERO

    @property
    def desired(self) -> dict[str, Decimal]:
        if self.state is None:
            return {}
        levels = {STOP_LOSS: self.state.current_sl, TAKE_PROFIT: self.state.current_tp}
        return {role: level for role, level in levels.items() if level is not None}

    @property
    def is_covered(self) -> bool:
        """Flat, or every desired leg works for all of the position, at whatever level."""
        if self.position == 0 or self.state is None:
            return self.position == 0
        side = "sell" if self.position > 0 else "buy"
        missing = abs(self.position) - self.dust
        legs = self.books.legs(self.chart.symbol)
        return all(
            any(o.side == side and o.remaining >= missing for o in legs.get(role, []))
            for role in self.desired
        )

    @property
    def is_as_desired(self) -> bool:
        """Covered by exactly the desired legs; flat with at most an entry that waits."""
        working = self.books.working(self.chart.symbol)
        if self.position == 0:
            waits = self.state is not None and self.state.status == "pending"
            return [o.role for o in working] in ([], [ENTRY] if waits else [])
        if self.state is None or self.state.status != "open":
            return False
        step = self.dust + self.chart.step
        same_side = (self.position > 0) == (self.state.side == "long")
        counted = abs(abs(self.position) - self.state.quantity) < step
        guarded = self.books.is_guarded(self.chart.symbol, self._rounded(), step)
        return guarded and same_side and counted and self.state.target_quantity is None

    def _rounded(self) -> dict[str, Decimal]:
        assert all(level % self.chart.tick == 0 for level in self.desired.values())
        return self.desired

    def __str__(self) -> str:
        told = self.state and (self.state.side, self.state.status, self.state.quantity)
        orders = [
            (o.role, o.side, str(o.remaining), str(o.trigger_price))
            for o in self.books.working(self.chart.symbol)
        ]
        return (
            f"{self.chart.name}: {self.books.position(self.chart.symbol)} on the venue, {told},"
            f" desired { {r: str(p) for r, p in self.desired.items()} }, working {orders}"
        )


class Judge:
    def __init__(self, house: Installation, charts: Sequence[Chart]) -> None:
        self._house = house
        self._charts = charts

    # At any moment

    def views(self, charts: Iterable[Chart] | None = None) -> list[LaneView]:
        wanted = list(self._charts if charts is None else charts)
        books = {name: self._house.books(name) for name in {c.account for c in wanted}}
        return [self._view(chart, books[chart.account]) for chart in wanted]

    def _view(self, chart: Chart, books: VenueBooks) -> LaneView:
        states = (
            select(func.count())
            .select_from(WebhookState)
            .join(Lane, Lane.id == WebhookState.lane_id)
            .where(Lane.account_name == chart.account, Lane.symbol == chart.symbol)
        )
        dust = ZERO
        if chart.spot:
            count = self._house.read(lambda session: session.scalar(states)) or 0
            dust = chart.step * count
        return LaneView(chart, books, self._house.state(chart.account, chart.symbol), dust)

    def uncovered(self, charts: Iterable[Chart] | None = None) -> list[LaneView]:
        return [view for view in self.views(charts) if not view.is_covered]

    def acknowledged_are_stored(self, sent: Sequence[Sent]) -> None:
        """Lost, first half: whatever was answered 200 until now has its one row."""
        told = {trace for one in sent for trace in one.traces}
        rows = self._house.read(lambda session: session.scalars(select(Webhook.trace_id)).all())
        counts = Counter(rows)
        assert not told - counts.keys(), f"lost: {told - counts.keys()}"
        assert max(counts.values(), default=1) == 1, counts.most_common(3)

    def is_finished(self) -> bool:
        return not self.unfinished()

    def is_working(self) -> bool:
        """Whether an alert is being carried out."""
        return bool(self._traces("processing"))

    def unfinished(self) -> set[str]:
        """The traces of alerts that are not carried out yet."""
        return self._traces("received", "processing")

    def _traces(self, *status: str) -> set[str]:
        query = select(Webhook.trace_id).where(Webhook.status.in_(status))
        return set(self._house.read(lambda session: session.scalars(query).all()))

    # At the end, when all is quiet

    def all_is_as_desired(self) -> bool:
        wrong = [view for view in self.views() if not view.is_as_desired]
        assert not wrong, "\n".join(map(str, wrong))
        return True

    def each_alert_counted_once(self, sent: Sequence[Sent]) -> None:
        """Lost and twice, for rows: every body was acknowledged under one trace, and has ended."""
        rows = self._house.read(lambda session: session.scalars(select(Webhook)).all())
        by_trace = {row.trace_id: row for row in rows}
        assert len(by_trace) == len(rows) == len(sent)
        for one in sent:
            assert len(set(one.traces)) == 1, one
            row = by_trace[one.traces[0]]
            assert row.status in ("processed", "error"), (one, row.status)
            assert (row.account_name, row.symbol, row.action) == (
                one.account,
                one.symbol,
                one.action,
            )

    def each_entry_bought_once(self, sent: Sequence[Sent]) -> None:
        webhooks = self._house.read(lambda session: session.scalars(select(Webhook)).all())
        bodies = {w.order_body["client_order_id"]: w for w in webhooks if w.order_body}
        for chart in self._charts:
            booked = [
                order
                for order in self._house.books(chart.account).entries(chart.symbol)
                if order.parent_id is None
            ]
            ids = Counter(order.client_order_id for order in booked)
            assert not ids or max(ids.values()) == 1, ids
            for order in booked:
                body = bodies[order.client_order_id or ""].order_body
                assert body is not None
                assert order.filled <= order.quantity == Decimal(body["quantity"])
            asked = [
                one
                for one in sent
                if (one.account, one.symbol) == (chart.account, chart.symbol)
                and one.action in ENTRIES
            ]
            assert len(booked) <= len(asked), chart.name

    def no_exit_sold_more_than_asked(self) -> None:
        for chart in self._charts:
            fills = self._house.books(chart.account).fills
            lane_fills = [fill for fill in fills if fill.symbol == chart.symbol]
            for state_id, sold in self._sold(chart).items():
                allowed = ZERO
                for revision in sorted(sold.keys() | self._exits(state_id).keys()):
                    allowed += self._asked(chart, state_id, revision, lane_fills)
                    allowed -= sold.get(revision, ZERO)
                    assert allowed >= -chart.step, (
                        f"{chart.name}: state {state_id} sold {-allowed} too much by revision"
                        f" {revision}"
                    )

    def _sold(self, chart: Chart) -> dict[UUID, dict[int, Decimal]]:
        """What the venue filled of exit orders, by state and revision."""
        filled = {
            order.client_order_id: order.filled
            for order in self._house.books(chart.account).orders
            if order.symbol == chart.symbol and order.role == EXIT
        }
        sold: dict[UUID, dict[int, Decimal]] = defaultdict(dict)
        for trade in self._house.trades(chart.account, symbol=chart.symbol, role=EXIT):
            if trade.webhook_state_id is not None and trade.client_order_id in filled:
                of_state = sold[trade.webhook_state_id]
                amount = filled[trade.client_order_id]
                of_state[trade.revision] = of_state.get(trade.revision, ZERO) + amount
        return sold

    def _exits(self, state_id: UUID) -> dict[int, Webhook]:
        """The exit alerts that changed a state's desire, by the revision they made."""
        query = select(Webhook).where(
            Webhook.webhook_state_id == state_id,
            Webhook.revision.is_not(None),
            Webhook.order_body.is_(None),
            Webhook.action != "MAJ",
        )
        found = self._house.read(lambda session: session.scalars(query).all())
        return {w.revision: w for w in found if w.revision is not None and w.order_body is None}

    def _asked(
        self, chart: Chart, state_id: UUID, revision: int, fills: Sequence[BookedFill]
    ) -> Decimal:
        """The most that the alert behind this revision can have meant. A target that was set
        because the price had passed a level is for everything."""
        webhook = self._exits(state_id).get(revision)
        if webhook is None:
            return Decimal("Infinity") if self._noted(state_id, "target_set") else ZERO
        [at] = self._committed_at(webhook.id)
        live = abs(sum((f.signed for f in fills if f.at < at), ZERO))
        percent = webhook.pour_cent if webhook.pour_cent is not None else Decimal(100)
        part = live * percent / 100
        rest_is_dust = (live - part) * chart.price < 2 * LEAST_NOTIONAL
        return live if rest_is_dust else part + chart.step

    def _committed_at(self, webhook_id: UUID) -> Sequence[datetime]:
        """When the alert changed the desire: once, however often it was begun again."""
        query = select(Journal.at).where(Journal.webhook_id == webhook_id, Journal.point == "T3.6")
        return self._house.read(lambda session: session.scalars(query).all())

    def _noted(self, state_id: UUID, point: str) -> bool:
        query = select(Journal.id).where(
            Journal.webhook_state_id == state_id, Journal.point == point
        )
        return self._house.read(lambda session: session.scalars(query).first()) is not None

    def rows_and_venue_agree(self) -> None:
        for name in {chart.account for chart in self._charts}:
            ours = {
                order.client_order_id: order
                for order in self._house.books(name).orders
                if (order.client_order_id or "").startswith(INSTALLATION)
            }
            trades = [t for t in self._house.trades(name) if t.source != "order_monitor"]
            assert ours.keys() <= {trade.client_order_id for trade in trades}
            for trade in trades:
                order = ours.get(trade.client_order_id)
                _agree(trade, order.status if order else None, order.filled if order else ZERO)
            strangers = self._house.trades(name, source="order_monitor")
            assert not strangers, [t.exchange_order_id for t in strangers]


def _agree(trade: Trade, on_venue: str | None, filled: Decimal) -> None:
    told = f"{trade.role} {trade.client_order_id} is {trade.status} here, {on_venue} there"
    if on_venue is None:
        assert trade.status == "rejected", told
    else:
        assert (trade.status == "open") == (on_venue == "open"), told
        assert trade.status != "pending", told
        assert trade.filled_quantity == filled, told
