"""The oracle: judges a run by the venues' ledgers and the acknowledgements the user got.

It shares no code with the engine, the gateway, the operator or the rules they decide by, and
where it must know what was desired it reads the rows with plain SQL.

    lost        an alert that was answered 200 ends processed or error
    twice       no alert buys twice, no exit sells more than it was asked to, no leg stands twice
    flip        nothing but an entry opens or turns a position
    gap         where the venue can hold both, no leg is cancelled before its successor works
    ignored     what was processed was done: closed all, moved the levels, or sent its order
    pnl         the results of all states add up to what the wallet gained (derivatives)
    misfit      no leg has the wrong size for more than 20 s while everything answers
    naked       no desired leg is away for more than 10 s while everything answers
    unprotected after a quiet minute every position is covered whole, at the levels last applied
    leftover    after it nothing of ours works where there is no position
    books       after it our rows and the venue agree on what is open
    foreign     a user's own orders and coins are never touched
    internal    the product logged no exception that it did not expect
"""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from tests.simulation.eventlog import EventLog
from tests.simulation.faulty_venue import Account
from tests.simulation.judgement import Judgement
from tests.simulation.lanes import LEGS, Entry, Lane, Order, Sent, Violation
from tests.simulation.loop import EPOCH, VirtualTimeLoop
from tests.simulation.rows import Read, live_state
from tests.simulation.weather import Answers

NAKED_MAX_S = 10.0
MISFIT_MAX_S = 20.0
SETTLED_S = 6.0
"""For so long after a disturbance what is cancelled may have been overtaken by it."""
ZERO = Decimal(0)


class Oracle:
    """Watches one run. `read`: rows of a SQL query, as plain mappings."""

    def __init__(
        self,
        accounts: Iterable[Account],
        loop: VirtualTimeLoop,
        log: EventLog,
        answers: Answers,
        read: Read,
        installation: str,
    ) -> None:
        self._accounts = list(accounts)
        self._loop = loop
        self._log = log
        self._answers = answers
        self._read = read
        self._installation = installation
        self._heard = {account.name: 0 for account in self._accounts}
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._by_hand: set[tuple[str, str]] = set()
        self._foreign: set[tuple[str, str]] = set()
        self.sent: list[Sent] = []
        self._judgement = Judgement(read, self.sent)
        self.longest_naked_s = 0.0
        self.out_s = 0.0
        """Until when all replicas of some service were down at once."""

    # What the world tells

    def own_coins(self, account: str, symbol: str, coins: Decimal) -> None:
        """The user holds these coins besides; nobody may sell them."""
        self.lane(account, symbol).foreign_coins = coins

    def cancelled_by_hand(self, account: str, order_id: str) -> None:
        """Told before it happens."""
        self._by_hand.add((account, order_id))

    def lane(self, account: str, symbol: str) -> Lane:
        key = (account, symbol)
        if key not in self._lanes:
            found = next(a for a in self._accounts if a.name == account)
            self._lanes[key] = Lane(found, symbol)
        return self._lanes[key]

    @property
    def lanes(self) -> list[Lane]:
        return list(self._lanes.values())

    # While it runs

    def tick(self) -> None:
        """Hears the ledgers and checks what must hold at every moment."""
        for account in self._accounts:
            events = account.events
            for event in events[self._heard[account.name] :]:
                self._hear(account, event)
            self._heard[account.name] = len(events)
        for lane in self._lanes.values():
            self._check_naked(lane)
            self._check_fits(lane)
            self._check_own_bodies(lane)
            if lane.exited:
                lane.exited = False
                self._judgement.of_exits(lane)
        if self._log.internal_errors:
            raise Violation("internal", self._log.internal_errors[0])

    def _hear(self, account: Account, event: Any) -> None:
        lane = self.lane(account.name, event.symbol)
        at_s = (event.at - EPOCH).total_seconds()
        kind, order_id = str(event.kind), event.order_id
        parent = lane.orders.get(event.parent_id or "")
        known = lane.orders.get(order_id)
        ours = (event.client_order_id or "").startswith(self._installation) or bool(
            event.parent_id and (parent is None or parent.ours)
        )
        if kind == "accepted":
            if not ours:
                self._foreign.add((account.name, order_id))
            lane.orders[order_id] = Order(
                id=order_id,
                role=str(event.role),
                side=str(event.side),
                ours=ours,
                child=event.parent_id is not None,
                remaining=event.remaining,
                level=event.price,
            )
            if ours and str(event.role) == "entry" and event.parent_id is None:
                ident = event.client_order_id or ""
                lane.entries[order_id] = Entry(at_s, str(event.side), ident)
            self._check_stacked(lane, str(event.role))
        elif kind == "amended" and known is not None:
            known.remaining, known.level = event.remaining, event.price
        elif kind == "filled":
            self._hear_fill(lane, event, at_s, ours=ours or bool(known and known.ours))
        elif kind in ("cancelled", "forgotten", "triggered"):
            lane.entry_ended(order_id, at_s)
            self._check_foreign(lane, event, kind)
            lane.orders.pop(order_id, None)
            by_hand = (account.name, order_id) in self._by_hand
            if kind != "cancelled" or by_hand or event.parent_id is not None:
                lane.disturbed_s = at_s
            elif known is not None and known.ours:
                self._check_gap(lane, known, at_s)

    def _hear_fill(self, lane: Lane, event: Any, at_s: float, *, ours: bool) -> None:
        before, was_open = lane.position, lane.is_open
        known = lane.orders.get(event.order_id)
        if not ours and lane.account.rules.spot:
            # The user's own coins come and go.
            lane.foreign_coins = event.position_after - before
        lane.position = event.position_after - lane.foreign_coins
        lane.sizes.append((at_s, abs(lane.position)))
        if not was_open or before * lane.position <= 0:
            lane.disturbed_s = at_s
        if known is not None:
            known.remaining = event.remaining
        if event.remaining <= 0:
            lane.orders.pop(event.order_id, None)
            lane.entry_ended(event.order_id, at_s)
        if ours and str(event.role) != "entry":
            lane.reduced_s = at_s
            self._check_flip(lane, before, event)
        if ours and str(event.role) != "entry" and lane.account.rules.spot and not lane.is_open:
            # What is too small to sell is the user's to keep; the next position starts from 0.
            lane.foreign_coins += lane.position
            lane.position = ZERO
        if ours and str(event.role) == "exit":
            fills = lane.exits.setdefault(event.client_order_id or "", [])
            fills.append((at_s, event.quantity))
            lane.exited = True

    def _check_flip(self, lane: Lane, before: Decimal, event: Any) -> None:
        after = lane.position
        if abs(after) > abs(before) or before * after < 0:
            step = lane.account.exchange.instrument(lane.symbol).step
            # On spot a fee paid in coins leaves less than a step that cannot be seen as ours.
            if abs(after) < step and lane.account.rules.spot:
                return
            raise Violation(
                "flip",
                f"{lane.name}: a {event.role} fill took {before} to {after} (#{event.order_id})",
            )
        if lane.account.rules.spot and event.position_after < lane.foreign_coins:
            raise Violation("foreign", f"{lane.name}: the user's own coins were sold")

    def _check_stacked(self, lane: Lane, role: str) -> None:
        """Legs of earlier desires may still stand while nobody knows whether their successors do;
        the same leg, at the same level and for the same quantity, is made once."""
        if role not in LEGS:
            return
        same = Counter((order.level, order.remaining) for order in lane.covering(role))
        if max(same.values(), default=0) > 1:
            raise Violation("twice", f"{lane.name}: {max(same.values())} same {role} orders work")

    def _check_gap(self, lane: Lane, gone: Order, at_s: float) -> None:
        if lane.account.rules.spot or gone.role not in LEGS or gone.side != lane.exit_side:
            return
        if not lane.is_open or lane.covering(gone.role) or at_s - lane.disturbed_s < SETTLED_S:
            return
        state = live_state(self._read, lane)
        if state is not None and state[LEGS[gone.role]] is None:
            return
        raise Violation(
            "gap",
            f"{lane.name}: {gone.role} #{gone.id} was cancelled at {at_s:.3f} s and no other"
            f" stands for {lane.position}",
        )

    def _check_foreign(self, lane: Lane, event: Any, kind: str) -> None:
        key = (lane.account.name, event.order_id)
        if kind == "cancelled" and key in self._foreign and event.parent_id is None:
            raise Violation(
                "foreign", f"{lane.name}: the user's order #{event.order_id} was cancelled"
            )

    def _check_naked(self, lane: Lane) -> None:
        now_s = self._loop.time()
        for role, column in LEGS.items():
            if not lane.is_open or lane.covering(role):
                lane.naked_since_s.pop(role, None)
                continue
            since_s = lane.naked_since_s.setdefault(role, now_s)
            start_s = max(since_s, self._well_since(lane, role), lane.reduced_s)
            if now_s - start_s <= 1.0:
                continue
            if not self._is_desired(lane, column):
                lane.naked_since_s[role] = now_s
                continue
            self.longest_naked_s = max(self.longest_naked_s, now_s - start_s)
            if now_s - start_s > NAKED_MAX_S:
                raise Violation(
                    "naked",
                    f"{lane.name}: {lane.position} without {role} for {now_s - since_s:.1f} s,"
                    f" {now_s - start_s:.1f} s of it while all answered",
                )

    def _well_since(self, lane: Lane, role: str) -> float:
        """Since when everything that a leg of this lane needs has answered."""
        account = lane.account.name
        peers = (account, "database", f"{account}/{role}", f"{account}/exit")
        return max(self.out_s, *(self._answers.well_since(peer) for peer in peers))

    def _check_fits(self, lane: Lane) -> None:
        now_s = self._loop.time()
        whole = lane.floored(abs(lane.position))
        for role in LEGS:
            orders = lane.covering(role)
            fits = any(order.remaining == whole or order.child for order in orders)
            if not lane.is_open or not orders or fits:
                lane.misfit_since_s.pop(role, None)
                continue
            since_s = lane.misfit_since_s.setdefault(role, now_s)
            start_s = max(since_s, self._well_since(lane, role), lane.disturbed_s)
            if now_s - start_s > MISFIT_MAX_S:
                raise Violation(
                    "misfit",
                    f"{lane.name}: {role} for {orders[0].remaining} of {whole},"
                    f" for {now_s - start_s:.1f} s while all answered",
                )

    def _is_desired(self, lane: Lane, column: str) -> bool:
        """A position without a live state must have been opened by an alert: it is desired."""
        state = live_state(self._read, lane)
        return state is None or state[column] is not None

    # At the end

    def judge(self) -> None:
        """After the quiet phase."""
        self.tick()
        self._judgement.of_all(self._lanes, self._accounts, self._loop.time())

    def _check_own_bodies(self, lane: Lane) -> None:
        """An entry is the very order that its alert committed before it was sent."""
        for entry in list(lane.entries.values())[lane.known_entries :]:
            found = self._read(
                "SELECT 1 FROM webhook WHERE json_extract(order_body, '$.client_order_id') = :id",
                id=entry.client_order_id,
            )
            if not found:
                raise Violation(
                    "twice",
                    f"{lane.name}: {entry.side} entry {entry.client_order_id} at"
                    f" {entry.at_s:.1f} s is not the order that its alert committed",
                )
        lane.known_entries = len(lane.entries)
