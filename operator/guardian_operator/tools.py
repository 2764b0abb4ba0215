"""What everything that works on custom resources needs."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from guardian_core.cluster.api import ClusterApi
from guardian_core.cluster.mirroring import Syncer
from guardian_core.domain.crossing import fresh
from guardian_core.domain.errors import Unavailable
from guardian_core.domain.snapshot import LaneSnapshot, lane_of
from guardian_core.ports import Clock, Database, GatewayClient, Ids, Tx
from guardian_core.storage import journal
from guardian_core.storage.mirrors import ShownState
from guardian_operator.events import Recorder

COMPONENT: Final = "operator"


@dataclass(frozen=True, slots=True)
class Tools:
    """`wake`: asks for a pass over the named account now."""

    database: Database
    gateway: GatewayClient
    api: ClusterApi
    syncer: Syncer
    events: Recorder
    clock: Clock
    ids: Ids
    wake: Callable[[str], None]


async def look_at_lane(tools: Tools, account: str, symbol: str) -> LaneSnapshot:
    """What the venue shows of one lane now. Raises Unavailable when it does not show all of it."""
    started_s = tools.clock.monotonic()
    snapshot = await tools.gateway.snapshot(account, symbol)
    lane = lane_of(snapshot, symbol, tools.clock.monotonic() - started_s)
    if lane.failures:
        raise Unavailable("; ".join(lane.failures))
    return lane


def recent_price(lane: LaneSnapshot) -> Decimal:
    """The price that levels written by hand are checked by. Raises Unavailable."""
    price = fresh(lane.price)
    if price is None:
        raise Unavailable(f"no recent price of {lane.symbol} to check the levels by")
    return price.last


def note(tx: Tx, state: ShownState, point: str, detail: str, trace_id: str | None = None) -> None:
    """A row of the journal about a state."""
    journal.record(
        tx,
        COMPONENT,
        point,
        detail,
        trace_id=trace_id or state.trace_id,
        webhook_state_id=state.id,
        account=state.account,
        symbol=state.symbol,
    )
