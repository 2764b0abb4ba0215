"""What an account has earned since midnight, and what exchanges list, on every database."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from guardian_core.domain.money import ZERO
from guardian_core.ports import Database, Tx
from guardian_core.settlement import ADOPTED, realized_since
from guardian_core.storage import listings
from guardian_core.storage.ledgers import ledgers_since
from guardian_core.storage.schema import Fill, FundingPayment
from tests.support import rows
from tests.support.ids import SeededIds

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
BEFORE, AFTER = MIDNIGHT - timedelta(microseconds=1), MIDNIGHT
D = Decimal


class Books:
    """Of one transaction."""

    def __init__(self, tx: Tx) -> None:
        self.tx = tx
        self.ids = SeededIds()

    def state(self, account: str = "main", **columns: Any) -> UUID:
        lane = rows.lane(self.tx, account_name=account)
        opened = {"created_at": MIDNIGHT - timedelta(hours=1)}
        return rows.state(self.tx, self.ids, lane, **(opened | columns))

    def fill(self, state: UUID | None, side: str, price: str, at: datetime, **columns: Any) -> None:
        values: dict[str, Any] = {
            "id": self.ids.uuid(),
            "account_name": "main",
            "symbol": rows.SYMBOL,
            "venue_fill_id": str(self.ids.uuid()),
            "venue_order_id": "1",
            "webhook_state_id": state,
            "side": side,
            "price": D(price),
            "quantity": D(1),
            "fee": D(1),
            "fee_currency": "USDT",
            "fee_quote": D(1),
            "at": at,
        }
        self.tx.add(Fill(**(values | columns)))

    def paid(self, amount: str, at: datetime, account: str = "main") -> None:
        self.tx.add(
            FundingPayment(
                id=self.ids.uuid(),
                account_name=account,
                symbol=rows.SYMBOL,
                venue_payment_id=str(self.ids.uuid()),
                amount=D(amount),
                at=at,
            )
        )

    def today(self, account: str = "main") -> Decimal:
        self.tx.flush()
        found = ledgers_since(self.tx, account, MIDNIGHT)
        return sum((realized_since(ledger, MIDNIGHT) for ledger in found), ZERO)


async def test_a_day_begins_with_midnights_first_fill(each_database: Database) -> None:
    def write(tx: Tx) -> Decimal:
        books = Books(tx)
        state = books.state()
        books.fill(state, "buy", "100", BEFORE, quantity=D(2))
        books.fill(state, "sell", "70", BEFORE)
        books.fill(state, "sell", "90", AFTER)
        return books.today()

    assert await each_database.run(write) == D(-11)


async def test_another_accounts_day_is_its_own(each_database: Database) -> None:
    def write(tx: Tx) -> tuple[Decimal, Decimal]:
        books = Books(tx)
        other = books.state("other")
        books.fill(other, "buy", "100", BEFORE, account_name="other")
        books.fill(other, "sell", "50", AFTER, account_name="other")
        books.paid("-5", AFTER, "other")
        books.fill(None, "sell", "50", AFTER)
        books.state()
        return books.today(), books.today("other")

    assert await each_database.run(write) == (D(0), D(-56))


async def test_funding_counts_by_its_own_time(each_database: Database) -> None:
    def write(tx: Tx) -> Decimal:
        books = Books(tx)
        books.fill(books.state(), "buy", "100", BEFORE)
        books.paid("-7", BEFORE)
        books.paid("-3", AFTER)
        return books.today()

    assert await each_database.run(write) == D(-3)


async def test_an_adopted_position_was_entered_at_the_venues_price(each_database: Database) -> None:
    def write(tx: Tx) -> Decimal:
        books = Books(tx)
        adopted: Any = {"source": ADOPTED, "entry_price": D(100), "quantity": D(1)}
        books.fill(books.state(**adopted), "sell", "80", AFTER)
        return books.today()

    assert await each_database.run(write) == D(-21)


async def test_listings_are_added_to_those_that_are_kept(each_database: Database) -> None:
    one, two, other = {"tick": "0.1"}, {"tick": "0.5"}, {"tick": "1"}

    def write(tx: Tx, found: dict[str, Any]) -> None:
        listings.store(tx, "okx", "Live", found)

    await each_database.run(lambda tx: write(tx, {"BTCUSDT": one}))
    await each_database.run(lambda tx: write(tx, {"BTCUSDT": two, "ETHUSDT": other}))
    await each_database.run(lambda tx: write(tx, {"ETHUSDT": other}))
    kept = await each_database.run(lambda tx: dict(listings.load(tx, "okx", "Live")))
    assert kept == {"BTCUSDT": two, "ETHUSDT": other}
    assert await each_database.run(lambda tx: dict(listings.load(tx, "okx", "Demo"))) == {}
