"""Fixtures for every test: real servers, started only when a test asks, one set per process."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.postgres import PostgresServer, running_postgres
from tests.support.redis_server import RedisServer, running_redis

pytest_plugins = ["tests.support.databases", "tests.support.kube"]

# A busy machine is no bug, so no example has a deadline. The same code is judged by the same
# examples everywhere; HYPOTHESIS_PROFILE=explore draws new ones, `thorough` many of them.
settings.register_profile("steady", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.register_profile("thorough", deadline=None, max_examples=5_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The process's PostgreSQL server; a test that stops or kills one makes its own instead."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The SQLAlchemy URL of an empty database that only this test knows."""
    name = postgres_server.fresh_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The process's Redis server; a test that stops or kills one makes its own instead."""
    with running_redis() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The URL of a Redis that holds nothing."""
    redis_server.forget_everything()
    return redis_server.url
