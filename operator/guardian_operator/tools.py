"""What everything that works on custom resources needs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from guardian_core.cluster.api import ClusterApi
from guardian_core.cluster.mirroring import Syncer
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
