"""The oracle's last word: what must be true of a run once everything is quiet."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from tests.simulation.faulty_venue import Account
from tests.simulation.lanes import LEGS, ZERO, Lane, Sent, Violation, largest, smallest
from tests.simulation.rows import Read, live_state

ENTRY_AGE_MAX_S = 60.0
FLAT_BEFORE_S = 30.0
"""A position that ended so long before an alert has nothing to do with it."""
ENTRIES = ("BuyMarket", "BuyLimit", "SellMarket", "SellLimit")


class Judgement:
    """Reads our rows with `read`; `sent` grows while the run goes on."""

    def __init__(self, read: Read, sent: list[Sent]) -> None:
        self._read = read
        self._sent = sent

    def of_all(
        self,
        lanes: Mapping[tuple[str, str], Lane],
        accounts: Iterable[Account],
        now_s: float,
    ) -> None:
        """After the quiet phase. Raises Violation."""
        self._judge_alerts(lanes, now_s)
        for lane in lanes.values():
            self._judge_lane(lane)
            self._judge_entries(lane)
            self.of_exits(lane)
        for account in accounts:
            self._judge_pnl(account)

    def _judge_alerts(self, lanes: Mapping[tuple[str, str], Lane], now_s: float) -> None:
        rows = self._read(
            "SELECT trace_id, status, json_extract(order_body, '$.client_order_id') AS order_id"
            " FROM webhook ORDER BY rowid"
        )
        by_trace = {row["trace_id"]: row for row in rows}
        for sent in self._sent:
            if sent.acked_s is None:
                continue
            lane = lanes[sent.account, sent.symbol]
            for trace_id in sorted(sent.trace_ids):
                row = by_trace.get(trace_id)
                if row is None or row["status"] not in ("processed", "error"):
                    raise Violation(
                        "lost",
                        f"alert {sent.id} ({sent.action} {sent.account} {sent.symbol},"
                        f" trace {trace_id}) is {row and row['status']}",
                    )
                if row["status"] == "error":
                    continue
                whole = sent.action == "Close" and sent.percent == 100
                if whole and not self._has_twin(sent):
                    _judge_close(lane, sent)
                if sent.action in ENTRIES and row["order_id"] is not None:
                    _judge_order(lane, sent, row["order_id"])
                elif sent.action in ENTRIES:
                    newer = {r["order_id"] for r in rows[rows.index(row) + 1 :]}
                    self._judge_no_order(lane, sent, newer, now_s)

    def _has_twin(self, sent: Sent) -> bool:
        """Whether another alert is of the same bar: only one of them is carried out."""
        return any(
            other is not sent
            and (other.account, other.symbol) == (sent.account, sent.symbol)
            and (other.action, other.sent_s) == (sent.action, sent.sent_s)
            for other in self._sent
        )

    def _judge_no_order(self, lane: Lane, sent: Sent, newer: set[str], now_s: float) -> None:
        """An entry is processed without an order only where something was there before it.
        `newer`: the orders of the alerts that were stored after it."""
        if sent.action.startswith("Sell") and lane.account.rules.spot:
            return
        entries = lane.entries.values()
        from_s = sent.sent_s - FLAT_BEFORE_S
        to_s = min((e.at_s for e in entries if e.client_order_id in newer), default=now_s)
        before = [(at_s, size) for at_s, size in lane.sizes if at_s < to_s]
        had_entry = any(e.at_s < to_s and e.ended_s >= from_s for e in entries)
        if not self._has_twin(sent) and not had_entry and largest(before, from_s, to_s) == 0:
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

    def _judge_lane(self, lane: Lane) -> None:
        state = live_state(self._read, lane)
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

    def _judge_levels(self, lane: Lane, state: dict[str, Any], column: str) -> None:
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

    def _judge_leg(self, lane: Lane, role: str, desired: str | None) -> None:
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

    def _judge_entries(self, lane: Lane) -> None:
        """Each entry order on the venue has an alert of its own."""
        asked = [
            sent
            for sent in self._sent
            if (sent.account, sent.symbol) == (lane.account.name, lane.symbol)
            and sent.action in ENTRIES
        ]
        free = list(asked)
        for entry in lane.entries.values():
            # The oldest alert that may have caused it: what is left fits the later ones best.
            cause = next((s for s in free if _may_have_caused(s, entry.at_s, entry.side)), None)
            if cause is None:
                raise Violation(
                    "twice",
                    f"{lane.name}: no alert is left to explain the {entry.side} entry"
                    f" {entry.client_order_id} at {entry.at_s:.1f} s",
                )
            free.remove(cause)

    def of_exits(self, lane: Lane) -> None:
        """The exit orders of a position sell no more than its exit alerts asked for, in order.

        What one alert asked for and did not get is left to the ones after it. A target that no
        alert set (a level was crossed) may sell everything.
        """
        by_body = {sent.body: sent for sent in self._sent}
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
        lane: Lane,
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
            told = f"alert {sent.id} ({sent.action} {sent.percent} %)" if sent else "no alert"
            raise Violation(
                "twice", f"{lane.name}: {told} sold {total}, at most {allowed} was asked for"
            )
        return allowed - total


def _judge_close(lane: Lane, sent: Sent) -> None:
    sizes = [size for at_s, size in lane.sizes if at_s >= sent.sent_s]
    sizes += [size for at_s, size in lane.sizes if at_s < sent.sent_s][-1:]
    if sizes and all(lane.tradable(size) for size in sizes):
        raise Violation(
            "ignored",
            f"{lane.name}: alert {sent.id} closes all and is processed; what was open"
            f" since is at least {min(sizes)}",
        )


def _judge_order(lane: Lane, sent: Sent, order_id: str) -> None:
    if all(entry.client_order_id != order_id for entry in lane.entries.values()):
        raise Violation(
            "ignored",
            f"{lane.name}: alert {sent.id} ({sent.action}) is processed, the order {order_id}"
            " that it committed never came",
        )


def _may_have_caused(sent: Sent, at_s: float, side: str) -> bool:
    buys = sent.action.startswith("Buy")
    # Resent for up to 20 s, then executed within its age; then on its way for a moment.
    latest_s = sent.sent_s + 20 + ENTRY_AGE_MAX_S + 10
    return buys == (side == "buy") and sent.sent_s <= at_s <= latest_s


def _asked_for(lane: Lane, sent: Sent, fills: list[tuple[float, Decimal]]) -> Decimal:
    """The most that the alert can have meant, whatever of the position it was applied to."""
    first_s = min((at_s for at_s, _ in fills), default=float("inf"))
    last_s = max((at_s for at_s, _ in fills), default=float("inf"))
    most = largest(lane.sizes, sent.sent_s, last_s)
    rest = smallest(lane.sizes, sent.sent_s, first_s) * (1 - sent.percent / 100)
    part = most - rest
    return part if lane.tradable(part) and lane.tradable(rest) else most
