"""Where the tables of an environment are."""

from __future__ import annotations

from pathlib import Path

import pytest
from runtara_environment.local import environment_database_url
from runtara_environment.settings import EnvironmentSettings
from runtara_sdk.errors import ConfigurationError
from runtara_sdk.settings import EnvironmentReader


@pytest.mark.parametrize("url", ["run.db", "sqlite:///run.db", "postgres://u@db/core", "PostgreSQL://u@db/core"])
def test_they_are_in_the_database_of_core_if_it_has_tables(url: str, tmp_path: Path) -> None:
    assert environment_database_url(tmp_path, url) == url


def test_beside_each_storage_of_a_plugin_they_have_a_file(tmp_path: Path) -> None:
    urls = ["acme://h/one", "acme://h/two", "other://h/one", "acme:///h/one", "acme://[h/one"]
    found = {environment_database_url(tmp_path, url) for url in urls}
    assert len(found) == len(urls)
    assert {Path(url).parent for url in found} == {tmp_path}


@pytest.mark.parametrize("url", ["acme://user:secret@h/one", "acme://user:se@cret@h/one"])
def test_a_password_that_changes_leaves_them_where_they_are(url: str, tmp_path: Path) -> None:
    assert environment_database_url(tmp_path, url) == environment_database_url(tmp_path, "acme://h/one")


def test_a_daemon_beside_a_storage_of_a_plugin_is_told_where() -> None:
    variables = {"RUNTARA_DATABASE_URL": "acme://core"}
    with pytest.raises(ConfigurationError, match="acme:// is a storage of core: set RUNTARA_ENVIRONMENT_DATABASE_URL"):
        EnvironmentSettings.from_environment(EnvironmentReader(variables))
    variables["RUNTARA_ENVIRONMENT_DATABASE_URL"] = "sqlite:///environment.db"
    assert EnvironmentSettings.from_environment(EnvironmentReader(variables)).database_url == "sqlite:///environment.db"
