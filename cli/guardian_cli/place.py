"""Where a command works: on the home folder of this machine, or on a cluster by its settings.

GUARDIAN_DATABASE_URL, GUARDIAN_GATEWAY_URL and GUARDIAN_GATEWAY_TOKEN name a cluster's; what is
not named is found in the home, where the running `guardian up` tells where it listens.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from guardian_cli.home import Home
from guardian_core.clock import SystemClock
from guardian_core.domain.errors import ConfigurationError, Unavailable
from guardian_core.ids import SystemIds
from guardian_core.ports import Clock, Database, GatewayClient, Ids, Tx
from guardian_core.settings import Settings, load_settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """One installation, as a command sees it."""

    settings: Settings
    home: Home
    clock: Clock = field(default_factory=SystemClock)
    ids: Ids = field(default_factory=SystemIds)

    @property
    def keeps_database(self) -> bool:
        """Whether the database is the home's own, and so under its lock."""
        return "database_url" not in self.settings.model_fields_set

    def installation(self) -> str:
        """The setting where it is made, else the home's own, made at its first use."""
        if "installation" in self.settings.model_fields_set:
            return self.settings.installation
        return self.home.installation(self.ids)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Database]:
        """The database for looking only. Raises ConfigurationError for another version."""
        from guardian_core.storage.reading import open_for_reading, require_current

        database = open_for_reading(self.settings.database_url, clock=self.clock)
        try:
            await require_current(database)
            yield database
        finally:
            await database.close()

    async def read(self, fn: Callable[[Tx], T]) -> T:
        """What one look at the database gives."""
        async with self.reading() as database:
            return await database.run(fn)

    async def write(self, fn: Callable[[Tx], T]) -> T:
        """What one change of the database gives, once it is committed."""
        async with self.writing() as database:
            return await database.run(fn)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Database]:
        """The database, for the few things that a command writes itself."""
        from guardian_core.storage.database import open_database

        async with self.reading():
            pass
        database = open_database(self.settings.database_url, clock=self.clock)
        try:
            yield database
        finally:
            await database.close()

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[GatewayClient]:
        """A client of the gateway. Raises Unavailable when no gateway is known to run."""
        from guardian_core.gateway_client import HttpGatewayClient

        url, token = self._gateway_address()
        client = HttpGatewayClient(url, token)
        try:
            yield client
        finally:
            await client.close()

    def receiver_url(self) -> str:
        """Raises Unavailable when no receiver is known to run."""
        run = self.home.running()
        if run is None:
            raise Unavailable(self._not_running("--url names another receiver"))
        return run.receiver_url

    def _gateway_address(self) -> tuple[str, str]:
        secret = self.settings.gateway_token
        if self.settings.gateway_url is not None:
            if secret is None:
                raise ConfigurationError(
                    "GUARDIAN_GATEWAY_URL is set and GUARDIAN_GATEWAY_TOKEN is not:"
                    " set the bearer token of that gateway"
                )
            return self.settings.gateway_url, secret.get_secret_value()
        run = self.home.running()
        if run is None:
            raise Unavailable(self._not_running("GUARDIAN_GATEWAY_URL names another gateway"))
        token = secret.get_secret_value() if secret else self.home.read_gateway_token()
        if token is None:
            raise ConfigurationError(f"{self.home.path / 'gateway-token'} is missing")
        return run.gateway_url, token

    def _not_running(self, otherwise: str) -> str:
        return f"no `guardian up` runs on {self.home.path}: start it ({otherwise})"


def find_place(home: Path | None) -> Place:
    """The installation that the options and the environment name. Makes nothing.

    Raises ConfigurationError for a wrong setting.
    """
    settings = load_settings(**({} if home is None else {"home": home}))
    return Place(settings, Home(settings.home))
