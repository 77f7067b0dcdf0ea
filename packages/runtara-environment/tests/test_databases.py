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
    urls = [environment_database_url(tmp_path, url) for url in ("acme://one", "acme://two", "acme://one")]
    assert urls[0] == urls[2] != urls[1]
    assert Path(urls[0]).parent == tmp_path


def test_a_daemon_beside_a_storage_of_a_plugin_is_told_where() -> None:
    variables = {"RUNTARA_DATABASE_URL": "acme://core"}
    with pytest.raises(ConfigurationError, match="acme:// is a storage of core: set RUNTARA_ENVIRONMENT_DATABASE_URL"):
        EnvironmentSettings.from_environment(EnvironmentReader(variables))
    variables["RUNTARA_ENVIRONMENT_DATABASE_URL"] = "sqlite:///environment.db"
    assert EnvironmentSettings.from_environment(EnvironmentReader(variables)).database_url == "sqlite:///environment.db"
