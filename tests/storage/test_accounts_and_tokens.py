"""Accounts and webhook tokens as rows, on every database."""

import asyncio
from decimal import Decimal

import pytest
from sqlalchemy import text

from guardian_core.accounts import AccountSpec, PolicySpec
from guardian_core.domain.errors import CallerError
from guardian_core.domain.plan import Direction
from guardian_core.ports import Database, Tx
from guardian_core.storage import tokens
from guardian_core.storage.accounts_store import get_account, list_accounts, put_account
from guardian_core.storage.database import open_database
from tests.support import rows
from tests.support.clock import FakeClock
from tests.support.ids import SeededIds
from tests.support.rows import call

SPEC = AccountSpec(
    user_id="u1",
    account_id="x1",
    symbol_map={"XBT": "BTCUSDT"},
    leverage=Decimal("2.5"),
    policy=PolicySpec(direction=Direction.LONG_ONLY, max_unprotected_seconds=20),
)


class TestAccounts:
    async def test_an_account_comes_back_as_it_was_put(self, each_database: Database):
        assert await each_database.run(call(get_account, "main")) is None
        put = await each_database.run(call(put_account, "main", SPEC, namespace="ns", uid="1"))
        assert (put.name, put.spec, put.generation, put.namespace) == ("main", SPEC, 1, "ns")
        assert await each_database.run(call(get_account, "main")) == put

    async def test_the_generation_counts_changes_of_the_spec(self, each_database: Database):
        for spec, generation in (
            (SPEC, 1),
            (SPEC, 1),
            (SPEC.model_copy(update={"paused": True}), 2),
            (SPEC, 3),
        ):
            put = await each_database.run(call(put_account, "main", spec))
            assert (put.spec, put.generation) == (spec, generation)

    async def test_accounts_are_listed_by_name(self, each_database: Database):
        for name in ("b", "a-2", "a"):
            await each_database.run(call(rows.account, name))
        listed = await each_database.run(list_accounts)
        assert [account.name for account in listed] == ["a", "a-2", "b"]

    @pytest.mark.parametrize("when", ["new", "changed"])
    async def test_an_alerts_account_id_means_one_account(self, each_database: Database, when: str):
        await each_database.run(call(put_account, "main", SPEC))
        if when == "changed":
            await each_database.run(call(put_account, "other", AccountSpec(account_id="x2")))
        with pytest.raises(CallerError, match="x1") as caught:
            await each_database.run(call(put_account, "other", SPEC))
        assert caught.value.field == "accountId"

    async def test_users_may_use_the_same_account_id(self, each_database: Database):
        for user in ("u1", "u2"):
            spec = SPEC.model_copy(update={"user_id": user})
            await each_database.run(call(put_account, f"of-{user}", spec))

    @pytest.mark.parametrize("name", ["", "Main", "a b", "../a", "-a", "a-", "a" * 64, "é"])
    async def test_a_name_that_no_folder_or_resource_could_have_is_refused(
        self, inline_database: Database, name: str
    ):
        with pytest.raises(CallerError) as caught:
            await inline_database.run(call(put_account, name, SPEC))
        assert caught.value.field == "name"

    async def test_an_account_put_by_many_at_once_is_one(self, database_url: str, clock: FakeClock):
        replicas = [open_database(database_url, clock=clock) for _ in range(3)]
        put = call(put_account, "main", SPEC)
        accounts = await asyncio.gather(*(r.run(put) for _ in range(4) for r in replicas))
        assert {account.generation for account in accounts} == {1}
        for replica in replicas:
            await replica.close()


class TestTokens:
    @pytest.fixture
    def ids(self) -> SeededIds:
        return SeededIds()

    async def test_only_the_hash_of_a_secret_is_stored(
        self, each_database: Database, ids: SeededIds
    ):
        await each_database.run(call(rows.account, "main"))
        secret, token = await each_database.run(call(tokens.create_token, ids, "tv", ["main"]))
        assert token.sha256 == tokens.token_sha256(secret)
        assert token.is_live

        def dump(tx: Tx) -> str:
            return repr(tx.execute(text("SELECT * FROM token")).all())

        assert secret not in await each_database.run(dump) + repr(token)
        assert await each_database.run(tokens.list_tokens) == [token]

    async def test_a_revoked_token_stays_listed_and_frees_its_name(
        self, each_database: Database, ids: SeededIds, clock: FakeClock
    ):
        await each_database.run(call(tokens.create_token, ids, "tv"))
        clock.advance(1)
        revoked = await each_database.run(call(tokens.revoke_token, "tv"))
        assert revoked.revoked_at == clock.now()
        _, second = await each_database.run(call(tokens.create_token, ids, "tv"))
        assert await each_database.run(tokens.list_tokens) == [revoked, second]
        assert (revoked.is_live, second.is_live) == (False, True)

    async def test_a_live_name_is_taken(self, each_database: Database, ids: SeededIds):
        await each_database.run(call(tokens.create_token, ids, "tv"))
        with pytest.raises(CallerError, match="already"):
            await each_database.run(call(tokens.create_token, ids, "tv"))

    async def test_an_unknown_account_is_refused(self, each_database: Database, ids: SeededIds):
        with pytest.raises(CallerError, match="nobody") as caught:
            await each_database.run(call(tokens.create_token, ids, "tv", ["nobody"]))
        assert caught.value.field == "accounts"

    async def test_there_is_nothing_to_revoke_twice(self, each_database: Database, ids: SeededIds):
        await each_database.run(call(tokens.create_token, ids, "tv"))
        await each_database.run(call(tokens.revoke_token, "tv"))
        with pytest.raises(CallerError, match="tv"):
            await each_database.run(call(tokens.revoke_token, "tv"))

    @pytest.mark.parametrize("name", ["", " ", "a" * 101, "a\nb", "\0"])
    async def test_a_name_that_a_person_could_not_read_is_refused(
        self, inline_database: Database, ids: SeededIds, name: str
    ):
        with pytest.raises(CallerError) as caught:
            await inline_database.run(call(tokens.create_token, ids, name))
        assert caught.value.field == "name"
