"""Variables that mean nothing stop a daemon when it starts, whether or not anything there would use them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from runtara_core.settings import CoreSettings
from runtara_environment.runners.choosing import check_settings
from runtara_environment.runners.loading import LoadedRunners, load_runners
from runtara_environment.settings import EnvironmentSettings
from runtara_environment.testing.mock_runner import MockRunner
from runtara_sdk.errors import ConfigurationError
from runtara_sdk.settings import EnvironmentReader

DATABASE = {"RUNTARA_DATABASE_URL": "sqlite:///runtara.db"}

UNUSED = [
    ("RUNTARA_LEASE_SECS", "5", "set it to 6 to 600"),
    ("RUNTARA_LEASE_SECS", "soon", "set it to one between 0 and 600"),
    ("RUNTARA_DB_POOL_SIZE", "many", "not a whole number"),
    ("RUNTARA_DB_REQUEST_TIMEOUT_MS", "1", "must lie between 100 and 600000"),
    ("RUNTARA_ADMIN_PORT", "99999", "must lie between 0 and 65535"),
    ("RUNTARA_MAX_WORKSPACE_BYTES", "10GiB", "not a whole number"),
    ("RUNTARA_MAX_FILE_SIZE", "0", "must lie between 1 and"),
    ("RUNTARA_MAX_READ_SIZE", "-1", "must lie between 1 and"),
    ("RUNTARA_MAX_RESULT_BYTES", "10", "must lie between 1024 and"),
    ("RUNTARA_HTTP_ALLOWED_NETWORKS", "10.1.0.0/16, intranet", "'intranet' is neither a network"),
    ("RUNTARA_PLUGIN_LOAD_SECONDS", "-3", "set it to one such as 30"),
    ("RUNTARA_NETWORK_MODE", "bridge", "set it to none"),
    ("RUNTARA_MAX_MEMORY_BYTES", "much", "RUNTARA_MAX_MEMORY_BYTES"),
    ("USE_SYSTEMD_CGROUP", "perhaps", "use true or false"),
    ("RUNTARA_OCI_RUNTIME", "runcc", "set it to auto, crun, runc"),
    ("RUNTARA_PASTA_DNS", "dns.example", "list the addresses of name servers"),
    ("RUNTARA_NATIVE_USER", "nobody-by-this-name", "set it to a user's name or number"),
    ("RUNTARA_IMAGE_RUNNERS", "oci,podman", "there is no runner 'podman'"),
]


def _start(variables: dict[str, str]) -> None:
    settings = EnvironmentSettings.from_environment(EnvironmentReader(variables))
    check_settings(load_runners(), settings.supervision.image_runners)


@pytest.mark.parametrize(("name", "value", "remedy"), UNUSED)
def test_a_wrong_variable_is_told_before_anything_uses_it(
    name: str, value: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Runners are of plugins and read the variables of the process themselves.
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as refusal:
        _start({**DATABASE, name: value})
    assert name in refusal.value.message
    assert remedy in refusal.value.message
    assert value.rpartition(",")[2].strip() in refusal.value.message


@pytest.mark.parametrize("name", ["RUNTARA_DB_POOL_SIZE", "RUNTARA_PLUGIN_LOAD_SECONDS", "RUNTARA_NATIVE_USER"])
def test_core_is_told_as_well(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}='x!'"):
        CoreSettings.from_environment(EnvironmentReader({**DATABASE, name: "x!"}))


def test_a_file_is_no_place_for_bundles(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(ConfigurationError, match=r"BUNDLES_DIR=.*set it to one"):
        EnvironmentSettings.from_environment(EnvironmentReader({**DATABASE, "BUNDLES_DIR": str(path)}))


def test_a_plugin_that_cannot_check_its_variables_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(MockRunner):
        def check_settings(self) -> None:
            raise ZeroDivisionError

    with caplog.at_level(logging.ERROR):
        check_settings(LoadedRunners({"broken": Broken()}, ()), ("oci",))
    assert "the runner broken cannot say" in caplog.text
