from __future__ import annotations

import pytest
from runtara_core.storages import open_storage
from runtara_core.storages.sql import SqlStorage
from runtara_sdk.errors import ConfigurationError


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("sqlite:///data/core.db", "SQLite file data/core.db"),
        ("data/core.db", "SQLite file data/core.db"),
        ("sqlite://:memory:", "SQLite in memory"),
        ("postgres://u:p@db/core", "PostgreSQL core at db:5432"),
        ("PostgreSQL://u:p@db/core", "PostgreSQL core at db:5432"),
    ],
)
async def test_the_scheme_chooses_the_storage(url: str, location: str) -> None:
    storage = await open_storage(url)
    assert isinstance(storage, SqlStorage)
    assert storage.database.location == location


async def test_an_unknown_scheme_lists_what_is_installed() -> None:
    with pytest.raises(ConfigurationError, match=r"scheme 'mysql': installed are postgres, sqlite"):
        await open_storage("mysql://u:p@db/core")


async def test_an_unusable_url_is_named() -> None:
    with pytest.raises(ConfigurationError, match="names no file"):
        await open_storage("sqlite:///")
