"""Daemons, instances and a counting service that tests may kill at any point.

What is killed is always a process that the test started, or one named by the files of a launch in the test's folder.
Every wait has a deadline; no test sleeps for a fixed time.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from runtara_core.testing.postgres import PostgresServer, create_database, drop_database

# The parts that these tests share are modules beside them.
sys.path.insert(0, str(Path(__file__).parent))

from counting_service import CountingService, Losses
from crash_platform import Platform


@pytest.fixture
def service() -> Iterator[CountingService]:
    """A service that nobody has called."""
    made = CountingService()
    yield made
    made.close()


@pytest.fixture
def losses(service: CountingService) -> Losses:
    """Nothing lost yet."""
    return Losses(service)


@contextlib.contextmanager
def _platform(directory: Path, server_url: str | None) -> Iterator[Platform]:
    sqlite_url = f"sqlite:///{directory}/runtara.db"
    url = sqlite_url if server_url is None else asyncio.run(create_database(server_url))
    made = Platform(directory, url)
    try:
        yield made
    finally:
        made.close()
        if server_url is not None:
            asyncio.run(drop_database(server_url, url))


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def _each_platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    server_url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    with _platform(tmp_path_factory.mktemp(request.param), server_url) as made:
        yield made


@pytest.fixture(scope="module")
def _sqlite_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with _platform(tmp_path_factory.mktemp("sqlite"), None) as made:
        yield made


@pytest.fixture
async def each_platform(_each_platform: Platform) -> Platform:
    """Daemons that run, once on each database; shared by the tests of a module."""
    await _each_platform.ensure_running()
    return _each_platform


@pytest.fixture
async def platform(_sqlite_platform: Platform) -> Platform:
    """Daemons that run, on SQLite; shared by the tests of a module."""
    await _sqlite_platform.ensure_running()
    return _sqlite_platform


@pytest.fixture
def own_platform(tmp_path: Path) -> Iterator[Platform]:
    """Daemons of this test alone, not yet started, on SQLite."""
    with _platform(tmp_path, None) as made:
        yield made


@pytest.fixture(params=["sqlite", "postgres"])
def own_server(request: pytest.FixtureRequest) -> PostgresServer | None:
    """Once no server, once one that the test may crash."""
    return request.getfixturevalue("own_postgres_server") if request.param == "postgres" else None


@pytest.fixture
def storm_platform(own_server: PostgresServer | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Daemons of this test alone, not yet started, on SQLite or on `own_server`."""
    with _platform(tmp_path_factory.mktemp("platform"), None if own_server is None else own_server.url) as made:
        yield made
