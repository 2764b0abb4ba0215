"""Our rows as the oracle reads them: plain SQL, past the product's own code and all weather."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import text

from tests.simulation.lanes import Lane

Read = Callable[..., list[dict[str, Any]]]
"""A query and its parameters by name."""


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


def live_state(read: Read, lane: Lane) -> dict[str, Any] | None:
    """The row of what is pending or open on the lane."""
    rows = read(
        "SELECT s.* FROM webhook_state s JOIN lane l ON l.id = s.lane_id"
        " WHERE l.account_name = :account AND l.symbol = :symbol"
        " AND s.status IN ('pending', 'open')",
        account=lane.account.name,
        symbol=lane.symbol,
    )
    return rows[0] if rows else None
