"""One sender: of several gateways, the one that holds the database's lease acts."""

from guardian_core.gateway_codec import GATEWAY_LEASE, NotHolder
from guardian_core.ports import Clock, Database
from guardian_core.storage.leases import RENEW_EVERY_S, TTL_S, LeaseKeeper
from guardian_gateway.grant import Grant


class Holder:
    """This process's claim to be the sender. Await `run()` in a task; `release()` at the end.

    `identity` is unique to the process; `url` is where others find it while it holds the lease.
    `take_over`: for a process that knows any earlier holder to be dead.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        identity: str,
        url: str = "",
        take_over: bool = False,
        ttl_s: float = TTL_S,
        renew_every_s: float = RENEW_EVERY_S,
    ) -> None:
        self._identity = identity
        self._keeper = LeaseKeeper(
            database,
            clock,
            name=GATEWAY_LEASE,
            holder=identity,
            url=url,
            ttl_s=ttl_s,
            renew_every_s=renew_every_s,
            take_over=take_over,
        )

    @property
    def is_held(self) -> bool:
        return self._keeper.is_held

    def grant(self) -> Grant:
        """What to act under. Raises NotHolder, with the holder's address where it is known."""
        if self._keeper.is_held:
            return Grant(GATEWAY_LEASE, self._identity, self._keeper.epoch)
        view = self._keeper.view
        others = view is not None and view.holder != self._identity
        raise NotHolder(view.url if view is not None and others else "")

    def still(self, grant: Grant) -> bool:
        """Whether the lease that an action began under is held, now."""
        return self._keeper.is_held and self._keeper.epoch == grant.epoch

    async def look(self) -> bool:
        """One attempt to take or renew the lease; whether it is held afterwards."""
        return await self._keeper.look()

    async def run(self) -> None:
        await self._keeper.run()

    async def release(self) -> None:
        await self._keeper.release()
