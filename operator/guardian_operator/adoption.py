"""A TradingPosition applied by hand for a position opened by hand: it is guarded from now on.

The venue is asked first: that very side must be open. Not on spot, where nobody can tell which of
a user's coins are meant.
"""

from loguru import logger

from guardian_core.accounts import AccountSpec
from guardian_core.cluster.objects import Seen
from guardian_core.cluster.three_way import Field
from guardian_core.domain.errors import CallerError
from guardian_core.domain.money import MarketKind, plain
from guardian_core.domain.snapshot import Position
from guardian_core.ports import Tx
from guardian_core.storage import journal
from guardian_core.storage.accounts_store import get_account
from guardian_core.storage.adopted import Adoption, adopt
from guardian_core.storage.mirrors import Agreed, LevelPair, MirrorRow
from guardian_operator.edits import check_edit
from guardian_operator.events import Reason
from guardian_operator.status import Said, no
from guardian_operator.tools import COMPONENT, Tools, look_at_lane, recent_price

NOT_ADOPTED = "NotAdopted"


async def try_to_adopt(tools: Tools, seen: Seen) -> Said | None:
    """Why not, where it is not adopted. Raises Conflict when the lane was taken meanwhile,
    Unavailable when the venue does not answer."""
    spec = seen.spec
    account = await tools.database.run(lambda tx: get_account(tx, spec.account_ref))
    if account is None:
        return no(NOT_ADOPTED, f"account {spec.account_ref} does not exist")
    if account.spec.market() is MarketKind.SPOT:
        return no(NOT_ADOPTED, "on spot a position cannot be told from a user's other coins")
    try:
        position = await _position(tools, seen, account.spec)
    except CallerError as error:
        return no(NOT_ADOPTED, str(error))
    await _adopt(tools, seen, position)
    return None


async def _position(tools: Tools, seen: Seen, account: AccountSpec) -> Position:
    """The open position that the object means. Raises CallerError when there is none such."""
    spec = seen.spec
    lane = await look_at_lane(tools, spec.account_ref, spec.symbol)
    position = lane.position
    if position is None:
        raise CallerError("symbol", f"no position of {spec.symbol} is open to be adopted")
    if position.side is not spec.side:
        raise CallerError("side", f"the open position of {spec.symbol} is a {position.side.value}")
    price = recent_price(lane)
    wished = LevelPair(spec.stop_loss, spec.take_profit)
    policy = account.domain_policy()
    check_edit(spec.side, LevelPair(), wished, tuple(Field), policy, price)
    return position


async def _adopt(tools: Tools, seen: Seen, position: Position) -> None:
    spec = seen.spec
    adoption = Adoption(
        id=tools.ids.uuid(),
        account=spec.account_ref,
        symbol=spec.symbol,
        side=spec.side,
        quantity=position.quantity,
        entry_price=position.entry_price,
        levels=seen.shown.levels,
        trace_id=tools.ids.trace_id(),
    )
    agreed = Agreed(seen.shown.levels, 1)
    mirror = MirrorRow(tools.api.namespace, seen.name, seen.uid, agreed, seen.shown.pinned)
    text = f"adopted: {spec.side.value} {plain(position.quantity)} {spec.symbol}"

    def write(tx: Tx) -> None:
        adopt(tx, adoption, mirror)
        journal.record(
            tx,
            COMPONENT,
            "adopted",
            text,
            trace_id=adoption.trace_id,
            webhook_state_id=adoption.id,
            account=adoption.account,
            symbol=adoption.symbol,
        )

    await tools.database.run(write)
    logger.bind(trace_id=adoption.trace_id, account=adoption.account, symbol=adoption.symbol).info(
        text
    )
    tools.events.tell(seen.body, Reason.ADOPTED, text)
    tools.wake(spec.account_ref)
