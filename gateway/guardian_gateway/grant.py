"""The lease as an action was begun under it, and whether it still holds."""

from dataclasses import dataclass

from sqlalchemy import select

from guardian_core.gateway_codec import NotHolder
from guardian_core.ports import Tx
from guardian_core.storage.schema import Lease


@dataclass(frozen=True, slots=True)
class Grant:
    """The lease under which a gateway acts."""

    name: str
    holder: str
    epoch: int


def check_lease(tx: Tx, grant: Grant) -> None:
    """Raises NotHolder unless the lease is ours until this transaction's end."""
    query = select(Lease).where(Lease.name == grant.name).with_for_update(read=True)
    lease = tx.scalars(query).one_or_none()
    if lease is None:
        raise NotHolder
    if (lease.holder, lease.epoch) != (grant.holder, grant.epoch):
        raise NotHolder(lease.url)
    if lease.until <= tx.now():
        raise NotHolder
