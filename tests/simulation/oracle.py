"""The oracle: judges a run by the venues' ledgers and the acknowledgements the user got.

It shares no code with the engine, the gateway, the operator or the rules they decide by, and
where it must know what was desired it reads the rows with plain SQL.

    lost        an alert that was answered 200 ends processed or error
    twice       no alert buys twice, no exit sells more than it was asked to, no leg stands twice
    flip        nothing but an entry opens or turns a position
    gap         where the venue can hold both, no leg is cancelled before its successor works
    ignored     what was processed was done: closed all, or moved the levels
    pnl         the results of all states add up to what the wallet gained (derivatives)
    misfit      no leg has the wrong size for more than 20 s while everything answers
    naked       no desired leg is away for more than 10 s while everything answers
    unprotected after a quiet minute every position is covered whole, at the levels last applied
    leftover    after it nothing of ours works where there is no position
    books       after it our rows and the venue agree on what is open
    foreign     a user's own orders and coins are never touched
    internal    the product logged no exception that it did not expect
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from tests.simulation.eventlog import EventLog
from tests.simulation.faulty_venue import Account
from tests.simulation.loop import EPOCH, VirtualTimeLoop
from tests.simulation.weather import Answers

NAKED_MAX_S = 10.0
MISFIT_MAX_S = 20.0
ENTRY_AGE_MAX_S = 60.0
ENTRY_DONE_WITHIN_S = ENTRY_AGE_MAX_S + 30.0
FLAT_BEFORE_S = 30.0
ENTRIES = ("BuyMarket", "BuyLimit", "SellMarket", "SellLimit")
STACKED_MAX = 3
SETTLED_S = 6.0
"""For so long after a disturbance what is cancelled may have been overtaken by it."""
ZERO = Decimal(0)
LEGS = {"stop_loss": "current_sl", "take_profit": "current_tp"}


class Violation(AssertionError):
    """A promise was broken. `rule` is one of the module's words."""

    def __init__(self, rule: str, message: str) -> None:
        self.rule = rule
        super().__init__(f"{rule}: {message}")


@dataclass(slots=True)
class Sent:
    """One alert as the user sees it. `acked_s`: when somebody answered 200."""

    id: int
    account: str
    symbol: str
    action: str
    percent: Decimal
    body: str
    sent_s: float
    trace_ids: set[str] = field(default_factory=set)
    acked_s: float | None = None


@dataclass(slots=True)
class _Order:
    id: str
    role: str
    side: str
    ours: bool
    child: bool
    remaining: Decimal
    level: Decimal | None


@dataclass(slots=True)
class _Lane:
    account: Account
    symbol: str
    foreign_coins: Decimal = ZERO
    position: Decimal = ZERO
    orders: dict[str, _Order] = field(default_factory=dict)
    naked_since_s: dict[str, float] = field(default_factory=dict)
    misfit_since_s: dict[str, float] = field(default_factory=dict)
    entries: list[tuple[float, str, str]] = field(default_factory=list)
    """When, side and client order id of each entry the venue accepted."""
    sizes: list[tuple[float, Decimal]] = field(default_factory=list)
    disturbed_s: float = 0.0
    """When the venue, a hand or the market last took an order away, or the position began."""
    exits: dict[str, list[tuple[float, Decimal]]] = field(default_factory=dict)
    """Fills of exit orders by client order id."""
    exited: bool = False
    """Whether an exit has filled since it was last looked at."""
    known_entries: int = 0
    reduced_s: float = 0.0
    """When something of ours last made the position smaller: where a level is passed, a thin
    market may take its time."""

    @property
    def name(self) -> str:
        return f"{self.account.name} {self.symbol}"

    @property
    def exit_side(self) -> str:
        return "sell" if self.position > 0 else "buy"

    @property
    def is_open(self) -> bool:
        """Whether there is a position that an order could protect."""
        return self.tradable(abs(self.position))

    def tradable(self, quantity: Decimal) -> bool:
        instrument = self.account.exchange.instrument(self.symbol)
        whole = quantity // instrument.step * instrument.step
        if whole < instrument.min_quantity or whole <= 0:
            return False
        price = self.account.exchange.price(self.symbol)
        spot = self.account.rules.spot
        return not spot or price is None or whole * price.last >= instrument.min_notional

    def floored(self, quantity: Decimal) -> Decimal:
        step = self.account.exchange.instrument(self.symbol).step
        return quantity // step * step

    def covering(self, role: str) -> list[_Order]:
        """Working orders of ours that stand for a leg of the present position."""
        return [
            order
            for order in self.orders.values()
            if order.ours and order.role == role and order.side == self.exit_side
        ]


class Oracle:
    """Watches one run. `read`: rows of a SQL query, as plain mappings."""

    def __init__(
        self,
        accounts: Iterable[Account],
        loop: VirtualTimeLoop,
        log: EventLog,
        answers: Answers,
        read: Callable[..., list[dict[str, Any]]],
        installation: str,
    ) -> None:
        self._accounts = list(accounts)
        self._loop = loop
        self._log = log
        self._answers = answers
        self._read = read
        self._installation = installation
        self._heard = {account.name: 0 for account in self._accounts}
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._by_hand: set[tuple[str, str]] = set()
        self._foreign: set[tuple[str, str]] = set()
        self.sent: list[Sent] = []
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

    def lane(self, account: str, symbol: str) -> _Lane:
        key = (account, symbol)
        if key not in self._lanes:
            found = next(a for a in self._accounts if a.name == account)
            self._lanes[key] = _Lane(found, symbol)
        return self._lanes[key]

    @property
    def lanes(self) -> list[_Lane]:
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
                self._judge_exits(lane)
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
            lane.orders[order_id] = _Order(
                id=order_id,
                role=str(event.role),
                side=str(event.side),
                ours=ours,
                child=event.parent_id is not None,
                remaining=event.remaining,
                level=event.price,
            )
            if ours and str(event.role) == "entry" and event.parent_id is None:
                lane.entries.append((at_s, str(event.side), event.client_order_id or ""))
            self._check_stacked(lane, str(event.role))
        elif kind == "amended" and known is not None:
            known.remaining, known.level = event.remaining, event.price
        elif kind == "filled":
            self._hear_fill(lane, event, at_s, ours=ours or bool(known and known.ours))
        elif kind in ("cancelled", "forgotten", "triggered"):
            self._check_foreign(lane, event, kind)
            lane.orders.pop(order_id, None)
            by_hand = (account.name, order_id) in self._by_hand
            if kind != "cancelled" or by_hand or event.parent_id is not None:
                lane.disturbed_s = at_s
            elif known is not None and known.ours:
                self._check_gap(lane, known, at_s)

    def _hear_fill(self, lane: _Lane, event: Any, at_s: float, *, ours: bool) -> None:
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

    def _check_flip(self, lane: _Lane, before: Decimal, event: Any) -> None:
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

    def _check_stacked(self, lane: _Lane, role: str) -> None:
        if role in LEGS and len(lane.covering(role)) > STACKED_MAX:
            raise Violation("twice", f"{lane.name}: {len(lane.covering(role))} {role} orders work")

    def _check_gap(self, lane: _Lane, gone: _Order, at_s: float) -> None:
        if lane.account.rules.spot or gone.role not in LEGS or gone.side != lane.exit_side:
            return
        if not lane.is_open or lane.covering(gone.role) or at_s - lane.disturbed_s < SETTLED_S:
            return
        state = self._state(lane)
        if state is not None and state[LEGS[gone.role]] is None:
            return
        raise Violation(
            "gap",
            f"{lane.name}: {gone.role} #{gone.id} was cancelled at {at_s:.3f} s and no other"
            f" stands for {lane.position}",
        )

    def _check_foreign(self, lane: _Lane, event: Any, kind: str) -> None:
        key = (lane.account.name, event.order_id)
        if kind == "cancelled" and key in self._foreign and event.parent_id is None:
            raise Violation(
                "foreign", f"{lane.name}: the user's order #{event.order_id} was cancelled"
            )

    def _check_naked(self, lane: _Lane) -> None:
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

    def _well_since(self, lane: _Lane, role: str) -> float:
        """Since when everything that a leg of this lane needs has answered."""
        account = lane.account.name
        peers = (account, "database", f"{account}/{role}", f"{account}/exit")
        return max(self.out_s, *(self._answers.well_since(peer) for peer in peers))

    def _check_fits(self, lane: _Lane) -> None:
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

    def _is_desired(self, lane: _Lane, column: str) -> bool:
        """A position without a live state must have been opened by an alert: it is desired."""
        state = self._state(lane)
        return state is None or state[column] is not None

    # At the end

    def judge(self) -> None:
        """After the quiet phase."""
        self.tick()
        self._judge_alerts()
        for lane in self._lanes.values():
            self._judge_lane(lane)
            self._judge_entries(lane)
            self._judge_exits(lane)
        for account in self._accounts:
            self._judge_pnl(account)

    def _judge_alerts(self) -> None:
        rows = self._read("SELECT trace_id, status FROM webhook")
        status = {row["trace_id"]: row["status"] for row in rows}
        for sent in self.sent:
            if sent.acked_s is None:
                continue
            for trace_id in sorted(sent.trace_ids):
                if status.get(trace_id) not in ("processed", "error"):
                    raise Violation(
                        "lost",
                        f"alert {sent.id} ({sent.action} {sent.account} {sent.symbol},"
                        f" trace {trace_id}) is {status.get(trace_id)}",
                    )
                whole = sent.action == "Close" and sent.percent == 100
                if whole and status[trace_id] == "processed":
                    self._judge_close(sent)
                if status[trace_id] == "processed" and sent.action in ENTRIES:
                    self._judge_entry_alert(sent, self._loop.time())

    def _judge_close(self, sent: Sent) -> None:
        lane = self.lane(sent.account, sent.symbol)
        sizes = [size for at_s, size in lane.sizes if at_s >= sent.sent_s]
        sizes += [size for at_s, size in lane.sizes if at_s < sent.sent_s][-1:]
        if sizes and all(lane.tradable(size) for size in sizes):
            raise Violation(
                "ignored",
                f"{lane.name}: alert {sent.id} closes all and is processed; what was open"
                f" since is at least {min(sizes)}",
            )

    def _judge_entry_alert(self, sent: Sent, last_s: float) -> None:
        """On a lane where nothing else happens, an entry that is processed has sent its order."""
        lane = self.lane(sent.account, sent.symbol)
        if sent.action.startswith("Sell") and lane.account.rules.spot:
            return
        from_s, to_s = sent.sent_s - FLAT_BEFORE_S, sent.sent_s + ENTRY_DONE_WITHIN_S
        if to_s > last_s or _largest(lane.sizes, from_s, to_s) > 0:
            return
        if not any(from_s <= at_s <= to_s for at_s, _, _ in lane.entries):
            raise Violation(
                "ignored",
                f"{lane.name}: alert {sent.id} ({sent.action}) is processed, no order came",
            )

    def _judge_pnl(self, account: Account) -> None:
        """Every fill of a derivative account is ours, so nothing else can have earned."""
        if account.rules.spot:
            return
        states = self._read(
            "SELECT s.realized_pnl, s.pnl_incomplete FROM webhook_state s"
            " JOIN lane l ON l.id = s.lane_id WHERE l.account_name = :account",
            account=account.name,
        )
        if any(state["pnl_incomplete"] for state in states):
            return
        realized = sum((Decimal(state["realized_pnl"] or 0) for state in states), ZERO)
        (wallet,) = [b for b in account.exchange.balances() if b.currency == account.rules.quote]
        gained = wallet.total - account.rules.balance
        if abs(realized - gained) > Decimal("1e-6"):
            raise Violation("pnl", f"{account.name}: states earned {realized}, the wallet {gained}")

    def _judge_lane(self, lane: _Lane) -> None:
        state = self._state(lane)
        own = [order for order in lane.orders.values() if order.ours and order.role != "entry"]
        if not lane.is_open:
            if own:
                raise Violation("leftover", f"{lane.name} is flat, and {own[0]} still works")
            if state is not None and state["status"] == "open":
                raise Violation("books", f"{lane.name} is flat, its state is open")
            return
        if state is None:
            raise Violation("books", f"{lane.name} holds {lane.position}, and no state is live")
        side = "long" if lane.position > 0 else "short"
        if state["side"] != side or state["status"] != "open":
            raise Violation(
                "books",
                f"{lane.name}: a {side} on the venue, {state['side']} {state['status']} in rows",
            )
        for role, column in LEGS.items():
            self._judge_levels(lane, state, column)
            self._judge_leg(lane, role, state[column])

    def _judge_levels(self, lane: _Lane, state: dict[str, Any], column: str) -> None:
        """The desire is what the last alert that moved it said."""
        field_ = {"current_sl": "prix_sl", "current_tp": "prix_tp"}[column]
        rows = self._read(
            f"SELECT {field_} AS level, action FROM webhook WHERE webhook_state_id = :state"
            f" AND revision IS NOT NULL AND {field_} IS NOT NULL"
            " AND (action = 'MAJ' OR order_body IS NOT NULL) ORDER BY revision DESC LIMIT 1",
            state=state["id"],
        )
        if not rows:
            return
        said = None if rows[0]["level"] == "REMOVE" else Decimal(rows[0]["level"])
        stands = None if state[column] is None else Decimal(state[column])
        if said != stands:
            raise Violation(
                "ignored", f"{lane.name}: {column} is {stands}, the last alert said {said}"
            )

    def _judge_leg(self, lane: _Lane, role: str, desired: str | None) -> None:
        orders = lane.covering(role)
        if desired is None:
            if orders:
                raise Violation(
                    "leftover", f"{lane.name}: {role} is not desired, {orders[0]} works"
                )
            return
        if len(orders) != 1:
            rule = "unprotected" if not orders else "twice"
            raise Violation(rule, f"{lane.name}: {len(orders)} {role} orders at a quiet moment")
        order = orders[0]
        tick = lane.account.exchange.instrument(lane.symbol).tick
        if order.level is None or abs(order.level - Decimal(desired)) >= tick:
            raise Violation(
                "unprotected", f"{lane.name}: {role} at {order.level}, desired {desired}"
            )
        whole = lane.floored(abs(lane.position))
        if order.remaining != whole:
            raise Violation("unprotected", f"{lane.name}: {role} for {order.remaining} of {whole}")

    def _judge_entries(self, lane: _Lane) -> None:
        """Each entry order on the venue has an alert of its own."""
        asked = [
            sent
            for sent in self.sent
            if (sent.account, sent.symbol) == (lane.account.name, lane.symbol)
            and sent.action in ENTRIES
        ]
        free = list(asked)
        for at_s, side, client_order_id in lane.entries:
            # The oldest alert that may have caused it: what is left fits the later ones best.
            cause = next((s for s in free if _may_have_caused(s, at_s, side)), None)
            if cause is None:
                raise Violation(
                    "twice",
                    f"{lane.name}: no alert is left to explain the {side} entry"
                    f" {client_order_id} at {at_s:.1f} s",
                )
            free.remove(cause)

    def _check_own_bodies(self, lane: _Lane) -> None:
        """An entry is the very order that its alert committed before it was sent."""
        for at_s, side, client_order_id in lane.entries[lane.known_entries :]:
            found = self._read(
                "SELECT 1 FROM webhook WHERE json_extract(order_body, '$.client_order_id') = :id",
                id=client_order_id,
            )
            if not found:
                raise Violation(
                    "twice",
                    f"{lane.name}: {side} entry {client_order_id} at {at_s:.1f} s is not"
                    " the order that its alert committed",
                )
        lane.known_entries = len(lane.entries)

    def _judge_exits(self, lane: _Lane) -> None:
        """The exit orders of a position sell no more than its exit alerts asked for, in order.

        What one alert asked for and did not get is left to the ones after it. A target that no
        alert set (a level was crossed) may sell everything.
        """
        by_body = {sent.body: sent for sent in self.sent}
        asked: dict[tuple[str, int], Sent | None] = {}
        for row in self._read(
            "SELECT webhook_state_id AS state, revision, raw_payload, action FROM webhook"
            " WHERE revision IS NOT NULL AND order_body IS NULL"
        ):
            key = row["state"], row["revision"]
            # Stored twice, it was still asked for once.
            asked[key] = by_body.pop(row["raw_payload"], None) if row["action"] != "MAJ" else None
        sold: dict[tuple[str, int], list[tuple[float, Decimal]]] = {}
        for row in self._read(
            "SELECT webhook_state_id AS state, revision, client_order_id AS id FROM trade"
            " WHERE role = 'exit' AND source != 'order_monitor'"
            " AND account_name = :account AND symbol = :symbol",
            account=lane.account.name,
            symbol=lane.symbol,
        ):
            fills = sold.setdefault((row["state"], row["revision"]), [])
            fills += lane.exits.get(row["id"], [])
        for state in sorted({state for state, _ in sold}):
            left = ZERO
            for key in sorted(k for k in asked.keys() | sold.keys() if k[0] == state):
                left = self._judge_exit(lane, left, key in asked, asked.get(key), sold.get(key, []))

    def _judge_exit(
        self,
        lane: _Lane,
        left: Decimal,
        by_alert: bool,
        sent: Sent | None,
        fills: list[tuple[float, Decimal]],
    ) -> Decimal:
        """One revision; returns what may still be sold after it."""
        total = sum((quantity for _, quantity in fills), ZERO)
        if not by_alert:
            return Decimal("Infinity")
        allowed = left + (_asked_for(lane, sent, fills) if sent is not None else ZERO)
        if total > allowed + lane.account.exchange.instrument(lane.symbol).step:
            told = f"alert {sent.id} ({sent.action} {sent.percent} %)" if sent else "a MAJ"
            raise Violation(
                "twice", f"{lane.name}: {told} sold {total}, at most {allowed} was asked for"
            )
        return allowed - total

    def _state(self, lane: _Lane) -> dict[str, Any] | None:
        rows = self._read(
            "SELECT s.* FROM webhook_state s JOIN lane l ON l.id = s.lane_id"
            " WHERE l.account_name = :account AND l.symbol = :symbol"
            " AND s.status IN ('pending', 'open')",
            account=lane.account.name,
            symbol=lane.symbol,
        )
        return rows[0] if rows else None


def _may_have_caused(sent: Sent, at_s: float, side: str) -> bool:
    buys = sent.action.startswith("Buy")
    # Resent for up to 20 s, then executed within its age; then on its way for a moment.
    latest_s = sent.sent_s + 20 + ENTRY_AGE_MAX_S + 10
    return buys == (side == "buy") and sent.sent_s <= at_s <= latest_s


def _asked_for(lane: _Lane, sent: Sent, fills: list[tuple[float, Decimal]]) -> Decimal:
    """The most that the alert can have meant, whatever of the position it was applied to."""
    first_s = min((at_s for at_s, _ in fills), default=float("inf"))
    last_s = max((at_s for at_s, _ in fills), default=float("inf"))
    most = _largest(lane.sizes, sent.sent_s, last_s)
    rest = _smallest(lane.sizes, sent.sent_s, first_s) * (1 - sent.percent / 100)
    part = most - rest
    return part if lane.tradable(part) and lane.tradable(rest) else most


def _largest(sizes: list[tuple[float, Decimal]], from_s: float, to_s: float) -> Decimal:
    inside = [size for at_s, size in sizes if from_s <= at_s <= to_s]
    before = [size for at_s, size in sizes if at_s < from_s][-1:]
    return max(inside + before, default=ZERO)


def _smallest(sizes: list[tuple[float, Decimal]], from_s: float, to_s: float) -> Decimal:
    inside = [size for at_s, size in sizes if from_s <= at_s < to_s]
    before = [size for at_s, size in sizes if at_s < from_s][-1:]
    return min(inside + before, default=ZERO)


def sql_reader(
    run_now: Callable[[Callable[[Any], Any]], Any],
) -> Callable[..., list[dict[str, Any]]]:
    """Plain SQL on the shared database, past all weather."""

    def read(query: str, **parameters: Any) -> list[dict[str, Any]]:
        def rows(tx: Any) -> list[dict[str, Any]]:
            return [dict(row) for row in tx.execute(text(query), parameters).mappings()]

        found: list[dict[str, Any]] = run_now(rows)
        return found

    return read
