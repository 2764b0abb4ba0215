"""Books in the database: what was told is what is stored, whoever dies or acts at the same time."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from guardian_core.accounts import AccountSpec
from guardian_core.domain.errors import Ambiguous, GuardianError, Rejected, Unavailable
from guardian_core.domain.orders import OrderStatus
from guardian_core.protocol import CancelByHand, FaultKind, InjectFault, SetPrice
from guardian_core.storage.inline import InlineDatabase
from guardian_core.storage.schema import PaperRecord
from guardian_gateway.venues.paper import DatabaseStore, MemoryStore, PaperVenue
from tests.support.clock import FakeClock
from tests.support.paper import SYMBOL, bar, body, linear, spot

pytest_plugins = ["tests.support.databases"]

SPEC = AccountSpec(account_id="paper")


def venue_on(db, clock, rules=None):
    """A venue that knows nothing but what is stored."""
    store = DatabaseStore(db, keep_events=True)
    return PaperVenue("main", SPEC, store, clock, rules=rules)


async def answers(venue, ids=()):
    """All that a venue can be asked."""
    return {
        "balances": list(await venue.balances()),
        "positions": list(await venue.positions()),
        "orders": list(await venue.open_orders()),
        "fills": list(await venue.fills(SYMBOL)),
        "found": [await venue.find(SYMBOL, name) for name in ids],
    }


COMMANDS = st.one_of(
    st.tuples(
        st.just("create"),
        st.sampled_from(["buy", "sell"]),
        st.sampled_from(["market", "limit", "stop_loss", "take_profit"]),
        st.sampled_from(["0.5", "1", "2.5", "0.0001"]),
        st.sampled_from(["800", "950", "1000", "1050", "1200", "0.05"]),
        st.booleans(),
    ),
    st.tuples(st.just("again"), st.integers(0, 20)),
    st.tuples(st.just("pair"), st.sampled_from(["800", "950"]), st.sampled_from(["1050", "1200"])),
    st.tuples(st.just("cancel"), st.integers(0, 20)),
    st.tuples(st.just("amend"), st.integers(0, 20), st.sampled_from(["900", "1100"])),
    st.tuples(st.just("hand"), st.integers(0, 20)),
    st.tuples(st.just("forget")),
    st.tuples(st.just("leverage"), st.sampled_from(["1", "3"])),
    st.tuples(st.just("price"), st.sampled_from(["700", "900", "1000", "1100", "1300"])),
    st.tuples(
        st.just("bar"),
        *[st.sampled_from(["700", "900", "1000", "1100", "1300"])] * 4,
        st.integers(0, 30),
    ),
)


async def carry_out(venue, command, number, ids):
    """Returns what the venue said to it, refusals included, in comparable form."""
    kind, *rest = command
    name = f"order{number}"
    earlier = ids[rest[0] % len(ids)] if kind in ("again", "cancel", "amend", "hand") else ""
    try:
        match kind:
            case "create":
                side, type_, quantity, level, reduce_only = rest
                ids.append(name)
                order = body(name, side, type_, quantity, level, reduce_only=reduce_only)
                return await venue.create(order)
            case "again":
                return await venue.create(body(earlier, "buy", "market", "1"))
            case "pair":
                ids.extend((f"{name}sl", f"{name}tp"))
                stop = body(f"{name}sl", "sell", "stop_loss", "0.5", rest[0])
                take = body(f"{name}tp", "sell", "take_profit", "0.5", rest[1])
                return list(await venue.create_pair(stop, take))
            case "leverage":
                return await venue.set_leverage(SYMBOL, Decimal(rest[0]))
            case "cancel" | "amend":
                return await _change(venue, kind, earlier, rest[-1])
            case _:
                return await venue.paper_command(_paper_command(kind, rest, earlier))
    except GuardianError as error:
        return type(error), str(error)


async def _change(venue, kind, client_order_id, level):
    order = await venue.find(SYMBOL, client_order_id)
    if order is None:
        return None
    if kind == "cancel":
        return await venue.cancel(order.ref)
    if not order.type.is_conditional:
        return None
    new = body("new", order.side.value, order.type.value, "0.7", level)
    return await venue.amend(order.ref, new)


def _paper_command(kind, rest, earlier):
    match kind:
        case "hand":
            return CancelByHand(order_id=earlier)
        case "forget":
            return InjectFault(fault=FaultKind.FORGET_STOP)
        case "price":
            return SetPrice(symbol=SYMBOL, price=Decimal(rest[0]))
        case _:
            return bar(*rest[:4], minute=rest[4])


RULES = st.sampled_from(
    [
        linear(amend=True),
        linear(leverage=Decimal(3), max_fill_quantity=Decimal("0.7"), child_waits=True),
        spot(),
        spot(max_fill_quantity=Decimal("0.7"), child_waits=True),
    ]
)


@settings(max_examples=max(60, settings().max_examples // 2))
@given(rules=RULES, commands=st.lists(COMMANDS, max_size=25))
def test_a_venue_that_is_loaded_anew_for_each_command_is_the_one_that_never_stopped(
    rules, commands
):
    async def both():
        clock = FakeClock()
        db = InlineDatabase(clock=clock)
        lasting = PaperVenue("main", SPEC, MemoryStore(), clock, rules=rules)
        try:
            await lasting.paper_command(bar("1000"))
            await venue_on(db, clock, rules).paper_command(bar("1000"))
            ids, same_ids, events = ["none"], ["none"], []
            for number, command in enumerate(commands):
                clock.advance(1)
                fresh = venue_on(db, clock, rules)
                told = await carry_out(fresh, command, number, ids)
                assert told == await carry_out(lasting, command, number, same_ids)
                events.extend(fresh.events)
                stored = venue_on(db, clock, rules)
                assert await answers(stored, ids) == await answers(lasting, ids)
            assert events == lasting.events
            await _same_fills_since(stored_in=venue_on(db, clock, rules), lasting=lasting)
        finally:
            await db.close()

    asyncio.run(both())


async def _same_fills_since(*, stored_in, lasting):
    for fill in await lasting.fills(SYMBOL):
        for since in (fill.at, fill.at + timedelta(microseconds=1)):
            expected = await lasting.fills(SYMBOL, since)
            assert list(await stored_in.fills(SYMBOL, since)) == list(expected)


async def test_every_database_keeps_the_books(each_database, clock):
    venue = venue_on(each_database, clock)
    await venue.paper_command(SetPrice(symbol=SYMBOL, price=Decimal("1000.01")))
    await venue.create(body("in", "buy", "market", "1.5"))
    await venue.create(body("sl", "sell", "stop_loss", "1.5", "900", reduce_only=True))
    clock.advance(60)
    await venue.paper_command(bar("850", minute=1))

    again = venue_on(each_database, clock)
    assert await answers(again, ["in", "sl"]) == await answers(venue, ["in", "sl"])
    stop = await again.find(SYMBOL, "sl")
    assert stop is not None
    assert (stop.status, stop.average_price) == (OrderStatus.CLOSED, Decimal(850))
    assert len(await again.fills(SYMBOL, clock.now())) == 1


async def test_two_replicas_at_once_overwrite_nothing(database, clock):
    replicas = [venue_on(database, clock, linear(leverage=Decimal(100))) for _ in range(2)]
    await replicas[0].paper_command(bar("1000"))
    orders = [body(f"order{n}", "buy", "limit", "0.1", "900") for n in range(20)]
    accepted = await asyncio.gather(
        *(replicas[n % 2].create(order) for n, order in enumerate(orders))
    )
    listed = await replicas[0].open_orders()
    assert {o.ref.client_order_id for o in listed} == {o.client_order_id for o in orders}
    assert len({order.ref.venue_order_id for order in accepted}) == len(orders)


async def test_of_two_replicas_with_one_id_one_is_refused(database, clock):
    replicas = [venue_on(database, clock) for _ in range(2)]
    await replicas[0].paper_command(bar("1000"))
    same = body("same", "buy", "market", "1")
    told = await asyncio.gather(*(r.create(same) for r in replicas), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in told) == ["Rejected", "VenueOrder"]
    assert (await replicas[0].positions())[0].quantity == 1


async def test_two_accounts_do_not_see_each_other(each_database, clock):
    store = DatabaseStore(each_database)
    one, other = (PaperVenue(name, SPEC, store, clock) for name in ("one", "other"))
    for venue in (one, other):
        await venue.paper_command(bar("1000"))
    await one.create(body("same", "buy", "limit", "1", "900"))
    assert await other.open_orders() == []
    await other.create(body("same", "buy", "limit", "1", "900"))


async def test_reading_a_new_account_writes_nothing(inline_database, clock):
    venue = venue_on(inline_database, clock)
    assert (await venue.balances())[0].free == 10_000
    count = select(func.count()).select_from(PaperRecord)
    assert await inline_database.run(lambda tx: tx.scalar(count)) == 0


async def test_a_changed_spec_leaves_the_money_as_it_is(inline_database, clock):
    await venue_on(inline_database, clock).paper_command(bar("1000"))
    venue = venue_on(inline_database, clock, linear(balance=Decimal(5)))
    assert (await venue.balances())[0].total == 10_000


class LosesCommits:
    """A database whose answers get lost, before or after the COMMIT."""

    def __init__(self, db, *, committed):
        self._db = db
        self._committed = committed

    async def run(self, fn):
        if self._committed:
            await self._db.run(fn)
        raise Unavailable("the connection was lost")

    async def close(self):
        await self._db.close()


@pytest.mark.parametrize("committed", [True, False])
async def test_a_write_whose_commit_is_unknown_is_ambiguous(inline_database, clock, committed):
    venue = venue_on(inline_database, clock)
    await venue.paper_command(bar("1000"))
    broken = venue_on(LosesCommits(inline_database, committed=committed), clock)
    with pytest.raises(Ambiguous):
        await broken.create(body("it", "buy", "limit", "1", "900"))
    assert (await venue.find(SYMBOL, "it") is not None) is committed


async def test_a_read_without_the_database_is_unavailable(inline_database, clock):
    broken = venue_on(LosesCommits(inline_database, committed=False), clock)
    for read in (broken.balances, broken.positions, broken.open_orders):
        with pytest.raises(Unavailable):
            await read()
    with pytest.raises(Unavailable):
        await broken.fills(SYMBOL)
    with pytest.raises(Unavailable):
        await broken.find(SYMBOL, "it")


async def test_a_refusal_stores_nothing(inline_database, clock):
    venue = venue_on(inline_database, clock)
    await venue.paper_command(bar("1000"))
    rows = select(PaperRecord.kind, PaperRecord.key, PaperRecord.body)
    before = await inline_database.run(lambda tx: tx.execute(rows).all())
    with pytest.raises(Rejected):
        await venue.create(body("it", "buy", "market", "100"))
    assert await inline_database.run(lambda tx: tx.execute(rows).all()) == before


async def test_what_grows_is_not_loaded_for_each_command(inline_database, clock):
    venue = venue_on(inline_database, clock)
    await venue.paper_command(bar("1000"))
    for number in range(50):
        clock.advance(1)
        await venue.create(body(f"in{number}", "buy", "market", "1"))
        await venue.create(body(f"out{number}", "sell", "market", "1"))
    loaded = await venue._books.read(lambda exchange: exchange.find_by_id("1001"))
    assert loaded is None
    assert await venue.find(SYMBOL, "in0") is not None
    assert len(await venue.fills(SYMBOL)) == 100


async def test_a_file_keeps_the_books_over_a_restart(tmp_path: Path, clock):
    for name in ("first", "second"):
        db = InlineDatabase(clock=clock, path=tmp_path / "guardian.db")
        venue = venue_on(db, clock)
        await venue.paper_command(bar("1000"))
        await venue.create(body(name, "buy", "limit", "1", "900"))
        assert len(await venue.open_orders()) == (1 if name == "first" else 2)
        await db.close()
