"""Fixtures for tests that need more than one distribution or a server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager

import asyncpg
import pytest
from runtara_core import migrations
from runtara_core.testing.postgres import (
    PostgresServer,
    PostgresUnavailableError,
    create_database,
    database_name,
    drop_database,
    running_postgres,
)

# The suite ships as a module of core; without this its failures would show no values.
pytest.register_assert_rewrite("runtara_core.testing.storage_suite")


@contextmanager
def _running_postgres() -> Iterator[PostgresServer]:
    with ExitStack() as stack:
        try:
            server = stack.enter_context(running_postgres())
        except PostgresUnavailableError as error:
            if os.environ.get("CI", "").lower() in {"1", "true"}:
                pytest.fail(f"PostgreSQL is not available: {error}")
            pytest.skip(f"PostgreSQL is not available: {error}")
        yield server


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server: TEST_RUNTARA_DATABASE_URL, or one started for this run."""
    given = os.environ.get("TEST_RUNTARA_DATABASE_URL")
    if given:
        yield given
        return
    with _running_postgres() as server:
        yield server.url


@pytest.fixture(scope="module")
def own_postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server of a module's own, whose tests stop it."""
    with _running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def _postgres_template(postgres_url: str) -> Iterator[str]:
    async def prepare() -> str:
        url = await create_database(postgres_url)
        await migrations.run(url)
        return url

    url = asyncio.run(prepare())
    yield database_name(url)
    asyncio.run(drop_database(postgres_url, url))


@pytest.fixture
async def empty_postgres_database_url(postgres_url: str) -> AsyncIterator[str]:
    """A database of this test's own, without any table."""
    url = await create_database(postgres_url)
    yield url
    await drop_database(postgres_url, url)


@pytest.fixture
async def postgres_database_url(postgres_url: str, _postgres_template: str) -> AsyncIterator[str]:
    """A database of this test's own with core's schema."""
    url = await create_database(postgres_url, template=_postgres_template)
    yield url
    await drop_database(postgres_url, url)


@pytest.fixture(scope="session")
def _shared_postgres_database_url(postgres_url: str, _postgres_template: str) -> Iterator[str]:
    url = asyncio.run(create_database(postgres_url, template=_postgres_template))
    yield url
    asyncio.run(drop_database(postgres_url, url))


@pytest.fixture
async def emptied_postgres_database_url(_shared_postgres_database_url: str) -> str:
    """One database for many tests, without instances and keys; much cheaper than a database for each."""
    connection = await asyncpg.connect(_shared_postgres_database_url)
    await connection.execute(
        "DELETE FROM instances; DELETE FROM api_keys; DELETE FROM token_secrets; UPDATE first_epochs SET epoch = 0"
    )
    await connection.close()
    return _shared_postgres_database_url
