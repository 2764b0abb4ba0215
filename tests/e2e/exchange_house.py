"""`guardian up` whose accounts are on fake exchanges, and an account of it to trade on.

Each scenario has an account and an exchange of its own. In the end it is sold out and put on paper:
all accounts of a venue share what this address may ask of it.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from guardian_core.accounts import AccountSpec, Environment
from guardian_core.clock import SystemClock
from guardian_core.domain.snapshot import LegsMode
from guardian_core.storage.accounts_store import put_account
from guardian_core.storage.database import open_database
from guardian_core.storage.schema import Webhook, WebhookState
from guardian_gateway.venues.exchange.keys import KeyFolder, Keys
from guardian_gateway.venues.exchange.surroundings import Surroundings
from tests.e2e import guardian_elsewhere
from tests.e2e.alert_levels import fields
from tests.e2e.exchange_books import Book
from tests.e2e.fake_exchanges import SYMBOL, Exchange, FakeExchanges
from tests.e2e.installation import (
    GATEWAY_TOKEN,
    INSTALLATION,
    Answer,
    Installation,
    one_machine,
)
from tests.support.up import environment
from tests.support.wait import eventually

PROMISE_S = 10.0
PATIENCE_S = 30.0

Levels = Mapping[str, Decimal]


@dataclass
class Account:
    """One account of the product and its exchange."""

    name: str
    house: Installation
    exchange: Exchange
    legs: LegsMode

    def alert(self, action: str, **more: Any) -> Answer:
        sent = self.house.alert(action, self.name, SYMBOL, **more)
        assert sent.status == 200, sent
        return sent

    def did(self, action: str, **more: Any) -> Webhook:
        """Sends an alert; what became of it."""
        return self.house.finished(self.alert(action, **more).trace_id)

    def buy(self, at: Levels) -> Answer:
        return self.alert("BuyMarket", PourCent="50", **fields(dict(at)))

    def move(self, at: Levels) -> Answer:
        return self.alert("MAJ", **fields(dict(at)))

    def opened(self, at: Levels) -> Book:
        """A long that is open, guarded at these levels, and known to the rows."""
        sent = self.buy(at)
        self.guarded(at)
        assert self.house.finished(sent.trace_id).status == "processed"
        return self.rows_follow()

    def guarded(self, at: Levels, since_s: float | None = None) -> float:
        """Seconds since then (now) until the exchange's books show the legs."""
        began_s = time.monotonic() if since_s is None else since_s
        eventually(
            lambda: self.exchange.look().is_guarded(at, self.legs),
            within_s=began_s + PATIENCE_S - time.monotonic(),
            what=f"{self.name} guarded at {at}, it has {self.exchange.look().working}",
        )
        return time.monotonic() - began_s

    def repaired(self, at: Levels, since_s: float | None = None) -> Book:
        """The same, held to the promise."""
        took_s = self.guarded(at, since_s)
        print(f"{self.name}: guarded after {took_s:.2f} s")
        assert took_s <= PROMISE_S
        return self.rows_follow()

    def flat(self, within_s: float = PATIENCE_S) -> Book:
        """The books, once nothing is held and nothing works."""
        what = f"{self.name} flat, it has {self.exchange.look()}"
        eventually(lambda: self.exchange.look().is_flat, within_s=within_s, what=what)
        return self.exchange.look()

    def over(self) -> WebhookState:
        """The state, once it is closed."""
        eventually(lambda: self.state() is None, within_s=PATIENCE_S, what="the state closed")
        return self.house.states(self.name)[-1]

    def end(self) -> None:
        """Sells what is open. The user's own coins were never touched."""
        if self.state() is not None:
            self.did("Close")
            self.flat()
            self.over()
        self.exchange.look().check_own_coins()

    def state(self) -> WebhookState | None:
        return self.house.state(self.name)

    def rows_follow(self) -> Book:
        """The books, once the rows of all their orders say the same: they are numbered by the
        venue itself, so it is counted."""

        def follow() -> Book | None:
            book, open_rows = self.exchange.look(), self.house.trades(self.name, status="open")
            pending = self.house.trades(self.name, status="pending")
            return book if len(open_rows) == len(book.working) and not pending else None

        found = eventually(follow, within_s=PATIENCE_S, what=f"{self.name}'s rows to follow")
        assert found is not None
        return found

    def settled(self, passes: int = 2) -> None:
        """Returns once the guardian has passed over the account so often again."""
        before = self.house.passes(self.name)
        eventually(
            lambda: self.house.passes(self.name) >= before + passes,
            within_s=60,
            what=f"{passes} passes of {self.name}",
        )

    def missed(self) -> list[str]:
        """The legs that were ever found missing."""
        return [line.detail for line in self.house.journal(self.name, "T7.2")]


@dataclass
class ExchangeHouse:
    """One `guardian up`, and exchanges of one venue."""

    venue: str
    installation: Installation
    exchanges: FakeExchanges
    home: Path
    program: list[str]
    addresses: Path
    opened: list[Account] = field(default_factory=list)

    def guardian(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """A command on the running guardian's home, told as a wide terminal shows it."""
        return subprocess.run(
            [*self.program, *arguments, "--home", str(self.home)],
            env=environment(
                COLUMNS="400",
                GUARDIAN_GATEWAY_TOKEN=GATEWAY_TOKEN,
                GUARDIAN_INSTALLATION=INSTALLATION,
            ),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    @contextmanager
    def account(
        self, name: str, keys: Keys | None = None, interval_s: float = 1.0, **how: Any
    ) -> Iterator[Account]:
        """A new account on a new exchange. `how`: of the fake."""
        if keys is not None:
            how |= {"key": keys.key, "secret": keys.secret, "passphrase": keys.passphrase}
        exchange = self.exchanges.open(self.venue, **how)
        urls = json.loads(self.addresses.read_text()) | {name: exchange.url}
        self.addresses.write_text(json.dumps(urls))
        files = KeyFolder(self.home / "accounts").of(name)
        wire = exchange.wire
        files.store(Keys(wire.key, wire.secret, wire.passphrase))
        spec = AccountSpec(
            account_id=name,
            venue=self.venue,
            environment=Environment.DEMO,
            guard_interval_seconds=interval_s,
        )
        self._put(name, spec)
        around = Surroundings(Environment.DEMO, files, SystemClock())
        mode = exchange.facts.adapter(around).capabilities().legs
        account = Account(name, self.installation, exchange, mode)
        self.opened.append(account)
        try:
            yield account
            account.end()
        finally:
            self._put(name, AccountSpec(account_id=name))

    def _put(self, name: str, spec: AccountSpec) -> None:
        """As `guardian accounts add` does it, beside a running guardian."""

        async def write() -> None:
            database = open_database(self.installation.database_url, clock=SystemClock())
            try:
                await database.run(lambda tx: put_account(tx, name, spec))
            finally:
                await database.close()

        asyncio.run(write())


@contextmanager
def exchange_house(venue: str, folder: Path) -> Iterator[ExchangeHouse]:
    """Started, with no account yet."""
    home, addresses = folder / "home", folder / "addresses.json"
    addresses.write_text("{}")
    program = [sys.executable, str(guardian_elsewhere.__file__), str(addresses)]
    installation = one_machine(home, {}, program)
    exchanges = FakeExchanges()
    try:
        installation.start()
        yield ExchangeHouse(venue, installation, exchanges, home, program, addresses)
    finally:
        print(installation.logs())
        installation.stop()
        exchanges.close()
